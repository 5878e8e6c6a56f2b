"""How numbers are rounded, and what a register does when a sum does not fit."""

from __future__ import annotations

from enum import StrEnum


class RoundingMode(StrEnum):
    """Direction in which a value between two representable ones goes."""

    TIES_AWAY = "ties_away"
    """To nearest, a tie away from zero."""
    TIES_EVEN = "ties_even"
    """To nearest, a tie to the even neighbour (IEEE 754 default)."""
    TIES_POS = "ties_pos"
    """To nearest, a tie towards plus infinity: floor(x + 1/2)."""
    TO_NEG = "to_neg"
    """Towards minus infinity: an arithmetic shift right."""
    TO_ZERO = "to_zero"
    """Towards zero: the fraction is dropped."""
    STOCHASTIC = "stochastic"
    """Up with a probability equal to the fraction; draws are keyed by (seed, step, tensor, index)."""


class OverflowMode(StrEnum):
    """What a register does when a sum lies outside its range."""

    WRAP = "wrap"
    """Keep the low bits, two's complement."""
    SATURATE = "saturate"
    """Stay at the nearest end of the range."""
    TRAP = "trap"
    """Stop with an error naming layer, output and k."""


class RequantizerKind(StrEnum):
    """How an accumulator is scaled down to an output value."""

    FIXED_POINT_DOUBLE = "fixed_point_double"
    """gemmlowp and TFLite reference: saturating rounding doubling high multiply, then rounding right shift."""
    FIXED_POINT_SINGLE = "fixed_point_single"
    """(acc * multiplier + half) >> shift: one rounding."""
    FLOAT32 = "float32"
    """rint(float32(acc) * float32(scale)), ties to even: ONNX Runtime, XNNPACK."""
    POWER_OF_TWO = "power_of_two"
    """A rounded shift: scales are powers of two."""


class Dataflow(StrEnum):
    """Which operand stays in the processing elements."""

    WEIGHT_STATIONARY = "weight_stationary"
    OUTPUT_STATIONARY = "output_stationary"
