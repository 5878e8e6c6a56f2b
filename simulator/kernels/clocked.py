"""What the clocked models of both arrays share: their job, their counts, shift registers, digest and store path.

The models hold every register of the SystemVerilog in rtl/ and step them clock by clock. A cycle reads registers before
it writes them: stages are stepped from the last to the first, PEs from the last row and column to the first.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.kernels._jit import kernel
from simulator.kernels.clocked_requantizer import POWER_OF_TWO, product, scaled

JOB = np.dtype(
    [
        (name, np.int64)
        for name in (
            # weight stationary
            *("k_folds", "weight_double_buffer", "partial_sum_bits", "partial_sum_saturates"),
            # weight stationary, max pool of the outputs: size 1 for none
            *(
                "pool_size",
                "pool_stride",
                "pool_top",
                "pool_left",
                "pool_bottom",
                "pool_right",
                "pool_width",
                "pool_height",
                # of the map that is pooled, where the job begins
                "pool_first_row",
                "pool_first_fold",
            ),
            # output stationary
            "k",
            # both
            *("pixels", "n_folds", "continues", "last_columns", "accumulator_bits", "accumulator_saturates"),
            *("activation_zero_point", "weight_zero_point"),
            *("output_zero_point", "output_minimum", "output_maximum"),
            *("requantizer", "rounding", "bias_matrix"),
        )
    ]
)
"""One job, as the ports and parameters of the engines in rtl/ have it; flags are 0 or 1."""

COUNTS = np.dtype(
    [
        ("digest", np.uint64),
        ("cycles", np.int64),
        ("partial_sum_events", np.int64),
        ("accumulator_events", np.int64),
        ("saturations", np.int64),
    ]
)
"""What a job adds to: `digest` goes on from its value (start with DIGEST_START), the others are set."""

DIGEST_START = 0xCBF29CE484222325
_DIGEST_PRIME = 0x100000001B3

VALID, LAST, ADDRESS, COLUMNS = range(4)
STORE = 4
"""Token of the store path: whether outputs are to be written, are the last ones, where, and how many columns count."""


@kernel(inline=True)
def digest_word(digest: Any, value: Any) -> Any:
    """Mix a number into a digest: FNV-1a (Fowler, Noll, Vo), 64 bits, a word at a time."""
    return (np.uint64(digest) ^ np.uint64(np.int64(value))) * np.uint64(_DIGEST_PRIME)


@kernel(inline=True)
def digest_edges(digest: Any, activation: Any, weight: Any, result: Any, valid: Any) -> Any:
    """Mix in what leaves the last PEs of an array in this cycle.

    Parameters
    ----------
    digest
        uint64, so far.
    activation, weight, result
        int64 [R, C + 1], [R + 1, C], [R + 1, C], nets between PEs.
    valid
        Whether the deskewed results are a row.

    """
    rows, cols = activation.shape[0], weight.shape[1]
    for r in range(rows):
        digest = digest_word(digest, activation[r, cols])
    for c in range(cols):
        digest = digest_word(digest, weight[rows, c])
    for c in range(cols):
        digest = digest_word(digest, result[rows, c])
    return digest_word(digest, valid)


@kernel(inline=True)
def shift(stages: Any, length: Any, value: Any) -> Any:
    """Clock a row of `length` registers (rtl/delay.sv): `value` enters, what leaves it in this cycle is returned."""
    if length == 0:
        return value
    leaves = stages[length - 1]
    for i in range(length - 1, 0, -1):
        stages[i] = stages[i - 1]
    stages[0] = value
    return leaves


@kernel(inline=True)
def enter(right: Any, left_skew: Any, left: Any, down: Any, top_skew: Any, top: Any) -> None:
    """Clock the skew: what row r or column c is offered enters the array r or c cycles later.

    Parameters
    ----------
    right, down
        int64 [i, R, C + 1] and [j, R + 1, C], nets between PEs; those with index 0 of the last or middle axis are set.
    left_skew, top_skew
        int64 [i, R, R] and [j, C, C] registers.
    left, top
        int64 [i, R] and [j, C], offered in this cycle.

    """
    for i in range(left.shape[0]):
        for r in range(left.shape[1]):
            right[i, r, 0] = shift(left_skew[i, r], r, left[i, r])
    for j in range(top.shape[0]):
        for c in range(top.shape[1]):
            down[j, 0, c] = shift(top_skew[j, c], c, top[j, c])


@kernel(inline=True)
def leave(row: Any, skew: Any, bottom: Any) -> None:
    """Clock the deskew: what left column c of the array C - 1 - c cycles ago is in `row`; int64 [C], [C, C], [C]."""
    cols = bottom.shape[0]
    for c in range(cols):
        row[c] = shift(skew[c], cols - 1 - c, bottom[c])


@kernel(inline=True)
def offer(operands: Any, word: Any, words: Any, zero_point: Any) -> None:
    """Put word `word` of a scratchpad on one side of the array (rtl/operand_feed.sv), 0 where it is negative."""
    for i in range(operands.shape[0]):
        operands[i] = words[word, i] - zero_point if word >= 0 else 0


@kernel(inline=True)
def reset(counts: Any) -> None:
    """Set all counts but the digest to 0."""
    counts["cycles"] = counts["partial_sum_events"] = counts["accumulator_events"] = counts["saturations"] = 0


@kernel(inline=True)
def rails(bits: Any) -> Any:
    """Least and greatest value of a register, and how many bits an int64 has more."""
    high = np.int64(np.uint64((1 << 63) - 1) >> np.uint64(64 - bits))
    return -high - 1, high, 64 - bits


@kernel(inline=True)
def clock_store_path(
    tokens: Any, accumulators: Any, products: Any, values: Any, scales: Any, outputs: Any, job: Any, counts: Any
) -> Any:
    """Clock rtl/store_path.sv: write, then shift and clamp, then multiply. Return whether the last output is written.

    Parameters
    ----------
    tokens
        int64 [3, STORE] registers, stepped: beside the accumulators, the products, the values.
    accumulators
        int64 [C], the register it reads.
    products, values
        int64 [3, C] and [2, C] registers, stepped: product, shift, whether it was narrowed; value, whether clipped.
    scales
        int64 [2, C], multiplier and shift of this cycle.
    outputs
        int64 [words, C], written.
    job, counts
        JOB, COUNTS.

    """
    cols = accumulators.shape[0]
    if tokens[2, VALID]:
        for c in range(cols):
            outputs[tokens[2, ADDRESS], c] = values[0, c]
            if c < tokens[2, COLUMNS]:
                counts["saturations"] += values[1, c]
    done = tokens[2, LAST] != 0
    for c in range(cols):
        value = scaled(products[0, c], products[1, c], job["requantizer"], job["rounding"])
        moved = value + job["output_zero_point"]
        values[0, c] = min(max(moved, job["output_minimum"]), job["output_maximum"])
        values[1, c] = products[2, c] or values[0, c] != moved
        narrow = min(max(accumulators[c], -(1 << 31)), (1 << 31) - 1)
        products[0, c] = product(accumulators[c], narrow, scales[0, c], scales[1, c], job["requantizer"])
        products[1, c] = scales[1, c]
        products[2, c] = narrow != accumulators[c] and job["requantizer"] != POWER_OF_TWO
    tokens[2] = tokens[1]
    tokens[1] = tokens[0]
    return done
