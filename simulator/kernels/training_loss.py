"""Losses of integer training, a pixel a row; `simulator.numerics.training_loss` is the specification.

ledger: int64 [ceil(rows / PIXELS), 4], written: loss (or sum of squares), sum of weights, valid pixels, first row whose
label is neither a class nor ignored (-1: none).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from simulator.kernels._jit import kernel
from simulator.kernels.training_arith import bit_length, shift_down
from simulator.numerics.training_loss import (
    EXPONENTIAL_BITS,
    GREATEST_POWER,
    GUARD_BITS,
    LN_2,
    LOG2_E,
    LOSS_BITS,
    POWER_BITS,
    PROBABILITY_BITS,
    RECIPROCAL_BITS,
    TABLE_BITS,
    WEIGHT_BITS,
)

Ints = NDArray[Any]
Longs = NDArray[np.int64]

PIXELS = 512
_LN_2_SHIFT = EXPONENTIAL_BITS + 24 - LOSS_BITS
_DOWN = RECIPROCAL_BITS - PROBABILITY_BITS


@kernel(inline=True)
def _interpolate(table: Any, position: Any) -> Any:
    knot, rest = position >> TABLE_BITS, position & ((1 << TABLE_BITS) - 1)
    return table[knot] + shift_down((table[knot + 1] - table[knot]) * rest, TABLE_BITS)


@kernel(inline=True)
def _power(distance: Any, mantissa: Any, shift: Any) -> Any:
    product = distance * mantissa * LOG2_E
    if shift >= 0:
        return min(shift_down(product, min(shift, 63)), GREATEST_POWER)
    if product > (GREATEST_POWER >> min(-shift, 62)):
        return np.int64(GREATEST_POWER)
    return product << -shift if product > 0 else product


@kernel(inline=True)
def _logarithm(total: Any, table: Any) -> Any:
    leading = EXPONENTIAL_BITS - 1 + bit_length(total >> EXPONENTIAL_BITS)  # total >= 2^30
    fraction = (total >> (leading - POWER_BITS)) - (1 << POWER_BITS)
    return ((leading - EXPONENTIAL_BITS) << EXPONENTIAL_BITS) + _interpolate(table, fraction)


@kernel()
def distance_table(scale: Longs, powers: Longs, table: Longs) -> None:
    """T and 2^-t of every distance below the greatest logit; table: int64 [distances, 2], written."""
    for distance in range(table.shape[0]):
        t = _power(np.int64(distance), scale[0], 30 - POWER_BITS - scale[1])
        table[distance, 0] = t
        table[distance, 1] = shift_down(_interpolate(powers, t & ((1 << POWER_BITS) - 1)), t >> POWER_BITS)


@kernel(inline=True)
def _cross_entropy(logits: Any, table: Any, label: Any, weight: Any, logarithms: Any, row: Any, out: Any) -> Any:
    """Error of a pixel into `out`; returns its loss. row: int64 [classes], scratch."""
    greatest = np.int64(logits[0])
    for c in range(logits.size):
        greatest = max(greatest, np.int64(logits[c]))
    total = np.int64(0)
    for c in range(logits.size):
        row[c] = table[greatest - logits[c], 1]
        total += row[c]
    multiplier = (np.int64(1) << RECIPROCAL_BITS) // total
    for c in range(logits.size):
        out[c] = weight * shift_down(row[c] * multiplier, _DOWN)
    out[label] -= weight << PROBABILITY_BITS
    t = table[greatest - logits[label], 0]
    bits = (t << (EXPONENTIAL_BITS - POWER_BITS)) + _logarithm(total, logarithms)
    return shift_down(weight * shift_down(bits * LN_2, _LN_2_SHIFT), WEIGHT_BITS)


@kernel(parallel=True)
def cross_entropy(
    logits: Ints,
    table: Longs,
    labels: Ints,
    ignore: int,
    weights: Longs,
    logarithms: Longs,
    out: NDArray[np.int32],
    ledger: Longs,
) -> None:
    """Softmax cross entropy.

    Parameters
    ----------
    logits
        [rows, classes], int8 or int16.
    table
        Of `distance_table`, as long as the greatest distance + 1.
    labels, ignore
        [rows], and the label that counts for nothing.
    weights
        int64 [classes], 256 = 1.
    logarithms
        int64 [1025], table of the specification.
    out
        [rows, classes], written.
    ledger
        See above.

    """
    for index in prange(ledger.shape[0]):
        task: Any = np.int64(index)
        loss, weight_sum, valid = np.int64(0), np.int64(0), np.int64(0)
        bad: Any = np.int64(-1)
        row = np.empty(logits.shape[1], np.int64)
        for pixel in range(task * PIXELS, min((task + 1) * PIXELS, logits.shape[0])):
            label = np.int64(labels[pixel])
            is_class = 0 <= label < logits.shape[1]
            if label == ignore or not is_class:
                out[pixel] = 0
                bad = pixel if label != ignore and bad < 0 else bad
            else:
                weight = weights[label]
                loss += _cross_entropy(logits[pixel], table, label, weight, logarithms, row, out[pixel])
                weight_sum += weight
                valid += 1
        ledger[task, 0], ledger[task, 1], ledger[task, 2], ledger[task, 3] = loss, weight_sum, valid, bad


@kernel(parallel=True)
def squared_error(
    logits: Ints, labels: Ints, ignore: int, one: int, shift: int, out: NDArray[np.int32], ledger: Longs
) -> None:
    """Half the squared error to one-hot labels; one: 1 in steps of the error; shift: of errors that are squared."""
    for index in prange(ledger.shape[0]):
        task: Any = np.int64(index)
        total, valid = np.int64(0), np.int64(0)
        bad: Any = np.int64(-1)
        for pixel in range(task * PIXELS, min((task + 1) * PIXELS, logits.shape[0])):
            label = np.int64(labels[pixel])
            is_class = 0 <= label < logits.shape[1]
            if label == ignore or not is_class:
                out[pixel] = 0
                bad = pixel if label != ignore and bad < 0 else bad
            else:
                valid += 1
                for c in range(logits.shape[1]):
                    error = (np.int64(logits[pixel, c]) << GUARD_BITS) - (one if c == label else 0)
                    out[pixel, c] = error
                    squared = shift_down(error, shift)
                    total += squared * squared
        ledger[task, 0], ledger[task, 1], ledger[task, 2], ledger[task, 3] = total, valid << WEIGHT_BITS, valid, bad
