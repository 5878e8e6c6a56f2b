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
from simulator.lowering.float_rescale import FloatPoolConstants
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
    assert isinstance(layer.constants, PoolConstants)
    if layer.constants.real is not None:
        return LayerResult((_float_average(layer, layer.constants, layer.constants.real, arrays[0]),))
    lines, geometry, limits, result = _pool(layer, arrays[0])
    greatest_sum = prod(geometry[:2].tolist()) << (8 * lines.itemsize)
    average_pool(lines, geometry, limits, np.empty(0, np.int32 if greatest_sum < 1 << 31 else np.int64), result)
    return LayerResult((result,))


def _float_average(layer: Layer, c: PoolConstants, real: FloatPoolConstants, x: NDArray[Any]) -> NDArray[Any]:
    """Sum the dequantized values tap by tap in float32 (a tap outside adds 0), divide, quantize half to even."""
    op, out = layer.node.op, layer.outputs[0]
    assert isinstance(op, AveragePool2D)
    values = np.float32(real.scale_in) * (x.astype(np.int64) - real.zero_in).astype(np.float32)
    reach = [max(0, (n - 1) * s + k) for n, s, k in zip(out.shape[1:3], c.stride, c.kernel, strict=True)]
    after = [max(0, r - before - n) for r, before, n in zip(reach, c.offset, x.shape[1:3], strict=True)]
    sides = ((0, 0), (c.offset[0], after[0]), (c.offset[1], after[1]), (0, 0))
    padded, inside = np.pad(values, sides), np.pad(np.ones((1, *x.shape[1:3], 1), np.float32), sides)
    total, count = np.zeros(out.shape, np.float32), np.zeros((1, *out.shape[1:3], 1), np.float32)
    for i in range(c.kernel[0]):
        for j in range(c.kernel[1]):
            rows = slice(i, i + (out.shape[1] - 1) * c.stride[0] + 1, c.stride[0])
            columns = slice(j, j + (out.shape[2] - 1) * c.stride[1] + 1, c.stride[1])
            total += padded[:, rows, columns]
            count += inside[:, rows, columns]
    mean = total / (np.float32(c.kernel[0] * c.kernel[1]) if op.count_padding else count)
    scaled = np.rint(mean / np.float32(real.scale_out) + np.float32(real.zero_out))
    result: NDArray[Any] = np.clip(scaled, real.minimum, real.maximum).astype(out.format.dtype)
    return result


EXECUTORS: ExecutorTable = {MaxPool2D: _max_pool, AveragePool2D: _average_pool}
