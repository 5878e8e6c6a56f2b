"""Specification of the quantizers of integer training, on Python ints.

Sources: arXiv 2011.14504, eq. 1-6 (UQ, SQ, RQ); arXiv 1909.02384 (R(x), CQ, Flag-QE2); arXiv 2009.13108 (random bits
from the fraction). `draw` is always 64 random bits, `philox.stochastic_draw` of (seed, step, tensor, index).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from simulator.numerics.modes import RoundingMode
from simulator.numerics.scalar import rounding_shift_right
from simulator.numerics.training_scale import (
    RandomSource,
    Scale,
    ScaleRule,
    clip,
    combine,
    shift_rounding,
    step_of,
    symmetric_limit,
)

_LOW32 = (1 << 32) - 1


def divide_by_step(value: int, step: Scale) -> int:
    """Value / step to nearest, a tie up: floor(value / step + 1/2), exactly."""
    mantissa, exponent = step
    if exponent >= 0:
        return (2 * value + (mantissa << exponent)) // (2 * mantissa << exponent)
    return ((2 * value << -exponent) + mantissa) // (2 * mantissa)


def divide_by_step_stochastic(value: int, step: Scale, draw: int) -> int:
    """Value / step, up with a probability equal to the fraction.

    Steps 2^e use the low e bits of the draw: exactly unbiased. With a mantissa, first the shift (by the low 32 bits;
    what lies below them is dropped), then the mantissa: up iff the remainder plus floor(mantissa * high 32 bits /
    2^32) reaches the mantissa. The bias of that is below 2^-17 steps.
    """
    mantissa, exponent = step
    if mantissa == 1:
        return (
            rounding_shift_right(value, exponent, RoundingMode.STOCHASTIC, draw) if exponent > 0 else value << -exponent
        )
    if exponent > 32:
        value, exponent = value >> (exponent - 32), 32
    low = draw & _LOW32
    whole = rounding_shift_right(value, exponent, RoundingMode.STOCHASTIC, low) if exponent > 0 else value << -exponent
    return (whole + (mantissa * (draw >> 32) >> 32)) // mantissa


def divide_by_step_pseudo(value: int, exponent: int) -> int:
    """Divide by 2^exponent, up iff the upper half of the dropped bits exceeds the lower (a middle bit is unused)."""
    if exponent <= 0:
        return value << -exponent
    dropped, half = value & ((1 << exponent) - 1), exponent // 2
    return (value >> exponent) + (dropped >> (exponent - half) > dropped & ((1 << half) - 1))


def scale_quantize(
    values: Sequence[int],
    scale: Scale,
    bits: int,
    rule: ScaleRule,
    *,
    rounding: RoundingMode = RoundingMode.TIES_POS,
    random: RandomSource = RandomSource.GENERATOR,
    draw: Callable[[int], int] = lambda index: 0,
    dropped_exponent: int | None = None,
    relu: bool = False,
) -> tuple[list[int], Scale]:
    """Quantize a tensor by its greatest magnitude (`ScaleQuantize`); `draw` gives the random bits of an index.

    `dropped_exponent`: of the constant scale that replaces the tensor's, or None to keep that.
    """
    taken = [max(value, 0) for value in values] if relu else list(values)
    step = step_of(max(map(abs, taken), default=0), bits, rule)
    limit = symmetric_limit(bits)
    quotients = (_round(value, step, rounding, random, draw, index) for index, value in enumerate(taken))
    result = combine((scale, step)) if dropped_exponent is None else (1, dropped_exponent)
    return [clip(quotient, limit) for quotient in quotients], result


def _round(
    value: int, step: Scale, rounding: RoundingMode, random: RandomSource, draw: Callable[[int], int], index: int
) -> int:
    if rounding is RoundingMode.TIES_POS:
        return divide_by_step(value, step)
    if random is RandomSource.FRACTION:
        return divide_by_step_pseudo(value, step[1])
    return divide_by_step_stochastic(value, step, draw(index))


def fixed_quantize(value: int, scale: Scale, bits: int, exponent: int) -> int:
    """Quantize to the grid 2^exponent, symmetric clip (UQ)."""
    mantissa, source = scale
    return clip(shift_rounding(value * mantissa, exponent - source), symmetric_limit(bits))


def flag_quantize(values: Sequence[int], scale: Scale, bits: int, rule: ScaleRule) -> tuple[list[int], Scale]:
    """Quantize each value to one of two grids (Flag-QE2); the result in steps of the fine one, rule ROUND or CEIL."""
    step = step_of(max(map(abs, values), default=0), bits, rule)
    fine = (1, step[1] - (bits - 1))
    limit = symmetric_limit(bits)
    result = []
    for value in values:
        is_large = abs(value) << max(-step[1], 0) >= 1 << max(step[1], 0)  # |value| >= step
        quotient = divide_by_step(value, step if is_large else fine)
        result.append(clip(quotient, limit) << (bits - 1) if is_large else quotient)
    return result, combine((scale, fine))
