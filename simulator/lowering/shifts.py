"""Sums, products and rescales on a device that rescales by shifts alone: operands whose scales are powers of two.

The result is exact up to one rounding, in the device's own mode; the formats of operands and result may differ.
Source: paper section 5.1, rows 7, 11 and 13.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from simulator.accelerator.spec import Accelerator
from simulator.graph.graph import Node, Tensor
from simulator.lowering.quantized import integer_format, is_quantized, refuse
from simulator.numerics.modes import RequantizerKind, RoundingMode

_WIDEST_SHIFT = 40
"""Left shift of an aligned operand: with 17 bits it leaves room for the sum in an int64."""
_SHIFTS = range(-62, 32)
"""Exponents that the result can be shifted by."""


@dataclass(frozen=True)
class Rounded:
    """out = clamp(zero_point + round(value * 2^exponent))."""

    zero_point: int
    exponent: int
    minimum: int
    maximum: int
    rounding: RoundingMode


@dataclass(frozen=True)
class ShiftAddConstants:
    """value = ((a - za) << left_a) + sign * ((b - zb) << left_b); then as `Rounded`."""

    sign: int
    zero_points: tuple[int, int]
    left_shifts: tuple[int, int]
    result: Rounded


@dataclass(frozen=True)
class ShiftMulConstants:
    """value = (a - za) * (b - zb); then as `Rounded`."""

    zero_points: tuple[int, int]
    result: Rounded


@dataclass(frozen=True)
class ShiftRescaleConstants:
    """value = x - zero_point; then as `Rounded`."""

    zero_point: int
    result: Rounded


def rescales_by_shifts(accelerator: Accelerator, *tensors: Tensor | None) -> bool:
    """Whether the device rescales by shifts, and every tensor has one scale, a power of two, and at most 16 bits."""
    if accelerator.arithmetic.requantizer.requantizer.kind is not RequantizerKind.POWER_OF_TWO:
        return False
    return all(_has_power_of_two(tensor) for tensor in tensors)


def _has_power_of_two(tensor: Tensor | None) -> bool:
    if not is_quantized(tensor) or tensor.quant is None or len(tensor.quant.scale) != 1:
        return False
    return math.frexp(tensor.scale)[0] == 0.5


def shift_add(
    node: Node, a: Tensor, b: Tensor, out: Tensor, sign: int, limits: tuple[int, int], accelerator: Accelerator
) -> ShiftAddConstants:
    """Return the constants of a sum (sign +1) or difference (-1); UnsupportedOp where the scales lie too far apart."""
    exponents = _exponent(a), _exponent(b)
    common = min(exponents)
    left = exponents[0] - common, exponents[1] - common
    if max(left) > _WIDEST_SHIFT:
        refuse(node, f"the operands' scales {a.scale} and {b.scale} lie more than 2^{_WIDEST_SHIFT} apart")
    result = _rounded(node, common, out, limits, accelerator)
    return ShiftAddConstants(sign, (a.zero_point, b.zero_point), left, result)


def shift_multiply(
    node: Node, a: Tensor, b: Tensor, out: Tensor, limits: tuple[int, int], accelerator: Accelerator
) -> ShiftMulConstants:
    """Return the constants of a product."""
    result = _rounded(node, _exponent(a) + _exponent(b), out, limits, accelerator)
    return ShiftMulConstants((a.zero_point, b.zero_point), result)


def shift_rescale(node: Node, x: Tensor, out: Tensor, accelerator: Accelerator) -> ShiftRescaleConstants:
    """Return the constants of a change of scale, zero point or format."""
    format = integer_format(node, out)
    return ShiftRescaleConstants(x.zero_point, _rounded(node, _exponent(x), out, (format.min, format.max), accelerator))


def _exponent(tensor: Tensor) -> int:
    return math.frexp(tensor.scale)[1] - 1


def _rounded(node: Node, exponent: int, out: Tensor, limits: tuple[int, int], accelerator: Accelerator) -> Rounded:
    shift = exponent - _exponent(out)
    if shift not in _SHIFTS:
        refuse(node, f"the scale ratio 2^{shift} is outside 2^{_SHIFTS[0]} to 2^{_SHIFTS[-1]}")
    rounding = accelerator.arithmetic.requantizer.requantizer.resolved_rounding
    return Rounded(out.zero_point, shift, *limits, rounding)
