"""Pooling, interpolation and dropout of integer training; specification: `simulator.numerics.training_windows`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from simulator.kernels import philox
from simulator.kernels._jit import kernel
from simulator.kernels.training_arith import CHUNK

Ints = NDArray[Any]
Longs = NDArray[np.int64]


@kernel(parallel=True)
def max_pool_indexed(x: Ints, geometry: Longs, out: Ints, index: NDArray[np.uint8]) -> None:
    """Greatest value of each window and its first position.

    Parameters
    ----------
    x
        [batch, height, width, channels].
    geometry
        int64 [6]: kernel height and width, stride down and across, padding above and left.
    out, index
        [batch, rows, columns, channels], written.

    """
    batch, rows, columns, channels = out.shape
    tall, wide = geometry[0], geometry[1]
    for line in prange(batch * rows):
        image, row = np.int64(line) // rows, np.int64(line) % rows
        top = row * geometry[2] - geometry[4]
        for column in range(columns):
            left = column * geometry[3] - geometry[5]
            best, where = out[image, row, column], index[image, row, column]
            is_first = True
            for ky in range(max(-top, 0), min(tall, x.shape[1] - top)):
                for kx in range(max(-left, 0), min(wide, x.shape[2] - left)):
                    values, position = x[image, top + ky, left + kx], np.uint8(ky * wide + kx)
                    for c in range(channels):
                        is_greater = is_first or values[c] > best[c]
                        best[c] = values[c] if is_greater else best[c]
                        where[c] = position if is_greater else where[c]
                    is_first = False


@kernel(parallel=True)
def max_pool_gradient(error: Ints, index: NDArray[np.uint8], geometry: Longs, out: Ints) -> None:
    """Send each error to the pixel that won; out: [batch, height, width, channels], written; rest as above."""
    batch, height, width, channels = out.shape
    rows, columns = error.shape[1], error.shape[2]
    tall, wide, down, across = geometry[0], geometry[1], geometry[2], geometry[3]
    for line in prange(batch * height):
        image, y = np.int64(line) // height, np.int64(line) % height
        out[image, y] = 0
        above = y + geometry[4]
        for row in range(max(-(-(above - tall + 1) // down), 0), min(above // down, rows - 1) + 1):
            ky = above - row * down
            for column in range(columns):
                left = column * across - geometry[5]
                source, where = error[image, row, column], index[image, row, column]
                for kx in range(max(-left, 0), min(wide, width - left)):
                    target, position = out[image, y, left + kx], ky * wide + kx
                    for c in range(channels):
                        target[c] += source[c] if where[c] == position else 0


@kernel(parallel=True)
def bilinear_forward(x: Ints, rows: Longs, columns: Longs, one: int, out: NDArray[np.int32]) -> None:
    """Interpolate by integer weights.

    Parameters
    ----------
    x
        [batch, height, width * channels].
    rows, columns
        int64 [size, 3] of `axis_weights`.
    one
        The sum of two weights.
    out
        [batch, rows, columns, channels], written.

    """
    batch, height, width, channels = out.shape
    for line in prange(batch * height):
        image, row = np.int64(line) // height, np.int64(line) % height
        upper, lower, weight = x[image, rows[row, 0]], x[image, rows[row, 1]], rows[row, 2]
        mixed = np.empty(upper.size, np.int32)
        for i in range(upper.size):
            mixed[i] = np.int64(upper[i]) * (one - weight) + np.int64(lower[i]) * weight
        for column in range(width):
            left = mixed[columns[column, 0] * channels : (columns[column, 0] + 1) * channels]
            right = mixed[columns[column, 1] * channels : (columns[column, 1] + 1) * channels]
            weight = columns[column, 2]
            target = out[image, row, column]
            for c in range(channels):
                target[c] = np.int64(left[c]) * (one - weight) + np.int64(right[c]) * weight


@kernel(parallel=True)
def bilinear_gradient(error: Ints, rows: Longs, columns: Longs, spans: Longs, one: int, out: Ints) -> None:
    """Transpose of `bilinear_forward`.

    Parameters
    ----------
    error
        [batch, rows, columns * channels].
    rows, columns, one
        Of the forward interpolation.
    spans
        int64 [height, 2]: first and last + 1 row of the error that reads each row of the image.
    out
        [batch, height, width, channels], int32 or int64, written.

    """
    batch, height, _, channels = out.shape
    for line in prange(batch * height):
        image, y = np.int64(line) // height, np.int64(line) % height
        mixed = np.zeros(error.shape[2], np.int64)
        for row in range(spans[y, 0], spans[y, 1]):
            weight = np.int64(0)
            if rows[row, 0] == y:
                weight += one - rows[row, 2]
            if rows[row, 1] == y:
                weight += rows[row, 2]
            source = error[image, row]
            for i in range(source.size):
                mixed[i] += np.int64(source[i]) * weight
        out[image, y] = 0
        for column in range(columns.shape[0]):
            left, right, weight = columns[column, 0], columns[column, 1], columns[column, 2]
            source = mixed[column * channels : (column + 1) * channels]
            target, other = out[image, y, left], out[image, y, right]
            for c in range(channels):
                target[c] += source[c] * (one - weight)
                other[c] += source[c] * weight


@kernel(parallel=True)
def spatial_sums(x: Ints, out: Ints) -> None:
    """Sum x [batch, pixels, channels] over pixels into out [batch, channels], int32 or int64."""
    for index in prange(x.shape[0]):
        image = np.int64(index)
        total = np.zeros(x.shape[2], np.int64)
        for pixel in range(x.shape[1]):
            values = x[image, pixel]
            for c in range(values.size):
                total[c] += np.int64(values[c])
        for c in range(total.size):
            out[image, c] = total[c]


@kernel(parallel=True)
def dropout(x: Ints, keep_shift: int, key: NDArray[np.uint64], out: Ints, mask: NDArray[np.uint8]) -> None:
    """Keep the elements whose draw has `keep_shift` low bits of 0; flat; key: uint64 [3], (seed, step, tensor)."""
    bits = (np.uint64(1) << np.uint64(keep_shift)) - np.uint64(1)
    for index in prange(-(-x.size // CHUNK)):
        start: Any = np.int64(index) * CHUNK
        values, target, kept = x[start : start + CHUNK], out[start : start + CHUNK], mask[start : start + CHUNK]
        for i in range(values.size):
            random = philox.draw(key[0], key[1], key[2], np.uint64(start + i))
            is_kept = (random & bits) == np.uint64(0)
            kept[i] = is_kept
            target[i] = values[i] * is_kept
