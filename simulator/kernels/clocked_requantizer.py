"""Model of rtl/requantizer.sv: the product that its first register takes, and what is made of it for the second one."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.kernels._jit import kernel
from simulator.kernels.requantize import TIES_AWAY, TIES_EVEN, TIES_POS, TO_ZERO

DOUBLE, SINGLE, FLOAT32, POWER_OF_TWO = range(4)
"""Kinds of requantizer, as rtl/requantizer.sv counts them."""

_FAR = 1 << 40
"""Beyond every output."""


@kernel(inline=True)
def _float_of(bits: Any) -> Any:
    """float32 of its bits; the sign is not looked at."""
    exponent, fraction = (bits >> 23) & 0xFF, bits & 0x7FFFFF
    significand = fraction | 0x800000 if exponent else fraction
    return np.float32(np.ldexp(np.float64(significand), max(exponent, 1) - 150))


@kernel(inline=True)
def product(accumulator: Any, narrow: Any, multiplier: Any, shift: Any, kind: Any) -> Any:
    """Return what the first register takes; `narrow` is the accumulator in 32 bits."""
    if kind == SINGLE:
        return narrow * multiplier
    if kind == POWER_OF_TWO:
        return accumulator
    if kind == DOUBLE:
        shifted = narrow << max(31 - shift, 0)
        wrapped = ((shifted + 0x80000000) & 0xFFFFFFFF) - 0x80000000
        return (wrapped * multiplier + (1 << 30)) >> 31
    # The hardware rounds to a whole number behind the register; nothing sees where.
    real = np.rint(np.float32(np.float32(narrow) * _float_of(multiplier)))
    return np.int64(min(max(np.float64(real), -1.0e12), 1.0e12))


@kernel(inline=True)
def scaled(held: Any, shift: Any, kind: Any, rounding: Any) -> Any:
    """Return what the zero point is added to, of the first register's product."""
    if kind == FLOAT32:
        return held
    if kind == DOUBLE:
        return rounding_shift(held, max(shift - 31, 0), TIES_AWAY)
    return rounding_shift(held, shift, rounding)


@kernel(inline=True)
def rounding_shift(value: Any, shift: Any, rounding: Any) -> Any:
    """Multiply an int64 by 2^-shift, as rtl/rounding_shift.sv does."""
    if shift < 0:
        limit = _FAR >> -shift
        return min(max(value, -limit - 1), limit + 1) << -shift
    if shift == 0:
        return value
    down = value >> shift
    rest, half = value - (down << shift), np.int64(1) << (shift - 1)
    above, tie = rest > half, rest == half
    if rounding == TIES_POS:
        return down + (above or tie)
    if rounding == TIES_EVEN:
        return down + (above or (tie and down & 1 == 1))
    if rounding == TIES_AWAY:
        return down + (above or (tie and value >= 0))
    return down + (rounding == TO_ZERO and value < 0 and rest != 0)
