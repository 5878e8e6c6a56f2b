"""A quantized network of ours as an ONNX model that ONNX Runtime fuses into integer operators.

QDQ form: every operator computes on dequantized inputs and its output is quantized again; the runtime recognises the
pattern. Activations are uint8, NCHW: an int8 value q with zero point z becomes q + 128 with z + 128, the same number.
Weights stay int8, symmetric per filter, and biases int32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from simulator.errors import NetworkError
from simulator.graph import ops
from simulator.graph.graph import Graph, Node, Tensor
from simulator.graph.ops import Activation, Op, Padding
from simulator.numerics.formats import INT8, INT32, UINT8

_OPSET = 17
_FILTERS_IN_CHANNELS_OUT = {ops.Conv2D: (0, 3, 1, 2), ops.TransposeConv2D: (3, 0, 1, 2)}
"""Our weights' axes in ONNX's order."""


def qdq_model(graph: Graph) -> onnx.ModelProto:
    """Return an integer network as an ONNX model: its inputs and outputs by the same names, uint8 NCHW.

    A label map keeps its layout and becomes int64.

    Raises
    ------
    NetworkError
        An operator, a format or an attribute that has no counterpart here; names the node.

    """
    writer = _Writer(graph)
    for node in graph.nodes:
        writer.write(node)
    inputs = [_value(tensor) for tensor in graph.input_tensors]
    outputs = [helper.make_tensor_value_info(name, writer.type_of(name), None) for name in graph.outputs]
    model = helper.make_graph(writer.nodes, graph.name, inputs, outputs, writer.constants)
    return helper.make_model(model, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=8)


def onnx_input(tensor: Tensor, value: NDArray[Any]) -> NDArray[np.uint8]:
    """Return an input [n, h, w, c] of ours as the model takes it."""
    return np.ascontiguousarray(codes(tensor, value).transpose(0, 3, 1, 2))


def codes(tensor: Tensor, value: NDArray[Any]) -> NDArray[np.uint8]:
    """Return stored values of an 8-bit tensor as the uint8 that the model holds."""
    return (value.astype(np.int16) - tensor.format.min).astype(np.uint8)


def _value(tensor: Tensor) -> onnx.ValueInfoProto:
    batch, height, width, channels = tensor.shape
    return helper.make_tensor_value_info(tensor.name, TensorProto.UINT8, (batch, channels, height, width))


class _Writer:
    """Nodes and constants of the model; a quantized tensor bears the name it has in our graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._names = 0
        self._labels: set[str] = set()

    def write(self, node: Node) -> None:
        """Write one node of ours."""
        convert = _CONVERTERS.get(type(node.op))
        if convert is None:
            raise NetworkError(f"node {node.name}: no ONNX counterpart of {node.op.kind}")
        convert(self, node)

    def type_of(self, name: str) -> int:
        """ONNX's type of an output."""
        return TensorProto.INT64 if name in self._labels else TensorProto.UINT8

    def emit(self, kind: str, inputs: Sequence[str], output: str | None = None, **attributes: Any) -> str:
        """Add a node and return its output's name."""
        output = output or self._fresh(kind)
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=f"{kind}:{output}", **attributes))
        return output

    def constant(self, value: NDArray[Any] | np.generic) -> str:
        """Add a constant and return its name."""
        name = self._fresh("constant")
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def real(self, name: str) -> str:
        """Dequantize an activation."""
        return self.emit("DequantizeLinear", [name, *self._parameters(self._activation(name))])

    def real_weights(self, node: Node) -> str:
        """Dequantize a convolution's weights, transposed to ONNX's order."""
        tensor = self.graph.tensors[node.inputs[1]]
        if tensor.data is None or tensor.format != INT8 or tensor.quant is None or any(tensor.quant.zero_point):
            raise NetworkError(f"node {node.name}: weights are int8 constants with zero point 0")
        order = _FILTERS_IN_CHANNELS_OUT[type(node.op)]
        weights = self.constant(np.ascontiguousarray(tensor.data.transpose(order)))
        filters = tensor.shape[0]
        scales = self.constant(tensor.quant.scales(filters).astype(np.float32))
        zeros = self.constant(np.zeros(filters, np.int8))
        return self.emit("DequantizeLinear", [weights, scales, zeros], axis=order.index(0))

    def real_bias(self, node: Node) -> list[str]:
        """Dequantize a convolution's bias; [] where it has none."""
        tensor = self.graph.tensors[node.inputs[2]] if len(node.inputs) > 2 and node.inputs[2] else None
        if tensor is None:
            return []
        x, weights = (self.graph.tensors[name] for name in node.inputs[:2])
        if tensor.data is None or tensor.format != INT32 or weights.quant is None:
            raise NetworkError(f"node {node.name}: the bias is an int32 constant")
        filters = tensor.shape[0]
        scales = np.float32(x.scale) * weights.quant.scales(filters).astype(np.float32)
        parameters = [self.constant(scales), self.constant(np.zeros(filters, np.int32))]
        return [self.emit("DequantizeLinear", [self.constant(tensor.data), *parameters], axis=0)]

    def quantized(self, real: str, node: Node) -> None:
        """Apply the node's activation to a real value and quantize it to the node's output."""
        activation = getattr(node.op, "activation", Activation.NONE)
        if activation is Activation.RELU:
            real = self.emit("Relu", [real])
        elif activation is not Activation.NONE:
            raise NetworkError(f"node {node.name}: no ONNX counterpart of activation {activation}")
        output = node.outputs[0]
        self.emit("QuantizeLinear", [real, *self._parameters(self._activation(output))], output)

    def labels(self, name: str) -> None:
        """Take note that an output holds indices."""
        self._labels.add(name)

    def _activation(self, name: str) -> Tensor:
        tensor = self.graph.tensors[name]
        if tensor.format not in (INT8, UINT8) or tensor.is_constant or len(tensor.shape) != 4:
            raise NetworkError(f"tensor {name}: activations are int8 or uint8 images, not {tensor.format} constants")
        return tensor

    def _parameters(self, tensor: Tensor) -> list[str]:
        assert tensor.format in (INT8, UINT8)
        zero_point = np.uint8(tensor.zero_point - tensor.format.min)
        return [self.constant(np.float32(tensor.scale)), self.constant(zero_point)]

    def _fresh(self, kind: str) -> str:
        self._names += 1
        return f"{kind}/{self._names}"


