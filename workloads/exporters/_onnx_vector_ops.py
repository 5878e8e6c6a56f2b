"""Writers of element-wise operators, pools, reductions and bilinear resizing, with ONNX Runtime's float32 rescaling."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from simulator.graph import ops
from simulator.graph.graph import Node, Tensor
from simulator.graph.ops import Arithmetic, Op
from simulator.lowering.quantized import scale32
from simulator.numerics.formats import BOOL, FLOAT32, IntFormat
from simulator.numerics.quant import QuantParams
from workloads.exporters._onnx_file import FileWriter, Refused
from workloads.exporters._onnx_steps import (
    Writer,
    clamped,
    inputs_of,
    integers,
    output_of,
    pads_of,
    require_eight_bits,
    require_same_scale,
    reshaped,
)

_MS = "com.microsoft"
_TANH_ERROR = 1e-6
"""More than ONNX Runtime's tanh deviates: a quotient of polynomials in float32 (mlas/lib/tanh.cpp), a few 2^-24."""


def _quantized(file: FileWriter, values: Sequence[str], tensors: Sequence[Tensor]) -> list[str]:
    """Return each value with its scale and zero point behind it."""
    return [part for value, tensor in zip(values, tensors, strict=True) for part in (value, *file.params(tensor))]


def _binary(code: str, file: FileWriter, node: Node) -> None:
    """Write QLinearAdd or QLinearMul. Of different shapes images stand channels first: the order of adding follows."""
    tensors, y = inputs_of(file, node, 2), output_of(file, node)
    require_eight_bits(*tensors, y)
    differ = tensors[0].shape != tensors[1].shape
    if differ and len(y.shape) == 4:
        values, first = [_as_image(file, node, tensor) for tensor in tensors], True
    else:
        values, first = file.together([tensor.name for tensor in tensors])
    made = file.emit(f"{_MS}.{code}", [*_quantized(file, values, tensors), *file.params(y)], node.name)
    file.give_in(y.name, clamped(file, node, made), first)


def _as_image(file: FileWriter, node: Node, tensor: Tensor) -> str:
    """Return the value of an operand of four axes or fewer, channels first."""
    if len(tensor.shape) == 4:
        return file.channels_first(tensor.name)
    shape = (*(1,) * (4 - len(tensor.shape)), *tensor.shape)
    value = reshaped(file, node, file.as_is(tensor.name), shape)
    return file.emit("Transpose", [value], node.name, perm=(0, 3, 1, 2))


def _extremum(code: str, file: FileWriter, node: Node) -> None:
    tensors = inputs_of(file, node, 2)
    require_same_scale(file, node)
    values, first = file.together([tensor.name for tensor in tensors])
    file.give_in(node.outputs[0], file.emit(code, values, node.name), first)


def _concat(file: FileWriter, node: Node) -> None:
    op, y = node.op, output_of(file, node)
    assert isinstance(op, ops.Concat)
    tensors = inputs_of(file, node, len(node.inputs))
    values, first = file.together(node.inputs)
    axis = op.axis % len(y.shape)
    axis = (0, 2, 3, 1)[axis] if first else axis
    if all((tensor.quant, tensor.format) == (y.quant, y.format) for tensor in tensors):
        made = file.emit("Concat", values, node.name, axis=axis)
    else:
        require_eight_bits(*tensors, y)
        operands = [*file.params(y), *_quantized(file, values, tensors)]
        made = file.emit(f"{_MS}.QLinearConcat", operands, node.name, axis=axis)
    file.give_in(y.name, clamped(file, node, made), first)


def _curve(code: str, file: FileWriter, node: Node, **attributes: Any) -> None:
    """Write an operator that ONNX Runtime tabulates."""
    (x,), y = inputs_of(file, node, 1), output_of(file, node)
    require_eight_bits(x, y)
    values, first = file.together([x.name])
    operands = [*_quantized(file, values, [x]), *file.params(y)]
    file.give_in(y.name, file.emit(f"{_MS}.{code}", operands, node.name, **attributes), first)


def _leaky_relu(file: FileWriter, node: Node) -> None:
    assert isinstance(node.op, ops.LeakyRelu)
    _curve("QLinearLeakyRelu", file, node, alpha=node.op.alpha)


