"""Specification of scales in integer training, on Python ints: powers of two, 15-bit mantissas, common exponents.

A scale is (mantissa, exponent): real = q * mantissa * 2^exponent, 1 <= mantissa < 2^15.
Source of R(x): Yang et al., arXiv 1909.02384; here by the leading one and one comparison, exact for every integer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum

from simulator.numerics.modes import RoundingMode
from simulator.numerics.scalar import rounding_shift_right

Scale = tuple[int, int]
"""(mantissa, exponent)."""

MANTISSA_BITS = 15
FAR = 1 << 61
"""Where intermediate values saturate: beyond every result, and twice of it still fits 64 bits."""


class ScaleRule(StrEnum):
    """What the greatest magnitude M of a tensor becomes, before it is divided into steps."""

    ROUND = "round"
    """2^round(log2 M): a shift; up to 41 % above it saturates."""
    CEIL = "ceil"
    """2^ceil(log2 M): a shift, nothing saturates but M = 2^n itself."""
    MAX = "max"
    """M rounded up to 15 significant bits: a reciprocal."""


class RandomSource(StrEnum):
    """Where the random bits of stochastic rounding come from."""

    GENERATOR = "generator"
    """Philox, keyed by (seed, step, tensor, index)."""
    FRACTION = "fraction"
    """The low half of the bits that are dropped (NITI, arXiv 2009.13108): no generator, not unbiased."""


def divide_rounding(numerator: int, denominator: int) -> int:
    """Nearest integer of a quotient, a tie towards plus infinity; denominator > 0."""
    return (2 * numerator + denominator) // (2 * denominator)


def shift_rounding(value: int, shift: int) -> int:
    """Divide by 2^shift (multiply where it is negative) to nearest, a tie towards plus infinity."""
    return rounding_shift_right(value, shift, RoundingMode.TIES_POS) if shift > 0 else value << -shift


def clip(value: int, limit: int) -> int:
    """Nearest value in [-limit, limit]."""
    return min(max(value, -limit), limit)


def symmetric_limit(bits: int) -> int:
    """Greatest magnitude of a symmetric grid of `bits` bits: 127 of 8."""
    return (1 << (bits - 1)) - 1


def round_log2(magnitude: int) -> int:
    """round(log2 M), M >= 1: the leading one, and one more where M^2 > 2^(2p + 1) (equality is no integer)."""
    p = magnitude.bit_length() - 1
    return p + (magnitude * magnitude > 1 << (2 * p + 1))


def ceil_log2(magnitude: int) -> int:
    """ceil(log2 M), M >= 1."""
    return (magnitude - 1).bit_length()


def mantissa_up(magnitude: int) -> Scale:
    """M >= 1 as mantissa * 2^exponent, mantissa of exactly 15 bits, rounded up; the exponent may be negative."""
    exponent = magnitude.bit_length() - MANTISSA_BITS
    mantissa = -(-magnitude // (1 << exponent)) if exponent > 0 else magnitude << -exponent
    return (mantissa >> 1, exponent + 1) if mantissa == 1 << MANTISSA_BITS else (mantissa, exponent)


def normalize(mantissa: int, exponent: int) -> Scale:
    """Bring a mantissa >= 1 to at most 15 bits, to nearest, a tie up."""
    shift = max(mantissa.bit_length() - MANTISSA_BITS, 0)
    rounded = shift_rounding(mantissa, shift)
    return (rounded >> 1, exponent + shift + 1) if rounded == 1 << MANTISSA_BITS else (rounded, exponent + shift)


def combine(scales: Iterable[Scale]) -> Scale:
    """Product of scales, one after another, each product normalised."""
    product: Scale = (1, 0)
    for mantissa, exponent in scales:
        product = normalize(product[0] * mantissa, product[1] + exponent)
    return product


def reciprocal(count: int) -> Scale:
    """1 / count as a scale, count >= 1: mantissa 1 where it is a power of two, else 15 bits, to nearest."""
    if count & (count - 1) == 0:
        return 1, 1 - count.bit_length()
    shift = count.bit_length() + MANTISSA_BITS - 1
    return normalize(divide_rounding(1 << shift, count), -shift)


def divide_scale(scale: Scale, count: int) -> Scale:
    """Scale / count."""
    return combine((scale, reciprocal(count)))


def step_of(magnitude: int, bits: int, rule: ScaleRule) -> Scale:
    """Step of a symmetric grid of `bits` bits for values up to `magnitude`, in units of those values; 0 counts as 1."""
    magnitude = max(magnitude, 1)
    if rule is ScaleRule.MAX:
        mantissa, exponent = mantissa_up(magnitude)
        return mantissa, exponent - (bits - 1)
    power = round_log2(magnitude) if rule is ScaleRule.ROUND else ceil_log2(magnitude)
    return 1, power - (bits - 1)


def common_exponent(scales: Sequence[Scale], value_bits: Sequence[int], terms: int, out_bits: int) -> int:
    """Exponent of the grid that tensors of different scale are brought to (`AlignedAdd`).

    Parameters
    ----------
    scales
        Of each tensor.
    value_bits
        Bits of each tensor's format, sign included.
    terms
        How many values are added (1: none are).
    out_bits
        Of the result.

    """
    pairs = list(zip(scales, value_bits, strict=True))
    greatest = max(e + (m - 1).bit_length() + bits - 1 for (m, e), bits in pairs)
    return max(greatest + (terms - 1).bit_length() - (out_bits - 2), min(e for _, e in scales))


def scaled(value: int, mantissa: int, shift: int) -> int:
    """Nearest integer to value * mantissa / 2^shift, a tie up, at most FAR in magnitude."""
    return clip(shift_rounding(value * mantissa, shift), FAR)


def align(value: int, scale: Scale, exponent: int) -> int:
    """Bring a value to the grid 2^exponent: one rounding of value * mantissa * 2^(e - exponent)."""
    return scaled(value, scale[0], exponent - scale[1])
