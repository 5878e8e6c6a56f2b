"""Converters of element-wise operators, in float32 or on plain integers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import numpy as np

from simulator.graph import ops
from simulator.graph.ops import Op
from simulator.numerics.formats import FLOAT32, INT8, INT32, INT64, UINT8, Format, IntFormat
from workloads.importers._onnx_draft import Layout, Value
from workloads.importers._onnx_node import Converter, NodeView, Refused
from workloads.importers._onnx_reader import format_of

_UNARY = {
    name.capitalize(): name for name in ("sqrt", "exp", "log", "abs", "neg", "floor", "ceil", "round", "sin", "cos")
}
_CLIPS: dict[tuple[float, float], Op] = {
    (0.0, float("inf")): ops.Relu(),
    (0.0, 6.0): ops.Relu6(),
    (-1.0, 1.0): ops.ReluN1To1(),
}


def unary(view: NodeView, op: Op, x: Value | None = None) -> None:
    """Emit a one-operand operator in the layout that its operand is held in."""
    x = view.input(0) if x is None else x
    layout = view.layout(x)
    view.emit(op, [view.read(x, layout)], x.shape, x.format, layout, x.quant)


def operand(view: NodeView, value: Value, rank: int, layout: Layout) -> str:
    """Return our tensor of an operand that is broadcast: an image's is given four axes first."""
    if layout is Layout.FILE or value.shape in ((), (1,)):
        return view.read(value, Layout.FILE)
    if len(value.shape) == rank:
        return view.read(value, layout)
    shape = (*(1,) * (rank - len(value.shape)), *value.shape)
    if value.data is not None:
        return view.read(replace(value, shape=shape, data=value.data.reshape(shape)), layout)
    source = view.reshaped(view.read(value, Layout.FILE), shape, f"{value.name}_as_image")
    return view.read(replace(value, shape=shape, held={Layout.FILE: source}), layout)


def broadcast(view: NodeView, *values: Value, image: bool = False) -> tuple[tuple[int, ...], Layout, list[str]]:
    """Return the shape (as in the file) and layout of the result, and our tensors of the operands.

    `image`: take four axes for an image whatever the operands are held in, where their shapes differ.
    """
    shape = tuple(np.broadcast_shapes(*(value.shape for value in values)))
    layout = view.layout(*values) if len(shape) == 4 else Layout.FILE
    if image and len(shape) == 4 and len({value.shape for value in values}) > 1:
        layout = Layout.IMAGE
    if layout is Layout.FILE:
        # Ours broadcast as NumPy does, so that a constant may keep fewer axes.
        return shape, layout, [view.read(value, Layout.FILE) for value in values]
    return shape, layout, [operand(view, value, 4, layout) for value in values]


def _check_numbers(view: NodeView, x: Value) -> None:
    """Refuse sums and the like of stored integers, which mean nothing without their scales."""
    if x.format not in (FLOAT32, INT32, INT64):
        hint = f"; com.microsoft.QLinear{view.raw.op} would work" if view.raw.op in ("Add", "Mul") else ""
        raise Refused(f"{view.raw.op} of {x.format}; supported: float32, int32, int64{hint}")


def _binary(make: Callable[[], Op], view: NodeView) -> None:
    a, b = view.input(0), view.input(1)
    _check_numbers(view, a)
    if a.quant != b.quant:
        raise Refused(f"operands of scales {a.quant} and {b.quant}; this operator does not rescale")
    if isinstance(make(), ops.Div) and a.format != FLOAT32:
        raise Refused(f"a quotient of {a.format} (C's division); only float32 is read")
    shape, layout, names = broadcast(view, a, b)
    view.emit(make(), names, shape, a.format, layout, a.quant)


def _several(make: Callable[[], Op], view: NodeView) -> None:
    """Sum, Max and Min of any number of operands."""
    values = [view.input(position) for position in range(len(view.raw.inputs))]
    if view.raw.op == "Sum" or values[0].format not in (INT8, UINT8):
        _check_numbers(view, values[0])
    if len({value.quant for value in values}) > 1:
        raise Refused("operands of several scales; this operator does not rescale")
    if len(values) == 1:
        view.bind(values[0])
        return
    result = values[0]
    for index, value in enumerate(values[1:-1]):
        shape, layout, names = broadcast(view, result, value)
        name = view.step(make(), names, layout.shape(shape), value.format, f"part{index}", value.quant)
        result = Value(name, shape, value.format, value.quant, held={layout: name})
    shape, layout, names = broadcast(view, result, values[-1])
    view.emit(make(), names, shape, result.format, layout, result.quant)


def _clip(view: NodeView) -> None:
    low, high = (_limit(view, position, name) for position, name in ((1, "min"), (2, "max")))
    clip(view, view.input(0), float("-inf") if low is None else low, float("inf") if high is None else high)


def _limit(view: NodeView, position: int, name: str) -> float | None:
    if view.opset < 11:
        found = view.attribute(name)
        return None if found is None or abs(found) >= np.finfo(np.float32).max else float(found)
    stored = view.optional_constant(position, f"{name} of the clip")
    return None if stored is None else float(stored.ravel()[0])


