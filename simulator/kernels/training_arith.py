"""Arithmetic that the kernels of integer training share; `simulator.numerics.training_scale` is its specification."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.kernels._jit import kernel
from simulator.numerics.training_scale import FAR

Ints = NDArray[Any]

CHUNK = 1 << 14
"""Elements of a task."""
QUOTIENT_BITS = 46
"""Bits after the point of the reciprocal of a mantissa: quotients of 31 bits by 15 bits are exact."""


@kernel(inline=True)
def clip(value: Any, limit: Any) -> Any:
    """Nearest value in [-limit, limit]."""
    return min(max(value, -limit), limit)


@kernel(inline=True)
def shift_down(value: Any, shift: Any) -> Any:
    """Divide an int64 by 2^shift to nearest, a tie up; 0 <= shift <= 63."""
    if shift == 0:
        return value
    doubled = value >> (shift - 1)  # no sum that could overflow
    return (doubled >> 1) + (doubled & 1)


@kernel(inline=True)
def half_of(shift: Any) -> Any:
    """Return what to add before a shift right by 0 to 62 bits, so that it rounds."""
    return (np.int64(1) << shift) >> 1


@kernel(inline=True)
def divide_rounding(numerator: Any, denominator: Any) -> Any:
    """Nearest integer of a quotient, a tie up; denominator > 0, 2 * numerator + denominator in 64 bits."""
    return (2 * numerator + denominator) // (2 * denominator)


@kernel(inline=True)
def bit_length(value: Any) -> Any:
    """Bits of a number that is not negative."""
    bits = np.int64(0)
    while value > 0:
        value >>= 1
        bits += 1
    return bits


@kernel(inline=True)
def shift_up(value: Any, shift: Any) -> Any:
    """Multiply by 2^shift, shift >= 0; FAR at most."""
    if value == 0:
        return value
    limit = FAR >> shift if shift <= 61 else np.int64(0)
    if value > limit:
        return np.int64(FAR)
    if value < -limit:
        return np.int64(-FAR)
    return value << min(shift, 61)


@kernel(inline=True)
def scaled(value: Any, mantissa: Any, shift: Any) -> Any:
    """Nearest integer to value * mantissa / 2^shift, a tie up, FAR at most: a product of 78 bits in two words."""
    low = (value & 0xFFFF) * mantissa
    high = (value >> 16) * mantissa + (low >> 16)
    low &= 0xFFFF
    if shift > 16:
        if shift > 78:
            return np.int64(0)
        return clip(shift_down(high, shift - 16), np.int64(FAR))
    if shift <= 0:
        if high >= np.int64(1) << 45:
            return np.int64(FAR)
        if high < -(np.int64(1) << 45):
            return np.int64(-FAR)
        return shift_up((high << 16) + low, -shift)
    limit = FAR >> (16 - shift)
    if high >= limit:
        return np.int64(FAR)
    if high < -limit:
        return np.int64(-FAR)
    return (high << (16 - shift)) + shift_down(low, shift)


@kernel(inline=True)
def scaled_narrow(value: Any, mantissa: Any, shift: Any) -> Any:
    """As `scaled`, of a value of at most 32 bits, where the result has at most 62."""
    product = value * mantissa
    if shift >= 0:
        return shift_down(product, min(shift, 63))
    return shift_up(product, -shift)


@kernel(inline=True)
def to_step(value: Any, plan: Any) -> Any:
    """Divide by a step to nearest, a tie up, and clip.

    plan: int64 [6], `simulator.execution.training_plans.step_plan`: left shift, addend, right shift, reciprocal of the
    mantissa (0: there is none), limit, least value taken.
    """
    quotient = ((max(value, plan[5]) << plan[0]) + plan[1]) >> plan[2]
    if plan[3] != 0:
        sign = quotient >> 63  # floor, by the reciprocal of a magnitude
        quotient = (((quotient ^ sign) * plan[3]) >> QUOTIENT_BITS) ^ sign
    return clip(quotient, plan[4])
