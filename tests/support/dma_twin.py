"""A DMA transfer request by request, on exact fractions of cycles."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

from simulator.timing.dma import MemoryPath


def issues_and_ends(
    sizes: list[int], path: MemoryPath, first: int = 0, bus_free: int = 0
) -> tuple[list[Fraction], list[Fraction]]:
    """One request issued a cycle while fewer than the limit are in flight; data in order over one bus.

    first: cycle from which requests may be issued; bus_free: cycle in which the last earlier data have passed.
    """
    issue, finish = [], []
    for i, size in enumerate(sizes):
        at = issue[-1] + 1 if issue else Fraction(first)
        if i >= path.max_outstanding:
            at = max(at, finish[i - path.max_outstanding])
        bus = max(at + path.latency_cycles, finish[-1] if finish else Fraction(bus_free))
        issue.append(at)
        finish.append(bus + size / path.bytes_per_cycle)
    return issue, finish


def request_by_request(sizes: list[int], path: MemoryPath) -> int:
    """Cycles from the first request to the last byte, alone."""
    return ceil(issues_and_ends(sizes, path)[1][-1])


def sizes_of(moved: list[tuple[int, int]], burst_bytes: int) -> list[int]:
    """Bytes of each request of descriptors of some bytes in some stretches; of two lengths the longer come first."""
    sizes = []
    for size, segments in moved:
        for i in range(segments):
            left = size // segments + (i < size % segments)
            while left:
                sizes.append(min(left, burst_bytes))
                left -= sizes[-1]
    return sizes
