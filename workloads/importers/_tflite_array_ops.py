"""Converters of the operators that run on the array: convolutions and fully connected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from simulator.graph.graph import Tensor
from simulator.graph.ops import Conv2D, FullyConnected, Padding, TransposeConv2D
from simulator.numerics.quant import QuantParams
from workloads.importers._tflite_node import (
    Converted,
    Converter,
    NodeView,
    Refused,
    activation,
    padding,
    refuse_mixed,
)


def _names(*tensors: Tensor | None) -> tuple[str, ...]:
    """Names, an absent optional tensor at the end left out."""
    return tuple(tensor.name for tensor in tensors if tensor is not None)


def _rank4(*tensors: Tensor) -> None:
    for tensor in tensors:
        if len(tensor.shape) != 4:
            raise ValueError(f"tensor {tensor.name} has shape {list(tensor.shape)}, four dimensions are needed")


def _conv(view: NodeView) -> Converted:
    x, weights, bias = view.input(0), view.input(1), view.optional(2)
    _rank4(x, weights)
    refuse_mixed(x, weights, view.output())
    options = view.options("Conv2DOptions")
    stride = (options.StrideH(), options.StrideW())
    dilation = (options.DilationHFactor(), options.DilationWFactor())
    if x.shape[3] % weights.shape[3]:
        raise ValueError(f"{x.shape[3]} channels with a filter of {weights.shape[3]}")
    op = Conv2D(
        stride=stride,
        padding=padding(options, x.shape[1:3], weights.shape[1:3], stride, dilation),
        dilation=dilation,
        groups=x.shape[3] // weights.shape[3],
        activation=activation(options),
    )
    return Converted(op, _names(x, weights, bias))


def _depthwise(view: NodeView) -> Converted:
    x, weights, bias = view.input(0), view.input(1), view.optional(2)
    _rank4(x, weights)
    refuse_mixed(x, weights, view.output())
    options = view.options("DepthwiseConv2DOptions")
    stride = (options.StrideH(), options.StrideW())
    dilation = (options.DilationHFactor(), options.DilationWFactor())
    channels = x.shape[3]
    # The stored depth_multiplier is not read: TFLite derives it from the shapes too (depthwise_conv.cc).
    if weights.shape[0] != 1 or weights.shape[3] % channels:
        raise ValueError(f"depthwise weights of shape {list(weights.shape)} for {channels} channels")
    filters = _filters_first(view, weights)
    op = Conv2D(
        stride=stride,
        padding=padding(options, x.shape[1:3], weights.shape[1:3], stride, dilation),
        dilation=dilation,
        groups=channels,
        activation=activation(options),
    )
    return Converted(op, _names(x, filters, bias), (filters,))


def _filters_first(view: NodeView, weights: Tensor) -> Tensor:
    """Depthwise weights [1, kh, kw, channels * multiplier] as [channels * multiplier, kh, kw, 1]."""
    if weights.data is None:
        raise Refused(f"weights {weights.name} are not constant")
    data = view.tensors.filters_first(weights)
    quant = weights.quant
    if quant is not None and quant.axis is not None:
        if quant.axis != 3:
            raise Refused(f"weights {weights.name} are quantized along axis {quant.axis}, not along the channels")
        quant = QuantParams(quant.scale, quant.zero_point, axis=0)
    return replace(weights, shape=data.shape, quant=quant, data=data)


def _transpose_conv(view: NodeView) -> Converted:
    height_width = view.ints(0, "output shape")
    weights, x, bias = view.input(1), view.input(2), view.optional(3)
    _rank4(x, weights)
    refuse_mixed(x, weights, view.output())
    options = view.options("TransposeConvOptions")
    if len(height_width) != 4:
        raise ValueError(f"output shape {list(height_width)}")
    size = (height_width[1], height_width[2])
    stride = (options.StrideH(), options.StrideW())
    crop = padding(options, size, weights.shape[1:3], stride)
    full = [(n - 1) * s + k for n, s, k in zip(x.shape[1:3], stride, weights.shape[1:3], strict=True)]
    # The reference kernel only knows where the result starts; what lies beyond the output is dropped.
    bottom, right = max(0, full[0] - crop.top - size[0]), max(0, full[1] - crop.left - size[1])
    op = TransposeConv2D(
        stride=stride,
        output_size=size,
        padding=Padding(crop.top, bottom, crop.left, right),
        activation=activation(options),
    )
    return Converted(op, _names(x, weights, bias))


def _fully_connected(view: NodeView) -> Converted:
    x, weights, bias = view.input(0), view.input(1), view.optional(2)
    refuse_mixed(x, weights, view.output())
    options = view.options("FullyConnectedOptions")
    if options.WeightsFormat() != 0:
        raise Refused(f"weights format {options.WeightsFormat()} (shuffled); only the default is read")
    # LiteRT's reference FULLY_CONNECTED rounds once, ties away, where its convolutions round twice (2.3.0).
    op = FullyConnected(activation=activation(options), keep_dims=bool(options.KeepNumDims()), single_rounding=True)
    return Converted(op, _names(x, weights, bias))


CONVERTERS: Mapping[str, Converter] = {
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "TRANSPOSE_CONV": _transpose_conv,
    "FULLY_CONNECTED": _fully_connected,
}
