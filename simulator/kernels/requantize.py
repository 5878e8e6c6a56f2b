"""Accumulators to output values, each kind of requantizer; `simulator.numerics.scalar.requantize` is the specification.

All take: accumulators int32 or int64 [pixels, channels]; `bits`, the register's width; per-channel int64 constants
[channels]; the output's zero point, least and greatest value; `out`, the unsigned view of the output's memory [pixels,
channels], written; `clipped`, int64 [pixels], the number of saturated outputs of each row, written.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from simulator.kernels import fixed_point, philox
from simulator.kernels._jit import kernel

TIES_AWAY = 0
TIES_EVEN = 1
TIES_POS = 2
TO_NEG = 3
TO_ZERO = 4
STOCHASTIC = 5

_INT32_MIN = -(1 << 31)
_INT32_MAX = (1 << 31) - 1
_FAR = 1 << 40
"""Beyond every output, and small enough to be shifted about."""


@kernel(inline=True)
def rounding_shift_right(value: Any, shift: Any, mode: Any, random: Any) -> Any:
    """Divide an int64 by 2^shift and round by `mode`; 0 <= shift <= 62. random: uint64, for STOCHASTIC."""
    down = value >> shift
    remainder = value - (down << shift)
    unit = np.int64(1) << shift
    if mode == TO_NEG or remainder == 0:
        return down
    if mode == TO_ZERO:
        return down + np.int64(value < 0)
    if mode == STOCHASTIC:
        low_bits = np.int64(np.uint64(random) & np.uint64(unit - 1))
        return down + np.int64(low_bits >= unit - remainder)
    half = unit >> 1
    if remainder != half:
        return down + np.int64(remainder > half)
    if mode == TIES_POS:
        return down + 1
    if mode == TIES_AWAY:
        return down + np.int64(value >= 0)
    return down + (down & 1)


@kernel(inline=True)
def shift_rounding(value: Any, exponent: Any, mode: Any, random: Any) -> Any:
    """Multiply an int64 by 2^exponent, -62 <= exponent <= 31; a left shift stops beyond every output."""
    if exponent >= 0:
        limit = _FAR >> exponent
        return min(max(value, -limit - 1), limit + 1) << exponent
    return rounding_shift_right(value, -exponent, mode, random)


@kernel(inline=True)
def narrow_input(value: Any, bits: Any) -> Any:
    """Saturate a register of more than 32 bits to int32."""
    return min(max(value, _INT32_MIN), _INT32_MAX) if bits > 32 else value


@kernel(inline=True)
def clamp(value: Any, low: Any, high: Any) -> Any:
    """Nearest value in [low, high]."""
    return min(max(value, low), high)


@kernel(parallel=True)
def fixed_point_double(
    acc: Any, bits: Any, multiplier: Any, exponent: Any, zero_point: Any, low: Any, high: Any, out: Any, clipped: Any
) -> None:
    """Two roundings, as TFLite's reference kernels."""
    mask = (1 << (8 * out.itemsize)) - 1
    for index in numba.prange(acc.shape[0]):
        i = np.int64(index)  # unsigned in a parallel loop, and unsigned with signed makes float64
        count = np.int64(0)
        for c in range(acc.shape[1]):
            value = np.int64(acc[i, c])
            narrowed = narrow_input(value, bits)
            scaled = fixed_point.multiply_by_quantized_multiplier(narrowed, multiplier[c], exponent[c]) + zero_point
            result = clamp(scaled, low, high)
            count += np.int64((result != scaled) | (narrowed != value))
            out[i, c] = result & mask
        clipped[i] = count


@kernel(parallel=True)
def shifted(
    acc: Any,
    bits: Any,
    multiplier: Any,
    exponent: Any,
    zero_point: Any,
    low: Any,
    high: Any,
    rounding: Any,
    key: Any,
    out: Any,
    clipped: Any,
) -> None:
    """One rounding: round(acc * multiplier * 2^exponent).

    fixed_point_single with its exponent less 31; power_of_two with multipliers 1 and `bits` given as at most 32, so
    that the whole register is taken. key: uint64 [3], (seed, step, tensor) of stochastic rounding.
    """
    mask = (1 << (8 * out.itemsize)) - 1
    for index in numba.prange(acc.shape[0]):
        i = np.int64(index)  # unsigned in a parallel loop, and unsigned with signed makes float64
        count = np.int64(0)
        for c in range(acc.shape[1]):
            value = np.int64(acc[i, c])
            narrowed = narrow_input(value, bits)
            random = np.uint64(0)
            if rounding == STOCHASTIC:
                random = philox.draw(key[0], key[1], key[2], np.uint64(i * acc.shape[1] + c))
            scaled = shift_rounding(narrowed * multiplier[c], exponent[c], rounding, random) + zero_point
            result = clamp(scaled, low, high)
            count += np.int64((result != scaled) | (narrowed != value))
            out[i, c] = result & mask
        clipped[i] = count


@kernel(parallel=True)
def float32(acc: Any, bits: Any, scale: Any, zero_point: Any, low: Any, high: Any, out: Any, clipped: Any) -> None:
    """rint(float32(acc) * scale), ties to even; scale: float32 [channels]."""
    mask = (1 << (8 * out.itemsize)) - 1
    for index in numba.prange(acc.shape[0]):
        i = np.int64(index)  # unsigned in a parallel loop, and unsigned with signed makes float64
        count = np.int64(0)
        for c in range(acc.shape[1]):
            value = np.int64(acc[i, c])
            narrowed = narrow_input(value, bits)
            real = np.rint(np.float32(np.float32(narrowed) * scale[c]))
            # Clamp before the conversion: a float beyond int64 has no integer.
            near = min(max(np.float64(real), -1.0e12), 1.0e12)
            scaled = np.int64(near) + zero_point
            result = clamp(scaled, low, high)
            count += np.int64((result != scaled) | (narrowed != value))
            out[i, c] = result & mask
        clipped[i] = count
