"""Specification of the losses of integer training, on Python ints.

Softmax by 2^-t with a table of 1025 knots and linear interpolation, one reciprocal per pixel. The tables are made with
integers alone. A probability lies within 2^-18 of the real one, where the classes are at most 256 (tested).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import isqrt

from simulator.numerics.training_scale import Scale, clip, divide_rounding, shift_rounding

TABLE_BITS = 10
"""log2 of the intervals of a table."""
POWER_BITS = 20
"""Bits after the point of t."""
EXPONENTIAL_BITS = 30
"""Bits after the point of 2^-t, and of a table."""
PROBABILITY_BITS = 18
RECIPROCAL_BITS = 62
GREATEST_POWER = 40 << POWER_BITS
"""Where t stops: 2^-40 is 0."""
WEIGHT_BITS = 8
"""A class weight of 1 is 256."""
LOSS_BITS = 16
SQUARE_BITS = 18
"""Bits of an error that is squared."""
GUARD_BITS = 8
"""Bits of the squared error's gradient below the step of the logits."""
LOG2_E = 1549082005
"""log2(e) * 2^30, nearest: 1549082004.6."""
LN_2 = 11629080
"""ln(2) * 2^24, nearest: 11629079.7."""
_LN_2_BITS = 24
_PRECISION = 100


@cache
def power_table() -> tuple[int, ...]:
    """2^-(k / 1024) in steps of 2^-30, k = 0 ... 1024."""
    one = 1 << _PRECISION
    root = one >> 1
    for _ in range(TABLE_BITS):
        root = isqrt(root << _PRECISION)
    values = [one]
    for _ in range(1 << TABLE_BITS):
        values.append(values[-1] * root >> _PRECISION)
    return tuple(shift_rounding(value, _PRECISION - EXPONENTIAL_BITS) for value in values)


@cache
def logarithm_table() -> tuple[int, ...]:
    """log2(1 + k / 1024) in steps of 2^-30, k = 0 ... 1024, bit by bit: square, and take the doubling off."""
    table = []
    for k in range((1 << TABLE_BITS) + 1):
        x, bits = ((1 << TABLE_BITS) + k) << (_PRECISION - TABLE_BITS), 0
        whole = x >> (_PRECISION + 1)  # 1 for k = 1024
        x >>= whole
        for _ in range(EXPONENTIAL_BITS + 2):
            x = x * x >> _PRECISION
            double = x >> (_PRECISION + 1)
            x >>= double
            bits = 2 * bits + double
        table.append((whole << EXPONENTIAL_BITS) + shift_rounding(bits, 2))
    return tuple(table)


def interpolate(table: Sequence[int], position: int) -> int:
    """Value of a table at a position in steps of 2^-POWER_BITS of its range."""
    knot, rest = position >> TABLE_BITS, position & ((1 << TABLE_BITS) - 1)
    return table[knot] + shift_rounding((table[knot + 1] - table[knot]) * rest, TABLE_BITS)


def power(distance: int, scale: Scale) -> int:
    """Return t = distance * scale * log2(e), distance >= 0 the steps below the greatest logit."""
    return min(shift_rounding(distance * scale[0] * LOG2_E, 30 - POWER_BITS - scale[1]), GREATEST_POWER)


def exponential(t: int) -> int:
    """2^-t in steps of 2^-30."""
    return shift_rounding(interpolate(power_table(), t & ((1 << POWER_BITS) - 1)), t >> POWER_BITS)


def logarithm(value: int) -> int:
    """log2(value / 2^30) in steps of 2^-30, value >= 2^30; bits below the leading 21 are dropped."""
    leading = value.bit_length() - 1
    fraction = (value >> (leading - POWER_BITS)) - (1 << POWER_BITS)
    return ((leading - EXPONENTIAL_BITS) << EXPONENTIAL_BITS) + interpolate(logarithm_table(), fraction)


def softmax(logits: Sequence[int], scale: Scale) -> tuple[list[int], list[int], int]:
    """Probabilities in steps of 2^-18; t of each class; sum of the exponentials."""
    powers = [power(max(logits) - logit, scale) for logit in logits]
    exponentials = [exponential(t) for t in powers]
    total = sum(exponentials)
    multiplier = (1 << RECIPROCAL_BITS) // total
    down = RECIPROCAL_BITS - PROBABILITY_BITS
    return [shift_rounding(value * multiplier, down) for value in exponentials], powers, total


def negative_log_likelihood(t: int, total: int) -> int:
    """-ln p in steps of 2^-16, of a class with power t."""
    bits = (t << (EXPONENTIAL_BITS - POWER_BITS)) + logarithm(total)
    return shift_rounding(bits * LN_2, EXPONENTIAL_BITS + _LN_2_BITS - LOSS_BITS)


def cross_entropy(
    logits: Sequence[int], scale: Scale, label: int, weights: Sequence[int]
) -> tuple[list[int], int, int]:
    """Error, loss and weight of a valid pixel (`SoftmaxCrossEntropyGradient`); weights of all classes, 256 = 1."""
    probabilities, powers, total = softmax(logits, scale)
    weight = weights[label]
    errors = [weight * (p - ((c == label) << PROBABILITY_BITS)) for c, p in enumerate(probabilities)]
    loss = weight * negative_log_likelihood(powers[label], total)
    return errors, shift_rounding(loss, WEIGHT_BITS), weight


def one_in_steps(scale: Scale) -> int:
    """1 in steps of scale / 2^GUARD_BITS; the scale between 2^-21 and 2^8."""
    shift = GUARD_BITS - scale[1]
    return divide_rounding(1 << max(shift, 0), scale[0] << max(-shift, 0))


def square_shift(one: int, logit_bits: int) -> int:
    """Bits by which errors are shifted right before they are squared."""
    return max((one + (1 << (logit_bits - 1 + GUARD_BITS))).bit_length() - SQUARE_BITS, 0)


def squared_error(logits: Sequence[int], label: int, one: int, shift: int) -> tuple[list[int], int]:
    """Error of a valid pixel, and its sum of squares in steps of the shifted error (`SquaredErrorGradient`)."""
    errors = [(logit << GUARD_BITS) - (one if c == label else 0) for c, logit in enumerate(logits)]
    return errors, sum(shift_rounding(error, shift) ** 2 for error in errors)


def squared_loss(squares: int, shift: int, scale: Scale) -> int:
    """Half the sum of squares in steps of 2^-16."""
    down = 2 * (GUARD_BITS - scale[1] - shift) + 1 - LOSS_BITS
    return clip(shift_rounding(squares * scale[0] ** 2, down), (1 << 62) - 1)
