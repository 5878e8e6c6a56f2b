"""Writers of the operators that run on the array."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from simulator.graph.graph import Node, Tensor
from simulator.graph.ops import Conv2D, FullyConnected, Op, Padding, TransposeConv2D
from workloads.exporters._tflite_context import (
    ACTIVATIONS,
    SAME,
    VALID,
    Context,
    Refused,
    Writer,
    bias_of,
    padding_scheme,
    same_padding,
    weights_of,
)


def _conv(context: Context, node: Node) -> None:
    op, x, y = node.op, context.input(node, 0), context.output(node)
    assert isinstance(op, Conv2D)
    weights = weights_of(x, context.input(node, 1))
    bias = bias_of(x, weights, context.optional(node, 2))
    x, scheme = _padded(context, x, y, op, weights.shape[1:3])
    fields = {
        "Padding": scheme,
        "StrideH": op.stride[0],
        "StrideW": op.stride[1],
        "DilationHFactor": op.dilation[0],
        "DilationWFactor": op.dilation[1],
        "FusedActivationFunction": ACTIVATIONS[op.activation],
    }
    if op.groups > 1 and op.groups == x.shape[3]:
        fields["DepthMultiplier"] = weights.shape[0] // x.shape[3]
        inputs = [x, _channels_last(context, weights), bias]
        context.emit("DEPTHWISE_CONV_2D", inputs, [y], "DepthwiseConv2DOptions", **fields)
    else:
        context.emit("CONV_2D", [x, weights, bias], [y], "Conv2DOptions", **fields)


def _channels_last(context: Context, weights: Tensor) -> Tensor:
    """Return weights [filters, h, w, 1] as depthwise ones are stored, [1, h, w, filters]."""
    assert weights.data is not None
    assert weights.quant is not None
    data = np.ascontiguousarray(weights.data.transpose(3, 1, 2, 0))
    quant = weights.quant if weights.quant.axis is None else replace(weights.quant, axis=3)
    return replace(weights, shape=data.shape, data=data, quant=quant)


def _padded(context: Context, x: Tensor, y: Tensor, op: Conv2D, kernel: tuple[int, ...]) -> tuple[Tensor, int]:
    """Input and padding scheme; zeros that SAME does not place become an operator of their own."""
    scheme = padding_scheme(op.padding, (x.shape[1:3], y.shape[1:3]), kernel, op.stride, op.dilation)
    if scheme is not None:
        return x, scheme
    return pad(context, x, op.padding), VALID


def pad(context: Context, x: Tensor, padding: Padding, fill: int | None = None) -> Tensor:
    """Write a PAD of rows and columns, with zeros or with the stored integer `fill`, and return what it gives."""
    rows = ((0, 0), (padding.top, padding.bottom), (padding.left, padding.right), (0, 0))
    shape = tuple(before + n + after for n, (before, after) in zip(x.shape, rows, strict=True))
    padded = context.fresh(x, "padded", shape=shape, data=None)
    stored = context.ints(padded.name, "paddings", rows)
    if fill is None:
        context.emit("PAD", [x, stored], [padded], "PadOptions")
    else:
        value = context.fresh(x, "fill", shape=(1,), data=np.asarray([fill], x.format.dtype))
        context.emit("PADV2", [x, stored, value], [padded], "PadV2Options")
    return padded


def _transpose_conv(context: Context, node: Node) -> None:
    op, x, y = node.op, context.input(node, 0), context.output(node)
    assert isinstance(op, TransposeConv2D)
    weights = weights_of(x, context.input(node, 1))
    bias = bias_of(x, weights, context.optional(node, 2))
    start = (op.padding.top, op.padding.left)
    scheme, written = _transpose_scheme(op, x.shape[1:3], weights.shape[1:3]), y
    if scheme is None:
        # The whole result, and the part that is wanted cut from it.
        axes = zip(x.shape[1:3], op.stride, weights.shape[1:3], start, op.output_size, strict=True)
        size = [max((n - 1) * s + k, first + wanted) for n, s, k, first, wanted in axes]
        if _transpose_scheme(TransposeConv2D(op.stride, (size[0], size[1])), x.shape[1:3], weights.shape[1:3]) is None:
            raise Refused(f"output size {op.output_size} reaches further past the input than TFLite allows")
        written = context.fresh(y, "whole", shape=(y.shape[0], *size, y.shape[3]))
    context.emit(
        "TRANSPOSE_CONV",
        [context.ints(node.name, "size", written.shape), weights, x, bias],
        [written],
        "TransposeConvOptions",
        Padding=VALID if scheme is None else scheme,
        StrideH=op.stride[0],
        StrideW=op.stride[1],
        FusedActivationFunction=ACTIVATIONS[op.activation],
    )
    if scheme is None:
        begin, size_ = context.ints(node.name, "begin", (0, *start, 0)), context.ints(node.name, "cut", y.shape)
        context.emit("SLICE", [written, begin, size_], [y], "SliceOptions")


def _transpose_scheme(op: TransposeConv2D, size: tuple[int, ...], kernel: tuple[int, ...]) -> int | None:
    """Return SAME or VALID, of which the forward convolution takes the output to the input (transpose_conv.cc)."""
    axes = list(zip(size, op.output_size, kernel, op.stride, (op.padding.top, op.padding.left), strict=True))
    if all(first == 0 and (out - k + s) // s == n for n, out, k, s, first in axes):
        return VALID
    if all(first == same_padding(out, k, s, 1)[0] and -(-out // s) == n for n, out, k, s, first in axes):
        return SAME
    return None


def _fully_connected(context: Context, node: Node) -> None:
    op, x, y = node.op, context.input(node, 0), context.output(node)
    assert isinstance(op, FullyConnected)
    if op.raw_accumulator:
        raise Refused("its output is the accumulator itself, which no TFLite operator gives")
    weights = weights_of(x, context.input(node, 1))
    bias = bias_of(x, weights, context.optional(node, 2))
    activation = ACTIVATIONS[op.activation]
    if op.single_rounding:
        inputs = [x, weights, bias]
        keep = int(op.keep_dims)
        options = "FullyConnectedOptions"
        context.emit("FULLY_CONNECTED", inputs, [y], options, FusedActivationFunction=activation, KeepNumDims=keep)
        return
    # TFLite's reference FULLY_CONNECTED rounds once, its convolutions twice, as this node does.
    filters, length = weights.shape
    flat = context.fresh(x, "pixels", shape=(x.elements // length, 1, 1, length), data=None)
    product = context.fresh(y, "pixels", shape=(flat.shape[0], 1, 1, filters))
    assert weights.data is not None
    shape = (filters, 1, 1, length)
    context.emit("RESHAPE", [x, context.ints(node.name, "flat", flat.shape)], [flat])
    inputs = [flat, replace(weights, shape=shape, data=weights.data.reshape(shape)), bias]
    fields = {"Padding": VALID, "StrideH": 1, "StrideW": 1, "FusedActivationFunction": activation}
    context.emit("CONV_2D", inputs, [product], "Conv2DOptions", **fields)
    context.emit("RESHAPE", [product, context.ints(node.name, "shape", y.shape)], [y])


WRITERS: Mapping[type[Op], Writer] = {
    Conv2D: _conv,
    TransposeConv2D: _transpose_conv,
    FullyConnected: _fully_connected,
}
