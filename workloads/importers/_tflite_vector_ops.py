"""Converters of element-wise operators, windows, reductions and resizing."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from simulator.graph import ops
from simulator.graph.graph import Tensor
from simulator.graph.ops import Op
from simulator.numerics.formats import FLOAT32, INT16
from workloads.importers._tflite_node import Converted, Converter, NodeView, Refused, activation, padding, refuse_mixed


def _x(view: NodeView) -> tuple[str]:
    return (view.input(0).name,)


def _two(view: NodeView) -> tuple[str, str]:
    a, b = view.input(0), view.input(1)
    refuse_mixed(a, b)
    return a.name, b.name


def _sum_like(make: type[ops.Add] | type[ops.Sub], kind: str, view: NodeView) -> Converted:
    options = view.optional_options(kind)
    if options is not None and options.PotScaleInt16() and view.output().format == INT16:
        raise Refused("int16 with pot_scale_int16 (power-of-two scales by shifts)")
    return Converted(make(activation=activation(options)), _two(view))


def _fused(make: type[ops.Mul] | type[ops.Div], kind: str, view: NodeView) -> Converted:
    return Converted(make(activation=activation(view.optional_options(kind))), _two(view))


def _binary(op: Op, view: NodeView) -> Converted:
    return Converted(op, _two(view))


def _plain(op: Op, view: NodeView) -> Converted:
    return Converted(op, _x(view))


def _prelu(view: NodeView) -> Converted:
    return Converted(ops.PRelu(), _two(view))


def _leaky_relu(view: NodeView) -> Converted:
    return Converted(ops.LeakyRelu(float(view.options("LeakyReluOptions").Alpha())), _x(view))


def _softmax(view: NodeView) -> Converted:
    return Converted(ops.Softmax(float(view.options("SoftmaxOptions").Beta())), _x(view))


def _pool(make: type[ops.MaxPool2D] | type[ops.AveragePool2D], view: NodeView) -> Converted:
    x = view.input(0)
    options = view.options("Pool2DOptions")
    kernel = (options.FilterHeight(), options.FilterWidth())
    stride = (options.StrideH(), options.StrideW())
    border = padding(options, x.shape[1:3], kernel, stride)
    return Converted(make(kernel, stride, border, activation(options)), _x(view))


def _reduce(make: type[ops.Mean] | type[ops.Sum] | type[ops.ReduceMax], view: NodeView) -> Converted:
    x = view.input(0)
    axes = axes_of(x, view.ints(1, "axes"))
    options = view.optional_options("ReducerOptions")
    return Converted(make(axes, keep_dims=options is not None and bool(options.KeepDims())), _x(view))


def axes_of(x: Tensor, axes: tuple[int, ...]) -> tuple[int, ...]:
    """Axes counted from the front, each once, rising."""
    rank = len(x.shape)
    if any(not -rank <= axis < rank for axis in axes):
        raise ValueError(f"axes {list(axes)} of tensor {x.name}, which has {rank} dimensions")
    return tuple(sorted({axis % rank for axis in axes}))


def _arg_max(view: NodeView) -> Converted:
    (axis,) = axes_of(view.input(0), view.ints(1, "axis"))
    view.check_type(view.options("ArgMaxOptions").OutputType())
    return Converted(ops.ArgMax(axis), _x(view))


def _resize(make: type[ops.ResizeBilinear] | type[ops.ResizeNearest], kind: str, view: NodeView) -> Converted:
    height, width = view.ints(1, "size")
    options = view.options(kind)
    corners, centers = bool(options.AlignCorners()), bool(options.HalfPixelCenters())
    return Converted(make((height, width), corners, centers), _x(view))


def _quantize(view: NodeView) -> Converted:
    x, y = view.input(0), view.output()
    if x.quant is None and x.format != FLOAT32:
        raise Refused(f"input {x.name} ({x.format}) has no scale")
    if y.quant is None:
        raise ValueError(f"QUANTIZE to {y.name}, which has no scale")
    return Converted(ops.Quantize(), _x(view))


def _dequantize(view: NodeView) -> Converted:
    x = view.input(0)
    if x.quant is None:
        raise Refused(f"input {x.name} ({x.format}) has no scale")
    return Converted(ops.Dequantize(), _x(view))


def _unary(function: str) -> Converter:
    return partial(_plain, ops.Unary(function))


_FUNCTIONS = ("SQRT", "RSQRT", "EXP", "LOG", "ABS", "NEG", "FLOOR", "CEIL", "ROUND", "SQUARE", "SIN", "COS")

CONVERTERS: Mapping[str, Converter] = {
    "ADD": partial(_sum_like, ops.Add, "AddOptions"),
    "SUB": partial(_sum_like, ops.Sub, "SubOptions"),
    "MUL": partial(_fused, ops.Mul, "MulOptions"),
    "DIV": partial(_fused, ops.Div, "DivOptions"),
    "FLOOR_DIV": partial(_binary, ops.FloorDiv()),
    "MAXIMUM": partial(_binary, ops.Maximum()),
    "MINIMUM": partial(_binary, ops.Minimum()),
    "RELU": partial(_plain, ops.Relu()),
    "RELU6": partial(_plain, ops.Relu6()),
    "RELU_N1_TO_1": partial(_plain, ops.ReluN1To1()),
    "LOGISTIC": partial(_plain, ops.Logistic()),
    "TANH": partial(_plain, ops.Tanh()),
    "HARD_SWISH": partial(_plain, ops.HardSwish()),
    "PRELU": _prelu,
    "LEAKY_RELU": _leaky_relu,
    "SOFTMAX": _softmax,
    "QUANTIZE": _quantize,
    "DEQUANTIZE": _dequantize,
    "CAST": partial(_plain, ops.Cast()),
    "MAX_POOL_2D": partial(_pool, ops.MaxPool2D),
    "AVERAGE_POOL_2D": partial(_pool, ops.AveragePool2D),
    "MEAN": partial(_reduce, ops.Mean),
    "SUM": partial(_reduce, ops.Sum),
    "REDUCE_MAX": partial(_reduce, ops.ReduceMax),
    "ARG_MAX": _arg_max,
    "RESIZE_BILINEAR": partial(_resize, ops.ResizeBilinear, "ResizeBilinearOptions"),
    "RESIZE_NEAREST_NEIGHBOR": partial(_resize, ops.ResizeNearest, "ResizeNearestNeighborOptions"),
    **{name: _unary(name.lower()) for name in _FUNCTIONS},
}
