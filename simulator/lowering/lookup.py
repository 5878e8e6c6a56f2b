"""One-operand functions as tables over every stored value. Lane operations: one look-up per element.

Each table is the reference kernel's function, evaluated once for each value of the input's container.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.accelerator.spec import Accelerator
from simulator.graph.graph import Node, Tensor
from simulator.graph.ops import HardSwish, LeakyRelu, Logistic, Op, Relu, Relu6, ReluN1To1, Tanh
from simulator.lowering.float_functions import evaluate
from simulator.lowering.float_rescale import computes_in_float32, dequantized, float_table
from simulator.lowering.hard_swish import hard_swish_function
from simulator.lowering.layer import Layer
from simulator.lowering.quantized import (
    integer_format,
    is_quantized,
    lower_on_host,
    multiplier,
    operands,
    refuse,
    require_quantized,
    require_same_format,
    round_half_away,
    scale32,
    vector_layer,
)
from simulator.lowering.table import Lowerer, LowererTable
from simulator.numerics.formats import IntFormat
from simulator.numerics.scalar import multiply_by_quantized_multiplier

Function = Callable[[int], int]
"""Stored value -> stored value, before the clamp to the output's format."""


@dataclass(frozen=True, eq=False)
class LookupConstants:
    """out[i] = table[x[i] read as unsigned]."""

    table: NDArray[Any]
    """One output value per bit pattern of the input's container: 256 or 65536, dtype of the output."""


