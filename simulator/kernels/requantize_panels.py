"""Requantizers of an instruction set on panels of sums: behind a convolution's tiles, or on a whole matrix of sums."""

from __future__ import annotations

from functools import cache
from typing import Any

import numba
import numpy as np

from simulator.kernels import requantize_tile
from simulator.kernels._jit import kernel, specialized
from simulator.kernels.by_address import address_of, call_at
from simulator.kernels.isa import InstructionSet

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
REQUANTIZER = 4
"""Address of what takes a panel to bytes: see `requantizer_at`."""
CHANNELS = 5
"""Of a panel."""
LANES = 6
PLAN_LENGTH = 7

ROWS = 96
"""Rows of sums that a task requantizes."""

_REQUANTIZERS: dict[int, requantize_tile.Requantizer] = {
    DOUBLE: requantize_tile.fixed_point_double,
    DOUBLE_SMALL: requantize_tile.fixed_point_double_small,
    SINGLE: requantize_tile.fixed_point_single,
    POWER_OF_TWO: requantize_tile.power_of_two,
    FLOAT32: requantize_tile.float32,
    FLOAT32_SMALL: requantize_tile.float32_small,
}

# What an instruction set and a kind put in its place: see `requantizer_at`.
requantize_tile_of_kind: Any = None


@kernel(allocates=False)
def requantize_block(
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
        int64, begins as KIND ... LANES say.
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
    whole = width % plan[LANES] == 0
    target = out.ctypes.data + index if whole else spare.ctypes.data
    step = stride if whole else plan[CHANNELS]
    start_at, first_at = start.ctypes.data + 4 * channel, first.ctypes.data + 4 * channel
    second_at = second.ctypes.data + 4 * channel
    sums = sums_at, sums_stride, rows, width
    limits = plan[LOW], plan[HIGH], plan[ZERO_POINT]
    clipped = call_at(plan[REQUANTIZER], (*sums, start_at, first_at, second_at, *limits, target, step))
    if not whole:
        for i in range(rows):
            for c in range(width):
                out[index + i * stride + c] = spare[i, c]
    return clipped


@kernel(parallel=True)
def requantize_matrix(plan: Any, sums: Any, start: Any, first: Any, second: Any, out: Any, clipped: Any) -> None:
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
    channels, panel_channels = sums.shape[1], plan[CHANNELS]
    for index in numba.prange(clipped.shape[0]):
        task = np.int64(index)  # unsigned in a parallel loop, and unsigned with signed makes float64
        begin = task * ROWS
        rows = min(ROWS, sums.shape[0] - begin)
        spare = np.empty((ROWS, panel_channels), np.uint8)
        edge = np.empty((ROWS, panel_channels), np.int32)
        count = np.int64(0)
        for channel in range(0, channels, panel_channels):
            width = min(panel_channels, channels - channel)
            at, step = sums.ctypes.data + 4 * (begin * channels + channel), 4 * channels
            if width % plan[LANES] != 0:
                # Whole vectors are read: not past the end of the matrix.
                for i in range(rows):
                    for c in range(width):
                        edge[i, c] = sums[begin + i, channel + c]
                at, step = edge.ctypes.data, 4 * panel_channels
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


def _requantize(
    sums: Any,
    sums_stride: Any,
    rows: Any,
    width: Any,
    start: Any,
    first: Any,
    second: Any,
    low: Any,
    high: Any,
    zero_point: Any,
    out: Any,
    out_stride: Any,
) -> Any:
    constants = start, first, second, low, high, zero_point
    return requantize_tile_of_kind(sums, sums_stride, rows, width, *constants, out, out_stride)


@cache
def requantizer_at(isa: InstructionSet, kind: int) -> int:
    """Return the address of what takes a panel of an instruction set to bytes; see `make_requantize_tile`."""
    scale = _REQUANTIZERS[kind]
    tile = requantize_tile.make_requantize_tile(isa, scale)
    name = f"requantize_{scale.__name__}_{isa.identifier}"
    return address_of(specialized(_requantize, name, requantize_tile_of_kind=tile))


def raw_plan(isa: InstructionSet) -> tuple[int, ...]:
    """As a plan begins whose output are the sums."""
    return RAW, 0, 0, 0, 0, isa.channels, isa.lanes
