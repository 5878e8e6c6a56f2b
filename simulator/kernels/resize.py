"""Bilinear and nearest-neighbour resize of NHWC images, from neighbours and weights computed beforehand."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from simulator.kernels._jit import kernel

Ints = NDArray[Any]
Floats = NDArray[np.float32]


@kernel(parallel=True)
def bilinear_integer(
    x: Ints, size: Ints, top: Ints, bottom: Ints, down: Ints, left: Ints, right: Ints, across: Ints, out: Ints
) -> None:
    """Interpolate with weights in 2^-10; the sum rounds to nearest, a tie away from zero.

    Parameters
    ----------
    x
        [batch * height * width, channels]. A neighbour past the last column is the pixel that follows in memory;
        past the last pixel, where the reference kernel leaves its tensor, it is the last one.
    size
        int64 [2]: height and width of x.
    top, bottom, down
        int64 per output row: two input rows and the weight of the second.
    left, right, across
        int64 per output column: two input columns and the weight of the second.
    out
        [batch, rows, columns, channels], written.

    """
    batch, rows, columns, channels = out.shape
    half = 1 << 19
    last = x.shape[0] - 1
    for line in prange(batch * rows):
        image, row = line // rows, line % rows
        upper_line = (image * size[0] + top[row]) * size[1]
        lower_line = (image * size[0] + bottom[row]) * size[1]
        wy = down[row]
        for column in range(columns):
            p00, p10 = min(upper_line + left[column], last), min(lower_line + left[column], last)
            p01, p11 = min(upper_line + right[column], last), min(lower_line + right[column], last)
            wx = across[column]
            w00, w10 = (1024 - wy) * (1024 - wx), wy * (1024 - wx)
            w01, w11 = (1024 - wy) * wx, wy * wx
            for c in range(channels):
                total = x[p00, c] * w00 + x[p10, c] * w10 + x[p01, c] * w01 + x[p11, c] * w11
                magnitude = (abs(total) + half) >> 20
                out[image, row, column, c] = magnitude if total > 0 else -magnitude


@kernel(parallel=True)
def bilinear_float(
    x: Ints, top: Ints, bottom: Ints, down: Floats, left: Ints, right: Ints, across: Floats, out: Ints
) -> None:
    """Interpolate in float32, each product and sum rounded, then add 1/2 and truncate.

    x is [batch, height, width, channels], the weights float32, every neighbour inside; the rest as above.
    """
    batch, rows, columns, channels = out.shape
    one, half = np.float32(1), np.float32(0.5)
    for line in prange(batch * rows):
        image, row = line // rows, line % rows
        y0, y1, wy = top[row], bottom[row], down[row]
        vy = one - wy
        for column in range(columns):
            x0, x1, wx = left[column], right[column], across[column]
            vx = one - wx
            for c in range(channels):
                total = np.float32(x[image, y0, x0, c]) * vy * vx
                total = total + np.float32(x[image, y1, x0, c]) * wy * vx
                total = total + np.float32(x[image, y0, x1, c]) * vy * wx
                total = total + np.float32(x[image, y1, x1, c]) * wy * wx
                out[image, row, column, c] = np.int64(total + half)


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