def build_table(function: Function, input_format: IntFormat, low: int, high: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Tabulate clamp(function(value), low, high) over the container of `input_format`, in order of its bit pattern."""
    container = IntFormat(input_format.dtype.itemsize * 8, input_format.signed)
    patterns = np.arange(1 << container.bits, dtype=np.uint64).astype(f"u{container.bits // 8}")
    values = patterns.view(input_format.dtype).tolist()
    return np.array([min(max(function(value), low), high) for value in values], dtype)


def _layer(
    node: Node, x: Tensor, out: Tensor, function: Function, low: int | None = None, high: int | None = None
) -> Layer:
    format = require_same_format(node, x, out)
    least, greatest = format.min if low is None else low, format.max if high is None else high
    table = build_table(function, format, least, greatest, format.dtype)
    return vector_layer(node, (x,), (out,), LookupConstants(table), out.elements)


def _rescale(mantissa: int, exponent: int, zero_in: int, zero_out: int) -> Function:
    return lambda value: zero_out + multiply_by_quantized_multiplier(value - zero_in, mantissa, exponent)


def _lower_relu(
    node: Node, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], accelerator: Accelerator
) -> Layer:
    """Source: activations.cc ReluPrepare (float32 factor) and QuantizedReluX of TFLite."""
    if not is_quantized(inputs[0]):
        return lower_on_host(node, inputs, outputs, accelerator)
    (x,) = operands(node, inputs, 1)
    out = outputs[0]
    require_quantized(node, x, out)
    format = require_same_format(node, x, out)
    ranges: dict[type[Op], tuple[float, float | None]] = {Relu: (0, None), Relu6: (0, 6), ReluN1To1: (-1, 1)}
    least, greatest = ranges[type(node.op)]
    low = max(format.min, _quantize(least, out))
    high = format.max if greatest is None else min(format.max, _quantize(greatest, out))
    mantissa, exponent = multiplier(node, float(scale32(x) / scale32(out)))
    return _layer(node, x, out, _rescale(mantissa, exponent, x.zero_point, out.zero_point), low, high)


def _quantize(real: float, tensor: Tensor) -> int:
    return tensor.zero_point + round_half_away(float(np.float32(real) / scale32(tensor)))


def _lower_leaky_relu(
    node: Node, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], accelerator: Accelerator
) -> Layer:
    """Source: activations.cc LeakyReluPrepare (float32 factors), reference/leaky_relu.h of TFLite."""
    assert isinstance(node.op, LeakyRelu)
    if not is_quantized(inputs[0]):
        return lower_on_host(node, inputs, outputs, accelerator)
    (x,) = operands(node, inputs, 1)
    out = outputs[0]
    require_quantized(node, x, out)
    identity = multiplier(node, float(scale32(x) / scale32(out)))
    slope = multiplier(node, float(scale32(x) * np.float32(node.op.alpha) / scale32(out)))
    positive = _rescale(*identity, x.zero_point, out.zero_point)
    negative = _rescale(*slope, x.zero_point, out.zero_point)
    zero = x.zero_point
    return _layer(node, x, out, lambda value: positive(value) if value >= zero else negative(value))


def _real_function(node: Node, x: Tensor, out: Tensor, transform: Callable[[np.float32], np.float32]) -> Function:
    """Dequantize, transform, quantize, each step in float32 (LUTPopulateInt8 in common.h of TFLite)."""
    scale, inverse = scale32(x), np.float32(1) / scale32(out)

    def function(value: int) -> int:
        real = scale * np.float32(value - x.zero_point)
        return round_half_away(float(transform(real) * inverse)) + out.zero_point

    return function


def _logistic(value: np.float32) -> np.float32:
    """1 / (1 + exp(-x)) in float32, the exponential rounded correctly (C libraries differ in its last bit)."""
    with np.errstate(over="ignore"):  # beyond float32 it is infinite, and the quotient 0
        exponential = np.float32(math.exp(min(-float(value), 700.0)))
    return np.float32(1) / (np.float32(1) + exponential)


def _tanh(value: np.float32) -> np.float32:
    """Correctly rounded to float32, as in glibc 2.41 and later; older ones are up to 2 units in the last place off.

    That moves a table entry only where the scaled value lies that near a tie: measured, 2 of 384,000 entries.
    """
    return np.float32(math.tanh(float(value)))


def _lower_real_function(
    node: Node, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], accelerator: Accelerator
) -> Layer:
    """Source: activations.cc SigmoidPrepare and TanhPrepare, kernel_type kReference, of TFLite."""
    if not is_quantized(inputs[0]):
        return lower_on_host(node, inputs, outputs, accelerator)
    (x,) = operands(node, inputs, 1)
    out = outputs[0]
    require_quantized(node, x, out)
    format = require_same_format(node, x, out)
    if format.bits > 8:
        refuse(node, f"operands are {format}; at most 8 bits are looked up")
    if isinstance(node.op, Logistic) and format.bits == 8 and scale32(out) != np.float32(1 / 256):
        refuse(node, f"the output scale is {out.scale}; the reference kernel takes 1/256 only")
    transform = _tanh if isinstance(node.op, Tanh) else _logistic
    return _layer(node, x, out, _real_function(node, x, out, transform))


def _lower_hard_swish(
    node: Node, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], accelerator: Accelerator
) -> Layer:
    if not is_quantized(inputs[0]):
        return lower_on_host(node, inputs, outputs, accelerator)
    (x,) = operands(node, inputs, 1)
    out = outputs[0]
    require_quantized(node, x, out)
    format = require_same_format(node, x, out)
    if format.bits > 8:
        refuse(node, f"operands are {format}; the reference kernel takes at most 8 bits")
    return _layer(node, x, out, hard_swish_function(node, x, out))


def _in_float32(fixed_point: Lowerer) -> Lowerer:
    """Tabulate the function as ONNX Runtime does where float32 arithmetic is asked for, else as `fixed_point` does."""

    def lower(
        node: Node, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], accelerator: Accelerator
    ) -> Layer:
        if not is_quantized(inputs[0]) or not computes_in_float32(node.op, accelerator):
            return fixed_point(node, inputs, outputs, accelerator)
        (x,) = operands(node, inputs, 1)
        out = outputs[0]
        require_quantized(node, x, out)
        format = integer_format(node, out)
        table = float_table(node, evaluate(node.op, dequantized(x)), out, (format.min, format.max))
        return vector_layer(node, (x,), (out,), LookupConstants(table), out.elements)

    return lower


LOWERERS: LowererTable = {
    **dict.fromkeys((Relu, Relu6, ReluN1To1), _in_float32(_lower_relu)),
    LeakyRelu: _in_float32(_lower_leaky_relu),
    Logistic: _in_float32(_lower_real_function),
    Tanh: _in_float32(_lower_real_function),
    HardSwish: _in_float32(_lower_hard_swish),
}
