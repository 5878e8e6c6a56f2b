"""Execute concatenation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.execution.context import ExecutionContext, ExecutorTable, LayerResult
from simulator.execution.lookup import apply_table
from simulator.graph.ops import Concat
from simulator.lowering.concat import ConcatConstants
from simulator.lowering.layer import Layer

Arrays = Sequence[NDArray[Any] | None]


def _concat(layer: Layer, arrays: Arrays, context: ExecutionContext) -> LayerResult:
    c = layer.constants
    assert isinstance(c, ConcatConstants)
    parts = [
        array if table is None else apply_table(array, table, array.shape)
        for array, table in zip(arrays, c.tables, strict=True)
        if array is not None
    ]
    return LayerResult((np.concatenate(parts, axis=c.axis),))


EXECUTORS: ExecutorTable = {Concat: _concat}