def _in_float(code: str | None, limits: Sequence[float], file: FileWriter, node: Node) -> None:
    """Write a one-operand function between DequantizeLinear and QuantizeLinear: exact, as each value passes alone."""
    (x,), y = inputs_of(file, node, 1), output_of(file, node)
    require_eight_bits(x)
    require_eight_bits(y)
    values, first = file.together([x.name])
    made = file.emit("DequantizeLinear", _quantized(file, values, [x]), node.name)
    bounds = [file.constant(f"{node.name}/limit", np.asarray(limit, np.float32)) for limit in limits]
    made = made if code is None else file.emit(code, [made, *bounds], node.name)
    file.give_in(y.name, file.emit("QuantizeLinear", [made, *file.params(y)], node.name), first)


def _quantize(file: FileWriter, node: Node) -> None:
    (x,), y = inputs_of(file, node, 1), output_of(file, node)
    if x.format != FLOAT32:
        _in_float(None, (), file, node)
        return
    require_eight_bits(y)
    values, first = file.together([x.name])
    file.give_in(y.name, file.emit("QuantizeLinear", [*values, *file.params(y)], node.name), first)


def _dequantize(file: FileWriter, node: Node) -> None:
    (x,) = inputs_of(file, node, 1)
    require_eight_bits(x)
    values, first = file.together([x.name])
    made = file.emit("DequantizeLinear", _quantized(file, values, [x]), node.name)
    file.give_in(node.outputs[0], made, first)


def _cast(file: FileWriter, node: Node) -> None:
    (x,), y = inputs_of(file, node, 1), output_of(file, node)
    if not isinstance(x.format, IntFormat) and x.format != BOOL:
        raise Refused(f"a cast of {x.format}, whose values beyond {y.format} no standard gives")
    values, first = file.together([x.name])
    file.give_in(y.name, file.emit("Cast", values, node.name, to=file.type_of(y)), first)


def _window(node: Node) -> dict[str, Any]:
    op = node.op
    assert isinstance(op, ops.MaxPool2D | ops.AveragePool2D)
    if any(p >= k for p, k in zip(pads_of(op.padding), (*op.kernel, *op.kernel), strict=True)):
        raise Refused(f"{op.padding} is not less than the window {op.kernel}, as ONNX Runtime demands")
    return {"kernel_shape": op.kernel, "strides": op.stride, "pads": pads_of(op.padding)}


def _max_pool(file: FileWriter, node: Node) -> None:
    (x,), y = inputs_of(file, node, 1), output_of(file, node)
    require_eight_bits(x, y)
    require_same_scale(file, node)
    made = file.emit("MaxPool", [file.channels_first(x.name)], node.name, **_window(node))
    file.give_channels_first(y.name, clamped(file, node, made))


def _average_pool(file: FileWriter, node: Node) -> None:
    op, (x,), y = node.op, inputs_of(file, node, 1), output_of(file, node)
    assert isinstance(op, ops.AveragePool2D)
    require_eight_bits(x, y)
    operands = [*_quantized(file, [file.channels_first(x.name)], [x]), *file.params(y)]
    counted = {**_window(node), "count_include_pad": int(op.count_padding)}
    made = file.emit(f"{_MS}.QLinearAveragePool", operands, node.name, **counted)
    file.give_channels_first(y.name, clamped(file, node, made))


def _mean(file: FileWriter, node: Node) -> None:
    op, (x,), y = node.op, inputs_of(file, node, 1), output_of(file, node)
    assert isinstance(op, ops.Mean)
    require_eight_bits(x, y)
    if len(x.shape) != 4 or {axis % 4 for axis in op.axes} != {1, 2}:
        raise Refused(f"a mean over axes {op.axes} of {list(x.shape)}; ONNX Runtime has one over height and width")
    operands = [*_quantized(file, [file.channels_first(x.name)], [x]), *file.params(y)]
    made = file.emit(f"{_MS}.QLinearGlobalAveragePool", operands, node.name)
    if op.keep_dims:
        file.give_channels_first(y.name, made)
    else:
        file.give(y.name, reshaped(file, node, made, y.shape))


def _reduce_max(file: FileWriter, node: Node) -> None:
    op, (x,) = node.op, inputs_of(file, node, 1)
    assert isinstance(op, ops.ReduceMax)
    require_same_scale(file, node)
    axes = sorted({axis % len(x.shape) for axis in op.axes})
    made = file.emit("ReduceMax", [file.as_is(x.name)], node.name, axes=axes, keepdims=int(op.keep_dims))
    file.give(node.outputs[0], made)


