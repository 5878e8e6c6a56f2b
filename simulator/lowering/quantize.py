"""Quantize and dequantize. Integer to integer is one rescale per element on the vector unit; floats are the host's."""

from __future__ import annotations

from dataclasses import dataclass, replace

from simulator.accelerator.spec import Accelerator
from simulator.errors import NetworkError
from simulator.graph.graph import Node, Tensor
from simulator.graph.ops import Dequantize, Quantize
from simulator.lowering.float_rescale import computes_in_float32, dequantized, float_table
from simulator.lowering.layer import Engine, Layer
from simulator.lowering.lookup import LookupConstants, build_table
from simulator.lowering.quantized import (
    integer_format,
    is_vector_integer,
    multiplier,
    operands,
    refuse,
    require_quantized,
    vector_layer,
)
from simulator.lowering.shifts import rescales_by_shifts, shift_rescale
from simulator.lowering.table import LowererTable
from simulator.numerics.formats import FLOAT32, INT32, IntFormat
from simulator.numerics.quant import QuantParams
from simulator.numerics.scalar import multiply_by_quantized_multiplier


@dataclass(frozen=True)
class RescaleConstants:
    """out = clamp(zero_out + M(x - zero_in)), in int32."""

    zero_in: int
    multiplier: int
    exponent: int
    zero_out: int
    minimum: int
    maximum: int


@dataclass(frozen=True)
class AffineConstants:
    """Scales and zero points that the host's float arithmetic uses; the arithmetic is float32, as TFLite's."""

    quant: QuantParams
    ties_even: bool = False
    """Round half to even and clamp before the zero point is added, as ONNX Runtime's QuantizeLinear."""


def _lower_quantize(
    node: Node, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], accelerator: Accelerator
) -> Layer:
    """Source: quantize.cc, reference/quantize.h and requantize.h of TFLite."""
    (x,) = operands(node, inputs, 1)
    out = outputs[0]
    format = integer_format(node, out)
    if out.quant is None:
        raise NetworkError(f"node {node.name} (Quantize): output {out.name} has no scale and zero point")
    layer = vector_layer(node, inputs, outputs, None, out.elements)
    if x.format == FLOAT32:
        if not is_vector_integer(out):
            refuse(node, f"float32 to {format}; the reference kernel gives at most 16 bits")
        single = computes_in_float32(node.op, accelerator)
        return replace(layer, engine=Engine.HOST, constants=AffineConstants(out.quant, single))
    source = integer_format(node, x)
    if (source.bits > 16 and source != INT32) or (format.bits > 16 and format != INT32) or x.quant is None:
        refuse(node, f"{source} to {format}; rescaling takes quantized integers of at most 16 bits, or int32")
    if rescales_by_shifts(accelerator, x, out):
        return replace(layer, constants=shift_rescale(node, x, out, accelerator))
    for tensor in (x, out):
        if tensor.format != INT32:
            require_quantized(node, tensor)
    if computes_in_float32(node.op, accelerator) and source.bits <= 16:
        table = float_table(node, dequantized(x), out, (format.min, format.max))
        return replace(layer, constants=LookupConstants(table))
    mantissa, exponent = multiplier(node, x.scale / out.scale)
    constants = RescaleConstants(x.zero_point, mantissa, exponent, out.zero_point, format.min, format.max)
    if source.bits > 8:
        return replace(layer, constants=constants)
    return replace(layer, constants=_table(constants, source, format))


def _table(c: RescaleConstants, source: IntFormat, format: IntFormat) -> LookupConstants:
    def function(value: int) -> int:
        return c.zero_out + multiply_by_quantized_multiplier(value - c.zero_in, c.multiplier, c.exponent)

    return LookupConstants(build_table(function, source, c.minimum, c.maximum, format.dtype))


def _lower_dequantize(
    node: Node, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], accelerator: Accelerator
) -> Layer:
    """Source: reference/dequantize.h of TFLite: float32 of the exact scale * (q - zero_point)."""
    (x,) = operands(node, inputs, 1)
    integer_format(node, x)
    if x.quant is None:
        raise NetworkError(f"node {node.name} (Dequantize): input {x.name} has no scale and zero point")
    if outputs[0].format != FLOAT32:
        refuse(node, f"the output is {outputs[0].format}; dequantize gives float32")
    layer = vector_layer(node, inputs, outputs, AffineConstants(x.quant), outputs[0].elements)
    return replace(layer, engine=Engine.HOST)


LOWERERS: LowererTable = {Quantize: _lower_quantize, Dequantize: _lower_dequantize}
