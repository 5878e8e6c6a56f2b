"""Execute bilinear and nearest-neighbour resize."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.execution.context import ExecutionContext, ExecutorTable, LayerResult
from simulator.graph.ops import ResizeBilinear, ResizeNearest
from simulator.kernels import float_rescale
from simulator.kernels import resize as kernels
from simulator.lowering.float_rescale import FloatBilinearConstants
from simulator.lowering.layer import Layer
from simulator.lowering.resize import BilinearConstants, NearestConstants

Arrays = Sequence[NDArray[Any] | None]


def _bilinear(layer: Layer, arrays: Arrays, context: ExecutionContext) -> LayerResult:
    c, out = layer.constants, layer.outputs[0]
    assert arrays[0] is not None
    result = np.empty(out.shape, out.format.dtype)
    image = np.ascontiguousarray(arrays[0])
    if isinstance(c, FloatBilinearConstants):
        sides = [(axis.lower, axis.upper, axis.weights) for axis in (c.rows, c.columns)]
        float_rescale.bilinear(image, *sides[0], *sides[1], c.nearest, result)
        return LayerResult((result,))
    assert isinstance(c, BilinearConstants)
    batch, height, width, channels = image.shape
    across = (c.columns.lower, c.columns.upper, c.columns.fraction)
    if c.rows.fraction.dtype == np.float32:
        lines = image.reshape(batch, height, width * channels)
        kernels.bilinear_float(lines, c.rows.lower, c.rows.upper, c.rows.fraction, *across, result)
    else:
        size = np.array([height, width], np.int64)
        down = (c.rows.lower, c.rows.upper, c.rows.fraction.astype(_sum_type(c, image.itemsize)))
        lines = result.reshape(batch, out.shape[1], out.shape[2] * channels)
        kernels.bilinear_integer(image.reshape(-1, channels), size, *down, *across, lines)
    return LayerResult((result,))


def _sum_type(c: BilinearConstants, itemsize: int) -> type[np.int32 | np.int64]:
    """int32 where no sum of weighted values, and half a unit, can leave it."""
    spread = [int((np.abs(1024 - axis.fraction) + np.abs(axis.fraction)).max()) for axis in (c.rows, c.columns)]
    greatest = spread[0] * spread[1] << (8 * itemsize - 1)
    return np.int32 if greatest + (1 << 19) < 1 << 31 else np.int64


def _nearest(layer: Layer, arrays: Arrays, context: ExecutionContext) -> LayerResult:
    c, out = layer.constants, layer.outputs[0]
    assert isinstance(c, NearestConstants)
    assert arrays[0] is not None
    result = np.empty(out.shape, out.format.dtype)
    kernels.nearest(np.ascontiguousarray(arrays[0]), c.rows, c.columns, result)
    return LayerResult((result,))


EXECUTORS: ExecutorTable = {ResizeBilinear: _bilinear, ResizeNearest: _nearest}
