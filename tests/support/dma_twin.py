"""A DMA transfer request by request, on exact fractions of cycles."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

from simulator.timing.dma import MemoryPath


def request_by_request(sizes: list[int], path: MemoryPath) -> int:
    """One request issued a cycle while fewer than the limit are in flight; data in order over one bus."""
    issue, finish = [], []
    for i, size in enumerate(sizes):
        at = issue[-1] + 1 if issue else Fraction(0)
        if i >= path.max_outstanding:
            at = max(at, finish[i - path.max_outstanding])
        bus = max(at + path.latency_cycles, finish[-1] if finish else Fraction(0))
        issue.append(at)
        finish.append(bus + size / path.bytes_per_cycle)
    return ceil(finish[-1])
