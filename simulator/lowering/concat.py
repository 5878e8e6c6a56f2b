"""Concatenation. Equal scales: pure movement by the DMA. Unequal: one table look-up per element that is rescaled."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.accelerator.spec import Accelerator
from simulator.graph.graph import Node, Tensor
from simulator.graph.ops import Activation, Concat
from simulator.lowering.float_rescale import computes_in_float32, dequantized, float_table
from simulator.lowering.layer import Engine, Layer
from simulator.lowering.lookup import build_table
from simulator.lowering.quantized import (
    integer_format,
    is_vector_integer,
    lower_on_host,
    operands,
    refuse,
    require_quantized,
    require_same_format,
    round_half_away,
    scale32,
    vector_layer,
)
from simulator.lowering.shifts import ShiftRescaleConstants, rescales_by_shifts, shift_rescale
from simulator.lowering.table import LowererTable
from simulator.numerics.formats import UINT8, IntFormat


@dataclass(frozen=True, eq=False)
class ConcatConstants:
    """Where to join, and the table that takes each input to the output's scale."""

    axis: int
    tables: tuple[NDArray[Any] | None, ...]
    """One per input; None = copied."""
    shifts: tuple[ShiftRescaleConstants | None, ...] = ()
    """One per input on a device that rescales by shifts, None = copied; else empty."""


def _lower_concat(
    node: Node, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], accelerator: Accelerator
) -> Layer:
    """Source: concatenation.cc, ConcatenationWithScaling in reference/concatenation.h of TFLite."""
    assert isinstance(node.op, Concat)
    if not is_vector_integer(inputs[0]):
        return lower_on_host(node, inputs, outputs, accelerator)
    parts = operands(node, inputs)
    out = outputs[0]
    if rescales_by_shifts(accelerator, *parts, out):
        return _lower_shifted(node, parts, out, accelerator)
    format = integer_format(node, out)
    if not all(part.format == format for part in parts) and not computes_in_float32(node.op, accelerator):
        require_same_format(node, *parts, out)
    if node.op.activation is not Activation.NONE:
        refuse(node, f"fused activation {node.op.activation}; the reference kernel takes none")
    single = computes_in_float32(node.op, accelerator)
    tables = tuple(None if _same(part, out) else _table(node, part, out, format, single) for part in parts)
    rescaled = sum(part.elements for part, table in zip(parts, tables, strict=True) if table is not None)
    layer = vector_layer(node, inputs, outputs, ConcatConstants(node.op.axis % len(out.shape), tables), rescaled)
    return layer if rescaled else replace(layer, engine=Engine.DMA)


def _lower_shifted(node: Node, parts: list[Tensor], out: Tensor, accelerator: Accelerator) -> Layer:
    """Shift the inputs of other scale, zero point or format to those of the output."""
    assert isinstance(node.op, Concat)
    if node.op.activation is not Activation.NONE:
        refuse(node, f"fused activation {node.op.activation}; concatenation takes none")
    shifts = tuple(
        None if _same(part, out) and part.format == out.format else shift_rescale(node, part, out, accelerator)
        for part in parts
    )
    rescaled = sum(part.elements for part, shift in zip(parts, shifts, strict=True) if shift is not None)
    constants = ConcatConstants(node.op.axis % len(out.shape), (None,) * len(parts), shifts)
    layer = vector_layer(node, parts, (out,), constants, rescaled)
    return layer if rescaled else replace(layer, engine=Engine.DMA)


def _same(part: Tensor, out: Tensor) -> bool:
    if part.format != out.format:
        return False
    if part.quant is None or out.quant is None:
        return part.quant is None and out.quant is None
    return part.quant.zero_point == out.quant.zero_point and part.quant.scale == out.quant.scale


def _table(node: Node, part: Tensor, out: Tensor, format: IntFormat, single: bool) -> NDArray[Any]:
    """Rescale in float32, as the kernel does for each element; `single`: as ONNX Runtime's QLinearConcat."""
    if single:
        require_quantized(node, part, out)
        return float_table(node, dequantized(part), out, (format.min, format.max))
    if format != UINT8:
        refuse(node, f"{part.name} has {part.quant}, {out.name} has {out.quant}; only uint8 is rescaled while joining")
    require_quantized(node, part, out)
    scale = scale32(part) * (np.float32(1) / scale32(out))
    bias = np.float32(-part.zero_point) * scale

    def function(value: int) -> int:
        return round_half_away(float(np.float32(value) * scale + bias)) + out.zero_point

    return build_table(function, format, format.min, format.max, format.dtype)


LOWERERS: LowererTable = {Concat: _lower_concat}
