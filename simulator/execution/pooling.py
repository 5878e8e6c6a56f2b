"""Execute max and average pooling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.execution.context import ExecutionContext, ExecutorTable, LayerResult
from simulator.graph.ops import AveragePool2D, MaxPool2D
from simulator.kernels import pooling as kernels
from simulator.lowering.layer import Layer
from simulator.lowering.pooling import PoolConstants

Arrays = Sequence[NDArray[Any] | None]


def _pool(layer: Layer, arrays: Arrays, kernel: Callable[..., None]) -> LayerResult:
    c = layer.constants
    assert isinstance(c, PoolConstants)
    assert arrays[0] is not None
    out = layer.outputs[0]
    result = np.empty(out.shape, out.format.dtype)
    geometry = np.array([*c.kernel, *c.stride, *c.offset], np.int64)
    kernel(np.ascontiguousarray(arrays[0]), geometry, c.minimum, c.maximum, result)
    return LayerResult((result,))


def _max_pool(layer: Layer, arrays: Arrays, context: ExecutionContext) -> LayerResult:
    return _pool(layer, arrays, kernels.max_pool)


def _average_pool(layer: Layer, arrays: Arrays, context: ExecutionContext) -> LayerResult:
    return _pool(layer, arrays, kernels.average_pool)


EXECUTORS: ExecutorTable = {MaxPool2D: _max_pool, AveragePool2D: _average_pool}
