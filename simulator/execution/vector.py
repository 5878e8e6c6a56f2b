"""All executors of the vector unit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from simulator.execution import (
    concat,
    elementwise,
    lookup,
    pooling,
    quantize,
    reduction,
    resize,
    softmax,
    training_loss,
    training_norm,
    training_quant,
    training_windows,
)
from simulator.execution.context import ExecutionContext, Executor, ExecutorTable, LayerResult
from simulator.kernels.threads import thread_count
from simulator.lowering.layer import Layer

SHARED = 1 << 16
"""Elements, in and out, from which a layer is worth sharing among threads; waking them costs microseconds, and
milliseconds where others want the cores."""


def _sized(executor: Executor) -> Executor:
    """Run small layers on one thread."""

    def execute(layer: Layer, arrays: Sequence[NDArray[Any] | None], context: ExecutionContext) -> LayerResult:
        if sum(tensor.elements for tensor in (*layer.inputs, *layer.outputs) if tensor is not None) >= SHARED:
            return executor(layer, arrays, context)
        with thread_count(1):
            return executor(layer, arrays, context)

    return execute


_EXECUTORS: ExecutorTable = {
    **concat.EXECUTORS,
    **elementwise.EXECUTORS,
    **lookup.EXECUTORS,
    **pooling.EXECUTORS,
    **quantize.EXECUTORS,
    **reduction.EXECUTORS,
    **resize.EXECUTORS,
    **softmax.EXECUTORS,
    **training_loss.EXECUTORS,
    **training_norm.EXECUTORS,
    **training_quant.EXECUTORS,
    **training_windows.EXECUTORS,
}

EXECUTORS: ExecutorTable = {op: _sized(executor) for op, executor in _EXECUTORS.items()}