def _arg_max(file: FileWriter, node: Node) -> None:
    assert isinstance(node.op, ops.ArgMax)
    (x,) = inputs_of(file, node, 1)
    made = file.emit("ArgMax", [file.as_is(x.name)], node.name, axis=node.op.axis % len(x.shape), keepdims=0)
    kind = file.type_of(output_of(file, node))
    file.give(node.outputs[0], file.emit("Cast", [made], node.name, to=kind))


def _bilinear(file: FileWriter, node: Node) -> None:
    """Write a Resize of integers, which drops the fraction; to round to nearest, of the integers as floats."""
    op, (x,), y = node.op, inputs_of(file, node, 1), output_of(file, node)
    assert isinstance(op, ops.ResizeBilinear)
    require_eight_bits(x, y)
    require_same_scale(file, node)
    mode = "align_corners" if op.align_corners else "half_pixel" if op.half_pixel_centers else "asymmetric"
    sizes = integers(file, node, "sizes", (x.shape[0], x.shape[3], *op.size))
    nearest, made = op.arithmetic is Arithmetic.FLOAT32, file.channels_first(x.name)
    # Scale 1 and zero point 0 leave the integers as they are: float32 holds them, and QuantizeLinear rounds to even.
    unit = file.params(replace(y, name=f"{node.name}/integers", quant=QuantParams.per_tensor(1.0))) if nearest else ()
    made = file.emit("DequantizeLinear", [made, *unit], node.name) if nearest else made
    operands = [made, "", "", sizes]
    made = file.emit("Resize", operands, node.name, mode="linear", coordinate_transformation_mode=mode)
    made = file.emit("QuantizeLinear", [made, *unit], node.name) if nearest else made
    file.give_channels_first(y.name, made)


def _tanh(file: FileWriter, node: Node) -> None:
    """Write the float operator where no value lies so near a tie that its approximation could decide it."""
    (x,), y = inputs_of(file, node, 1), output_of(file, node)
    require_eight_bits(x, y)
    step, format = float(scale32(y)), x.format
    assert isinstance(format, IntFormat)
    for value in range(format.min, format.max + 1):
        scaled = math.tanh(float(scale32(x)) * (value - x.zero_point)) / step
        if abs(scaled - math.floor(scaled) - 0.5) * step < _TANH_ERROR:
            raise Refused(
                f"tanh of {value} is {scaled:.5f} steps of the output, a tie within the error of ONNX Runtime's "
                "approximation; another output scale would work"
            )
    _in_float("Tanh", (), file, node)


def _without(reason: str, file: FileWriter, node: Node) -> None:
    raise Refused(reason)


WRITERS: Mapping[type[Op], Writer] = {
    ops.Add: partial(_binary, "QLinearAdd"),
    ops.Mul: partial(_binary, "QLinearMul"),
    ops.Maximum: partial(_extremum, "Max"),
    ops.Minimum: partial(_extremum, "Min"),
    ops.Concat: _concat,
    ops.Logistic: partial(_curve, "QLinearSigmoid"),
    ops.LeakyRelu: _leaky_relu,
    ops.Relu: partial(_in_float, "Relu", ()),
    ops.Relu6: partial(_in_float, "Clip", (0, 6)),
    ops.ReluN1To1: partial(_in_float, "Clip", (-1, 1)),
    ops.HardSwish: partial(_in_float, "HardSwish", ()),
    ops.Quantize: _quantize,
    ops.Dequantize: _dequantize,
    ops.Cast: _cast,
    ops.MaxPool2D: _max_pool,
    ops.AveragePool2D: _average_pool,
    ops.Mean: _mean,
    ops.ReduceMax: _reduce_max,
    ops.ArgMax: _arg_max,
    ops.ResizeBilinear: _bilinear,
    ops.Tanh: _tanh,
    ops.Softmax: partial(
        _without,
        "its exponentials are fixed-point numbers (gemmlowp), and ONNX Runtime's softmax, quantized or float, "
        "sums float32 ones; a .tflite file has the operator",
    ),
    ops.Sub: partial(_without, "ONNX Runtime has no difference of quantized integers"),
}
"""Operator -> how to write it."""
