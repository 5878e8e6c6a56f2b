"""All executors of the vector unit."""

from __future__ import annotations

from simulator.execution import elementwise, lookup, pooling, quantize, reduction
from simulator.execution.context import ExecutorTable

EXECUTORS: ExecutorTable = {
    **elementwise.EXECUTORS,
    **lookup.EXECUTORS,
    **pooling.EXECUTORS,
    **quantize.EXECUTORS,
    **reduction.EXECUTORS,
}
