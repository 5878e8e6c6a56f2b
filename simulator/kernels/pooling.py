"""Max and average pooling over NHWC images; a window's part outside the image does not count."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from simulator.kernels._jit import kernel

Ints = NDArray[Any]


@kernel(parallel=True)
def max_pool(x: Ints, geometry: Ints, low: int, high: int, out: Ints) -> None:
    """Greatest value of each window, clamped to [low, high].

    Parameters
    ----------
    x, out
        [batch, height, width, channels]; out is written.
    geometry
        int64 [6]: kernel height and width, stride down and across, padding above and left.
    low, high
        Range of the fused activation.

    """
    batch, rows, columns, channels = out.shape
    for line in prange(batch * rows):
        image, row = line // rows, line % rows
        top = row * geometry[2] - geometry[4]
        first_y, last_y = max(top, 0), min(top + geometry[0], x.shape[1])
        for column in range(columns):
            left = column * geometry[3] - geometry[5]
            first_x, last_x = max(left, 0), min(left + geometry[1], x.shape[2])
            for c in range(channels):
                out[image, row, column, c] = x[image, first_y, first_x, c]
            for y in range(first_y, last_y):
                for z in range(first_x, last_x):
                    for c in range(channels):
                        out[image, row, column, c] = max(out[image, row, column, c], x[image, y, z, c])
            for c in range(channels):
                out[image, row, column, c] = min(max(out[image, row, column, c], low), high)


@kernel(parallel=True)
def average_pool(x: Ints, geometry: Ints, low: int, high: int, out: Ints) -> None:
    """Mean of each window over the image, to nearest, a tie away from zero; arguments as in `max_pool`."""
    batch, rows, columns, channels = out.shape
    for line in prange(batch * rows):
        image, row = line // rows, line % rows
        top = row * geometry[2] - geometry[4]
        first_y, last_y = max(top, 0), min(top + geometry[0], x.shape[1])
        sums = np.empty(channels, np.int64)
        for column in range(columns):
            left = column * geometry[3] - geometry[5]
            first_x, last_x = max(left, 0), min(left + geometry[1], x.shape[2])
            sums[:] = 0
            for y in range(first_y, last_y):
                for z in range(first_x, last_x):
                    for c in range(channels):
                        sums[c] += x[image, y, z, c]
            count = (last_y - first_y) * (last_x - first_x)
            for c in range(channels):
                magnitude = (abs(sums[c]) + count // 2) // count
                mean = magnitude if sums[c] >= 0 else -magnitude
                out[image, row, column, c] = min(max(mean, low), high)
