"""Converters of the operators that run on the array: convolutions and products with constant weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.graph import ops
from simulator.graph.ops import Activation, Padding
from simulator.numerics.formats import FLOAT32, INT32, Format
from simulator.numerics.quant import QuantParams
from workloads.importers._onnx_draft import Layout, Value
from workloads.importers._onnx_node import Converter, NodeView, Refused
from workloads.importers._onnx_quant import as_read, params_at, single_params
from workloads.importers._onnx_windows import window_of


@dataclass(frozen=True)
class _Operands:
    """What a convolution or product works on."""

    x: Value
    weights: Value
    bias: Value | None
    format: Format
    """Of the output."""
    quant: QuantParams | None
    """Of the output."""

    @property
    def raw(self) -> bool:
        """Whether the accumulator itself is the output."""
        return self.format == INT32


def _constant(value: Value, what: str) -> NDArray[Any]:
    if value.data is None:
        raise Refused(f"{what} {value.name} are not constant; only constant ones are read")
    return value.data


def _float(view: NodeView) -> _Operands:
    return _Operands(view.input(0), view.input(1), view.optional(2), FLOAT32, None)


def _qlinear(view: NodeView, channel_axis: int) -> _Operands:
    """x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, bias; without y_scale the accumulator is given."""
    x = as_read(view, view.input(0), params_at(view, 1, 2, view.input(0)))
    weights = view.input(3)
    weights = replace(weights, quant=params_at(view, 4, 5, weights, channel_axis))
    quant = single_params(view, 6, 7) if view.optional(6) else None
    if quant is None:
        return _Operands(x, weights, view.optional(8), INT32, None)
    return _Operands(x, weights, view.optional(8), view.input(7).format if view.optional(7) else x.format, quant)


def _integer(view: NodeView, channel_axis: int) -> _Operands:
    """x, w, x_zero, w_zero: zero points without scales."""
    x, weights = view.input(0), view.input(1)
    x = as_read(view, x, params_at(view, None, 2, x))
    return _Operands(x, replace(weights, quant=params_at(view, None, 3, weights, channel_axis)), None, INT32, None)


def _first_axis(quant: QuantParams | None) -> QuantParams | None:
    return quant if quant is None or quant.axis is None else replace(quant, axis=0)


def _inputs(view: NodeView, x: str, of: _Operands, weights: NDArray[Any], bias: NDArray[Any] | None) -> list[str]:
    name = view.constant_tensor("weights", weights, _first_axis(of.weights.quant))
    tensor = view.draft.tensors[name]
    view.draft.tensors[name] = replace(tensor, format=of.weights.format)
    return [x, name] if bias is None else [x, name, view.constant_tensor("bias", bias)]


def _bias(of: _Operands, filters: int) -> NDArray[Any] | None:
    if of.bias is None:
        return None
    bias = _constant(of.bias, "biases")
    if bias.size not in (1, filters):
        raise Refused(
            f"bias {of.bias.name} has shape {list(bias.shape)}; one value for each of {filters} outputs is read"
        )
    return np.broadcast_to(bias.reshape(-1), (filters,))


def _activation(view: NodeView) -> Activation:
    found: Activation = view.attribute("bittrue_activation", Activation.NONE)
    return found


def _convolve(view: NodeView, of: _Operands) -> None:
    weights = _constant(of.weights, "filters")
    window = window_of(view, of.x, weights.shape[2:])
    if weights.ndim != 4:
        raise Refused(f"filters {of.weights.name} have {weights.ndim} axes; 4 are read")
    groups = int(view.attribute("group", 1))
    if weights.shape[1] * groups != of.x.shape[1]:
        raise ValueError(f"filters of {weights.shape[1]} channels in {groups} groups for {of.x.shape[1]} channels")
    op = ops.Conv2D(
        stride=window.stride,
        padding=window.padding,
        dilation=window.dilation,
        groups=groups,
        activation=_activation(view),
        raw_accumulator=of.raw,
    )
    inputs = _inputs(view, view.image(of.x), of, weights.transpose(0, 2, 3, 1), _bias(of, len(weights)))
    shape = (of.x.shape[0], len(weights), *window.size)
    view.emit(op, inputs, shape, of.format, Layout.IMAGE, of.quant)


def _convolve_transposed(view: NodeView, of: _Operands) -> None:
    weights = _constant(of.weights, "filters")
    view.only("group", 1)
    view.only("dilations", (1, 1), (1, 1), None)
    if of.raw:
        raise Refused("the accumulator of a transposed convolution is not given out; quantize its output")
    stride = tuple(view.attribute("strides", (1, 1)))
    padding, size = _transposed_size(view, of.x, weights.shape[2:], stride)
    op = ops.TransposeConv2D((stride[0], stride[1]), size, padding, _activation(view))
    inputs = _inputs(view, view.image(of.x), of, weights.transpose(1, 2, 3, 0), _bias(of, weights.shape[1]))
    view.emit(op, inputs, (of.x.shape[0], weights.shape[1], *size), of.format, Layout.IMAGE, of.quant)


def _transposed_size(
    view: NodeView, x: Value, kernel: tuple[int, ...], stride: tuple[int, ...]
) -> tuple[Padding, tuple[int, int]]:
    """Crop and output size; `output_shape` and SAME share the crop as ONNX's specification of ConvTranspose says."""
    if len(x.shape) != 4:
        raise Refused(f"{x.name} has shape {list(x.shape)}; only images of two dimensions are read")
    extra = tuple(view.attribute("output_padding", (0, 0)))
    full = [(x.shape[i + 2] - 1) * stride[i] + kernel[i] + extra[i] for i in (0, 1)]
    auto = view.only("auto_pad", "NOTSET", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")
    wanted = view.attribute("output_shape")
    if wanted is None and auto in ("SAME_UPPER", "SAME_LOWER"):
        wanted = [x.shape[i + 2] * stride[i] for i in (0, 1)]
    if wanted is None:
        pads = tuple(view.attribute("pads", (0, 0, 0, 0))) if auto == "NOTSET" else (0, 0, 0, 0)
        size = tuple(full[i] - pads[i] - pads[i + 2] for i in (0, 1))
        return Padding(pads[0], pads[2], pads[1], pads[3]), (size[0], size[1])
    total = [max(0, full[i] - wanted[i]) for i in (0, 1)]
    begin = [t - t // 2 if auto != "SAME_UPPER" else t // 2 for t in total]
    padding = Padding(begin[0], total[0] - begin[0], begin[1], total[1] - begin[1])
    return padding, (int(wanted[0]), int(wanted[1]))


def _multiply(view: NodeView, of: _Operands, weights: NDArray[Any], bias: NDArray[Any] | None) -> None:
    """X [..., k] times constant weights [k, n]."""
    if weights.ndim != 2 or not of.x.shape:
        raise Refused(f"operands of shapes {list(of.x.shape)} and {list(weights.shape)}; the second has two axes")
    if of.x.shape[-1] != weights.shape[0]:
        raise ValueError(f"operands of shapes {list(of.x.shape)} and {list(weights.shape)}")
    op = ops.FullyConnected(activation=_activation(view), keep_dims=True, raw_accumulator=of.raw)
    inputs = _inputs(view, view.read(of.x, Layout.FILE), of, weights.T, bias)
    view.emit(op, inputs, (*of.x.shape[:-1], weights.shape[1]), of.format, quant=of.quant)


def _matmul(view: NodeView, of: _Operands) -> None:
    if of.weights.data is None:
        raise Refused(f"a product of two tensors that the network computes ({of.x.name}, {of.weights.name})")
    _multiply(view, of, of.weights.data, _bias(of, of.weights.shape[-1]))


def _gemm(view: NodeView, of: _Operands, alpha: float = 1.0, beta: float = 1.0) -> None:
    view.only("transA", 0)
    weights = _constant(of.weights, "weights")
    weights = weights.T if view.attribute("transB", 0) else weights
    bias = _bias(of, weights.shape[1])
    if of.format == FLOAT32:
        weights = weights * np.float32(alpha)
        bias = None if bias is None else bias * np.float32(beta)
    _multiply(view, of, weights, bias)


def _float_gemm(view: NodeView) -> None:
    _gemm(view, _float(view), float(view.attribute("alpha", 1.0)), float(view.attribute("beta", 1.0)))


def _float_matmul(view: NodeView) -> None:
    _matmul(view, replace(_float(view), bias=None))


def _quantized_gemm(view: NodeView) -> None:
    """Read a, a_scale, a_zero, b, b_scale, b_zero, bias, y_scale, y_zero."""
    view.only("alpha", 1.0)
    order = (0, 1, 2, 3, 4, 5, 7, 8, 6)
    names = [view.raw.inputs[i] if i < len(view.raw.inputs) else "" for i in order]
    view = replace(view, raw=replace(view.raw, inputs=tuple(names)))
    _gemm(view, _qlinear(view, 0 if view.attribute("transB", 0) else 1))


CONVERTERS: Mapping[str, Converter] = {
    "Conv": lambda view: _convolve(view, _float(view)),
    "QLinearConv": lambda view: _convolve(view, _qlinear(view, 0)),
    "ConvInteger": lambda view: _convolve(view, _integer(view, 0)),
    "ConvTranspose": lambda view: _convolve_transposed(view, _float(view)),
    "bittrue.QLinearConvTranspose": lambda view: _convolve_transposed(view, _qlinear(view, 1)),
    "MatMul": _float_matmul,
    "QLinearMatMul": lambda view: _matmul(view, _qlinear(view, 1)),
    "MatMulInteger": lambda view: _matmul(view, _integer(view, 1)),
    "Gemm": _float_gemm,
    "com.microsoft.QGemm": _quantized_gemm,
}
