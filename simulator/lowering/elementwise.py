"""Two-operand arithmetic on quantized tensors: add, sub, mul, maximum, minimum, prelu, all with broadcasting.

On a device that rescales by shifts, add, sub and mul of scales that are powers of two do so too (`lowering.shifts`).

Lane operations per output element: add and sub 3 (two rescales in, one out), mul and prelu 2 (product, rescale),
maximum and minimum 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from simulator.accelerator.spec import Accelerator
from simulator.graph.graph import Node, Tensor
from simulator.graph.ops import Add, Maximum, Minimum, Mul, PRelu, Sub
from simulator.lowering.float_rescale import add_constants, computes_in_float32, mul_constants
from simulator.lowering.layer import Layer
from simulator.lowering.quantized import (
    activation_range,
    integer_format,
    is_quantized,
    is_vector_integer,
    lower_on_host,
    multiplier,
    operands,
    refuse,
    require_quantized,
    require_same_format,
    require_same_quantization,
    scale32,
    vector_layer,
)
from simulator.lowering.shifts import rescales_by_shifts, shift_add, shift_multiply
from simulator.lowering.table import LowererTable


@dataclass(frozen=True)
class AddConstants:
    """out = clamp(zo + M(Ma((a - za) << left_shift) + sign * Mb((b - zb) << left_shift), mo)), M = rescale."""

    sign: int
    """+1 for add, -1 for sub."""
    left_shift: int
    zero_points: tuple[int, int, int]
    """Of a, b and the output, as in the other triples."""
    multipliers: tuple[int, int, int]
    exponents: tuple[int, int, int]
    minimum: int
    maximum: int


@dataclass(frozen=True)
class MulConstants:
    """out = clamp(zo + M((a - za) * (b - zb)))."""

    zero_points: tuple[int, int, int]
    multiplier: int
    exponent: int
    minimum: int
    maximum: int


@dataclass(frozen=True)
class ExtremumConstants:
    """out = max(a, b), or min(a, b)."""

    greatest: bool


@dataclass(frozen=True)
class PReluConstants:
    """out = clamp(zo + M1(x - zx)) where x >= zx, else clamp(zo + M2((x - zx) * (alpha - za)))."""

    zero_points: tuple[int, int, int]
    """Of x, alpha and the output."""
    multipliers: tuple[int, int]
    """Identity, then alpha."""
    exponents: tuple[int, int]
    minimum: int
    maximum: int


def _lower_add(
    node: Node, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], accelerator: Accelerator
) -> Layer:
    """Source: add.cc and sub.cc Prepare, integer_ops/add.h, reference_ops.h of TFLite."""
    assert isinstance(node.op, Add | Sub)
    if not is_quantized(inputs[0]):
        return lower_on_host(node, inputs, outputs, accelerator)
    a, b = operands(node, inputs, 2)
    out = outputs[0]
    if rescales_by_shifts(accelerator, a, b, out):
        limits = activation_range(node.op.activation, out, integer_format(node, out))
        sign = -1 if isinstance(node.op, Sub) else 1
        shifts = shift_add(node, a, b, out, sign, limits, accelerator)
        return vector_layer(node, inputs, outputs, shifts, 3 * out.elements)
    require_quantized(node, a, b, out)
    if computes_in_float32(node.op, accelerator):
        limits = activation_range(node.op.activation, out, integer_format(node, out))
        sign = -1 if isinstance(node.op, Sub) else 1
        return vector_layer(node, inputs, outputs, add_constants(a, b, out, sign, limits), 3 * out.elements)
    format = require_same_format(node, a, b, out)
    if format.bits > 8 and all(_is_power_of_two(tensor.scale) for tensor in (a, b, out)):
        refuse(
            node,
            "16-bit operands with power-of-two scales: TFLite has two roundings for them; use other scales, or a "
            "device with arithmetic.requantizer: power_of_two",
        )
    left_shift = 15 if format.bits > 8 else 20
    twice_max = 2 * max(a.scale, b.scale)
    factors = [
        multiplier(node, a.scale / twice_max),
        multiplier(node, b.scale / twice_max),
        multiplier(node, twice_max / ((1 << left_shift) * out.scale)),
    ]
    if factors[2][1] > 0:
        refuse(
            node,
            f"the output scale {out.scale} is finer than 2^-{left_shift} of the inputs' scales {a.scale}, {b.scale}",
        )
    low, high = activation_range(node.op.activation, out, format)
    constants = AddConstants(
        sign=-1 if isinstance(node.op, Sub) else 1,
        left_shift=left_shift,
        zero_points=(a.zero_point, b.zero_point, out.zero_point),
        multipliers=(factors[0][0], factors[1][0], factors[2][0]),
        exponents=(factors[0][1], factors[1][1], factors[2][1]),
        minimum=low,
        maximum=high,
    )
    return vector_layer(node, inputs, outputs, constants, 3 * out.elements)


def _is_power_of_two(scale: float) -> bool:
    return math.frexp(scale)[0] == 0.5


def _lower_mul(
    node: Node, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], accelerator: Accelerator
) -> Layer:
    """Source: mul.cc Prepare (float32 factor), integer_ops/mul.h of TFLite."""
    assert isinstance(node.op, Mul)
    if not is_quantized(inputs[0]):
        return lower_on_host(node, inputs, outputs, accelerator)
    a, b = operands(node, inputs, 2)
    out = outputs[0]
    if rescales_by_shifts(accelerator, a, b, out):
        limits = activation_range(node.op.activation, out, integer_format(node, out))
        shifts = shift_multiply(node, a, b, out, limits, accelerator)
        return vector_layer(node, inputs, outputs, shifts, 2 * out.elements)
    require_quantized(node, a, b, out)
    if computes_in_float32(node.op, accelerator):
        limits = activation_range(node.op.activation, out, integer_format(node, out))
        return vector_layer(node, inputs, outputs, mul_constants(a, b, out, limits), 2 * out.elements)
    format = require_same_format(node, a, b, out)
    if format.bits > 8 and any(tensor.zero_point for tensor in (a, b, out)):
        refuse(node, "operands of more than 8 bits need zero point 0: their product would not fit 32 bits")
    mantissa, exponent = multiplier(node, float(scale32(a) * scale32(b) / scale32(out)))
    low, high = activation_range(node.op.activation, out, format)
    constants = MulConstants((a.zero_point, b.zero_point, out.zero_point), mantissa, exponent, low, high)
    return vector_layer(node, inputs, outputs, constants, 2 * out.elements)


def _lower_extremum(
    node: Node, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], accelerator: Accelerator
) -> Layer:
    if not is_vector_integer(inputs[0]):
        return lower_on_host(node, inputs, outputs, accelerator)
    a, b = operands(node, inputs, 2)
    require_same_format(node, a, b, outputs[0])
    require_same_quantization(node, a, b, outputs[0])
    constants = ExtremumConstants(greatest=isinstance(node.op, Maximum))
    return vector_layer(node, inputs, outputs, constants, outputs[0].elements)


def _lower_prelu(
    node: Node, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], accelerator: Accelerator
) -> Layer:
    """Source: activations.cc PreluPrepare (float32 factors), reference/prelu.h of TFLite."""
    if not is_quantized(inputs[0]):
        return lower_on_host(node, inputs, outputs, accelerator)
    x, alpha = operands(node, inputs, 2)
    out = outputs[0]
    require_quantized(node, x, alpha, out)
    format = require_same_format(node, x, alpha, out)
    if format.bits > 8:
        refuse(node, f"operands are {format}; the reference kernel takes at most 8 bits")
    identity = multiplier(node, float(scale32(x) / scale32(out)))
    slope = multiplier(node, float(scale32(x) * scale32(alpha) / scale32(out)))
    constants = PReluConstants(
        zero_points=(x.zero_point, alpha.zero_point, out.zero_point),
        multipliers=(identity[0], slope[0]),
        exponents=(identity[1], slope[1]),
        minimum=format.min,
        maximum=format.max,
    )
    return vector_layer(node, inputs, outputs, constants, 2 * out.elements)


LOWERERS: LowererTable = {
    Add: _lower_add,
    Sub: _lower_add,
    Mul: _lower_mul,
    Maximum: _lower_extremum,
    Minimum: _lower_extremum,
    PRelu: _lower_prelu,
}
