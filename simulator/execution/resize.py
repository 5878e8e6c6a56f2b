"""Execute bilinear and nearest-neighbour resize."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.execution.context import ExecutionContext, ExecutorTable, LayerResult
from simulator.graph.ops import ResizeBilinear, ResizeNearest
from simulator.kernels import resize as kernels
from simulator.lowering.layer import Layer
from simulator.lowering.resize import BilinearConstants, NearestConstants

Arrays = Sequence[NDArray[Any] | None]


def _bilinear(layer: Layer, arrays: Arrays, context: ExecutionContext) -> LayerResult:
    c, out = layer.constants, layer.outputs[0]
    assert isinstance(c, BilinearConstants)
    assert arrays[0] is not None
    result = np.empty(out.shape, out.format.dtype)
    image = np.ascontiguousarray(arrays[0])
    down = (c.rows.lower, c.rows.upper, c.rows.fraction)
    across = (c.columns.lower, c.columns.upper, c.columns.fraction)
    if c.rows.fraction.dtype == np.float32:
        kernels.bilinear_float(image, *down, *across, result)
    else:
        size = np.array(image.shape[1:3], np.int64)
        kernels.bilinear_integer(image.reshape(-1, image.shape[3]), size, *down, *across, result)
    return LayerResult((result,))


def _nearest(layer: Layer, arrays: Arrays, context: ExecutionContext) -> LayerResult:
    c, out = layer.constants, layer.outputs[0]
    assert isinstance(c, NearestConstants)
    assert arrays[0] is not None
    result = np.empty(out.shape, out.format.dtype)
    kernels.nearest(np.ascontiguousarray(arrays[0]), c.rows, c.columns, result)
    return LayerResult((result,))


EXECUTORS: ExecutorTable = {ResizeBilinear: _bilinear, ResizeNearest: _nearest}
