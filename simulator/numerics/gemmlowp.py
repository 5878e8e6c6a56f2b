"""Transcendental functions of gemmlowp on Python ints: int32 fixed point, no floating point.

A number with b integer bits is raw * 2^(b - 31). Source: gemmlowp fixedpoint/fixedpoint.h.
"""

from __future__ import annotations

from simulator.numerics.scalar import rounding_divide_by_pot, saturate, saturating_rounding_doubling_high_mul

_mul = saturating_rounding_doubling_high_mul

_ONE = (1 << 31) - 1
_EXP_MINUS_ONE_EIGHTH = 1895147668
_ONE_THIRD = 715827883
_EXP_MINUS_POWERS = {-2: 1672461947, -1: 1302514674, 0: 790015084, 1: 290630308, 2: 39332535, 3: 720401, 4: 242}
"""exp(-2^k) with 0 integer bits, by k."""


def exp_on_negative_values(raw: int, integer_bits: int) -> int:
    """Return exp(x) with 0 integer bits.

    Parameters
    ----------
    raw
        x <= 0 with `integer_bits` integer bits.
    integer_bits
        1 to 5.

    """
    if raw == 0:
        return _ONE
    fraction_bits = 31 - integer_bits
    quarter = 1 << (fraction_bits - 2)
    above_minus_quarter = (raw & (quarter - 1)) - quarter
    result = _exp_between_minus_quarter_and_zero(saturate(above_minus_quarter << integer_bits, 32))
    remainder = above_minus_quarter - raw
    for power, factor in _EXP_MINUS_POWERS.items():
        if power < integer_bits and remainder & (1 << (fraction_bits + power)):
            result = _mul(result, factor)
    return result


def _exp_between_minus_quarter_and_zero(raw: int) -> int:
    """Taylor expansion around -1/8, to the fourth power; 0 integer bits in and out."""
    x = raw + (1 << 28)
    x2 = _mul(x, x)
    x3 = _mul(x2, x)
    x4_over_4 = rounding_divide_by_pot(_mul(x2, x2), 2)
    higher = rounding_divide_by_pot(_mul(x4_over_4 + x3, _ONE_THIRD) + x2, 1)
    return _EXP_MINUS_ONE_EIGHTH + _mul(_EXP_MINUS_ONE_EIGHTH, x + higher)
