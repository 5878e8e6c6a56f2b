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
from simulator.kernels.argmax import arg_max
from simulator.kernels.rescale import rescale
from simulator.lowering.layer import Layer
from simulator.lowering.reduction import AxesConstants, SumConstants

Arrays = Sequence[NDArray[Any] | None]


def _sum(layer: Layer, arrays: Arrays, context: ExecutionContext) -> LayerResult:
    c = layer.constants
    assert isinstance(c, SumConstants)
    assert arrays[0] is not None
    out = layer.outputs[0]
    sums = flat(np.add.reduce(arrays[0], axis=c.axes, dtype=np.int64))
    result = np.empty(sums.size, out.format.dtype)
    values = [c.zero_sum, c.multiplier, c.exponent, c.zero_out, c.minimum, c.maximum]
    rescale(sums, np.array(values, np.int64), result)
    return LayerResult((result.reshape(out.shape),))


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