def clip(view: NodeView, x: Value, low: float, high: float) -> None:
    """Emit min(max(x, low), high)."""
    if np.isinf([low, high]).all():
        view.bind(x)
        return
    if x.format == FLOAT32 and (low, high) in _CLIPS:
        unary(view, _CLIPS[low, high], x)
        return
    if low > high:
        raise Refused(f"a clip to [{low}, {high}], which is empty")
    layout = view.layout(x)
    bounds = [(ops.Maximum(), low), (ops.Minimum(), high)]
    wanted = [(op, limit) for op, limit in bounds if not np.isinf(limit)]
    name = view.read(x, layout)
    for index, (op, limit) in enumerate(wanted):
        stored = np.asarray(limit, x.format.dtype).reshape(1)
        bound = view.constant_tensor(f"limit{index}", stored, x.quant)
        if index + 1 < len(wanted):
            name = view.step(op, [name, bound], layout.shape(x.shape), x.format, "raised", x.quant)
        else:
            view.emit(op, [name, bound], x.shape, x.format, layout, x.quant)


def _hard_sigmoid(view: NodeView) -> None:
    """max(0, min(1, alpha * x + beta))."""
    x, layout = view.input(0), view.layout(view.input(0))
    shape = layout.shape(x.shape)
    alpha, beta = (np.full(1, view.attribute(n, d), np.float32) for n, d in (("alpha", 0.2), ("beta", 0.5)))
    scaled = view.step(
        ops.Mul(), [view.read(x, layout), view.constant_tensor("alpha", alpha)], shape, FLOAT32, "scaled"
    )
    moved = view.step(ops.Add(), [scaled, view.constant_tensor("beta", beta)], shape, FLOAT32, "moved")
    clip(view, replace(x, held={layout: moved}), 0.0, 1.0)


def _batch_norm(view: NodeView) -> None:
    view.only("training_mode", 0)
    view.only("spatial", 1)
    if len(view.raw.outputs) > 1:
        raise Refused("more than one output (statistics of training); one is read")
    x = view.input(0)
    layout = Layout.IMAGE if len(x.shape) == 4 else Layout.FILE
    if len(x.shape) not in (2, 4):
        raise Refused(f"a batch norm on shape {list(x.shape)}; two or four axes are read")
    if view.quantized:
        _affine(view, x, layout)
        return
    parameters = [view.constant_tensor(f"p{i}", view.constant(i, "parameter").astype(np.float32)) for i in range(1, 5)]
    op = ops.BatchNorm(float(view.attribute("epsilon", 1e-5)))
    view.emit(op, [view.read(x, layout), *parameters], x.shape, FLOAT32, layout)


def _affine(view: NodeView, x: Value, layout: Layout) -> None:
    """Emit a batch norm as a product and a sum, which the host computes."""
    gamma, beta, mean, variance = (view.constant(i, "parameter").astype(np.float64) for i in range(1, 5))
    gain = gamma / np.sqrt(variance + float(view.attribute("epsilon", 1e-5)))
    factors = [
        view.constant_tensor(n, v.astype(np.float32)) for n, v in (("gain", gain), ("offset", beta - mean * gain))
    ]
    shape = layout.shape(x.shape)
    scaled = view.step(ops.Mul(), [view.read(x, layout), factors[0]], shape, FLOAT32, "scaled")
    view.emit(ops.Add(), [scaled, factors[1]], x.shape, FLOAT32, layout)


def _cast(view: NodeView) -> None:
    from onnx import TensorProto

    x, kind = view.input(0), TensorProto.DataType.Name(view.attribute("to", 0))
    target: Format | None = format_of(kind)
    if target is None:
        raise Refused(f"attribute to = {kind}; float32, bool and integers are read")
    if target.bits < 8:
        raise Refused(f"attribute to = {kind}; integers of 8 bits and more are read")
    if isinstance(x.format, IntFormat) and x.quant is not None:
        x = replace(x, quant=None)
    if target == x.format:
        view.bind(x)
        return
    layout = view.layout(x)
    view.emit(ops.Cast(), [view.read(x, layout)], x.shape, target, layout)


def _prelu(view: NodeView) -> None:
    shape, layout, names = broadcast(view, view.input(0), view.input(1))
    if shape != view.input(0).shape:
        raise Refused(f"a slope of shape {list(view.input(1).shape)} that widens x")
    view.emit(ops.PRelu(), names, shape, FLOAT32, layout)


def _leaky_relu(view: NodeView) -> None:
    unary(view, ops.LeakyRelu(float(view.attribute("alpha", 0.01))))


def _same(view: NodeView) -> None:
    view.bind(view.input(0))


def _dropout(view: NodeView) -> None:
    training = view.optional_constant(2, "training_mode")
    if training is not None and bool(training.ravel()[0]):
        raise Refused("training_mode = True; a network that runs drops nothing")
    if len(view.raw.outputs) > 1 and view.raw.outputs[1]:
        raise Refused("its mask is read; only the first output is")
    view.bind(view.input(0))


CONVERTERS: Mapping[str, Converter] = {
    **{
        name: partial(_binary, op)
        for name, op in (("Add", ops.Add), ("Sub", ops.Sub), ("Mul", ops.Mul), ("Div", ops.Div))
    },
    **{name: partial(_several, op) for name, op in (("Sum", ops.Add), ("Max", ops.Maximum), ("Min", ops.Minimum))},
    **{name: partial(unary, op=ops.Unary(function)) for name, function in _UNARY.items()},
    "Relu": partial(unary, op=ops.Relu()),
    "Sigmoid": partial(unary, op=ops.Logistic()),
    "Tanh": partial(unary, op=ops.Tanh()),
    "HardSwish": partial(unary, op=ops.HardSwish()),
    "HardSigmoid": _hard_sigmoid,
    "LeakyRelu": _leaky_relu,
    "PRelu": _prelu,
    "Clip": _clip,
    "BatchNormalization": _batch_norm,
    "Cast": _cast,
    "Identity": _same,
    "Dropout": _dropout,
}
