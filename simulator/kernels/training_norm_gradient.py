"""Batch norm backward in integer training; `simulator.numerics.training_norm` is the specification.

error, hat: [rows, channels]. coefficients: int64 [5, channels]: gain; then for L1 what is taken off where x_hat is
negative, 0, positive, in steps of dx; for L2 mean(e) and the slope, in steps of e / 2^16 and 2^31.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from simulator.kernels._jit import kernel
from simulator.kernels.training_arith import bit_length, clip, divide_rounding, scaled, shift_down, to_step
from simulator.kernels.training_sums import ROWS
from simulator.numerics.training_norm import GRADIENT_BITS, MEAN_BITS, MULTIPLIER_BITS, SIGN_BITS

Ints = NDArray[Any]
Longs = NDArray[np.int64]

_FAR_MEAN = 1 << 44


@kernel(parallel=True)
def gradient_sums(error: Ints, hat: Ints, totals: Longs) -> None:
    """Add up e, sign(x_hat), e * x_hat of every ROWS rows; totals: int64 [ceil(rows / ROWS), 3, channels], written."""
    for index in prange(totals.shape[0]):
        task: Any = np.int64(index)
        errors, signs = np.zeros(error.shape[1], np.int32), np.zeros(error.shape[1], np.int32)  # 256 of 16 bits fit
        products = totals[task, 2]
        products[:] = 0
        for row in range(task * ROWS, min((task + 1) * ROWS, error.shape[0])):
            e, q = error[row], hat[row]
            for c in range(e.size):
                errors[c] += e[c]
                signs[c] += np.int32(q[c] > 0) - np.int32(q[c] < 0)
                products[c] += np.int64(e[c]) * np.int64(q[c])
        for c in range(errors.size):
            totals[task, 0, c] = errors[c]
            totals[task, 1, c] = signs[c]


@kernel()
def gradient_channels(
    totals: Longs, count: int, hat_scale: Longs, gamma: Ints, deviation: Ints, error_bits: int, is_l1: bool, out: Longs
) -> Any:
    """Coefficients of each channel into `out`; returns the bits by which the gains were shifted right.

    totals: int64 [3, channels] of `gradient_sums`, added up.
    """
    shift = np.int64(0)
    for c in range(out.shape[1]):
        mean_error = divide_rounding(totals[0, c] << MEAN_BITS, count)
        mean_sign = divide_rounding(totals[1, c] << SIGN_BITS, count)
        wide = scaled(totals[2, c], hat_scale[0], -hat_scale[1] - MEAN_BITS)
        product = clip(divide_rounding(wide, count), np.int64(_FAR_MEAN))
        out[0, c] = divide_rounding(np.int64(gamma[c]) << MULTIPLIER_BITS, np.int64(deviation[c]))
        most = np.int64(0)
        if is_l1:
            for i in range(3):
                sign = np.int64(i - 1) << SIGN_BITS
                out[1 + i, c] = mean_error + shift_down((sign - mean_sign) * product, SIGN_BITS)
                most = max(most, abs(out[1 + i, c]))
        else:
            slope = clip(scaled(product, hat_scale[0], -hat_scale[1] - SIGN_BITS), np.int64(_FAR_MEAN))
            out[1, c] = mean_error
            out[2, c] = slope
            most = abs(mean_error) + ((abs(slope) << 15) >> SIGN_BITS) + 1
        greatest = (np.int64(1) << (error_bits - 1)) + 1 + (most >> MEAN_BITS)
        shift = max(shift, bit_length(abs(out[0, c])) + bit_length(greatest) - GRADIENT_BITS)
    for c in range(out.shape[1]):
        out[0, c] = shift_down(out[0, c], shift)
        if is_l1:
            for i in range(1, 4):
                out[i, c] = shift_down(out[0, c] * out[i, c], MEAN_BITS)
    return shift


@kernel(inline=True)
def _l1(e: Any, q: Any, gain: Any, negative: Any, zero: Any, positive: Any) -> Any:
    """Dx in int32, which holds it and the product: `gain_shift` of the specification."""
    taken = positive if q > 0 else (negative if q < 0 else zero)
    return np.int32(np.int32(gain * e) - taken)


@kernel(inline=True)
def _l2(e: Any, q: Any, gain: Any, mean: Any, slope: Any) -> Any:
    taken = mean + shift_down(slope * np.int64(q), SIGN_BITS)
    return gain * np.int64(e) - shift_down(gain * taken, MEAN_BITS)


@kernel(parallel=True)
def l1_gradient(error: Ints, hat: Ints, coefficients: Longs, out: NDArray[np.int32], most: Longs) -> None:
    """Dx of L1 batch norm as it is into `out`; where that is empty, its greatest magnitudes alone.

    most: int64 [ceil(rows / ROWS)], written: of every ROWS rows.
    """
    narrow = coefficients.astype(np.int32)
    gain, negative, zero, positive = narrow[0], narrow[1], narrow[2], narrow[3]
    is_kept = out.size > 0
    for index in prange(most.size):
        task: Any = np.int64(index)
        low, high = np.int32(0), np.int32(0)
        for row in range(task * ROWS, min((task + 1) * ROWS, error.shape[0])):
            e, q = error[row], hat[row]
            if is_kept:
                target = out[row]
                for c in range(e.size):
                    target[c] = _l1(e[c], q[c], gain[c], negative[c], zero[c], positive[c])
            else:
                for c in range(e.size):
                    value = _l1(e[c], q[c], gain[c], negative[c], zero[c], positive[c])
                    low = min(low, value)
                    high = max(high, value)
        most[task] = max(np.int64(high), -np.int64(low))


@kernel(parallel=True)
def l1_gradient_quantize(error: Ints, hat: Ints, coefficients: Longs, plan: Longs, out: Ints) -> None:
    """Dx of L1 batch norm in steps of `plan`."""
    narrow = coefficients.astype(np.int32)
    gain, negative, zero, positive = narrow[0], narrow[1], narrow[2], narrow[3]
    for index in prange(error.shape[0]):
        row = np.int64(index)
        e, q, target = error[row], hat[row], out[row]
        if plan[3] == 0:
            left, addend, right, limit = plan[0], plan[1], plan[2], plan[4]
            for c in range(e.size):
                value = np.int64(_l1(e[c], q[c], gain[c], negative[c], zero[c], positive[c]))
                target[c] = clip(((value << left) + addend) >> right, limit)
        else:
            for c in range(e.size):
                target[c] = to_step(np.int64(_l1(e[c], q[c], gain[c], negative[c], zero[c], positive[c])), plan)


@kernel(parallel=True)
def l2_gradient(error: Ints, hat: Ints, coefficients: Longs, out: NDArray[np.int32], most: Longs) -> None:
    """Dx of L2 batch norm as it is; most as in `l1_gradient`."""
    gain, mean, slope = coefficients[0], coefficients[1], coefficients[2]
    is_kept = out.size > 0
    for index in prange(most.size):
        task: Any = np.int64(index)
        high = np.int64(0)
        for row in range(task * ROWS, min((task + 1) * ROWS, error.shape[0])):
            for c in range(error.shape[1]):
                value = _l2(error[row, c], hat[row, c], gain[c], mean[c], slope[c])
                high = max(high, abs(value))
                if is_kept:
                    out[row, c] = value
        most[task] = high


@kernel(parallel=True)
def l2_gradient_quantize(error: Ints, hat: Ints, coefficients: Longs, plan: Longs, out: Ints) -> None:
    """Dx of L2 batch norm in steps of `plan`."""
    gain, mean, slope = coefficients[0], coefficients[1], coefficients[2]
    for index in prange(error.shape[0]):
        row = np.int64(index)
        for c in range(error.shape[1]):
            out[row, c] = to_step(_l2(error[row, c], hat[row, c], gain[c], mean[c], slope[c]), plan)
