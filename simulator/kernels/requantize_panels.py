"""Requantizers of an instruction set on panels of sums: behind a convolution's tiles, or on a whole matrix of sums."""

from __future__ import annotations

from functools import cache
from typing import Any

import numba
import numpy as np

from simulator.kernels import requantize_tile
from simulator.kernels._jit import kernel, specialized
from simulator.kernels.isa import INSTRUCTION_SETS, InstructionSet

RAW = 0
"""No requantizer: int32 sums are the output."""
DOUBLE = 1
SINGLE = 2
POWER_OF_TWO = 3
FLOAT32 = 4
DOUBLE_SMALL = 5
"""DOUBLE of accumulators that are small: see `requantize_tile.is_small`."""
FLOAT32_SMALL = 6
"""FLOAT32 with scales below 1/2: see `requantize_tile.float32_small`."""

KIND = 0
"""One of those above; where a plan begins."""
LOW = 1
HIGH = 2
ZERO_POINT = 3
PLAN_LENGTH = 4

ROWS = 96
"""Rows of sums that a task requantizes."""

# What an instruction set puts in place of these: see `make_requantize_block` and `make_requantize_matrix`.
double_tile: Any = None
double_small_tile: Any = None
single_tile: Any = None
power_of_two_tile: Any = None
float32_tile: Any = None
float32_small_tile: Any = None
requantize_block: Any = None
CHANNELS = 0
LANES = 0


def _requantize_block(
    plan: Any,
    sums_at: Any,
    sums_stride: Any,
    rows: Any,
    width: Any,
    start: Any,
    first: Any,
    second: Any,
    channel: Any,
    out: Any,
    index: Any,
    stride: Any,
    spare: Any,
) -> Any:
    """Requantize some rows of a panel, and return how many outputs were clipped.

    Parameters
    ----------
    plan
        int64, begins as KIND ... ZERO_POINT say.
    sums_at, sums_stride
        Address and row stride in bytes of int32 sums.
    rows, width
        How many rows; how many channels of the panel count, at most CHANNELS.
    start, first, second
        int32 [channels of all panels]: start values, constants of the requantizer.
    channel
        Where this panel's begin.
    out, index, stride
        uint8, flat, written: from `index` on, a row every `stride`.
    spare
        uint8 [rows, CHANNELS], for a panel whose last vector is not full.

    """
    whole = width % LANES == 0
    target = out.ctypes.data + index if whole else spare.ctypes.data
    step = stride if whole else CHANNELS
    start_at, first_at = start.ctypes.data + 4 * channel, first.ctypes.data + 4 * channel
    second_at = second.ctypes.data + 4 * channel
    sums = sums_at, sums_stride, rows, width
    arguments = (*sums, start_at, first_at, second_at, plan[LOW], plan[HIGH], plan[ZERO_POINT], target, step)
    kind = plan[KIND]
    if kind == DOUBLE:
        clipped = double_tile(*arguments)
    elif kind == DOUBLE_SMALL:
        clipped = double_small_tile(*arguments)
    elif kind == SINGLE:
        clipped = single_tile(*arguments)
    elif kind == POWER_OF_TWO:
        clipped = power_of_two_tile(*arguments)
    elif kind == FLOAT32_SMALL:
        clipped = float32_small_tile(*arguments)
    else:
        clipped = float32_tile(*arguments)
    if not whole:
        for i in range(rows):
            for c in range(width):
                out[index + i * stride + c] = spare[i, c]
    return clipped


def _requantize_matrix(plan: Any, sums: Any, start: Any, first: Any, second: Any, out: Any, clipped: Any) -> None:
    """Requantize a matrix of sums.

    Parameters
    ----------
    plan, start, first, second
        As above.
    sums
        int32 [rows, channels].
    out
        uint8, flat, written.
    clipped
        int64 [tasks of ROWS rows], written: outputs that were clipped.

    """
    channels = sums.shape[1]
    for index in numba.prange(clipped.shape[0]):
        task = np.int64(index)  # unsigned in a parallel loop, and unsigned with signed makes float64
        begin = task * ROWS
        rows = min(ROWS, sums.shape[0] - begin)
        spare = np.empty((ROWS, CHANNELS), np.uint8)
        edge = np.empty((ROWS, CHANNELS), np.int32)
        count = np.int64(0)
        for channel in range(0, channels, CHANNELS):
            width = min(CHANNELS, channels - channel)
            at, step = sums.ctypes.data + 4 * (begin * channels + channel), 4 * channels
            if width % LANES != 0:
                # Whole vectors are read: not past the end of the matrix.
                for i in range(rows):
                    for c in range(width):
                        edge[i, c] = sums[begin + i, channel + c]
                at, step = edge.ctypes.data, 4 * CHANNELS
            count += requantize_block(
                plan,
                at,
                step,
                rows,
                width,
                start,
                first,
                second,
                channel,
                out,
                begin * channels + channel,
                channels,
                spare,
            )
        clipped[task] = count


@cache
def make_requantize_block(isa: InstructionSet) -> Any:
    """Return `_requantize_block` for an instruction set and its panels."""
    requantizers = {
        "double_tile": requantize_tile.fixed_point_double,
        "double_small_tile": requantize_tile.fixed_point_double_small,
        "single_tile": requantize_tile.fixed_point_single,
        "power_of_two_tile": requantize_tile.power_of_two,
        "float32_tile": requantize_tile.float32,
        "float32_small_tile": requantize_tile.float32_small,
    }
    tiles = {key: requantize_tile.make_requantize_tile(isa, scale) for key, scale in requantizers.items()}
    names = {"CHANNELS": isa.channels, "LANES": isa.lanes, **tiles}
    return kernel(allocates=False)(specialized(_requantize_block, f"requantize_block_{isa.identifier}", **names))


@cache
def make_requantize_matrix(name: str) -> Any:
    """Return `_requantize_matrix` for an instruction set."""
    isa = INSTRUCTION_SETS[name]
    names = {"requantize_block": make_requantize_block(isa), "CHANNELS": isa.channels, "LANES": isa.lanes}
    return kernel(parallel=True)(specialized(_requantize_matrix, f"requantize_matrix_{isa.identifier}", **names))
