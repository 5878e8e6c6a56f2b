"""Execute max and average pooling."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.execution.context import ExecutionContext, ExecutorTable, LayerResult
from simulator.graph.ops import AveragePool2D, MaxPool2D
from simulator.kernels.pooling import average_pool, max_pool
from simulator.lowering.layer import Layer
from simulator.lowering.pooling import PoolConstants

Arrays = Sequence[NDArray[Any] | None]


def _pool(layer: Layer, x: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[Any], NDArray[Any]]:
    """Return the input as lines of pixels, geometry and limits as the kernels take them, and room for the output."""
    c, out = layer.constants, layer.outputs[0]
    assert isinstance(c, PoolConstants)
    lines = np.ascontiguousarray(x).reshape(*x.shape[:2], x.shape[2] * x.shape[3])
    geometry = np.array([*c.kernel, *c.stride, *c.offset], np.int64)
    return lines, geometry, np.array([c.minimum, c.maximum], x.dtype), np.empty(out.shape, out.format.dtype)


def _max_pool(layer: Layer, arrays: Arrays, context: ExecutionContext) -> LayerResult:
    assert arrays[0] is not None
    lines, geometry, limits, result = _pool(layer, arrays[0])
    max_pool(lines, geometry, limits, result)
    return LayerResult((result,))


def _average_pool(layer: Layer, arrays: Arrays, context: ExecutionContext) -> LayerResult:
    assert arrays[0] is not None
    lines, geometry, limits, result = _pool(layer, arrays[0])
    greatest_sum = prod(geometry[:2].tolist()) << (8 * lines.itemsize)
    average_pool(lines, geometry, limits, np.empty(0, np.int32 if greatest_sum < 1 << 31 else np.int64), result)
    return LayerResult((result,))


EXECUTORS: ExecutorTable = {MaxPool2D: _max_pool, AveragePool2D: _average_pool}
