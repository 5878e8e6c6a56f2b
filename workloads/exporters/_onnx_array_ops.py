"""Writers of convolutions, transposed convolutions and products, all as QLinearConv."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.graph import ops
from simulator.graph.graph import Node
from simulator.graph.ops import Op
from simulator.numerics.formats import INT8, INT32
from workloads.exporters._onnx_file import FileWriter, Refused
from workloads.exporters._onnx_steps import Writer, clamped, inputs_of, integers, output_of, pads_of, reshaped


@dataclass(frozen=True)
class _Filters:
    """Weights [filters, channels, h, w] with one scale for all or for each, and a bias for each or none."""

    weights: NDArray[Any]
    scale: NDArray[np.float32]
    zero: NDArray[Any]
    bias: NDArray[Any] | None

    def repeated(self, weights: NDArray[Any], times: int) -> _Filters:
        """Return `weights`, made from these, with `times` filters of each one's scale and bias."""
        scale, zero = (v.repeat(times) if v.ndim else v for v in (self.scale, self.zero))
        return _Filters(weights, scale, zero, None if self.bias is None else self.bias.repeat(times))


def _filters(file: FileWriter, node: Node) -> _Filters:
    """Return constant weights, channels first, and bias; Refused where QLinearConv does not take them."""
    x, weights = inputs_of(file, node, 2)
    bias = file.graph.tensors[node.inputs[2]] if node.inputs[2:3] not in ((), ("",)) else None
    y = output_of(file, node)
    if getattr(node.op, "raw_accumulator", False):
        raise Refused("its output is the accumulator itself")
    if weights.data is None or weights.quant is None or weights.format.bits > 8:
        raise Refused(f"weights {weights.name} ({weights.format}) are not constant quantized integers of 8 bits")
    if x.format != y.format or (x.format == INT8 and weights.data.dtype != np.int8):
        formats = f"{x.format} x {weights.format} -> {y.format}"
        raise Refused(f"{formats}; ONNX Runtime takes x and y of one 8-bit format, and int8 weights with int8")
    zero = np.asarray(weights.quant.zero_point, weights.data.dtype)
    if np.unique(zero).size > 1:
        raise Refused(f"weights {weights.name} have several zero points; ONNX Runtime takes one")
    if bias is not None and (bias.data is None or bias.format != INT32 or len(bias.shape) != 1):
        raise Refused(f"bias {bias.name} ({bias.format} {list(bias.shape)}) is not a constant int32 per filter")
    single = weights.quant.axis is None
    scale = np.asarray(weights.quant.scale, np.float32)
    data = weights.data if weights.data.ndim == 4 else weights.data.reshape(*weights.shape[:1], 1, 1, -1)
    scale, zero = (scale.reshape(()), zero.reshape(())) if single else (scale, zero)
    return _Filters(data.transpose(0, 3, 1, 2), scale, zero, None if bias is None else bias.data)


def _convolved(file: FileWriter, node: Node, x: str, filters: _Filters, **attributes: Any) -> str:
    """Write a QLinearConv of `x`, channels first, and the fused activation."""
    (given,), y, name = inputs_of(file, node, 1), output_of(file, node), node.inputs[1]
    parts = (("", filters.weights), ("/scale", filters.scale), ("/zero_point", filters.zero))
    operands = [
        *(x, *file.params(given)),
        *(file.constant(f"{name}{suffix}", data) for suffix, data in parts),
        *file.params(y),
    ]
    if filters.bias is not None:
        operands.append(file.constant(node.inputs[2], filters.bias))
    shape = filters.weights.shape[2:]
    return clamped(file, node, file.emit("QLinearConv", operands, node.name, kernel_shape=shape, **attributes))


def _conv(file: FileWriter, node: Node) -> None:
    op = node.op
    assert isinstance(op, ops.Conv2D)
    filters = _filters(file, node)
    made = _convolved(
        file,
        node,
        file.channels_first(node.inputs[0]),
        filters,
        strides=op.stride,
        dilations=op.dilation,
        group=op.groups,
        pads=pads_of(op.padding),
    )
    file.give_channels_first(node.outputs[0], made)


def _fully_connected(file: FileWriter, node: Node) -> None:
    """Write a product as a 1 x 1 convolution: QLinearMatMul takes no bias."""
    filters, (x,) = _filters(file, node), inputs_of(file, node, 1)
    length = filters.weights.shape[1]
    pixels = reshaped(file, node, file.as_is(x.name), (x.elements // length, length, 1, 1))
    made = _convolved(file, node, pixels, filters)
    file.give(node.outputs[0], reshaped(file, node, made, output_of(file, node).shape))


def _transposed(file: FileWriter, node: Node) -> None:
    """Write a transposed convolution as a convolution that gives every phase of the stride, woven together.

    With stride s, output s * q + r (uncropped) is the sum over j of x[q - j] * w[s * j + r]: for each r a convolution
    with the flipped filter w[r], w[s + r], ..., whose missing last weights are the zero point.
    """
    op, (x,), y = node.op, inputs_of(file, node, 1), output_of(file, node)
    assert isinstance(op, ops.TransposeConv2D)
    filters = _filters(file, node)
    phases, crop = op.stride, (op.padding.top, op.padding.left)
    if min(crop) < 0:
        raise Refused(f"{op.padding}, which is negative")
    split = _phases(filters, phases)
    taps = split.weights.shape[2:]
    counts = [(crop[i] + op.output_size[i] - 1) // phases[i] + 1 for i in (0, 1)]
    after = [max(0, counts[i] - x.shape[i + 1]) for i in (0, 1)]
    source = file.channels_first(x.name)
    made = _convolved(file, node, source, split, pads=(taps[0] - 1, taps[1] - 1, *after))
    rows, columns = (x.shape[i + 1] + after[i] for i in (0, 1))
    batch, number = y.shape[0], y.shape[3]
    if phases != (1, 1):
        made = reshaped(file, node, made, (batch, number, *phases, rows, columns))
        made = file.emit("Transpose", [made], node.name, perm=(0, 1, 4, 2, 5, 3))
        made = reshaped(file, node, made, (batch, number, rows * phases[0], columns * phases[1]))
    if crop != (0, 0) or (rows * phases[0], columns * phases[1]) != tuple(op.output_size):
        ends = [crop[i] + op.output_size[i] for i in (0, 1)]
        bounds = (("begin", crop), ("end", ends), ("axes", (2, 3)))
        made = file.emit("Slice", [made, *(integers(file, node, what, v) for what, v in bounds)], node.name)
    file.give_channels_first(y.name, made)


def _phases(filters: _Filters, stride: tuple[int, int]) -> _Filters:
    """Return the filters of every phase, ordered (filter, row phase, column phase), flipped."""
    count, channels, *kernel = filters.weights.shape
    taps = [-(-kernel[i] // stride[i]) for i in (0, 1)]
    zero = np.broadcast_to(filters.zero, count).reshape(count, 1, 1, 1)
    whole = np.empty((count, channels, taps[0] * stride[0], taps[1] * stride[1]), filters.weights.dtype)
    whole[:] = zero
    whole[:, :, : kernel[0], : kernel[1]] = filters.weights
    parts = whole.reshape(count, channels, taps[0], stride[0], taps[1], stride[1])[:, :, ::-1, :, ::-1]
    ordered = parts.transpose(0, 3, 5, 1, 2, 4).reshape(-1, channels, *taps)
    return filters.repeated(ordered, stride[0] * stride[1])


WRITERS: Mapping[type[Op], Writer] = {
    ops.Conv2D: _conv,
    ops.FullyConnected: _fully_connected,
    ops.TransposeConv2D: _transposed,
}
