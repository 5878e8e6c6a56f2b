"""Max and average pooling over NHWC images; a window's part outside the image does not count.

Both are separable. Each row of the output first brings its input rows together, over all columns and channels at
once, and then gathers the columns of each window: the inner loops run over adjacent values, which LLVM vectorises.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from simulator.kernels._jit import kernel

Ints = NDArray[Any]


@kernel(parallel=True)
def max_pool(x: Ints, geometry: Ints, limits: Ints, out: Ints) -> None:
    """Greatest value of each window, clamped.

    Parameters
    ----------
    x
        [batch, height, width * channels].
    geometry
        int64 [6]: kernel height and width, stride down and across, padding above and left.
    limits
        [2], dtype of x: range of the fused activation.
    out
        [batch, rows, columns, channels], written.

    """
    batch, rows, columns, channels = out.shape
    length = x.shape[2]
    low, high = limits[0], limits[1]
    for line in prange(batch * rows):
        image, row = line // rows, line % rows
        top = row * geometry[2] - geometry[4]
        first_y, last_y = max(top, 0), min(top + geometry[0], x.shape[1])
        tallest = x[image, first_y].copy()
        for y in range(first_y + 1, last_y):
            other = x[image, y]
            for i in range(length):
                tallest[i] = max(tallest[i], other[i])
        for column in range(columns):
            left = column * geometry[3] - geometry[5]
            first = max(left, 0) * channels
            last = min((left + geometry[1]) * channels, length)
            target = out[image, row, column]
            target[:] = tallest[first : first + channels]
            for start in range(first + channels, last, channels):
                other = tallest[start : start + channels]
                for c in range(channels):
                    target[c] = max(target[c], other[c])
            for c in range(channels):
                target[c] = min(max(target[c], low), high)


@kernel(parallel=True)
def average_pool(x: Ints, geometry: Ints, limits: Ints, zero: Ints, out: Ints) -> None:
    """Mean of each window over the image, to nearest, a tie away from zero; arguments as in `max_pool`.

    A quotient of integers below 2^52 that is not whole is further from a whole number than float64 rounds it, so
    that the truncated float64 quotient is the integer one, and the CPU divides several at once.

    Parameters
    ----------
    zero
        Empty; its dtype holds the sum of a window: int32 where that is proved to suffice, else int64.

    """
    batch, rows, columns, channels = out.shape
    length = x.shape[2]
    low, high = np.int32(limits[0]), np.int32(limits[1])
    for line in prange(batch * rows):
        image, row = line // rows, line % rows
        top = row * geometry[2] - geometry[4]
        first_y, last_y = max(top, 0), min(top + geometry[0], x.shape[1])
        down = np.zeros(length, zero.dtype)
        for y in range(first_y, last_y):
            other = x[image, y]
            for i in range(length):
                down[i] += other[i]
        sums = np.empty(channels, zero.dtype)
        for column in range(columns):
            left = column * geometry[3] - geometry[5]
            first = max(left, 0) * channels
            last = min((left + geometry[1]) * channels, length)
            sums[:] = down[first : first + channels]
            for start in range(first + channels, last, channels):
                addend = down[start : start + channels]
                for c in range(channels):
                    sums[c] += addend[c]
            count = (last_y - first_y) * (last - first) // channels
            half, divisor = np.float64(count // 2), np.float64(count)
            target = out[image, row, column]
            for c in range(channels):
                total = np.float64(sums[c])
                mean = np.int32((total + (half if total >= 0.0 else -half)) / divisor)
                target[c] = min(max(mean, low), high)
