"""Compute cycles of a tile operation on the array: closed forms, equal to the array's RTL.

All count from the cycle in which the first operand is offered to the cycle in which the last requantized result is
written, both included. R, C = array rows and columns; T = folds of the tile op. The SystemVerilog in rtl/ is their
judge (tests/rtl, tests/proof/array_cycles.py). A tile op of a machine takes READ_CYCLES more, before the first operand
is offered: the scratchpads answer in the cycle after the address (rtl/system_top.sv, tests/proof/system_cycles.py).

Weight stationary, T folds of M streamed pixels:

    R + (T - 1) * max(M, R) + M + R + C + 2

The first weights take R cycles to shift in. While M pixels stream, the next weights shift into the shadow registers in
R cycles, so a further fold costs max(M, R). The last pixel needs R - 1 + C - 1 cycles of skew to leave the last
column, and 4 more to be added to the accumulator, multiplied, shifted and written.

Without shadow registers (``weight_double_buffer: false``) the next weights may enter row 0 when its last pixel has
passed. Each row of weights travels down with its row number and stays where that matches, one row a cycle, behind the
last pixel's wave, so the next pixel may enter R cycles later: a further fold costs M + R.

Output stationary, T blocks of R pixels by C channels, K products each:

    (T - 1) * max(K, R) + K + 2 R + C + 1

Results shift out in R cycles behind the next block's products, pass the accumulator memory and are multiplied, shifted
and written. A bias comes down its column with the first product. Where K is cut, the accumulators of a block are kept
in accumulator memory between the chunks. They come down the columns on the bias's path, a row a cycle with its row
number, while the block before streams, and wait in their PE, so only the first block of a chunk that continues earlier
ones waits R cycles for its start values. (The chain that results leave by could not bring them: while blocks follow
each other every R cycles, each of its registers holds a result in every cycle.)
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from simulator.mapping.work import Device
from simulator.numerics.modes import Dataflow

READ_CYCLES = 1
"""Cycles from the begin of a tile op to its first operands at the array: they are read from the scratchpads."""

Int = Any
"""int or an int64 array: the closed forms take either, and NumPy broadcasts."""


class Array(Protocol):
    """What the closed forms must know of an array."""

    @property
    def rows(self) -> int:
        """Rows of PEs."""
        ...

    @property
    def cols(self) -> int:
        """Columns of PEs."""
        ...

    @property
    def weight_double_buffer(self) -> bool:
        """Whether PEs have shadow registers for the next weights."""
        ...


def fold_slot(pixels: Int, device: Array) -> Int:
    """Cycles that one more fold of `pixels` costs, weight stationary."""
    if device.weight_double_buffer:
        return np.maximum(pixels, device.rows)
    return pixels + device.rows


def weight_stationary(folds: Int, pixels: Int, device: Array) -> Int:
    """Cycles of `folds` folds that stream `pixels` pixels each."""
    return (folds - 1) * fold_slot(pixels, device) + pixels + 2 * device.rows + device.cols + 2


def output_stationary(blocks: Int, k: Int, continued: Int, device: Array) -> Int:
    """Cycles of `blocks` blocks of `k` products each; `continued` = 1 where earlier chunks of K came before."""
    steady = (blocks - 1) * np.maximum(k, device.rows)
    return steady + k + 2 * device.rows + device.cols + 1 + continued * device.rows


def tile_op_cycles(ops: NDArray[Any], device: Device) -> NDArray[np.int64]:
    """Compute cycles of each array tile op of `ops` (dtype TILE_OP), its first reads included, int64."""
    folds = ops["folds"].astype(np.int64)
    if device.dataflow is Dataflow.WEIGHT_STATIONARY:
        pixels = ops["rows"].astype(np.int64) * ops["cols"]
        cycles = weight_stationary(folds, pixels, device)
    else:
        cycles = output_stationary(folds, ops["k_length"].astype(np.int64), (ops["k"] > 0).astype(np.int64), device)
    return np.asarray(cycles + READ_CYCLES, np.int64)
