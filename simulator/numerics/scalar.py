"""The specification: every arithmetic primitive of the device on Python ints, which never overflow by themselves.

Kernels are fast versions of these functions and are tested against them. Sources: docs/numerics.md; gemmlowp
`fixedpoint/fixedpoint.h`; TFLite `kernels/internal/common.h` (double rounding) and `quantization_util.cc`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simulator.numerics.modes import OverflowMode, RequantizerKind, RoundingMode
from simulator.numerics.multiplier import quantize_multiplier
from simulator.numerics.philox import stochastic_draw
from simulator.numerics.quant import RequantParams

__all__ = [
    "Accumulation",
    "accumulate_output_stationary",
    "accumulate_weight_stationary",
    "add",
    "fits",
    "load",
    "multiply_by_quantized_multiplier",
    "needed_bits",
    "quantize_multiplier",
    "requantize",
    "rounding_divide_by_pot",
    "rounding_shift_right",
    "saturate",
    "saturating_rounding_doubling_high_mul",
    "stochastic_draw",
    "toggled_bits",
    "wrap",
]

PARTIAL_SUM = "partial_sum"
ACCUMULATOR = "accumulator"

# ---------------------------------------------------------------- registers


def fits(value: int, bits: int) -> bool:
    """Whether a two's complement register of `bits` bits holds `value`."""
    return -(1 << (bits - 1)) <= value < 1 << (bits - 1)


def wrap(value: int, bits: int) -> int:
    """Keep the low `bits` bits of `value`, read as two's complement."""
    half = 1 << (bits - 1)
    return ((value + half) & ((1 << bits) - 1)) - half


def saturate(value: int, bits: int) -> int:
    """Nearest value that a two's complement register of `bits` bits holds."""
    return min(max(value, -(1 << (bits - 1))), (1 << (bits - 1)) - 1)


def toggled_bits(before: int, after: int, bits: int) -> int:
    """Count the bits that change in a two's complement register of `bits` bits as one value replaces another."""
    return ((before ^ after) & ((1 << bits) - 1)).bit_count()


def needed_bits(least: int, greatest: int) -> int:
    """Least width of a two's complement register that holds every value from `least` to `greatest`; 0 and -1 need 1."""
    return 1 + max((value if value >= 0 else ~value).bit_length() for value in (least, greatest))


def add(register: int, addend: int, bits: int, mode: OverflowMode) -> tuple[int, bool]:
    """Add to a register of `bits` bits (docs/numerics.md, "add").

    The exact sum is judged, the addend is not narrowed first.

    Returns
    -------
    value : int
        What the register holds afterwards. TRAP keeps the low bits: whoever calls turns the event into an error.
    event : bool
        Whether the exact sum lay outside the register.

    """
    exact = register + addend
    if fits(exact, bits):
        return exact, False
    return (saturate if mode is OverflowMode.SATURATE else wrap)(exact, bits), True


def load(value: int, bits: int, mode: OverflowMode) -> tuple[int, bool]:
    """Put a start value into a register; one that does not fit is an event and follows the mode (docs/numerics.md)."""
    return add(0, value, bits, mode)


@dataclass(frozen=True)
class Accumulation:
    """What the registers of one output did."""

    value: int
    """Final accumulator."""
    partial_sum_events: int
    accumulator_events: int
    first_partial_sum_event: int | None
    """k of the first event in the partial-sum register."""
    first_accumulator_event: int | None
    """k of the first event in the accumulator; -1 = the start value, else the last k of the fold that was added."""
    partial_sum_range: tuple[int, int]
    """Least and greatest exact, unwrapped running sum of any fold, 0 included."""
    accumulator_range: tuple[int, int]
    """Least and greatest exact, unwrapped running sum, the start value included."""

    @property
    def first_event(self) -> tuple[int, str] | None:
        """(k, register) of the first event: lowest k, the partial sum before the accumulator."""
        found = [
            (k, order, name)
            for order, (k, name) in enumerate(
                [(self.first_partial_sum_event, PARTIAL_SUM), (self.first_accumulator_event, ACCUMULATOR)]
            )
            if k is not None
        ]
        return (min(found)[0], min(found)[2]) if found else None

    @property
    def needed_bits(self) -> int:
        """Least width of both registers at which nothing overflows."""
        return max(needed_bits(*self.partial_sum_range), needed_bits(*self.accumulator_range))


class _Register:
    """A register and the account of what happened to it."""

    def __init__(self, bits: int, mode: OverflowMode) -> None:
        self.bits, self.mode = bits, mode
        self.value = self.exact = self.events = 0
        self.first: int | None = None
        self.range = (0, 0)

    def start(self, value: int, k: int) -> None:
        self.value = self.exact = 0
        self.add(value, value, k)

    def add(self, addend: int, exact: int, k: int) -> None:
        self.value, event = add(self.value, addend, self.bits, self.mode)
        self.exact += exact
        self.range = min(self.range[0], self.exact), max(self.range[1], self.exact)
        self.events += event
        if event and self.first is None:
            self.first = k


def accumulate_output_stationary(
    activations: Sequence[int], weights: Sequence[int], start: int, bits: int, mode: OverflowMode
) -> Accumulation:
    """Sum one output in one register: A <- load(start), then A <- add(A, a_k * w_k) for each k in rising order.

    Parameters
    ----------
    activations, weights
        [k] operands, their zero points already subtracted.
    start
        Bias.
    bits, mode
        The accumulator.

    """
    accumulator = _Register(bits, mode)
    accumulator.start(start, -1)
    for k, (a, w) in enumerate(zip(activations, weights, strict=True)):
        accumulator.add(a * w, a * w, k)
    return Accumulation(accumulator.value, 0, accumulator.events, None, accumulator.first, (0, 0), accumulator.range)


