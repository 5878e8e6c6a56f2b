"""Specification of pooling, interpolation and dropout in integer training, on Python ints."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction


def first_greatest(window: Sequence[int | None]) -> tuple[int, int]:
    """Greatest value of a window and its first position; None marks padding."""
    value = max(v for v in window if v is not None)
    return value, list(window).index(value)


def axis_weights(
    size_in: int, size_out: int, align_corners: bool, half_pixel_centers: bool, weight_bits: int
) -> list[tuple[int, int, int]]:
    """Per output position: lower neighbour, upper neighbour, weight of the upper one in steps of 2^-weight_bits.

    The position is exact: o * in / out; with half pixels (o + 1/2) * in / out - 1/2, not below 0; with aligned corners
    o * (in - 1) / (out - 1). Its fraction is rounded to the weight, a tie up. Source of the positions: TFLite,
    reference/resize_bilinear.h.
    """
    weights = []
    for o in range(size_out):
        if align_corners and size_out > 1:
            position = Fraction(o * (size_in - 1), size_out - 1)
        elif half_pixel_centers:
            position = max(Fraction((2 * o + 1) * size_in, 2 * size_out) - Fraction(1, 2), Fraction(0))
        else:
            position = Fraction(o * size_in, size_out)
        low = min(int(position), size_in - 1)
        upper = int((position - low) * (1 << weight_bits) + Fraction(1, 2)) if low < size_in - 1 else 0
        weights.append((low, min(low + 1, size_in - 1), upper))
    return weights


def interpolate(corners: Sequence[int], row_weight: int, column_weight: int, weight_bits: int) -> int:
    """Weighted sum of (upper left, upper right, lower left, lower right)."""
    one = 1 << weight_bits
    top = corners[0] * (one - column_weight) + corners[1] * column_weight
    bottom = corners[2] * (one - column_weight) + corners[3] * column_weight
    return top * (one - row_weight) + bottom * row_weight


def is_kept(draw: int, keep_shift: int) -> bool:
    """Whether dropout keeps the element of this draw."""
    return draw & ((1 << keep_shift) - 1) == 0
