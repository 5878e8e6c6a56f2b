"""Execute one-operand functions by table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.execution.broadcast import flat
from simulator.execution.context import ExecutionContext, ExecutorTable, LayerResult
from simulator.graph.ops import HardSwish, LeakyRelu, Logistic, Relu, Relu6, ReluN1To1, Tanh
from simulator.kernels.lookup import look_up
from simulator.lowering.layer import Layer
from simulator.lowering.lookup import LookupConstants

Arrays = Sequence[NDArray[Any] | None]


def apply_table(x: NDArray[Any], table: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Return table[x], shaped; x of any 8- or 16-bit integer dtype, read as its bit pattern."""
    patterns = unsigned(flat(x))
    result = np.empty(patterns.size, table.dtype)
    # One compiled kernel serves signed and unsigned: bits are only moved.
    look_up(patterns, unsigned(table), unsigned(result))
    return result.reshape(shape)


def unsigned(array: NDArray[Any]) -> NDArray[Any]:
    """Return a view of the array's bit patterns."""
    return array.view(f"u{array.dtype.itemsize}")


def _look_up(layer: Layer, arrays: Arrays, context: ExecutionContext) -> LayerResult:
    assert isinstance(layer.constants, LookupConstants)
    assert arrays[0] is not None
    return LayerResult((apply_table(arrays[0], layer.constants.table, layer.outputs[0].shape),))


EXECUTORS: ExecutorTable = dict.fromkeys((Relu, Relu6, ReluN1To1, LeakyRelu, Logistic, Tanh, HardSwish), _look_up)
