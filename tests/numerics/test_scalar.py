"""The specification against exact rational arithmetic, published vectors, and definitions written another way."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.numerics import scalar
from simulator.numerics.modes import OverflowMode, RequantizerKind, RoundingMode
from simulator.numerics.philox import philox4x32
from simulator.numerics.quant import RequantParams

WIDTHS = st.integers(8, 64)
INT32 = st.integers(-(2**31), 2**31 - 1)
WIDE = st.integers(-(2**70), 2**70)


@given(WIDE, WIDTHS)
def test_wrap_is_the_congruent_value_in_range(value, bits):
    wrapped = scalar.wrap(value, bits)
    assert (wrapped - value) % 2**bits == 0
    assert -(2 ** (bits - 1)) <= wrapped < 2 ** (bits - 1)


@given(WIDE, WIDTHS)
def test_saturate_is_the_nearest_value_in_range(value, bits):
    assert scalar.saturate(value, bits) == sorted([-(2 ** (bits - 1)), value, 2 ** (bits - 1) - 1])[1]


@pytest.mark.parametrize(("dtype", "bits"), [(np.int8, 8), (np.int16, 16), (np.int32, 32)])
@given(data=st.data())
def test_wrapping_add_is_numpys_at_its_widths(dtype, bits, data):
    values = st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    a, b = data.draw(values), data.draw(values)
    value, event = scalar.add(a, b, bits, OverflowMode.WRAP)
    with np.errstate(over="ignore"):
        assert value == int((np.array([a], dtype) + np.array([b], dtype))[0])
    assert event == (value != a + b)


def test_add_judges_the_exact_sum_and_follows_the_mode():
    assert scalar.add(100, 27, 8, OverflowMode.SATURATE) == (127, False)
    assert scalar.add(100, 28, 8, OverflowMode.SATURATE) == (127, True)
    assert scalar.add(100, 28, 8, OverflowMode.WRAP) == (-128, True)
    assert scalar.add(-100, -29, 8, OverflowMode.WRAP) == (127, True)
    assert scalar.add(127, 1000, 8, OverflowMode.SATURATE) == (127, True)  # the addend is not narrowed first
    assert scalar.add(-1, 256, 8, OverflowMode.WRAP) == (-1, True)
    assert scalar.load(128, 8, OverflowMode.TRAP) == (-128, True)


@given(st.integers(-(2**65), 2**65), st.integers(-(2**65), 2**65))
def test_needed_bits_is_the_least_width_that_fits(a, b):
    low, high = min(a, b), max(a, b)
    bits = scalar.needed_bits(low, high)
    assert scalar.fits(low, bits)
    assert scalar.fits(high, bits)
    assert bits == 1 or not (scalar.fits(low, bits - 1) and scalar.fits(high, bits - 1))


def test_needed_bits_of_nothing_is_one():
    assert scalar.needed_bits(0, 0) == scalar.needed_bits(-1, 0) == 1
    assert scalar.needed_bits(0, 1) == scalar.needed_bits(-2, 0) == 2


# ---------------------------------------------------------------- sums


def test_saturating_sum_counts_every_push_past_the_rail():
    sums = scalar.accumulate_output_stationary([100, 100, 100, -100], [1, 1, 1, 1], 0, 8, OverflowMode.SATURATE)
    assert (sums.value, sums.accumulator_events, sums.first_event) == (27, 2, (1, "accumulator"))
    assert sums.accumulator_range == (0, 300)
    assert sums.needed_bits == 10


def test_wrapping_sum_comes_back_right_and_is_still_affected():
    sums = scalar.accumulate_output_stationary([100, 100, -100, -100], [1, 1, 1, 1], 0, 8, OverflowMode.WRAP)
    assert (sums.value, sums.accumulator_events, sums.first_event) == (0, 2, (1, "accumulator"))


def test_partial_sum_comes_before_the_accumulator_at_the_same_k():
    narrow = (8, OverflowMode.WRAP)
    sums = scalar.accumulate_weight_stationary([127, 1], [1, 1], 0, 2, narrow, narrow)
    assert sums.first_event == (1, "partial_sum")
    assert (sums.value, sums.partial_sum_events, sums.accumulator_events) == (-128, 1, 0)
    sums = scalar.accumulate_weight_stationary([100, 0, 1, 0], [1, 1, 1, 1], 27, 2, narrow, narrow)
    assert sums.first_event == (3, "accumulator")


def test_start_value_that_does_not_fit_is_one_event_before_all_products():
    sums = scalar.accumulate_weight_stationary([], [], 200, 4, (8, OverflowMode.WRAP), (8, OverflowMode.SATURATE))
    assert (sums.value, sums.accumulator_events, sums.first_event) == (127, 1, (-1, "accumulator"))
    assert sums.needed_bits == 9


@given(st.lists(st.tuples(st.integers(-255, 255), st.integers(-128, 127)), max_size=20), INT32, st.integers(1, 8))
def test_wide_registers_make_every_order_the_plain_sum(pairs, start, rows):
    a, w = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    plain = start + sum(x * y for x, y in pairs)
    wide = (64, OverflowMode.WRAP)
    assert scalar.accumulate_output_stationary(a, w, start, *wide).value == plain
    folded = scalar.accumulate_weight_stationary(a, w, start, rows, wide, wide)
    assert (folded.value, folded.partial_sum_events, folded.accumulator_events) == (plain, 0, 0)


# ---------------------------------------------------------------- rounding


def nearest(value: Fraction, tie: str) -> int:
    down = math.floor(value)
    if value - down != Fraction(1, 2):
        return math.floor(value + Fraction(1, 2))
    return {"up": down + 1, "away": down + (value > 0), "even": down + down % 2}[tie]


EXACT = {
    RoundingMode.TIES_POS: lambda v: nearest(v, "up"),
    RoundingMode.TIES_AWAY: lambda v: nearest(v, "away"),
    RoundingMode.TIES_EVEN: round,
    RoundingMode.TO_NEG: math.floor,
    RoundingMode.TO_ZERO: math.trunc,
}


@pytest.mark.parametrize("mode", EXACT)
@given(st.integers(-(2**62), 2**62), st.integers(0, 63))
def test_rounding_shift_is_the_rounded_quotient(mode, value, shift):
    assert scalar.rounding_shift_right(value, shift, mode) == EXACT[mode](Fraction(value, 2**shift))


@pytest.mark.parametrize("mode", EXACT)
def test_rounding_of_small_values_and_ties(mode):
    for value in range(-40, 41):
        for shift in range(4):
            assert scalar.rounding_shift_right(value, shift, mode) == EXACT[mode](Fraction(value, 2**shift))


def test_stochastic_rounding_goes_up_for_just_its_share_of_draws():
    for value in range(-17, 18):
        up = sum(scalar.rounding_shift_right(value, 3, RoundingMode.STOCHASTIC, draw) for draw in range(8))
        assert up == value  # the mean over all draws is the value itself


@given(INT32, INT32)
def test_high_multiply_is_the_rounded_high_half(a, b):
    exact = nearest(Fraction(a * b, 2**31), "up")
    assert scalar.saturating_rounding_doubling_high_mul(a, b) == min(exact, 2**31 - 1)


@given(INT32, st.integers(2**30, 2**31 - 1), st.integers(-31, 30))
def test_quantized_multiplier_wraps_left_and_rounds_twice(value, multiplier, exponent):
    shifted = (value << max(exponent, 0)) & 0xFFFFFFFF
    shifted -= (shifted >> 31) << 32
    high = nearest(Fraction(shifted * multiplier, 2**31), "up")
    expected = nearest(Fraction(high, 2 ** max(-exponent, 0)), "away")
    assert scalar.multiply_by_quantized_multiplier(value, multiplier, exponent) == expected


# ---------------------------------------------------------------- requantize


def params(kind, multiplier=1, exponent=0, scale=1.0, rounding=RoundingMode.TIES_POS, low=-128, high=127, zero=0):
    return RequantParams(
        kind, rounding, np.array([multiplier]), np.array([exponent]), np.array([scale], np.float32), zero, low, high
    )


@given(INT32, st.floats(2.0**-30, 0.5))
def test_single_rounding_is_within_half_of_the_real_value(accumulator, real):
    multiplier, exponent = scalar.quantize_multiplier(real)
    wide = params(RequantizerKind.FIXED_POINT_SINGLE, multiplier, exponent, low=-(2**31), high=2**31)
    value, clipped = scalar.requantize(accumulator, wide, 0, 32)
    assert value == nearest(accumulator * Fraction(multiplier) * Fraction(2) ** (exponent - 31), "up")
    assert not clipped


@given(INT32, st.floats(2.0**-30, 1.0, width=32))
def test_float32_kind_is_float32_arithmetic(accumulator, scale):
    value, _ = scalar.requantize(
        accumulator, params(RequantizerKind.FLOAT32, scale=scale, low=-(2**31), high=2**31), 0, 32
    )
    assert value == int(np.rint(np.multiply(np.float32(accumulator), np.float32(scale), dtype=np.float32)))


def test_wide_registers_saturate_to_int32_first_except_power_of_two():
    beyond = 1 << 40
    value, clipped = scalar.requantize(beyond, params(RequantizerKind.FLOAT32, scale=2.0**-30), 0, 48)
    assert (value, clipped) == (2, True)
    value, clipped = scalar.requantize(beyond, params(RequantizerKind.POWER_OF_TWO, exponent=-35), 0, 48)
    assert (value, clipped) == (32, False)


def test_clipping_counts_and_zero_point_comes_before_it():
    up = params(RequantizerKind.POWER_OF_TWO, exponent=1, zero=5, low=0, high=100)
    assert scalar.requantize(40, up, 0, 32) == (85, False)
    assert scalar.requantize(50, up, 0, 32) == (100, True)
    assert scalar.requantize(-3, up, 0, 32) == (0, True)


# ---------------------------------------------------------------- random bits


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
)
def test_philox_known_answers_of_its_authors(counter, key, expected):
    words = [tuple(int(word, 16) for word in text.split()) for text in (counter, key, expected)]
    assert philox4x32(words[0], words[1]) == words[2]


def test_draws_differ_in_every_part_of_the_key():
    base = (1, 2, 3, 4)
    draws = {scalar.stochastic_draw(*base)}
    for part in range(4):
        for change in (1, 1 << 31):
            key = list(base)
            key[part] += change
            draws.add(scalar.stochastic_draw(*key))
    assert len(draws) == 9
