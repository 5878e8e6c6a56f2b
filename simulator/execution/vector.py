"""All executors of the vector unit."""

from __future__ import annotations

from simulator.execution import elementwise, pooling, reduction
from simulator.execution.context import ExecutorTable

EXECUTORS: ExecutorTable = {
    **elementwise.EXECUTORS,
    **pooling.EXECUTORS,
    **reduction.EXECUTORS,
}
