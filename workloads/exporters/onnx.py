"""An integer network as ONNX (QOperator): ONNX Runtime gives the integers of our run with requantizer ``float32``.

Only what ONNX Runtime computes with the same integers is written: convolutions and products (QLinearConv forms its
factor and rounds in float32), and what moves or compares values. Sums, means and bilinear resizing have another
arithmetic there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from simulator.errors import NetworkError, Unsupported, UnsupportedOp
from simulator.graph import ops
from simulator.graph.graph import Graph, Node
from simulator.graph.ops import Activation, Op
from simulator.lowering.quantized import activation_range
from simulator.numerics.formats import INT32, IntFormat
from workloads.exporters._onnx_file import FileWriter, Refused

OPSET = 17
"""First with everything that is written here; ONNX Runtime reads it since 1.12."""
IR_VERSION = 8


def onnx_bytes(graph: Graph, path: Path) -> bytes:
    """Return the .onnx file of an integer network.

    Parameters
    ----------
    graph
        With values. Inputs and outputs keep their names, formats and layout (images: channels last).
    path
        Of the file to be, for messages.

    Raises
    ------
    UnsupportedOp
        Lists every node that cannot be written, with the reason.
    NetworkError
        The package `onnx` is missing, or more than 2 GiB.

    """
    try:
        import onnx
    except ImportError as error:
        raise NetworkError(f"{path}: writing .onnx needs the package onnx: pip install onnx ({error})") from None
    file = FileWriter(graph)
    problems = []
    for node in graph.nodes:
        writer = WRITERS.get(type(node.op))
        try:
            if writer is None:
                raise Refused("ONNX Runtime has no operator that gives the same integers")
            for tensor in graph.tensors_of((*node.inputs, *node.outputs)):
                if tensor is not None:
                    file.check(tensor)
            writer(file, node)
        except Refused as reason:
            problems.append(Unsupported(node.name, node.op.kind, str(reason)))
            for name in node.outputs:  # so that the nodes that read them are judged too
                file.give(name, name)
    if problems:
        raise UnsupportedOp(problems, f"{path}: {graph.name}")
    imports = [onnx.helper.make_opsetid("", OPSET)]
    model = onnx.helper.make_model(
        file.finished(), opset_imports=imports, ir_version=IR_VERSION, producer_name="bittrue"
    )
    try:
        content: bytes = model.SerializeToString()
    except ValueError as error:
        raise NetworkError(f"{path}: an .onnx file in one piece holds at most 2 GiB ({error})") from None
    return content


def _activation(node: Node) -> Activation:
    return Activation(getattr(node.op, "activation", Activation.NONE))


def _clamped(file: FileWriter, node: Node, made: str) -> str:
    """Write the fused activation where it narrows the output's format, and return what then stands."""
    y = file.graph.tensors[node.outputs[0]]
    assert isinstance(y.format, IntFormat)
    low, high = activation_range(_activation(node), y, y.format)
    if (low, high) == (y.format.min, y.format.max):
        return made
    limits = [
        file.constant(f"{node.name}/{what}", np.asarray(v, y.format.dtype))
        for what, v in (("low", low), ("high", high))
    ]
    return file.emit("Clip", [made, *limits], node.name)


def _qlinear_conv(file: FileWriter, node: Node, x: str, data: Any, **attributes: Any) -> str:
    """Write a QLinearConv of `x`, channels first, with weights `data` [filters, channels, h, w]."""
    given, weights, bias = (*file.graph.tensors_of(node.inputs), None)[:3]
    y = file.graph.tensors[node.outputs[0]]
    assert given is not None
    assert weights is not None
    if weights.data is None or weights.quant is None or weights.format.bits != 8:
        raise Refused(f"weights {weights.name} ({weights.format}) are not constant quantized 8-bit integers")
    operands = [x, *file.params(given), file.constant(weights.name, data), *file.params(weights), *file.params(y)]
    if bias is not None:
        if bias.data is None or bias.format != INT32 or len(bias.shape) != 1:
            raise Refused(f"bias {bias.name} ({bias.format} {list(bias.shape)}) is not a constant int32 per filter")
        operands.append(file.constant(bias.name, bias.data))
    return _clamped(file, node, file.emit("QLinearConv", operands, node.name, **attributes))


def _conv(file: FileWriter, node: Node) -> None:
    op, weights = node.op, file.graph.tensors[node.inputs[1]]
    assert isinstance(op, ops.Conv2D)
    assert weights.data is not None
    made = _qlinear_conv(
        file,
        node,
        file.channels_first(node.inputs[0]),
        weights.data.transpose(0, 3, 1, 2),
        kernel_shape=weights.shape[1:3],
        strides=op.stride,
        dilations=op.dilation,
        group=op.groups,
        pads=_pads(op.padding),
    )
    file.give_channels_first(node.outputs[0], made)


