"""Softmax along the last axis. Lane operations: 3 per element (greatest, exponential and sum, scale)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.accelerator.spec import Accelerator
from simulator.graph.graph import Node, Tensor
from simulator.graph.ops import Softmax
from simulator.lowering.layer import Layer
from simulator.lowering.quantized import (
    integer_format,
    is_quantized,
    lower_on_host,
    multiplier,
    operands,
    refuse,
    require_quantized,
    round_half_away,
    scale32,
    vector_layer,
)
from simulator.lowering.table import LowererTable
from simulator.numerics.formats import INT8, INT16, UINT8, IntFormat
from simulator.numerics.gemmlowp import exp_on_negative_values
from simulator.numerics.scalar import rounding_divide_by_pot, saturating_rounding_doubling_high_mul, wrap

_DIFFERENCE_BITS = 5
_SUM_BITS = 12
_SCALE_TOLERANCE = 0.001
"""Relative deviation of the output scale that TFLite accepts."""


@dataclass(frozen=True, eq=False)
class SoftmaxConstants:
    """Softmax of 8-bit inputs: exponentials by distance from the greatest value of the row."""

    exponentials: NDArray[np.int64]
    """[256] exp(-scale * beta * distance) with 0 integer bits (gemmlowp); -1 where it is taken as nothing."""
    addends: NDArray[np.int64]
    """[256] The same with 12 integer bits, as the sum takes it; 0 where nothing."""
    output_bits: int
    minimum: int
    maximum: int


@dataclass(frozen=True, eq=False)
class WideSoftmaxConstants:
    """Softmax of 16-bit inputs: two tables of 513 knots, interpolated."""

    multiplier: int
    exponent: int
    exp_table: NDArray[np.int64]
    """exp on [-10, 0], Q0.15."""
    reciprocal_table: NDArray[np.int64]
    """1 / (1 + x) on [0, 1], Q0.15."""


def _lower_softmax(
    node: Node, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], accelerator: Accelerator
) -> Layer:
    """Source: activations.cc SoftmaxPrepare, reference/softmax.h of TFLite."""
    assert isinstance(node.op, Softmax)
    if not is_quantized(inputs[0]):
        return lower_on_host(node, inputs, outputs, accelerator)
    (x,) = operands(node, inputs, 1)
    out = outputs[0]
    require_quantized(node, x, out)
    source, target = integer_format(node, x), integer_format(node, out)
    if source == INT16 and target == INT16:
        _require_output(node, out, 1 / 32768, 0)
        return vector_layer(node, inputs, outputs, _wide_constants(node, x, node.op.beta), 3 * x.elements)
    if source not in (INT8, UINT8) or target not in (source, INT16):
        refuse(node, f"{source} to {target}; softmax gives int8, uint8 or int16 for 8-bit and int16 for int16 inputs")
    if x.shape[-1] >= 1 << _SUM_BITS:
        refuse(node, f"{x.shape[-1]} classes; the sum of exponentials has room for {(1 << _SUM_BITS) - 1}")
    _require_output(node, out, 2.0**-target.bits, target.min)
    return vector_layer(node, inputs, outputs, _constants(node, x, node.op.beta, target), 3 * x.elements)


def _require_output(node: Node, out: Tensor, scale: float, zero_point: int) -> None:
    if out.zero_point != zero_point or abs(out.scale - scale) > _SCALE_TOLERANCE * scale:
        refuse(
            node,
            f"the output has scale {out.scale}, zero point {out.zero_point}; the kernel gives {scale}, {zero_point}",
        )


def _constants(node: Node, x: Tensor, beta: float, target: IntFormat) -> SoftmaxConstants:
    real = min(beta * x.scale * (1 << (31 - _DIFFERENCE_BITS)), float((1 << 31) - 1))
    if real <= 1:
        refuse(node, f"beta * scale = {beta * x.scale} is not above 2^-26")
    mantissa, shift = multiplier(node, real)
    radius = math.floor(((1 << _DIFFERENCE_BITS) - 1) * (1 << (31 - _DIFFERENCE_BITS)) / (1 << shift))
    exponentials, addends = np.full(256, -1, np.int64), np.zeros(256, np.int64)
    for distance in range(min(radius, 255) + 1):
        difference = saturating_rounding_doubling_high_mul(wrap(-distance << shift, 32), mantissa)
        exponentials[distance] = exp_on_negative_values(difference, _DIFFERENCE_BITS)
        addends[distance] = rounding_divide_by_pot(int(exponentials[distance]), _SUM_BITS)
    return SoftmaxConstants(exponentials, addends, target.bits, target.min, target.max)


def _wide_constants(node: Node, x: Tensor, beta: float) -> WideSoftmaxConstants:
    steps = 65535
    mantissa, exponent = multiplier(node, float(scale32(x) * np.float32(beta)) / (10.0 / steps))
    return WideSoftmaxConstants(
        multiplier=mantissa,
        exponent=exponent,
        exp_table=_knots(math.exp, 10.0 / steps, 32767),
        reciprocal_table=_knots(lambda value: 1.0 / (1.0 + value), 1.0 / steps, -32768),
    )


def _knots(function: Callable[[float], float], scale: float, zero_point: int) -> NDArray[np.int64]:
    """Q0.15 values at 513 knots, each moved by half the error that interpolation makes at the middle of its interval.

    Source: LUTPopulateInt16<double>, tensorflow/lite/kernels/internal/common.h.
    """
    first, last = scale * (-32768 - zero_point), scale * (32767 - zero_point)
    step = (last - first) / 512
    output_scale = 2.0 / 65535
    factor = 65536.0 / (output_scale * 32767 - output_scale * -32768)
    table = []
    for i in range(512):
        value = function(first + i * step)
        middle = function(first + i * step + step / 2)
        following = function(first + (i + 1) * step)
        sample = round_half_away(value * factor)
        interpolated = round_half_away((following * factor + sample) / 2)
        error = interpolated - round_half_away(middle * factor)
        table.append(min(max(sample - round_half_away(error / 2), -32768), 32767))
    table.append(min(max(round_half_away(function(last) * factor), -32768), 32767))
    return np.array(table, np.int64)


LOWERERS: LowererTable = {Softmax: _lower_softmax}
