"""All executors of the vector unit."""

from __future__ import annotations

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
from simulator.execution.context import ExecutorTable

EXECUTORS: ExecutorTable = {
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
