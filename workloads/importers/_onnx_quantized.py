"""Converters of operators that rescale: QuantizeLinear, DequantizeLinear, and ONNX Runtime's QLinear operators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from simulator.graph import ops
from simulator.graph.ops import Activation, Arithmetic, Op
from simulator.numerics.formats import FLOAT32, Format, IntFormat
from simulator.numerics.quant import QuantParams
from workloads.importers._onnx_draft import Value
from workloads.importers._onnx_elementwise import broadcast
from workloads.importers._onnx_images import average_pool, global_average
from workloads.importers._onnx_node import Converter, NodeView, Refused, axis_of
from workloads.importers._onnx_quant import as_read, params_at, single_params
from workloads.importers._onnx_reader import format_of

FLOAT = Arithmetic.FLOAT32


def _operand(view: NodeView, position: int) -> Value:
    """Return a value that is followed by its scale and zero point."""
    value = view.input(position)
    return as_read(view, value, params_at(view, position + 1, position + 2, value))


def _output(view: NodeView, scale_at: int, default: Format) -> tuple[QuantParams, Format]:
    """Scale and zero point of the output; the zero point's type is the output's."""
    zero = view.optional(scale_at + 1)
    return single_params(view, scale_at, scale_at + 1), default if zero is None else zero.format


def _per_axis(view: NodeView, value: Value) -> QuantParams:
    if view.attribute("block_size", 0):
        raise Refused(f"attribute block_size = {view.attribute('block_size')}; supported: 0 (no blocks)")
    if view.constant(1, "scale").size == 1:
        return params_at(view, 1, 2, value)
    return params_at(view, 1, 2, value, axis_of(int(view.attribute("axis", 1)), len(value.shape)))


def _quantize(view: NodeView) -> None:
    x, zero = view.input(0), view.optional(2)
    format = view.attribute("bittrue_format") or (zero.format if zero is not None else IntFormat(8, signed=False))
    if zero is None and view.attribute("output_dtype", 0):
        from onnx import TensorProto

        kind = TensorProto.DataType.Name(view.attribute("output_dtype"))
        if (format := format_of(kind)) is None:
            raise Refused(f"attribute output_dtype = {kind}; integers are read")
    if x.format != FLOAT32 or not isinstance(format, IntFormat) or format.bits > 16:
        raise Refused(f"{x.format} to {format}; supported: float32 to integers of at most 16 bits")
    quant, layout = _per_axis(view, x), view.layout(x)
    if quant.axis is not None:
        raise Refused(f"{len(quant.scale)} scales for a tensor that the network computes; one is read")
    view.emit(ops.Quantize(arithmetic=FLOAT), [view.read(x, layout)], x.shape, format, layout, quant)


def _dequantize(view: NodeView) -> None:
    value = view.input(0)
    if not isinstance(value.format, IntFormat):
        raise Refused(f"input {value.name} is {value.format}; integers are read")
    x = as_read(view, value, _per_axis(view, value))
    layout = view.layout(x)
    view.emit(ops.Dequantize(arithmetic=FLOAT), [view.read(x, layout)], x.shape, FLOAT32, layout)


def _requantize(view: NodeView) -> None:
    """From one integer scale to another: x, x_scale, x_zero, y_scale, y_zero."""
    x = _operand(view, 0)
    quant, format = _output(view, 3, x.format)
    layout = view.layout(x)
    view.emit(ops.Quantize(arithmetic=FLOAT), [view.read(x, layout)], x.shape, format, layout, quant)


def _binary(make: type[ops.Add] | type[ops.Sub] | type[ops.Mul], view: NodeView) -> None:
    a, b = _operand(view, 0), _operand(view, 3)
    quant, format = _output(view, 6, a.format)
    # The order in which ONNX Runtime adds depends on the axes that are broadcast; lowering knows them of images.
    shape, layout, names = broadcast(view, a, b, image=make is not ops.Mul)
    op = make(view.attribute("bittrue_activation", Activation.NONE), arithmetic=FLOAT)
    view.emit(op, names, shape, format, layout, quant)


def _unary(op: Op, view: NodeView) -> None:
    x = _operand(view, 0)
    quant, format = _output(view, 3, x.format)
    layout = view.layout(x)
    view.emit(op, [view.read(x, layout)], x.shape, format, layout, quant)


def _leaky_relu(view: NodeView) -> None:
    _unary(ops.LeakyRelu(float(view.attribute("alpha", 0.01)), arithmetic=FLOAT), view)


def _concat(view: NodeView) -> None:
    """y_scale, y_zero, then x, x_scale, x_zero of each."""
    values = [_operand(view, position) for position in range(2, len(view.raw.inputs), 3)]
    quant, format = _output(view, 0, values[0].format)
    join(view, values, ops.Concat(0, arithmetic=FLOAT), format, quant)


def join(view: NodeView, values: Sequence[Value], op: ops.Concat, format: Format, quant: QuantParams | None) -> None:
    """Emit a concatenation along attribute `axis`."""
    rank = len(values[0].shape)
    axis = axis_of(int(view.attribute("axis", 1)), rank)
    layout = view.layout(*values)
    size = sum(value.shape[axis] for value in values)
    shape = (*values[0].shape[:axis], size, *values[0].shape[axis + 1 :])
    names = [view.read(value, layout) for value in values]
    view.emit(replace(op, axis=layout.axis(axis)), names, shape, format, layout, quant)


def _global_average(view: NodeView) -> None:
    view.only("channels_last", 0)
    x = _operand(view, 0)
    quant, format = _output(view, 3, x.format)
    global_average(view, x, FLOAT, format, quant)


def _average_pool(view: NodeView) -> None:
    view.only("channels_last", 0)
    x = _operand(view, 0)
    quant, format = _output(view, 3, x.format)
    average_pool(view, x, FLOAT, format, quant)


def _dynamic(view: NodeView) -> None:
    raise Refused(
        "its scale is measured on every input, which no integer device with constants fixed beforehand can do; "
        "quantize the float model statically (onnxruntime.quantization.quantize_static), or load the float model and "
        "call net.quantize(images)"
    )


_FUNCTIONS: dict[str, Op] = {
    "com.microsoft.QLinearSigmoid": ops.Logistic(arithmetic=FLOAT),
    "bittrue.Sigmoid": ops.Logistic(arithmetic=FLOAT),
    "bittrue.Relu": ops.Relu(arithmetic=FLOAT),
    "bittrue.Relu6": ops.Relu6(arithmetic=FLOAT),
    "bittrue.Tanh": ops.Tanh(arithmetic=FLOAT),
    "bittrue.HardSwish": ops.HardSwish(arithmetic=FLOAT),
}

CONVERTERS: Mapping[str, Converter] = {
    "QuantizeLinear": _quantize,
    "DequantizeLinear": _dequantize,
    "DynamicQuantizeLinear": _dynamic,
    "bittrue.Requantize": _requantize,
    "com.microsoft.QuantizeLinear": _quantize,
    "com.microsoft.DequantizeLinear": _dequantize,
    "com.microsoft.QLinearAdd": partial(_binary, ops.Add),
    "bittrue.QLinearSub": partial(_binary, ops.Sub),
    "com.microsoft.QLinearMul": partial(_binary, ops.Mul),
    "com.microsoft.QLinearConcat": _concat,
    "com.microsoft.QLinearLeakyRelu": _leaky_relu,
    "bittrue.LeakyRelu": _leaky_relu,
    "com.microsoft.QLinearGlobalAveragePool": _global_average,
    "com.microsoft.QLinearAveragePool": _average_pool,
    **{name: partial(_unary, op) for name, op in _FUNCTIONS.items()},
}
