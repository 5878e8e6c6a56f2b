"""The fixed-point helpers against their definitions in exact rational arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.kernels import fixed_point as fp
from simulator.numerics.multiplier import quantize_multiplier

INT32 = st.one_of(
    st.integers(-(2**31), 2**31 - 1),
    st.sampled_from([-(2**31), -(2**31) + 1, -(2**30), -1, 0, 1, 2**30, 2**31 - 1]),
)


def _nearest_ties_up(value: Fraction) -> int:
    return math.floor(value + Fraction(1, 2))


def _nearest_ties_away(value: Fraction) -> int:
    rounded = math.floor(abs(value) + Fraction(1, 2))
    return rounded if value >= 0 else -rounded


@settings(deadline=None)
@given(INT32, INT32)
def test_high_multiply_rounds_the_exact_product(a, b):
    exact = _nearest_ties_up(Fraction(2 * a * b, 2**32))
    assert fp.srdhm(a, b) == min(exact, 2**31 - 1)


@settings(deadline=None)
@given(INT32, st.integers(0, 31))
def test_shift_right_rounds_ties_away_from_zero(value, exponent):
    assert fp.rounding_divide_by_pot(value, exponent) == _nearest_ties_away(Fraction(value, 2**exponent))


@settings(deadline=None)
@given(st.integers(0, 2**31 - 1), st.integers(-(2**31) // 16, 2**31 // 16), st.integers(-31, 3))
def test_both_roundings_happen_in_turn(mantissa, value, exponent):
    left, right = max(exponent, 0), max(-exponent, 0)
    first = _nearest_ties_up(Fraction((value << left) * mantissa, 2**31))
    expected = _nearest_ties_away(Fraction(first, 2**right))
    assert fp.multiply_by_quantized_multiplier(value, mantissa, exponent) == expected


def test_left_shift_wraps_and_saturates_as_named():
    assert fp.shift_left_wrapping(3 << 29, 2) == -(2**31)
    assert fp.shift_left_saturating(3 << 29, 2) == 2**31 - 1
    assert fp.shift_left_saturating(-(3 << 29), 2) == -(2**31)


@settings(deadline=None)
@given(st.floats(2.0**-31, 2.0**30))
def test_multiplier_is_within_half_a_unit_of_the_real_factor(real):
    mantissa, exponent = quantize_multiplier(real)
    assert 2**30 <= mantissa < 2**31
    error = abs(Fraction(mantissa) * Fraction(2) ** (exponent - 31) - Fraction(real))
    assert error <= Fraction(2) ** (exponent - 32)
    assert quantize_multiplier(-real) == (-mantissa, exponent) or mantissa == 2**30


def test_multiplier_at_its_ends():
    assert quantize_multiplier(0.0) == (0, 0)
    assert quantize_multiplier(2.0**-40) == (0, 0)
    assert quantize_multiplier(1.0 - 2.0**-33) == (2**30, 1)
    with pytest.raises(ValueError, match="finite"):
        quantize_multiplier(float("nan"))
    with pytest.raises(ValueError, match="2\\^31"):
        quantize_multiplier(2.0**31)