def _pads(padding: ops.Padding) -> tuple[int, int, int, int]:
    return padding.top, padding.left, padding.bottom, padding.right


def _fully_connected(file: FileWriter, node: Node) -> None:
    """Write a product as a 1 x 1 convolution: QLinearMatMul takes no bias."""
    op, x, weights = node.op, file.graph.tensors[node.inputs[0]], file.graph.tensors[node.inputs[1]]
    assert isinstance(op, ops.FullyConnected)
    if op.raw_accumulator or weights.data is None:
        raise Refused("its output is the accumulator itself" if op.raw_accumulator else "its weights are not constant")
    filters, length = weights.shape
    pixels = _reshaped(file, node, file.as_is(x.name), (x.elements // length, length, 1, 1))
    made = _qlinear_conv(file, node, pixels, weights.data.reshape(filters, length, 1, 1), kernel_shape=(1, 1))
    file.give(node.outputs[0], _reshaped(file, node, made, file.graph.tensors[node.outputs[0]].shape))


def _reshaped(file: FileWriter, node: Node, x: str, shape: ArrayLike) -> str:
    return file.emit("Reshape", [x, file.constant(f"{node.name}/shape", np.asarray(shape, np.int64))], node.name)


def _same_scale(file: FileWriter, node: Node) -> None:
    y = file.graph.tensors[node.outputs[0]]
    for x in file.graph.tensors_of(node.inputs):
        if x is not None and (x.quant, x.format) != (y.quant, y.format):
            raise Refused(f"input {x.name} has another scale than output {y.name}; ONNX's operator does not rescale")


def _max_pool(file: FileWriter, node: Node) -> None:
    op = node.op
    assert isinstance(op, ops.MaxPool2D)
    _same_scale(file, node)
    if any(p >= k for p, k in zip(_pads(op.padding), (*op.kernel, *op.kernel), strict=True)):
        raise Refused(f"{op.padding} is not less than the window {op.kernel}, as ONNX Runtime demands")
    x = file.channels_first(node.inputs[0])
    made = file.emit("MaxPool", [x], node.name, kernel_shape=op.kernel, strides=op.stride, pads=_pads(op.padding))
    file.give_channels_first(node.outputs[0], _clamped(file, node, made))


def _concat(file: FileWriter, node: Node) -> None:
    assert isinstance(node.op, ops.Concat)
    _same_scale(file, node)
    rank = len(file.graph.tensors[node.outputs[0]].shape)
    parts = [file.as_is(name) for name in node.inputs]
    made = file.emit("Concat", parts, node.name, axis=node.op.axis % rank)
    file.give(node.outputs[0], _clamped(file, node, made))


def _reshape(file: FileWriter, node: Node) -> None:
    _same_scale(file, node)
    y = file.graph.tensors[node.outputs[0]]
    file.give(y.name, _reshaped(file, node, file.as_is(node.inputs[0]), y.shape))


def _transpose(file: FileWriter, node: Node) -> None:
    assert isinstance(node.op, ops.Transpose)
    _same_scale(file, node)
    made = file.emit("Transpose", [file.as_is(node.inputs[0])], node.name, perm=node.op.permutation)
    file.give(node.outputs[0], made)


def _pad(file: FileWriter, node: Node) -> None:
    op, x = node.op, file.graph.tensors[node.inputs[0]]
    assert isinstance(op, ops.Pad)
    _same_scale(file, node)
    flat = [before for before, _ in op.paddings] + [after for _, after in op.paddings]
    sizes = file.constant(f"{node.name}/pads", np.asarray(flat, np.int64))
    value = file.constant(f"{node.name}/value", np.asarray(op.value, x.format.dtype))
    file.give(node.outputs[0], file.emit("Pad", [file.as_is(x.name), sizes, value], node.name))


def _arg_max(file: FileWriter, node: Node) -> None:
    assert isinstance(node.op, ops.ArgMax)
    made = file.emit("ArgMax", [file.as_is(node.inputs[0])], node.name, axis=node.op.axis, keepdims=0)
    kind = file.type_of(file.graph.tensors[node.outputs[0]])
    file.give(node.outputs[0], file.emit("Cast", [made], node.name, to=kind))


WRITERS: Mapping[type[Op], Callable[[FileWriter, Node], None]] = {
    ops.Conv2D: _conv,
    ops.FullyConnected: _fully_connected,
    ops.MaxPool2D: _max_pool,
    ops.Concat: _concat,
    ops.Reshape: _reshape,
    ops.Transpose: _transpose,
    ops.Pad: _pad,
    ops.ArgMax: _arg_max,
}
"""Operator -> how to write it."""
