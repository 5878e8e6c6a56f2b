"""Execute mean, sum, greatest value and its index."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.execution.broadcast import flat
from simulator.execution.context import ExecutionContext, ExecutorTable, LayerResult
from simulator.graph.ops import ArgMax, Mean, ReduceMax, Sum
from simulator.kernels.argmax import arg_max, arg_max_last
from simulator.kernels.reduction import ROWS, partial_sums
from simulator.kernels.rescale import rescale
from simulator.lowering.float_rescale import FloatMeanConstants
from simulator.lowering.layer import Layer
from simulator.lowering.reduction import AxesConstants, SumConstants

Arrays = Sequence[NDArray[Any] | None]

_INNER = 16
"""Least run of adjacent sums that the kernel's vectors fill."""


def _sum(layer: Layer, arrays: Arrays, context: ExecutionContext) -> LayerResult:
    c = layer.constants
    assert arrays[0] is not None
    out = layer.outputs[0]
    if isinstance(c, FloatMeanConstants):
        real = (_sums(arrays[0], c.axes) - c.zero_sum).astype(np.float32) * np.float32(c.scale)
        bounded = np.clip(real, np.float32(c.minimum - c.zero_out), np.float32(c.maximum - c.zero_out))
        mean = (np.rint(bounded).astype(np.int64) + c.zero_out).astype(out.format.dtype)
        return LayerResult((mean.reshape(out.shape),))
    assert isinstance(c, SumConstants)
    sums = flat(_sums(arrays[0], c.axes))
    result = np.empty(sums.size, out.format.dtype)
    values = [c.zero_sum, c.multiplier, c.exponent, c.zero_out, c.minimum, c.maximum]
    rescale(sums, np.array(values, np.int64), result)
    return LayerResult((result.reshape(out.shape),))


def _sums(x: NDArray[Any], axes: tuple[int, ...]) -> NDArray[np.int64]:
    """Sum over axes; adjacent ones of 8- and 16-bit values, with enough left beside each other, by the kernel."""
    adjacent = bool(axes) and axes == tuple(range(axes[0], axes[-1] + 1))
    inner = prod(x.shape[axes[-1] + 1 :]) if adjacent else 1
    if x.dtype.itemsize > 2 or inner < _INNER:
        reduced: NDArray[np.int64] = np.add.reduce(x, axis=axes, dtype=np.int64)
        return reduced
    rows = prod(x.shape[axis] for axis in axes)
    split = np.ascontiguousarray(x).reshape(prod(x.shape[: axes[0]]), rows, inner)
    partial = np.empty((len(split), -(-rows // ROWS), inner), np.int32)
    partial_sums(split, partial)
    total: NDArray[np.int64] = partial.sum(axis=1, dtype=np.int64)
    return total


def _reduce_max(layer: Layer, arrays: Arrays, context: ExecutionContext) -> LayerResult:
    assert isinstance(layer.constants, AxesConstants)
    assert arrays[0] is not None
    result = np.maximum.reduce(arrays[0], axis=layer.constants.axes)
    return LayerResult((np.asarray(result).reshape(layer.outputs[0].shape),))


def _arg_max(layer: Layer, arrays: Arrays, context: ExecutionContext) -> LayerResult:
    assert isinstance(layer.constants, AxesConstants)
    x, out = arrays[0], layer.outputs[0]
    assert x is not None
    (axis,) = layer.constants.axes
    if axis == x.ndim - 1 and x.shape[axis] <= 1 << 16 and np.can_cast(x.dtype, np.int16):
        indices = np.empty(out.elements, out.format.dtype)
        arg_max_last(np.ascontiguousarray(x).reshape(-1, x.shape[axis]), indices)
        return LayerResult((indices.reshape(out.shape),))
    split = np.ascontiguousarray(x).reshape(prod(x.shape[:axis]), x.shape[axis], prod(x.shape[axis + 1 :]))
    result = np.empty((split.shape[0], split.shape[2]), out.format.dtype)
    arg_max(split, result)
    return LayerResult((result.reshape(out.shape),))


EXECUTORS: ExecutorTable = {
    Mean: _sum,
    Sum: _sum,
    ReduceMax: _reduce_max,
    ArgMax: _arg_max,
}
