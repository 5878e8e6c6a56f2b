"""All executors of the vector unit."""

from __future__ import annotations

from simulator.execution import elementwise
from simulator.execution.context import ExecutorTable

EXECUTORS: ExecutorTable = {
    **elementwise.EXECUTORS,
}
