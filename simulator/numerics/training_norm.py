"""Specification of batch norm in integer training, on Python ints, one channel at a time.

Source: arXiv 2011.14504, eq. 12-14 and 17; the backward of L1 batch norm follows from differentiating it. Divisions
are by the deviation (one reciprocal per channel) and by the number of values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt

from simulator.numerics.scalar import saturate
from simulator.numerics.training_scale import (
    Scale,
    clip,
    combine,
    divide_rounding,
    scaled,
    shift_rounding,
    symmetric_limit,
)

GUARD_BITS = 8
"""Bits of a sum below the step of mean and deviation."""
HAT_BITS = 16
"""Bits after the point of x_hat before it is quantized."""
MULTIPLIER_BITS = 30
"""Significant bits of a channel's multiplier."""
SQUARE_BITS = 20
"""Most bits of a difference that is squared."""
ROOT_BITS = 11
"""Bits after the point of a square root."""
MEAN_BITS = 16
"""Bits after the point of the means of a gradient, in steps of the error."""
SIGN_BITS = 15
"""Bits after the point of a mean of signs."""
GRADIENT_BITS = 30
"""Most bits of dx before it is quantized."""
_FAR_MEAN = 1 << 44
_FAR_OFFSET = 1 << 40

# ---------------------------------------------------------------- statistics


def channel_mean(total: int, count: int, scale: Scale, bits: int, exponent: int) -> int:
    """Mean of `count` values of sum `total`, in steps of 2^exponent."""
    wide = scaled(total, scale[0], exponent - GUARD_BITS - scale[1])
    return clip(divide_rounding(wide, count << GUARD_BITS), symmetric_limit(bits))


def channel_deviation(total: int, count: int, scale: Scale, bits: int, exponent: int, epsilon: int) -> int:
    """Mean magnitude from the sum of magnitudes, with epsilon, at least one step."""
    wide = scaled(total, scale[0], exponent - GUARD_BITS - scale[1])
    return max(clip(divide_rounding(wide, count << GUARD_BITS) + epsilon, symmetric_limit(bits)), 1)


def l1_statistics(
    values: Sequence[int], scale: Scale, bits: int, exponent: int, epsilon: int
) -> tuple[int, int, tuple[int, int]]:
    """Mean, L1 deviation, (least, greatest) of a channel (`L1Statistics`)."""
    count, total = len(values), sum(values)
    centre = divide_rounding(total, count)
    magnitudes = sum(abs(value - centre) for value in values)
    deviation = channel_deviation(magnitudes, count, scale, bits, exponent, epsilon)
    return channel_mean(total, count, scale, bits, exponent), deviation, (min(values), max(values))


def square_shift(centre: int, least: int, greatest: int) -> int:
    """Bits by which differences from the centre are shifted right before they are squared."""
    return max(max(greatest - centre, centre - least).bit_length() - SQUARE_BITS, 0)


