"""Sums of tensors of different scale, masks, biases, sums over channels; specification: `numerics.training_scale`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from simulator.kernels._jit import kernel
from simulator.kernels.training_arith import CHUNK, half_of, scaled

Ints = NDArray[Any]

ROWS = 256
"""Rows of a task of the sums over channels."""


@kernel(inline=True)
def _left(shift: Any) -> Any:
    """Left shift of a grid; none here is wider than the result."""
    return min(max(-shift, 0), 62)


@kernel(parallel=True)
def aligned_pair(a: Ints, b: Ints, constants: NDArray[np.int64], out: Ints) -> None:
    """Sum of two flat tensors on a common grid; constants: int64 [4], mantissa and right shift of a, of b."""
    wide_a, wide_b = a.itemsize > 4, b.itemsize > 4
    mantissa_a, shift_a, mantissa_b, shift_b = constants[0], constants[1], constants[2], constants[3]
    left_a, left_b = _left(shift_a), _left(shift_b)
    right_a, right_b = min(max(shift_a, 0), 62), min(max(shift_b, 0), 62)
    half_a, half_b = half_of(right_a), half_of(right_b)
    for index in prange(-(-out.size // CHUNK)):
        start: Any = np.int64(index) * CHUNK
        x, y, target = a[start : start + CHUNK], b[start : start + CHUNK], out[start : start + CHUNK]
        if wide_a or wide_b:
            for i in range(target.size):
                value = scaled(np.int64(x[i]), mantissa_a, shift_a)
                target[i] = value + scaled(np.int64(y[i]), mantissa_b, shift_b)
        else:
            for i in range(target.size):
                value = (((np.int64(x[i]) * mantissa_a) << left_a) + half_a) >> right_a
                target[i] = value + ((((np.int64(y[i]) * mantissa_b) << left_b) + half_b) >> right_b)


@kernel(parallel=True)
def align_rows(x: Ints, mantissa: int, shift: int, is_sum: bool, offset: int, out: Ints) -> None:
    """Bring x [rows, length] to another grid, into (or added to) columns of out [rows, columns] from `offset` on."""
    is_wide = x.itemsize > 4
    left, right = _left(np.int64(shift)), min(max(np.int64(shift), 0), 62)
    half = half_of(right)
    for row in prange(x.shape[0]):
        source, target = x[row], out[row, offset : offset + x.shape[1]]
        if is_wide:
            for i in range(source.size):
                value = scaled(np.int64(source[i]), mantissa, shift)
                target[i] = value + (target[i] if is_sum else 0)
        else:
            for i in range(source.size):
                value = (((np.int64(source[i]) * mantissa) << left) + half) >> right
                target[i] = value + (target[i] if is_sum else 0)


@kernel(parallel=True)
def relu_gradient(error: Ints, activation: Ints, out: Ints) -> None:
    """Error where the activation is positive, else 0; flat."""
    for index in prange(-(-out.size // CHUNK)):
        start: Any = np.int64(index) * CHUNK
        e, a = error[start : start + CHUNK], activation[start : start + CHUNK]
        target = out[start : start + CHUNK]
        for i in range(e.size):
            target[i] = e[i] * (a[i] > 0)


@kernel(parallel=True)
def add_channels(x: Ints, offsets: NDArray[np.int64], low: int, high: int, out: Ints) -> None:
    """Add an offset of each channel to x [rows, channels] and clamp; out: dtype of x."""
    for index in prange(x.shape[0]):
        row = np.int64(index)
        for c in range(x.shape[1]):
            out[row, c] = min(max(np.int64(x[row, c]) + offsets[c], low), high)


@kernel(parallel=True)
def sums(x: Ints, totals: NDArray[np.int64]) -> None:
    """Sum every ROWS rows of x [rows, channels]; totals: int64 [ceil(rows / ROWS), channels], written."""
    for index in prange(totals.shape[0]):
        task: Any = np.int64(index)
        total = totals[task]
        total[:] = 0
        for row in range(task * ROWS, min((task + 1) * ROWS, x.shape[0])):
            values = x[row]
            for c in range(values.size):
                total[c] += np.int64(values[c])


@kernel(parallel=True)
def extremes(x: Ints, least: Ints, most: Ints) -> None:
    """Least and greatest of every ROWS rows of x [rows, channels]; both [ceil(rows / ROWS), channels], dtype of x."""
    for index in prange(least.shape[0]):
        task: Any = np.int64(index)
        low, high = least[task], most[task]
        low[:] = x[task * ROWS]
        high[:] = x[task * ROWS]
        for row in range(task * ROWS + 1, min((task + 1) * ROWS, x.shape[0])):
            values = x[row]
            for c in range(values.size):
                low[c] = min(low[c], values[c])
                high[c] = max(high[c], values[c])
