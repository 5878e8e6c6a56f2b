"""Batch norm forward in integer training; `simulator.numerics.training_norm` is the specification.

x: [rows, channels], int8 to int64. Per-channel arrays are int64 [channels]. Sums of a task are added up by the caller:
integers, so that no order of addition changes a bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from simulator.kernels._jit import kernel
from simulator.kernels.training_arith import bit_length, clip, divide_rounding, scaled, shift_down, shift_up, to_step
from simulator.kernels.training_sums import ROWS
from simulator.numerics.training_norm import GUARD_BITS, HAT_BITS, MULTIPLIER_BITS

Ints = NDArray[Any]
Longs = NDArray[np.int64]

_INT32_MIN, _INT32_MAX = -(1 << 31), (1 << 31) - 1


@kernel(parallel=True)
def sums_and_extremes(x: Ints, totals: Longs, least: Ints, most: Ints) -> None:
    """Sum, least and greatest of every ROWS rows, in one pass; all [ceil(rows / ROWS), channels], written."""
    for index in prange(totals.shape[0]):
        task: Any = np.int64(index)
        total, low, high = totals[task], least[task], most[task]
        total[:] = 0
        low[:] = x[task * ROWS]
        high[:] = x[task * ROWS]
        for row in range(task * ROWS, min((task + 1) * ROWS, x.shape[0])):
            values = x[row]
            for c in range(values.size):
                value = values[c]
                total[c] += np.int64(value)
                low[c] = min(low[c], value)
                high[c] = max(high[c], value)


@kernel(parallel=True)
def magnitudes(x: Ints, centre: Longs, totals: Longs) -> None:
    """Sum of |x - centre| of every ROWS rows; totals as in `sums_and_extremes`."""
    for index in prange(totals.shape[0]):
        task: Any = np.int64(index)
        total = totals[task]
        total[:] = 0
        for row in range(task * ROWS, min((task + 1) * ROWS, x.shape[0])):
            values = x[row]
            for c in range(values.size):
                total[c] += abs(np.int64(values[c]) - centre[c])


@kernel(parallel=True)
def squares(x: Ints, centre: Longs, shifts: Longs, totals: Longs) -> None:
    """Sum of squares of the rounded (x - centre) / 2^shift of every ROWS rows; totals as in `sums_and_extremes`."""
    for index in prange(totals.shape[0]):
        task: Any = np.int64(index)
        total = totals[task]
        total[:] = 0
        for row in range(task * ROWS, min((task + 1) * ROWS, x.shape[0])):
            values = x[row]
            for c in range(values.size):
                difference = shift_down(np.int64(values[c]) - centre[c], shifts[c])
                total[c] += difference * difference


@kernel()
def centres(totals: Longs, count: int, out: Longs) -> None:
    """Write rounded means in steps of x."""
    for c in range(totals.size):
        out[c] = divide_rounding(totals[c], count)


@kernel()
def means(totals: Longs, count: int, scale: Longs, exponent: int, limit: int, epsilon: int, out: Ints) -> None:
    """Means in steps of 2^exponent, plus epsilon, clipped; scale: int64 [2] of x."""
    for c in range(totals.size):
        wide = scaled(totals[c], scale[0], exponent - GUARD_BITS - scale[1])
        out[c] = clip(divide_rounding(wide, np.int64(count) << GUARD_BITS) + epsilon, limit)


@kernel()
def normalizers(
    scale: Longs, mean: Ints, deviation: Ints, exponent: int, input_shift: int, extremes: Longs, table: Longs
) -> Any:
    """Constants of each channel, and the greatest magnitude of x_hat in steps of 2^-HAT_BITS.

    Parameters
    ----------
    scale
        int64 [2], of x.
    mean, deviation, exponent
        [channels], and their step.
    input_shift
        Bits by which x is shifted right first.
    extremes
        int64 [2, channels], of x; replaced by those of x_hat.
    table
        int64 [3, channels], written: multiplier, shift, offset.

    """
    most = np.int64(0)
    mantissa, source = scale[0], scale[1] + input_shift
    for c in range(table.shape[1]):
        divisor = np.int64(deviation[c])
        up = MULTIPLIER_BITS - bit_length(mantissa) + bit_length(divisor)
        table[0, c] = divide_rounding(mantissa << up, divisor)
        table[1, c] = min(max(up + exponent - source - HAT_BITS, 0), 62)
        table[2, c] = divide_rounding(np.int64(mean[c]) << HAT_BITS, divisor)
        for end in range(2):
            value = shift_down(extremes[end, c], input_shift) * table[0, c]
            extremes[end, c] = shift_down(value, table[1, c]) - table[2, c]
            most = max(most, abs(extremes[end, c]))
    return most


@kernel(parallel=True)
def normalize(x: Ints, table: Longs, input_shift: int, plan: Longs, out: Ints) -> None:
    """x_hat in steps of `plan`; table of `normalizers`."""
    multipliers, shifts, offsets = table[0], table[1], table[2]
    for index in prange(x.shape[0]):
        row = np.int64(index)
        values, target = x[row], out[row]
        if plan[3] == 0 and input_shift == 0:
            left, addend, right, limit = plan[0], plan[1], plan[2], plan[4]
            for c in range(values.size):
                hat = shift_down(np.int64(values[c]) * multipliers[c], shifts[c]) - offsets[c]
                target[c] = clip(((hat << left) + addend) >> right, limit)
        else:
            for c in range(values.size):
                value = shift_down(np.int64(values[c]), input_shift)
                target[c] = to_step(shift_down(value * multipliers[c], shifts[c]) - offsets[c], plan)


@kernel()
def bias_offsets(bias: Ints, exponent: int, scale: Longs, out: Longs) -> None:
    """Biases of step 2^exponent in steps of `scale`, int64 [2], at most 2^40; out: [channels], written."""
    shift = exponent - scale[1]
    for c in range(out.size):
        numerator = shift_up(np.int64(bias[c]), max(shift, 0))
        out[c] = clip(divide_rounding(numerator, scale[0] << max(min(-shift, 45), 0)), np.int64(1) << 40)


@kernel(inline=True)
def _affine(value: Any, gamma: Any, offset: Any) -> Any:
    return min(max(gamma * value + offset, _INT32_MIN), _INT32_MAX)


@kernel(parallel=True)
def affine(q: Ints, gamma: Longs, offsets: Longs, out: NDArray[np.int32]) -> None:
    """Write gamma * x_hat + beta, saturated to int32."""
    for index in prange(q.shape[0]):
        row = np.int64(index)
        for c in range(q.shape[1]):
            out[row, c] = _affine(np.int64(q[row, c]), gamma[c], offsets[c])


@kernel(parallel=True)
def affine_quantize(q: Ints, gamma: Longs, offsets: Longs, plan: Longs, out: Ints) -> None:
    """`affine`, then the nearest step of `plan`."""
    for index in prange(q.shape[0]):
        row = np.int64(index)
        values, target = q[row], out[row]
        if plan[3] == 0:
            left, addend, right, limit, floor = plan[0], plan[1], plan[2], plan[4], plan[5]
            for c in range(values.size):
                z = max(_affine(np.int64(values[c]), gamma[c], offsets[c]), floor)
                target[c] = clip(((z << left) + addend) >> right, limit)
        else:
            for c in range(values.size):
                target[c] = to_step(_affine(np.int64(values[c]), gamma[c], offsets[c]), plan)
