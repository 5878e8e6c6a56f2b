"""Execute pooling, interpolation, means and dropout of integer training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.execution.broadcast import flat
from simulator.execution.context import ExecutionContext, ExecutorTable, LayerResult
from simulator.execution.training_plans import draw_key, read_scale, scale_array
from simulator.graph import training_ops as ops
from simulator.kernels import training_windows as kernels
from simulator.lowering.layer import Layer
from simulator.lowering.training_windows import InterpolationConstants
from simulator.numerics.training_scale import combine, divide_scale

Arrays = Sequence[NDArray[Any] | None]


def _geometry(op: ops.MaxPoolIndexed | ops.MaxPoolGradient) -> NDArray[np.int64]:
    return np.array([*op.kernel, *op.stride, op.padding.top, op.padding.left], np.int64)


def _max_pool(layer: Layer, arrays: Arrays, context: ExecutionContext) -> LayerResult:
    op, x = layer.node.op, arrays[0]
    assert isinstance(op, ops.MaxPoolIndexed)
    assert x is not None
    out = np.empty(layer.outputs[0].shape, x.dtype)
    index = np.empty(out.shape, np.uint8)
    kernels.max_pool_indexed(np.ascontiguousarray(x), _geometry(op), out, index)
    return LayerResult((out, index))


def _max_pool_gradient(layer: Layer, arrays: Arrays, context: ExecutionContext) -> LayerResult:
    op, (error, index) = layer.node.op, arrays
    assert isinstance(op, ops.MaxPoolGradient)
    assert error is not None
    assert index is not None
    out = np.empty(layer.outputs[0].shape, layer.outputs[0].format.dtype)
    kernels.max_pool_gradient(np.ascontiguousarray(error), np.ascontiguousarray(index), _geometry(op), out)
    return LayerResult((out,))


def _bilinear(layer: Layer, arrays: Arrays, context: ExecutionContext) -> LayerResult:
    op, c, x = layer.node.op, layer.constants, arrays[0]
    assert isinstance(op, ops.BilinearForward | ops.BilinearGradient)
    assert isinstance(c, InterpolationConstants)
    assert x is not None
    out = np.empty(layer.outputs[0].shape, layer.outputs[0].format.dtype)
    lines = np.ascontiguousarray(x).reshape(x.shape[0], x.shape[1], -1)
    rows, columns = np.array(c.rows, np.int64), np.array(c.columns, np.int64)
    one = 1 << op.weight_bits
    if isinstance(op, ops.BilinearForward):
        kernels.bilinear_forward(lines, rows, columns, one, out)
    else:
        kernels.bilinear_gradient(lines, rows, columns, _spans(rows, out.shape[1]), one, out)
    scale = combine((read_scale(layer, arrays[1]), (1, -2 * op.weight_bits)))
    return LayerResult((out, scale_array(scale)))


def _spans(rows: NDArray[np.int64], height: int) -> NDArray[np.int64]:
    """First and last + 1 output row that reads each row of an image; neighbours rise from output to output."""
    image = np.arange(height)
    return np.stack([np.searchsorted(rows[:, 1], image), np.searchsorted(rows[:, 0], image, "right")], axis=1)


def _spatial_sum(layer: Layer, arrays: Arrays, context: ExecutionContext) -> LayerResult:
    x, output = arrays[0], layer.outputs[0]
    assert x is not None
    out = np.empty((x.shape[0], x.shape[3]), output.format.dtype)
    kernels.spatial_sums(np.ascontiguousarray(x).reshape(x.shape[0], -1, x.shape[3]), out)
    if not isinstance(layer.node.op, ops.MeanForward):
        return LayerResult((out.reshape(output.shape),))
    scale = divide_scale(read_scale(layer, arrays[1]), x.shape[1] * x.shape[2])
    return LayerResult((out.reshape(output.shape), scale_array(scale)))


def _broadcast(layer: Layer, arrays: Arrays, context: ExecutionContext) -> LayerResult:
    x, output = arrays[0], layer.outputs[0]
    assert x is not None
    out = np.ascontiguousarray(np.broadcast_to(x, output.shape))
    if not isinstance(layer.node.op, ops.MeanGradient):
        return LayerResult((out,))
    scale = divide_scale(read_scale(layer, arrays[1]), output.shape[1] * output.shape[2])
    return LayerResult((out, scale_array(scale)))


def _dropout(layer: Layer, arrays: Arrays, context: ExecutionContext) -> LayerResult:
    op, x = layer.node.op, arrays[0]
    assert isinstance(op, ops.Dropout)
    assert x is not None
    out, mask = np.empty(x.size, x.dtype), np.empty(x.size, np.uint8)
    key = draw_key(layer, arrays[2] if len(arrays) > 2 else None, context)
    kernels.dropout(flat(x), op.keep_shift, key, out, mask)
    scale = combine((read_scale(layer, arrays[1]), (1, op.keep_shift)))
    return LayerResult((out.reshape(x.shape), scale_array(scale), mask.reshape(x.shape)))


EXECUTORS: ExecutorTable = {
    ops.MaxPoolIndexed: _max_pool,
    ops.MaxPoolGradient: _max_pool_gradient,
    ops.BilinearForward: _bilinear,
    ops.BilinearGradient: _bilinear,
    ops.MeanForward: _spatial_sum,
    ops.SumSpatial: _spatial_sum,
    ops.MeanGradient: _broadcast,
    ops.BroadcastSpatial: _broadcast,
    ops.Dropout: _dropout,
}
