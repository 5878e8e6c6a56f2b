"""Execute concatenation."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.execution.context import ExecutionContext, ExecutorTable, LayerResult
from simulator.execution.lookup import unsigned
from simulator.execution.shifts import rescaled
from simulator.graph.ops import Concat
from simulator.kernels.lookup import look_up_columns
from simulator.lowering.concat import ConcatConstants
from simulator.lowering.layer import Layer

Arrays = Sequence[NDArray[Any] | None]


def _concat(layer: Layer, arrays: Arrays, context: ExecutionContext) -> LayerResult:
    c, out = layer.constants, layer.outputs[0]
    assert isinstance(c, ConcatConstants)
    joined = np.empty((prod(out.shape[: c.axis]), prod(out.shape[c.axis :])), out.format.dtype)
    first = 0
    for index, (array, table) in enumerate(zip(arrays, c.tables, strict=True)):
        assert array is not None
        shift = c.shifts[index] if c.shifts else None
        if shift is not None:
            array = rescaled(shift, array, out, context, f"[{index}]")
        part = np.ascontiguousarray(array).reshape(len(joined), prod(array.shape[c.axis :]))
        if table is None:
            joined[:, first : first + part.shape[1]] = part
        else:
            look_up_columns(unsigned(part), unsigned(table), first, unsigned(joined))
        first += part.shape[1]
    return LayerResult((joined.reshape(out.shape),))


EXECUTORS: ExecutorTable = {Concat: _concat}
