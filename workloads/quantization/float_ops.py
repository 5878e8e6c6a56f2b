"""One function per operator: float32 values in, float32 values out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from simulator.graph import ops
from simulator.graph.ops import Activation, Op
from workloads.quantization.float_conv import Floats, conv2d, transpose_conv2d

Array = NDArray[Any]
Shape = tuple[int, ...]
Function = Callable[[Any, Sequence[Any], Shape], Array]
"""(op, input arrays or None, shape of the first output) -> output."""

_CLAMPS: dict[Activation, tuple[float | None, float | None]] = {
    Activation.RELU: (0, None),
    Activation.RELU6: (0, 6),
    Activation.RELU_N1_TO_1: (-1, 1),
}


def activate(values: Array, activation: Activation) -> Array:
    """Clamp as a fused activation says."""
    if activation is Activation.NONE:
        return values
    return np.asarray(np.clip(values, *_CLAMPS[activation]))


def _conv2d(op: ops.Conv2D, inputs: Sequence[Any], shape: Shape) -> Array:
    x, weights, *rest = inputs
    return _offset(op, conv2d(op, x, weights, (shape[1], shape[2])), rest)


def _transpose_conv2d(op: ops.TransposeConv2D, inputs: Sequence[Any], shape: Shape) -> Array:
    x, weights, *rest = inputs
    return _offset(op, transpose_conv2d(op, x, weights), rest)


def _fully_connected(op: ops.FullyConnected, inputs: Sequence[Any], shape: Shape) -> Array:
    x, weights, *rest = inputs
    rows = np.reshape(x, (-1, weights.shape[1])) @ weights.T
    return np.reshape(_offset(op, rows, rest), shape)


def _offset(op: Any, values: Floats, bias: Sequence[Any]) -> Array:
    if bias and bias[0] is not None:
        values += bias[0]
    return activate(values, op.activation)


def batch_norm(op: ops.BatchNorm, inputs: Sequence[Any], shape: Shape = ()) -> Array:
    """Gamma * (x - mean) / sqrt(variance + epsilon) + beta."""
    x, gamma, beta, mean, variance = inputs
    gain, offset = norm_affine(op, gamma, beta, mean, variance)
    return np.asarray(x * gain.astype(np.float32) + offset.astype(np.float32))


def norm_affine(
    op: ops.BatchNorm, gamma: Array, beta: Array, mean: Array, variance: Array
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (gain, offset) of a batch norm written as gain * x + offset, float64 [channels]."""
    gain = gamma.astype(np.float64) / np.sqrt(variance.astype(np.float64) + op.epsilon)
    return gain, beta - mean * gain


def _binary(function: Callable[[Any, Any], Any]) -> Function:
    def apply(op: Any, inputs: Sequence[Any], shape: Shape) -> Array:
        return activate(function(inputs[0], inputs[1]), getattr(op, "activation", Activation.NONE))

    return apply


def _unary(function: Callable[[Any], Any]) -> Function:
    return lambda op, inputs, shape: np.asarray(function(inputs[0]))


def _softmax(op: ops.Softmax, inputs: Sequence[Any], shape: Shape) -> Array:
    powers = np.exp(np.float32(op.beta) * (inputs[0] - inputs[0].max(axis=-1, keepdims=True)))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def _windows(op: Any, x: Floats, fill: float) -> Floats:
    """Windows of a pool, [batch, out_h, out_w, channels, kernel_h, kernel_w]."""
    pad = op.padding
    padded = np.pad(x, ((0, 0), (pad.top, pad.bottom), (pad.left, pad.right), (0, 0)), constant_values=fill)
    return sliding_window_view(padded, op.kernel, (1, 2))[:, :: op.stride[0], :: op.stride[1]]


def _max_pool(op: ops.MaxPool2D, inputs: Sequence[Any], shape: Shape) -> Array:
    windows = _windows(op, inputs[0], -np.inf)
    out = windows[..., 0, 0].copy()
    for i in range(op.kernel[0]):
        for j in range(op.kernel[1]):
            np.maximum(out, windows[..., i, j], out=out)
    return activate(out, op.activation)


def _average_pool(op: ops.AveragePool2D, inputs: Sequence[Any], shape: Shape) -> Array:
    inside = _windows(op, np.ones((1, *inputs[0].shape[1:3], 1), np.float32), 0).sum((-2, -1))
    count = np.float32(op.kernel[0] * op.kernel[1]) if op.count_padding else inside
    return activate(_windows(op, inputs[0], 0).sum((-2, -1)) / count, op.activation)


def _reduction(function: Callable[..., Any]) -> Function:
    return lambda op, inputs, shape: np.asarray(function(inputs[0], axis=op.axes, keepdims=op.keep_dims))


def _arg_max(op: ops.ArgMax, inputs: Sequence[Any], shape: Shape) -> Array:
    return np.asarray(np.argmax(inputs[0], axis=op.axis), np.int32)


def _resize_bilinear(op: ops.ResizeBilinear, inputs: Sequence[Any], shape: Shape) -> Array:
    x = inputs[0]
    for axis, size in zip((1, 2), op.size, strict=True):
        position = source_positions(op, x.shape[axis], size)
        below = np.clip(np.floor(position).astype(int), 0, x.shape[axis] - 1)
        above = np.minimum(below + 1, x.shape[axis] - 1)
        part = np.clip(position - below, 0, 1).astype(np.float32)
        part = part.reshape([-1 if index == axis else 1 for index in range(4)])
        x = np.take(x, below, axis) * (1 - part) + np.take(x, above, axis) * part
    return np.asarray(x)


