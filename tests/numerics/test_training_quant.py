"""Each quantizer of integer training against its definition in the paper, in rational arithmetic: none differs."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from simulator.graph import training_ops as ops
from simulator.numerics import training_quant as quant
from simulator.numerics import training_scale as scales
from simulator.numerics.modes import RoundingMode
from simulator.numerics.training_scale import ScaleRule
from support.training_runs import CONTEXT, run, scale

BITS = (2, 8, 16)


def floor_half(value: Fraction) -> int:
    return math.floor(value + Fraction(1, 2))


def uniform(value: Fraction, bits: int) -> Fraction:
    """UQ(x, k), eq. 2: Clip(Delta * floor(x / Delta + 1/2), -1 + Delta, 1 - Delta), Delta = 2^(1 - k)."""
    delta = Fraction(2) / 2**bits
    return min(max(delta * floor_half(value / delta), -1 + delta), 1 - delta)


def scale_of(most: int, rule: ScaleRule) -> Fraction:
    """Scale(x) from float64 logarithms (M < 2^40: no power of sqrt 2 is near enough to mislead them)."""
    if rule is ScaleRule.MAX:
        unit = 2 ** max(most.bit_length() - 15, 0)
        return Fraction(-(-most // unit) * unit)
    power = math.log2(most)
    return Fraction(2) ** (round(power) if rule is ScaleRule.ROUND else math.ceil(power))


def test_power_of_two_of_the_greatest_magnitude_is_the_rounded_logarithm():
    rng = np.random.default_rng(0)
    for most in [*range(1, 20001), *(int(m) for m in rng.integers(1, 2**40, 20000))]:
        assert scales.round_log2(most) == round(math.log2(most))
        assert scales.ceil_log2(most) == math.ceil(math.log2(most))


@pytest.mark.parametrize("rule", list(ScaleRule))
def test_scale_quantizer_is_its_definition(rule):
    rng = np.random.default_rng(1)
    for bits, magnitude in product(BITS, (1, 2, 100, 3 * 10**5, 2**31, 2**39)):
        for given in ((1, -12), (21845, -30)):
            values = [int(v) for v in rng.integers(-magnitude, magnitude + 1, 300)]
            q, s = quant.scale_quantize(values, given, bits, rule)
            most = max(max(map(abs, values)), 1)
            step = scale_of(most, rule) / 2 ** (bits - 1)
            expected = [uniform(v / scale_of(most, rule), bits) * 2 ** (bits - 1) for v in values]
            assert q == expected  # UQ(x / Scale, k) in steps of Delta
            exact = step * given[0] * Fraction(2) ** given[1]
            real = s[0] * Fraction(2) ** s[1]
            assert real == exact if given[0] == 1 else abs(real / exact - 1) <= Fraction(1, 2**15)


def test_greatest_magnitude_itself_never_saturates_by_more_than_a_step_with_the_exact_maximum():
    for most in (1, 127, 5000, 2**20 + 1):
        (q, low), _ = quant.scale_quantize([most, -most], (1, 0), 8, ScaleRule.MAX)
        assert (q, low) == (127, -127)


def test_fixed_quantizer_is_its_definition():
    rng = np.random.default_rng(2)
    for bits, (mantissa, exponent) in product(BITS, ((1, -23), (30001, -34), (1, 3))):
        for value in map(int, rng.integers(-(2**24), 2**24, 300)):
            real = value * mantissa * Fraction(2) ** exponent
            expected = uniform(real, bits) * 2 ** (bits - 1)
            assert quant.fixed_quantize(value, (mantissa, exponent), bits, 1 - bits) == expected


@pytest.mark.parametrize("rule", [ScaleRule.ROUND, ScaleRule.CEIL])
def test_flag_quantizer_is_its_definition(rule):
    rng = np.random.default_rng(3)
    for bits, magnitude in product((4, 8), (1, 90, 2**20)):
        values = [int(v) for v in rng.integers(-magnitude, magnitude + 1, 300) >> rng.integers(0, 12, 300)]
        q, s = quant.flag_quantize(values, (1, 0), bits, rule)
        sc = scale_of(max(max(map(abs, values)), 1), rule) / 2 ** (bits - 1)
        top, one = 2 ** (bits - 1) - 1, 2 ** (bits - 1)
        for value, result in zip(values, q, strict=True):
            y = value / sc
            large = sc * min(max(floor_half(y), -top), top)
            small = sc * Fraction(floor_half(y * one), one)
            assert result * s[0] * Fraction(2) ** s[1] == (large if abs(y) >= 1 else small)


def test_stochastic_rounding_by_a_power_of_two_is_unbiased_over_all_its_random_values():
    for exponent, value in product(range(1, 7), range(-70, 71)):
        mean = Fraction(
            sum(quant.divide_by_step_stochastic(value, (1, exponent), draw) for draw in range(2**exponent)), 2**exponent
        )
        assert mean == Fraction(value, 2**exponent)
        results = {quant.divide_by_step_stochastic(value, (1, exponent), draw) for draw in range(2**exponent)}
        assert results <= {value >> exponent, (value >> exponent) + 1}


def test_stochastic_rounding_by_a_mantissa_is_unbiased_to_two_to_the_minus_seventeen():
    """The shift is exact; then floor(m * U / 2^32) >= m - r for a share of U that differs from r / m by < 2^-32."""
    for mantissa, exponent, value in product((16384, 16385, 32767), (0, 1, 3), (-99999, -1, 0, 7, 123456)):
        total = Fraction(0)
        for low in range(2**exponent):
            whole, rest = divmod((value + low) >> exponent, mantissa)
            least = -(-(mantissa - rest) * 2**32 // mantissa)  # U from which on it goes up
            if rest:
                for high in (least - 1, least):
                    result = quant.divide_by_step_stochastic(value, (mantissa, exponent), high << 32 | low)
                    assert result == whole + (high >= least)
            total += whole + (Fraction(2**32 - least, 2**32) if rest else 0)
        assert abs(total / 2**exponent - Fraction(value, mantissa * 2**exponent)) < Fraction(1, 2**17)


def test_random_bits_of_the_fraction_go_up_where_the_upper_half_exceeds_the_lower():
    assert [quant.divide_by_step_pseudo(v, 4) for v in (0b0100, 0b0110, 0b1001, 0b1010, 0b1111)] == [1, 0, 1, 0, 0]
    assert quant.divide_by_step_pseudo(-0b10000 + 0b0100, 4) == 0
    assert quant.divide_by_step_pseudo(3, -2) == 12


def test_draws_are_keyed_by_the_key_input_or_else_by_the_run():
    x = np.random.default_rng(4).integers(-(2**20), 2**20, (4, 50)).astype(np.int32)
    op = ops.ScaleQuantize(8, rounding=RoundingMode.STOCHASTIC)
    by_run, _ = run(op, x, scale(1, 0))
    by_key, _ = run(op, x, scale(1, 0), np.array([CONTEXT.seed, CONTEXT.step]))
    np.testing.assert_array_equal(by_run, by_key)
    for other in ((CONTEXT.seed, CONTEXT.step + 1), (CONTEXT.seed + 1, CONTEXT.step)):
        assert (run(op, x, scale(1, 0), np.array(other))[0] != by_run).any()


def test_dropped_magnitude_leaves_a_constant_scale():
    x = np.array([[5, -900]], np.int32)
    q, s = run(ops.ScaleQuantize(8, keep_scale=False), x, scale(1, -9))
    assert s.tolist() == [1, -14]
    assert q.tolist() == [[1, -112]]  # -112.5 goes up


def test_scales_multiply_and_divide_to_fifteen_bits():
    rng = np.random.default_rng(5)
    for a, b in rng.integers(1, 2**15, (500, 2)):
        mantissa, exponent = scales.combine(((int(a), 0), (int(b), 0)))
        assert 1 <= mantissa < 2**15
        assert abs(Fraction(mantissa) * 2**exponent / (int(a) * int(b)) - 1) <= Fraction(1, 2**15)
    for count in range(1, 5000):
        mantissa, exponent = scales.reciprocal(count)
        assert abs(mantissa * Fraction(2) ** exponent * count - 1) <= Fraction(1, 2**15)
        assert (mantissa == 1) == (count & (count - 1) == 0)


def test_aligned_sums_never_leave_their_format():
    for bits, terms, mantissa in product((8, 32), (2, 3, 5), (1, 2, 32767)):
        exponent = scales.common_exponent([(mantissa, 0)] * terms, [bits] * terms, terms, 32)
        for end in (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1):
            assert abs(terms * scales.align(end, (mantissa, 0), exponent)) < 2**31