def root_deviation(squares: int, count: int, shift: int, scale: Scale, bits: int, exponent: int, epsilon: int) -> int:
    """L2 deviation from the sum of squares of differences that were shifted right by `shift`."""
    root = isqrt((squares << (2 * ROOT_BITS)) // count)
    wide = scaled(root, scale[0], exponent - scale[1] - shift + ROOT_BITS)
    return max(clip(wide + epsilon, symmetric_limit(bits)), 1)


def l2_statistics(
    values: Sequence[int], scale: Scale, bits: int, exponent: int, epsilon: int
) -> tuple[int, int, tuple[int, int]]:
    """Mean, L2 deviation, (least, greatest) of a channel (`L2Statistics`)."""
    count, total = len(values), sum(values)
    centre = divide_rounding(total, count)
    shift = square_shift(centre, min(values), max(values))
    squares = sum(shift_rounding(value - centre, shift) ** 2 for value in values)
    deviation = root_deviation(squares, count, shift, scale, bits, exponent, epsilon)
    return channel_mean(total, count, scale, bits, exponent), deviation, (min(values), max(values))


# ---------------------------------------------------------------- forward


@dataclass(frozen=True)
class Normalizer:
    """x_hat of one channel in steps of 2^-HAT_BITS: round((x >> input_shift) * multiplier / 2^shift) - offset."""

    multiplier: int
    shift: int
    offset: int
    input_shift: int = 0

    def apply(self, value: int) -> int:
        """x_hat of a value."""
        return shift_rounding(shift_rounding(value, self.input_shift) * self.multiplier, self.shift) - self.offset


def input_shift(least: int, greatest: int) -> int:
    """Bits by which the values of a tensor are shifted right so that they fit 32 bits."""
    return max(max(abs(least), abs(greatest)).bit_length() - 31, 0)


def normalizer(scale: Scale, mean: int, deviation: int, exponent: int, shift_in: int = 0) -> Normalizer:
    """Multiplier of a channel, 30 or 31 bits of mantissa / deviation; a step of x counts as at most 2^14 deviations."""
    mantissa, source = scale[0], scale[1] + shift_in
    up = MULTIPLIER_BITS - mantissa.bit_length() + deviation.bit_length()
    shift = min(max(up + exponent - source - HAT_BITS, 0), 62)
    offset = divide_rounding(mean << HAT_BITS, deviation)
    return Normalizer(divide_rounding(mantissa << up, deviation), shift, offset, shift_in)


def affine_scale(scale: Scale, gamma_exponent: int) -> Scale:
    """Scale of z."""
    return scale[0], scale[1] + gamma_exponent


def bias_offset(bias: int, exponent: int, scale: Scale) -> int:
    """Bias * 2^exponent in steps of `scale`, at most 2^40."""
    mantissa, shift = scale[0], exponent - scale[1]
    wide = divide_rounding(bias << max(min(shift, 63), 0), mantissa << max(min(-shift, 45), 0))
    return clip(wide, _FAR_OFFSET)


def affine(value: int, gamma: int, offset: int) -> int:
    """Return gamma * x_hat + beta, in int32."""
    return saturate(gamma * value + offset, 32)


def running_average(average: int, value: int, shift: int, guard_bits: int) -> int:
    """Exponential moving average in int32 (`RunningAverage`)."""
    return saturate(average + shift_rounding((value << guard_bits) - average, shift), 32)


# ---------------------------------------------------------------- backward


@dataclass(frozen=True)
class ChannelMeans:
    """Means of a channel of the error e, in steps of e / 2^MEAN_BITS."""

    error: int
    """mean(e)."""
    sign: int
    """mean(s) in steps of 2^-SIGN_BITS."""
    product: int
    """mean(e * x_hat)."""


def channel_means(errors: int, signs: int, products: int, count: int, hat_scale: Scale) -> ChannelMeans:
    """Means from sums: of e, of sign(q), of e * q."""
    wide = scaled(products, hat_scale[0], -hat_scale[1] - MEAN_BITS)
    return ChannelMeans(
        divide_rounding(errors << MEAN_BITS, count),
        divide_rounding(signs << SIGN_BITS, count),
        clip(divide_rounding(wide, count), _FAR_MEAN),
    )


def l1_correction(means: ChannelMeans, sign: int) -> int:
    """Return what L1 batch norm takes off an error: mean(e) + (s - mean(s)) * mean(e * x_hat)."""
    return means.error + shift_rounding(((sign << SIGN_BITS) - means.sign) * means.product, SIGN_BITS)


def l2_slope(means: ChannelMeans, hat_scale: Scale) -> int:
    """mean(e * x_hat) * (real x_hat of one step of q), in steps of e / 2^(MEAN_BITS + SIGN_BITS)."""
    return clip(scaled(means.product, hat_scale[0], -hat_scale[1] - SIGN_BITS), _FAR_MEAN)


def l2_correction(means: ChannelMeans, slope: int, q: int) -> int:
    """Return what L2 batch norm takes off an error: mean(e) + x_hat * mean(e * x_hat)."""
    return means.error + shift_rounding(slope * q, SIGN_BITS)


def gain(gamma: int, deviation: int) -> int:
    """Return gamma / deviation in steps of 2^-30."""
    return divide_rounding(gamma << MULTIPLIER_BITS, deviation)


def gain_shift(gains: Sequence[int], corrections: Sequence[int], error_bits: int) -> int:
    """Bits by which every channel's gain is shifted right so that no dx exceeds 2^GRADIENT_BITS.

    corrections: of each channel the greatest magnitude of what is taken off, in steps of e / 2^MEAN_BITS.
    """
    most = (1 << (error_bits - 1)) + 1
    needed = (
        abs(gain).bit_length() + (most + (correction >> MEAN_BITS)).bit_length()
        for gain, correction in zip(gains, corrections, strict=True)
    )
    return max(max(needed) - GRADIENT_BITS, 0)


def gradient_scale(error_scale: Scale, shift: int, gamma_exponent: int, exponent: int) -> Scale:
    """Scale of dx."""
    return combine((error_scale, (1, gamma_exponent - exponent - MULTIPLIER_BITS + shift)))


def gradient(error: int, gain: int, correction: int) -> int:
    """Return dx = gain * (e - correction); the gain already shifted."""
    return gain * error - shift_rounding(gain * correction, MEAN_BITS)


def norm_gradient(
    errors: Sequence[Sequence[int]],
    hats: Sequence[Sequence[int]],
    hat_scale: Scale,
    gammas: Sequence[int],
    deviations: Sequence[int],
    error_bits: int,
    is_l1: bool,
) -> tuple[list[list[int]], int, list[int], list[int]]:
    """Backward of batch norm: errors and x_hat [channels][values] -> dx, the shift of its gains, dgamma, dbeta."""
    dgamma = [sum(e * q for e, q in zip(*pair, strict=True)) for pair in zip(errors, hats, strict=True)]
    dbeta = [sum(channel) for channel in errors]
    corrections: list[list[int]] = []
    greatest: list[int] = []
    for channel, products, total in zip(hats, dgamma, dbeta, strict=True):
        signs = sum((q > 0) - (q < 0) for q in channel)
        means = channel_means(total, signs, products, len(channel), hat_scale)
        slope = l2_slope(means, hat_scale)
        if is_l1:
            corrections.append([l1_correction(means, (q > 0) - (q < 0)) for q in channel])
            greatest.append(max(abs(l1_correction(means, sign)) for sign in (-1, 0, 1)))
        else:
            corrections.append([l2_correction(means, slope, q) for q in channel])
            greatest.append(abs(means.error) + (abs(slope) << 15 >> SIGN_BITS) + 1)
    gains = [gain(g, d) for g, d in zip(gammas, deviations, strict=True)]
    shift = gain_shift(gains, greatest, error_bits)
    shifted = [shift_rounding(value, shift) for value in gains]
    dx = [
        [gradient(e, k, u) for e, u in zip(channel, taken, strict=True)]
        for channel, k, taken in zip(errors, shifted, corrections, strict=True)
    ]
    return dx, shift, dgamma, dbeta