def _resize_nearest(op: ops.ResizeNearest, inputs: Sequence[Any], shape: Shape) -> Array:
    x = inputs[0]
    for axis, size in zip((1, 2), op.size, strict=True):
        position = source_positions(op, x.shape[axis], size)
        if op.half_pixel_centers:
            position = position + 0.5
        index = np.floor(position + 0.5) if op.align_corners else np.floor(position)
        x = np.take(x, np.clip(index.astype(int), 0, x.shape[axis] - 1), axis)
    return np.asarray(x)


def source_positions(op: ops.ResizeBilinear | ops.ResizeNearest, size_in: int, size: int) -> NDArray[np.float64]:
    """Return where each output row (or column) lies in the input, float64 [size]."""
    index = np.arange(size, dtype=np.float64)
    if op.align_corners and size > 1:
        return index * (size_in - 1) / (size - 1)
    if op.half_pixel_centers:
        return (index + 0.5) * size_in / size - 0.5
    return index * size_in / size


_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "neg": np.negative,
    "round": np.rint,
    **{name: getattr(np, name) for name in ("sqrt", "exp", "log", "abs", "floor", "ceil", "square", "sin", "cos")},
}


def _function(op: ops.Unary, inputs: Sequence[Any], shape: Shape) -> Array:
    return np.asarray(_FUNCTIONS[op.function](inputs[0]))


def _depth_to_space(op: ops.DepthToSpace, inputs: Sequence[Any], shape: Shape) -> Array:
    batch, height, width, channels = inputs[0].shape
    split = inputs[0].reshape(batch, height, width, op.block, op.block, channels // op.block**2)
    return np.asarray(split.transpose(0, 1, 3, 2, 4, 5).reshape(shape))


def _space_to_depth(op: ops.SpaceToDepth, inputs: Sequence[Any], shape: Shape) -> Array:
    split = inputs[0].reshape(shape[0], shape[1], op.block, shape[2], op.block, shape[3] // op.block**2)
    return np.asarray(split.transpose(0, 1, 3, 2, 4, 5).reshape(shape))


def _concat(op: ops.Concat, inputs: Sequence[Any], shape: Shape) -> Array:
    return activate(np.concatenate(inputs, op.axis), op.activation)


def _pad(op: ops.Pad, inputs: Sequence[Any], shape: Shape) -> Array:
    return np.pad(inputs[0], op.paddings, constant_values=op.value)


def _slice(op: ops.Slice, inputs: Sequence[Any], shape: Shape) -> Array:
    cuts = tuple(slice(*cut) for cut in zip(op.begin, op.end, op.step, strict=True))
    return np.asarray(inputs[0][cuts].reshape(shape))


FUNCTIONS: dict[type[Op], Function] = {
    ops.Conv2D: _conv2d,
    ops.TransposeConv2D: _transpose_conv2d,
    ops.FullyConnected: _fully_connected,
    ops.BatchNorm: batch_norm,
    ops.Add: _binary(np.add),
    ops.Sub: _binary(np.subtract),
    ops.Mul: _binary(np.multiply),
    ops.Div: _binary(np.divide),
    ops.Unary: _function,
    ops.Maximum: _binary(np.maximum),
    ops.Minimum: _binary(np.minimum),
    ops.PRelu: _binary(lambda x, alpha: np.where(x >= 0, x, alpha * x)),
    ops.Relu: _unary(lambda x: np.maximum(x, 0)),
    ops.Relu6: _unary(lambda x: np.clip(x, 0, 6)),
    ops.ReluN1To1: _unary(lambda x: np.clip(x, -1, 1)),
    ops.LeakyRelu: lambda op, inputs, shape: np.where(inputs[0] >= 0, inputs[0], np.float32(op.alpha) * inputs[0]),
    ops.Logistic: _unary(lambda x: np.float32(0.5) * (np.tanh(np.float32(0.5) * x) + 1)),
    ops.Tanh: _unary(np.tanh),
    ops.HardSwish: _unary(lambda x: x * np.clip(x + 3, 0, 6) / 6),
    ops.Softmax: _softmax,
    ops.MaxPool2D: _max_pool,
    ops.AveragePool2D: _average_pool,
    ops.Mean: _reduction(np.mean),
    ops.Sum: _reduction(np.sum),
    ops.ReduceMax: _reduction(np.max),
    ops.ArgMax: _arg_max,
    ops.ResizeBilinear: _resize_bilinear,
    ops.ResizeNearest: _resize_nearest,
    ops.Concat: _concat,
    ops.Pad: _pad,
    ops.MirrorPad: lambda op, inputs, shape: np.pad(inputs[0], op.paddings, mode=op.mode),
    ops.Reshape: lambda op, inputs, shape: np.reshape(inputs[0], shape),
    ops.Slice: _slice,
    ops.Tile: lambda op, inputs, shape: np.tile(inputs[0], op.multiples),
    ops.Transpose: lambda op, inputs, shape: np.ascontiguousarray(np.transpose(inputs[0], op.permutation)),
    ops.Gather: lambda op, inputs, shape: np.take(inputs[0], inputs[1], op.axis).reshape(shape),
    ops.DepthToSpace: _depth_to_space,
    ops.SpaceToDepth: _space_to_depth,
    ops.Pack: lambda op, inputs, shape: np.stack(inputs, op.axis),
}
"""Operators with one output that the float executor knows."""
