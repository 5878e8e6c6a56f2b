"""Convolutions as one exact sum, for layers proved free of events: there, order and register width change nothing.

Activations are held from zero up (q - least stored value), so LLVM finds the 16-bit dot products of the CPU; what that
adds to a sum, z * (sum of weights), is taken off through the start value.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from simulator.kernels import geometry as geo
from simulator.kernels._jit import kernel

TILE = 4
"""Rows and columns of the register tile."""
PIXELS = 64
"""Output pixels of a task; a multiple of TILE."""
SHORT = 4096
"""Weights that int32 sums."""


@kernel()
def dot_tile(rows: Any, i: Any, weights: Any, j: Any, length: Any, sums: Any) -> None:
    """Multiply TILE rows by TILE rows of weights: sums[r, c] = rows[i + r] . weights[j + c], modulo 2^32.

    Parameters
    ----------
    rows
        uint8 [any, K].
    i, j
        First row of either.
    weights
        int16 [any, K].
    length
        K.
    sums
        int32 [TILE, TILE], written.

    """
    a0, a1, a2, a3 = rows[i], rows[i + 1], rows[i + 2], rows[i + 3]
    b0, b1, b2, b3 = weights[j], weights[j + 1], weights[j + 2], weights[j + 3]
    s00 = s01 = s02 = s03 = np.int32(0)
    s10 = s11 = s12 = s13 = np.int32(0)
    s20 = s21 = s22 = s23 = np.int32(0)
    s30 = s31 = s32 = s33 = np.int32(0)
    for k in range(length):
        x0, x1, x2, x3 = np.int32(a0[k]), np.int32(a1[k]), np.int32(a2[k]), np.int32(a3[k])
        y0, y1, y2, y3 = np.int32(b0[k]), np.int32(b1[k]), np.int32(b2[k]), np.int32(b3[k])
        s00, s10 = np.int32(s00 + x0 * y0), np.int32(s10 + x1 * y0)
        s20, s30 = np.int32(s20 + x2 * y0), np.int32(s30 + x3 * y0)
        s01, s11 = np.int32(s01 + x0 * y1), np.int32(s11 + x1 * y1)
        s21, s31 = np.int32(s21 + x2 * y1), np.int32(s31 + x3 * y1)
        s02, s12 = np.int32(s02 + x0 * y2), np.int32(s12 + x1 * y2)
        s22, s32 = np.int32(s22 + x2 * y2), np.int32(s32 + x3 * y2)
        s03, s13 = np.int32(s03 + x0 * y3), np.int32(s13 + x1 * y3)
        s23, s33 = np.int32(s23 + x2 * y3), np.int32(s33 + x3 * y3)
    sums[0, 0], sums[0, 1], sums[0, 2], sums[0, 3] = s00, s01, s02, s03
    sums[1, 0], sums[1, 1], sums[1, 2], sums[1, 3] = s10, s11, s12, s13
    sums[2, 0], sums[2, 1], sums[2, 2], sums[2, 3] = s20, s21, s22, s23
    sums[3, 0], sums[3, 1], sums[3, 2], sums[3, 3] = s30, s31, s32, s33


@kernel()
def conv_wide_task(x: Any, weights: Any, start: Any, geometry: Any, fill: Any, begin: Any, end: Any, out: Any) -> None:
    """Sum output pixels begin..end (all groups and channels) of a convolution of 8-bit activations.

    Parameters
    ----------
    x
        uint8 [batch * height * width, channels], counted from the least stored value.
    weights
        int16 [groups, filters of a group filled up to TILE, K], zero points subtracted.
    start
        int32 [1 or pixels, groups * filters], bias less what `fill` adds.
    geometry
        int64 [geo.LENGTH].
    fill
        Zero point, counted likewise.
    begin, end
        Output pixels, at most PIXELS.
    out
        int32 [pixels, groups * filters], written; every true sum fits.

    """
    length, filters = weights.shape[2], geometry[geo.FILTERS]
    rows = np.empty((PIXELS, length), np.uint8)  # rows past the end give sums that nobody reads
    sums = np.empty((TILE, TILE), np.int32)
    for group in range(geometry[geo.GROUPS]):
        for pixel in range(begin, end):
            geo.gather_row(x, geometry, pixel, group, fill, rows[pixel - begin])
        for j in range(0, filters, TILE):
            for i in range(0, end - begin, TILE):
                dot_tile(rows, i, weights[group], j, length, sums)
                for r in range(min(TILE, end - begin - i)):
                    pixel = begin + i + r
                    row = pixel if start.shape[0] > 1 else 0
                    for c in range(min(TILE, filters - j)):
                        channel = group * filters + j + c
                        # Exact modulo 2^32, and the true sum fits int32.
                        out[pixel, channel] = np.int32(np.int64(sums[r, c]) + np.int64(start[row, channel]))


@kernel(parallel=True)
def conv_wide(x: Any, weights: Any, start: Any, geometry: Any, fill: Any, out: Any) -> None:
    """Sum every output of a convolution of 8-bit activations; see `conv_wide_task`."""
    pixels = out.shape[0]
    for index in numba.prange(-(-pixels // PIXELS)):
        task = np.int64(index)  # unsigned in a parallel loop, and unsigned with signed makes float64
        end = min((task + 1) * PIXELS, pixels)
        conv_wide_task(x, weights, start, geometry, fill, task * PIXELS, end, out)


@kernel()
def conv_wide_int64_pixel(x: Any, weights: Any, start: Any, geometry: Any, pixel: Any, sums: Any) -> None:
    """Sum one output pixel of a convolution of wider operands, in int64.

    Parameters
    ----------
    x
        int32 [batch * height * width, channels], zero point subtracted.
    weights
        int32 [groups, filters of a group, K], zero points subtracted.
    start
        int64 [1 or pixels, groups * filters].
    geometry
        int64 [geo.LENGTH].
    pixel
        Which one.
    sums
        int64 [groups * filters], written.

    """
    filters = geometry[geo.FILTERS]
    row = np.empty(weights.shape[2], np.int32)
    start_row = pixel if start.shape[0] > 1 else 0
    for group in range(geometry[geo.GROUPS]):
        geo.gather_row(x, geometry, pixel, group, 0, row)
        for j in range(filters):
            total = start[start_row, group * filters + j]
            w = weights[group, j]
            for k in range(row.shape[0]):
                total = np.int64(total + np.int64(row[k]) * np.int64(w[k]))
            sums[group * filters + j] = total


@kernel(parallel=True)
def conv_wide_int64(x: Any, weights: Any, start: Any, geometry: Any, out: Any) -> None:
    """Sum every output of a convolution of wider operands; see `conv_wide_int64_pixel`. out: int64, a row a pixel."""
    for index in numba.prange(out.shape[0]):
        pixel = np.int64(index)  # unsigned in a parallel loop, and unsigned with signed makes float64
        conv_wide_int64_pixel(x, weights, start, geometry, pixel, out[pixel])


@kernel(inline=True)
def add_tap(a: Any, zero: Any, weights: Any, sums: Any) -> None:
    """Add one product to the sum of each channel, in the width of `sums` (Numba would widen int32 to int64)."""
    for c in range(sums.shape[0]):
        operand = sums.dtype.type(sums.dtype.type(a[c]) - zero)
        sums[c] = sums.dtype.type(sums[c] + sums.dtype.type(operand * weights[c]))


@kernel(parallel=True)
def depthwise_wide(x: Any, zero_point: Any, weights: Any, start: Any, geometry: Any, out: Any) -> None:
    """Sum every output of a depthwise convolution, in the width of `out`.

    Parameters
    ----------
    x
        [batch * height * width, filters], as stored: channel o is what filter o reads.
    zero_point
        Subtracted from x.
    weights
        int32 or int64 [taps, filters], zero points subtracted, as are `start` and `out` in their width.
    start
        [filters].
    geometry
        int64 [geo.LENGTH].
    out
        [pixels, filters], written; every sum fits.

    """
    zero = weights.dtype.type(zero_point)
    height, width = geometry[geo.IN_HEIGHT], geometry[geo.IN_WIDTH]
    for index in numba.prange(out.shape[0] // geometry[geo.OUT_WIDTH]):
        line = np.int64(index)  # unsigned in a parallel loop, and unsigned with signed makes float64
        image = line // geometry[geo.OUT_HEIGHT]
        top = (line - image * geometry[geo.OUT_HEIGHT]) * geometry[geo.STRIDE_H] - geometry[geo.PAD_TOP]
        for column in range(geometry[geo.OUT_WIDTH]):
            left = column * geometry[geo.STRIDE_W] - geometry[geo.PAD_LEFT]
            sums = out[line * geometry[geo.OUT_WIDTH] + column]
            for c in range(sums.shape[0]):
                sums[c] = start[c]
            for kh in range(geometry[geo.KERNEL_H]):
                y = top + kh * geometry[geo.DILATION_H]
                if y < 0 or y >= height:
                    continue
                for kw in range(geometry[geo.KERNEL_W]):
                    z = left + kw * geometry[geo.DILATION_W]
                    if 0 <= z < width:
                        row = (image * height + y) * width + z
                        add_tap(x[row], zero, weights[kh * geometry[geo.KERNEL_W] + kw], sums)


@kernel(inline=True)
def _sum_narrow(row: Any, zero: Any) -> Any:
    """Sum the positive and all of at most SHORT weights, each of at most 17 bits: in int32, which vectorises."""
    less = np.int32(zero)
    up = total = np.int32(0)
    for k in range(row.size):
        w = np.int32(np.int32(row[k]) - less)
        total = np.int32(total + w)
        up = np.int32(up + max(w, np.int32(0)))
    return np.int64(up), np.int64(total)


@kernel(inline=True)
def _sum_wide(row: Any, zero: Any) -> Any:
    up = total = np.int64(0)
    for k in range(row.size):
        w = np.int64(row[k]) - zero
        total += w
        up += max(w, np.int64(0))
    return up, total


@kernel(parallel=True)
def fold_sums(weights: Any, zero_points: Any, fold: Any, positive: Any, negative: Any) -> None:
    """Sum the positive and the negative weights of each fold of each filter.

    Parameters
    ----------
    weights
        [filters, K], as stored.
    zero_points
        int64 [filters], subtracted.
    fold
        k of a fold.
    positive, negative
        int64 [filters, folds], written.

    """
    for index in numba.prange(weights.shape[0]):
        j = np.int64(index)  # unsigned in a parallel loop, and unsigned with signed makes float64
        row, zero = weights[j], zero_points[j]
        for f in range(positive.shape[1]):
            up = np.int64(0)
            total = np.int64(0)
            end = min((f + 1) * fold, row.shape[0])
            for k in range(f * fold, end, SHORT):
                part = row[k : min(k + SHORT, end)]
                some = _sum_narrow(part, zero) if row.itemsize <= 2 else _sum_wide(part, zero)
                up += some[0]
                total += some[1]
            positive[j, f] = up
            negative[j, f] = total - up
