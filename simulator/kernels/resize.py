"""Bilinear and nearest-neighbour resize of NHWC images, from neighbours and weights computed beforehand.

Bilinear interpolation works on whole lines of the image, so that its inner loops run over adjacent values.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from simulator.kernels._jit import kernel

Ints = NDArray[Any]
Floats = NDArray[np.float32]

ROWS = 16
"""Output rows of a task of `bilinear_integer`; neighbours share the stretched input rows."""


@kernel(inline=True)
def _stretch(x: Ints, start: int, left: Ints, right: Ints, across: Ints, out: Ints) -> None:
    """Interpolate one image row, whose first pixel is `start`, across: out [columns, channels], weights in 2^-10."""
    last = x.shape[0] - 1
    channels = x.shape[1]
    for column in range(out.shape[0]):
        near, far = x[min(start + left[column], last)], x[min(start + right[column], last)]
        weight = across[column]
        rest = 1024 - weight
        target = out[column]
        for c in range(channels):
            target[c] = near[c] * rest + far[c] * weight


@kernel(inline=True)
def _blend(upper: Ints, lower: Ints, weight: Any, out: Ints) -> None:
    """Interpolate two stretched rows (flat) down, and round 2^-20 to nearest, a tie away from zero.

    NumPy's functions keep int32 operands in int32, which Numba's operators would widen to half as many lanes.
    """
    rest = np.subtract(upper.dtype.type(1024), weight)
    half, sign, shift = upper.dtype.type(1 << 19), upper.dtype.type(8 * upper.itemsize - 1), upper.dtype.type(20)
    for i in range(out.size):
        total = np.add(np.multiply(upper[i], rest), np.multiply(lower[i], weight))
        away = np.add(half, np.right_shift(total, sign))  # 2^19, less one where the total is negative
        out[i] = np.right_shift(np.add(total, away), shift)


@kernel(parallel=True)
def bilinear_integer(
    x: Ints, size: Ints, top: Ints, bottom: Ints, down: Ints, left: Ints, right: Ints, across: Ints, out: Ints
) -> None:
    """Interpolate with weights in 2^-10; the sum rounds to nearest, a tie away from zero.

    The sum of four products is exact, so it may be taken across first, once an input row, and then down.

    Parameters
    ----------
    x
        [batch * height * width, channels]. A neighbour past the last column is the pixel that follows in memory;
        past the last pixel, where the reference kernel leaves its tensor, it is the last one.
    size
        int64 [2]: height and width of x.
    top, bottom
        int64 per output row: two input rows.
    down
        Weight of the second; its dtype holds every sum: int32 where that is proved to suffice, else int64.
    left, right, across
        int64 per output column: two input columns and the weight of the second.
    out
        [batch, rows, columns * channels], written.

    """
    batch, rows, length = out.shape
    shape = (left.size, x.shape[1])
    blocks = (rows + ROWS - 1) // ROWS
    for task in prange(batch * blocks):
        image, block = task // blocks, task % blocks
        upper, lower = np.empty(shape, down.dtype), np.empty(shape, down.dtype)
        upper_row = lower_row = np.int64(-1)
        for row in range(block * ROWS, min((block + 1) * ROWS, rows)):
            if top[row] != upper_row and top[row] == lower_row:
                upper, lower = lower, upper
                upper_row, lower_row = lower_row, upper_row
            if top[row] != upper_row:
                upper_row = top[row]
                _stretch(x, (image * size[0] + upper_row) * size[1], left, right, across, upper)
            if bottom[row] != lower_row:
                lower_row = bottom[row]
                _stretch(x, (image * size[0] + lower_row) * size[1], left, right, across, lower)
            _blend(upper.reshape(length), lower.reshape(length), down[row], out[image, row])


@kernel(parallel=True)
def bilinear_float(
    x: Ints, top: Ints, bottom: Ints, down: Floats, left: Ints, right: Ints, across: Floats, out: Ints
) -> None:
    """Interpolate in float32, each product and sum rounded, then add 1/2 and truncate.

    A product with the weight down comes first, so one pass over the two input rows takes it for all columns.

    x is [batch, height, width * channels], the weights float32, every neighbour inside, out [batch, rows, columns,
    channels]; the rest as above.
    """
    batch, rows, columns, channels = out.shape
    length = x.shape[2]
    one, half = np.float32(1), np.float32(0.5)
    for line in prange(batch * rows):
        image, row = line // rows, line % rows
        above, below = x[image, top[row]], x[image, bottom[row]]
        upper, lower = np.empty(length, np.float32), np.empty(length, np.float32)
        wy = down[row]
        vy = one - wy
        for i in range(length):
            upper[i] = np.float32(above[i]) * vy
            lower[i] = np.float32(below[i]) * wy
        for column in range(columns):
            wx = across[column]
            vx = one - wx
            first, second = left[column] * channels, right[column] * channels
            upper_left, lower_left = upper[first : first + channels], lower[first : first + channels]
            upper_right, lower_right = upper[second : second + channels], lower[second : second + channels]
            target = out[image, row, column]
            for c in range(channels):
                total = upper_left[c] * vx + lower_left[c] * vx + upper_right[c] * wx + lower_right[c] * wx
                target[c] = np.int32(total + half)


@kernel(parallel=True)
def nearest(x: Ints, rows: Ints, columns: Ints, out: Ints) -> None:
    """Copy pixel (rows[r], columns[c]) to (r, c) of `out` [batch, height, width, channels]."""
    batch, height, width, channels = out.shape
    for line in prange(batch * height):
        image, row = line // height, line % height
        source = rows[row]
        for column in range(width):
            start = columns[column]
            for c in range(channels):
                out[image, row, column, c] = x[image, source, start, c]
