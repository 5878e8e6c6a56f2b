"""Quantized hard-swish in 16-bit fixed point.

Source: reference/hard_swish.h and HardSwishPrepare in activations.cc of TFLite, gemmlowp fixedpoint.h.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from simulator.graph.graph import Node, Tensor
from simulator.lowering.quantized import multiplier, refuse, scale32
from simulator.numerics.scalar import saturate, wrap


def hard_swish_function(node: Node, x: Tensor, out: Tensor) -> Callable[[int], int]:
    """Return stored input -> stored output, before the clamp; refuse the node where the output scale is too fine."""
    fine_scale = np.float32(1 / 128) * scale32(x)
    out_mantissa, out_exponent = _narrow(multiplier(node, float(fine_scale / scale32(out))))
    if out_exponent > 0:
        refuse(node, f"the output scale {out.scale} is finer than 1/128 of the input scale {x.scale}")
    relu_mantissa, relu_exponent = _narrow(multiplier(node, float(fine_scale / np.float32(3 / 32768))))

    def function(value: int) -> int:
        fine = wrap((value - x.zero_point) << 7, 16)
        on_output_scale = _rounding_high_mul(fine, out_mantissa)
        gate = _gate(fine, relu_mantissa, relu_exponent)
        product = _truncating_high_mul(gate, on_output_scale)
        return wrap(_divide_by_pot(product, -out_exponent) + out.zero_point, 16)

    return function


def _gate(fine: int, mantissa: int, exponent: int) -> int:
    """clamp((x + 3) / 6, 0, 1) as 16-bit fixed point: the input rescaled so that 3 is 32768, then halved and moved."""
    value = fine
    if exponent > 0:
        value = saturate(value << (exponent - 1), 16)
    value = _rounding_high_mul(value, mantissa)
    if exponent > 0:
        value = saturate(value << 1, 16)
    if exponent < 0:
        value = _divide_by_pot(value, -exponent)
    return (value + (1 << 15)) >> 1


def _narrow(factor: tuple[int, int]) -> tuple[int, int]:
    """31-bit mantissa to 15 bits, saturating (DownScaleInt32ToInt16Multiplier)."""
    mantissa, exponent = factor
    return min((mantissa + (1 << 15)) >> 16, (1 << 15) - 1), exponent


def _rounding_high_mul(a: int, b: int) -> int:
    """16-bit saturating rounding doubling high multiply."""
    return saturate((a * b + (1 << 14)) >> 15, 16)


def _truncating_high_mul(a: int, b: int) -> int:
    """16-bit saturating doubling high multiply, truncated towards zero."""
    product = a * b
    magnitude = abs(product) >> 15
    return saturate(magnitude if product >= 0 else -magnitude, 16)


def _divide_by_pot(value: int, exponent: int) -> int:
    """Gemmlowp RoundingDivideByPOT on int16: its mask is a 16-bit register, which shows for exponents above 15."""
    mask = wrap((1 << exponent) - 1, 16)
    remainder = value & mask
    threshold = (mask >> 1) + (1 if value < 0 else 0)
    return (value >> exponent) + (1 if remainder > threshold else 0)
