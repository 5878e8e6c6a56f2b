"""Mean, sum, greatest value and its index, over axes of quantized tensors.

Lane operations: one per input element, and for mean and sum one more per output element (the rescale).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from simulator.accelerator.spec import Accelerator
from simulator.graph.graph import Node, Tensor
from simulator.graph.ops import ArgMax, Mean, ReduceMax, Sum
from simulator.lowering.float_rescale import computes_in_float32, mean_constants
from simulator.lowering.layer import Layer
from simulator.lowering.quantized import (
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
    vector_layer,
)
from simulator.lowering.table import LowererTable


@dataclass(frozen=True)
class SumConstants:
    """out = clamp(zero_out + M(sum(x) - zero_sum)); the sum in an int32 register that wraps."""

    axes: tuple[int, ...]
    zero_sum: int
    """Input zero point times the number of elements summed."""
    multiplier: int
    """For a mean, the rescale divided by that number."""
    exponent: int
    zero_out: int
    minimum: int
    maximum: int


@dataclass(frozen=True)
class AxesConstants:
    """Axes that are reduced, not negative, each once."""

    axes: tuple[int, ...]


def _axes(node: Node, axes: tuple[int, ...], rank: int) -> tuple[int, ...]:
    for axis in axes:
        if not -rank <= axis < rank:
            refuse(node, f"axis {axis} is outside rank {rank}")
    return tuple(sorted({axis % rank for axis in axes}))


def _lower_sum(
    node: Node, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], accelerator: Accelerator
) -> Layer:
    """Source: reduce.cc PrepareMeanOrSum, QuantizedMeanOrSum in reference/reduce.h (LiteRT 2).

    LiteRT 2.3 itself runs its SUM of int8 and int16 on the uint8 instance of that kernel; here each format has its own.
    """
    op = node.op
    assert isinstance(op, Mean | Sum)
    if not is_quantized(inputs[0]):
        return lower_on_host(node, inputs, outputs, accelerator)
    (x,) = operands(node, inputs, 1)
    out = outputs[0]
    require_quantized(node, x, out)
    if isinstance(op, Mean) and computes_in_float32(op, accelerator):
        axes, limits = _axes(node, op.axes, len(x.shape)), integer_format(node, out)
        count = prod(x.shape[axis] for axis in axes)
        real = mean_constants(x, out, axes, count, (limits.min, limits.max))
        return vector_layer(node, inputs, outputs, real, x.elements + out.elements)
    format = require_same_format(node, x, out)
    if format.bits > 8 and (x.zero_point or out.zero_point):
        refuse(node, "operands of more than 8 bits need zero point 0")
    axes = _axes(node, op.axes, len(x.shape))
    count = prod(x.shape[axis] for axis in axes)
    mantissa, exponent = multiplier(node, x.scale / out.scale)
    if isinstance(op, Mean):
        # One multiplier for rescale and division: as many bits of 1/count as the shift has room for.
        shift = min(count.bit_length() - 1, 32, 31 + exponent)
        mantissa, exponent = (mantissa << shift) // count, exponent - shift
    constants = SumConstants(
        axes=axes,
        zero_sum=x.zero_point * count,
        multiplier=mantissa,
        exponent=exponent,
        zero_out=out.zero_point,
        minimum=format.min,
        maximum=format.max,
    )
    return vector_layer(node, inputs, outputs, constants, x.elements + out.elements)


def _lower_reduce_max(
    node: Node, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], accelerator: Accelerator
) -> Layer:
    assert isinstance(node.op, ReduceMax)
    if not is_vector_integer(inputs[0]):
        return lower_on_host(node, inputs, outputs, accelerator)
    (x,) = operands(node, inputs, 1)
    require_same_format(node, x, outputs[0])
    require_same_quantization(node, x, outputs[0])
    constants = AxesConstants(_axes(node, node.op.axes, len(x.shape)))
    return vector_layer(node, inputs, outputs, constants, x.elements)


def _lower_arg_max(
    node: Node, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], accelerator: Accelerator
) -> Layer:
    assert isinstance(node.op, ArgMax)
    if not is_vector_integer(inputs[0]):
        return lower_on_host(node, inputs, outputs, accelerator)
    (x,) = operands(node, inputs, 1)
    constants = AxesConstants(_axes(node, (node.op.axis,), len(x.shape)))
    return vector_layer(node, inputs, outputs, constants, x.elements)


LOWERERS: LowererTable = {
    Mean: _lower_sum,
    Sum: _lower_sum,
    ReduceMax: _lower_reduce_max,
    ArgMax: _lower_arg_max,
}