def _pads(padding: Padding) -> list[int]:
    return [padding.top, padding.left, padding.bottom, padding.right]


def _convolution(writer: _Writer, node: Node) -> None:
    op = node.op
    assert isinstance(op, ops.Conv2D)
    inputs = [writer.real(node.inputs[0]), writer.real_weights(node), *writer.real_bias(node)]
    kernel = writer.graph.tensors[node.inputs[1]].shape[1:3]
    real = writer.emit(
        "Conv",
        inputs,
        kernel_shape=kernel,
        strides=op.stride,
        dilations=op.dilation,
        group=op.groups,
        pads=_pads(op.padding),
    )
    writer.quantized(real, node)


def _transposed_convolution(writer: _Writer, node: Node) -> None:
    op = node.op
    assert isinstance(op, ops.TransposeConv2D)
    _, *size, _ = writer.graph.tensors[node.inputs[0]].shape
    kernel = writer.graph.tensors[node.inputs[1]].shape[1:3]
    full = [(side - 1) * stride + taps for side, stride, taps in zip(size, op.stride, kernel, strict=True)]
    top, left = op.padding.top, op.padding.left
    # The rest of the full result is cropped, whatever the padding says of the far side: output_size decides.
    pads = [top, left, full[0] - top - op.output_size[0], full[1] - left - op.output_size[1]]
    if min(pads) < 0:
        raise NetworkError(f"node {node.name}: an output beyond the full result has no ONNX counterpart")
    inputs = [writer.real(node.inputs[0]), writer.real_weights(node), *writer.real_bias(node)]
    writer.quantized(writer.emit("ConvTranspose", inputs, kernel_shape=kernel, strides=op.stride, pads=pads), node)


def _add(writer: _Writer, node: Node) -> None:
    writer.quantized(writer.emit("Add", [writer.real(name) for name in node.inputs]), node)


def _max_pool(writer: _Writer, node: Node) -> None:
    op = node.op
    assert isinstance(op, ops.MaxPool2D)
    x = writer.real(node.inputs[0])
    pads = _pads(op.padding)
    writer.quantized(writer.emit("MaxPool", [x], kernel_shape=op.kernel, strides=op.stride, pads=pads), node)


def _mean(writer: _Writer, node: Node) -> None:
    op = node.op
    assert isinstance(op, ops.Mean)
    if op.axes != (1, 2) or not op.keep_dims:
        raise NetworkError(f"node {node.name}: only the mean over height and width, axes kept, has a counterpart")
    writer.quantized(writer.emit("GlobalAveragePool", [writer.real(node.inputs[0])]), node)


def _concat(writer: _Writer, node: Node) -> None:
    op = node.op
    assert isinstance(op, ops.Concat)
    if op.axis not in (3, -1):
        raise NetworkError(f"node {node.name}: only channels are joined, not axis {op.axis}")
    writer.quantized(writer.emit("Concat", [writer.real(name) for name in node.inputs], axis=1), node)


def _resize(writer: _Writer, node: Node) -> None:
    op = node.op
    assert isinstance(op, ops.ResizeBilinear)
    batch, _, _, channels = writer.graph.tensors[node.inputs[0]].shape
    size = writer.constant(np.array([batch, channels, *op.size], np.int64))
    aligned = "align_corners" if op.align_corners else "asymmetric"
    mode = "half_pixel" if op.half_pixel_centers else aligned
    inputs = [writer.real(node.inputs[0]), "", "", size]
    writer.quantized(writer.emit("Resize", inputs, mode="linear", coordinate_transformation_mode=mode), node)


def _arg_max(writer: _Writer, node: Node) -> None:
    op = node.op
    assert isinstance(op, ops.ArgMax)
    if op.axis not in (3, -1):
        raise NetworkError(f"node {node.name}: only the greatest channel has a counterpart, not axis {op.axis}")
    writer.emit("ArgMax", [writer.real(node.inputs[0])], node.outputs[0], axis=1, keepdims=0)
    writer.labels(node.outputs[0])


_CONVERTERS: Mapping[type[Op], Callable[[_Writer, Node], None]] = {
    ops.Conv2D: _convolution,
    ops.TransposeConv2D: _transposed_convolution,
    ops.Add: _add,
    ops.MaxPool2D: _max_pool,
    ops.Mean: _mean,
    ops.Concat: _concat,
    ops.ResizeBilinear: _resize,
    ops.ArgMax: _arg_max,
}