def accumulate_weight_stationary(
    activations: Sequence[int],
    weights: Sequence[int],
    start: int,
    fold_length: int,
    partial_sum: tuple[int, OverflowMode],
    accumulator: tuple[int, OverflowMode],
) -> Accumulation:
    """Sum one output fold by fold: P <- 0, P <- add(P, a_k * w_k) over a fold, then A <- add(A, P).

    Parameters
    ----------
    activations, weights
        [k] operands, their zero points already subtracted.
    start
        Bias, loaded into A first.
    fold_length
        Consecutive k of a fold (rows of the array); the last fold may be shorter.
    partial_sum, accumulator
        Width and mode of P and of A.

    """
    p, a = _Register(*partial_sum), _Register(*accumulator)
    a.start(start, -1)
    for begin in range(0, len(activations), fold_length):
        p.start(0, begin)
        end = min(begin + fold_length, len(activations))
        for k in range(begin, end):
            product = activations[k] * weights[k]
            p.add(product, product, k)
        a.add(p.value, p.exact, end - 1)
    return Accumulation(a.value, p.events, a.events, p.first, a.first, p.range, a.range)


# ---------------------------------------------------------------- rounding


def rounding_shift_right(value: int, shift: int, mode: RoundingMode, draw: int = 0) -> int:
    """Divide by 2^shift and round; `shift` >= 0.

    STOCHASTIC goes up iff the fraction plus the low `shift` bits of `draw` (64 random bits) reaches 1, so with a
    probability of exactly the fraction; ValueError where 64 bits are too few for that.
    """
    down = value >> shift
    remainder = value - (down << shift)
    if remainder == 0 or mode is RoundingMode.TO_NEG:
        return down
    if mode is RoundingMode.TO_ZERO:
        return down + (value < 0)
    if mode is RoundingMode.STOCHASTIC:
        if shift > 64:
            raise ValueError(f"stochastic rounding of {shift} bits needs more than the 64 random bits of a draw")
        return down + (remainder + (draw & ((1 << shift) - 1)) >= 1 << shift)
    twice, unit = 2 * remainder, 1 << shift
    if twice != unit:
        return down + (twice > unit)
    up_at_tie = {
        RoundingMode.TIES_POS: True,
        RoundingMode.TIES_AWAY: value >= 0,
        RoundingMode.TIES_EVEN: down % 2 == 1,
    }
    return down + up_at_tie[mode]


def saturating_rounding_doubling_high_mul(a: int, b: int) -> int:
    """High half of 2ab of two int32, rounded: a nudge, then a division that truncates towards zero.

    The one product that does not fit saturates (gemmlowp SaturatingRoundingDoublingHighMul).
    """
    if a == b == -(1 << 31):
        return (1 << 31) - 1
    nudged = a * b + ((1 << 30) if a * b >= 0 else 1 - (1 << 30))
    return nudged // (1 << 31) if nudged >= 0 else -(-nudged // (1 << 31))


def rounding_divide_by_pot(value: int, exponent: int) -> int:
    """Divide an int32 by 2^exponent to nearest, a tie away from zero (gemmlowp RoundingDivideByPOT)."""
    return rounding_shift_right(value, exponent, RoundingMode.TIES_AWAY)


def multiply_by_quantized_multiplier(value: int, multiplier: int, exponent: int) -> int:
    """Scale an int32 by multiplier * 2^(exponent - 31), two roundings (TFLite MultiplyByQuantizedMultiplier).

    A left shift comes first and wraps in int32, as there.
    """
    shifted = wrap(value << max(exponent, 0), 32)
    return rounding_divide_by_pot(saturating_rounding_doubling_high_mul(shifted, multiplier), max(-exponent, 0))


# ---------------------------------------------------------------- requantize


def requantize(accumulator: int, params: RequantParams, channel: int, bits: int, draw: int = 0) -> tuple[int, bool]:
    """Scale an accumulator of `bits` bits to an output value (docs/numerics.md, "Requantizer").

    Parameters
    ----------
    accumulator
        The register as a signed value.
    params, channel
        Constants of the layer, and which output channel.
    bits
        Width of the register: past 32 bits all kinds but power_of_two first saturate to int32.
    draw
        64 random bits, for RoundingMode.STOCHASTIC.

    Returns
    -------
    value : int
        Output, in [params.minimum, params.maximum].
    clipped : bool
        Whether it was saturated on the way or at the end.

    """
    value = accumulator
    if bits > 32 and params.kind is not RequantizerKind.POWER_OF_TWO:
        value = saturate(value, 32)
    scaled = _scale(value, params, channel, draw) + params.zero_point
    output = min(max(scaled, params.minimum), params.maximum)
    return output, output != scaled or value != accumulator


def _scale(value: int, params: RequantParams, channel: int, draw: int) -> int:
    multiplier, exponent = int(params.multiplier[channel]), int(params.exponent[channel])
    match params.kind:
        case RequantizerKind.FIXED_POINT_DOUBLE:
            return multiply_by_quantized_multiplier(value, multiplier, exponent)
        case RequantizerKind.FIXED_POINT_SINGLE:
            return _shift(value * multiplier, exponent - 31, params.rounding, draw)
        case RequantizerKind.POWER_OF_TWO:
            return _shift(value, exponent, params.rounding, draw)
        case RequantizerKind.FLOAT32:
            # Two factors of 24 significant bits: their product is exact in binary64, and rounded once, to binary32.
            exact = float(np.float32(value)) * float(params.scale[channel])
            return round(float(np.float32(exact)))  # round() of a float: to nearest, ties to even


def _shift(value: int, exponent: int, rounding: RoundingMode, draw: int) -> int:
    return value << exponent if exponent >= 0 else rounding_shift_right(value, -exponent, rounding, draw)
