"""Time of one DMA transfer: requests of at most a burst, some of them in flight, over a bus of given bandwidth.

A transfer has descriptors, each of equal stretches; a stretch becomes whole bursts and what is left. One request is
issued a cycle, while fewer than `max_outstanding` are in flight. A request's data take the bus, in order, no sooner
than `latency_cycles` after its issue, for s / bandwidth cycles; the request is in flight until then. With W the limit,
request j is issued at t_j and its data end at e_j:

    t_j = max(t_(j-1) + 1, e_(j-W))        e_j = max(t_j + latency, e_(j-1)) + s_j / bandwidth

Both are the later of something counted from the first request and something counted from when the bus is free of
earlier data. So two numbers each say of a transfer when its last byte arrives and when its last request is out,
whatever came before it. For n alike requests, with L the latency, d = s / bandwidth and u = max(1, d), they are

    A(n) = L + d + (n - 1 mod W) u + floor((n - 1) / W) max(L + d, W u)     last byte, from the first request
    C(n) = max(n - 1, A(n - W))                                             last request, from the first request
    B(n) = max(n d, d + A(n - W))                                           last byte, from the free bus
    D(n) = max(d + C(n - W), (n - W) d)                                     last request, from the free bus

without what has n - W < 1 in it. Requests of several lengths are gone through one by one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import chain, repeat

from simulator.accelerator.spec import Accelerator

Moved = tuple[tuple[int, int], ...]
"""Bytes and stretches of each descriptor of a transfer, in order."""


@dataclass(frozen=True)
class MemoryPath:
    """DMA and DRAM as one transfer sees them."""

    burst_bytes: int
    max_outstanding: int
    setup_cycles: int
    latency_cycles: int
    bytes_per_cycle: Fraction

    @classmethod
    def of(cls, accelerator: Accelerator) -> MemoryPath:
        """Read the path off a specification."""
        dma = accelerator.dma
        return cls(
            burst_bytes=dma.burst_bytes,
            max_outstanding=dma.max_outstanding,
            setup_cycles=dma.setup_cycles,
            latency_cycles=accelerator.dram_latency_cycles,
            bytes_per_cycle=accelerator.dram_bytes_per_cycle,
        )


@dataclass(frozen=True)
class Transfer:
    """One transfer of the DMA: cycles from its first request, or from when the bus is free of earlier data."""

    setup_cycles: int
    """Of its descriptors, before the first request."""
    latency_cycles: int
    bus_cycles: int
    """Bytes over bandwidth."""
    alone_cycles: int
    """From its first request to its last byte."""
    issued_cycles: int
    """From its first request to the cycle after its last, or its last byte if that comes sooner."""
    behind_cycles: int
    """From the free bus to its last byte."""
    issued_behind_cycles: int | None
    """From the free bus to the cycle after its last request; None where no request waits for data."""

    @property
    def cycles(self) -> int:
        """Duration where nobody else wants the bus."""
        return self.setup_cycles + self.alone_cycles

    @property
    def lead_cycles(self) -> int:
        """Setup, and latency of the first request."""
        return self.setup_cycles + self.latency_cycles

    @property
    def tail_cycles(self) -> int:
        """What the limit on requests in flight, and the pace of their issue, add to latency and data."""
        return self.alone_cycles - self.latency_cycles - self.bus_cycles

    def end(self, first: int, bus_free: int) -> int:
        """Cycle after its last byte, for the cycle of its first request and that in which earlier data have passed."""
        return max(first + self.alone_cycles, bus_free + self.behind_cycles)

    def issued(self, first: int, bus_free: int) -> int:
        """Cycle after its last request, for the same."""
        alone = first + self.issued_cycles
        return alone if self.issued_behind_cycles is None else max(alone, bus_free + self.issued_behind_cycles)


def stretches(size_bytes: int, segments: int) -> list[tuple[int, int]]:
    """Return number and bytes of a descriptor's stretches; where they cannot be equal the first are a byte longer."""
    count = min(max(segments, 1), size_bytes)
    if count == 0:
        return []
    size, longer = divmod(size_bytes, count)
    return [(n, b) for n, b in ((longer, size + 1), (count - longer, size)) if n]


def request_sizes(moved: Moved, burst_bytes: int) -> list[tuple[int, int]]:
    """Return requests in order, as runs: how many of how many bytes. None crosses the end of a stretch."""
    runs = []
    for size_bytes, segments in moved:
        for count, stretch in stretches(size_bytes, segments):
            full, last = divmod(stretch, burst_bytes)
            if not last:
                runs.append((count * full, burst_bytes))
            elif not full:
                runs.append((count, last))
            else:
                runs.extend([(full, burst_bytes), (1, last)] * count)
    return runs


class _Pace:
    """Times in parts of a cycle of which each byte takes a whole number."""

    def __init__(self, path: MemoryPath) -> None:
        self.cycle, self.byte = path.bytes_per_cycle.numerator, path.bytes_per_cycle.denominator
        self.latency, self.outstanding = path.latency_cycles * self.cycle, path.max_outstanding

    def cycles(self, parts: int) -> int:
        return -(-parts // self.cycle)

    def alike_end(self, n: int, size: int) -> int:
        """Return A(n)."""
        data = size * self.byte
        pace, trip = max(self.cycle, data), self.latency + data
        rounds, rest = divmod(n - 1, self.outstanding)
        return trip + rest * pace + rounds * max(trip, self.outstanding * pace)

    def alike_issue(self, n: int, size: int) -> int:
        """Return C(n)."""
        waits = n > self.outstanding
        return max((n - 1) * self.cycle, self.alike_end(n - self.outstanding, size) if waits else 0)

    def alike_behind(self, n: int, size: int) -> tuple[int | None, int]:
        """Return D(n) and B(n)."""
        data, rest = size * self.byte, n - self.outstanding
        if rest < 1:
            return None, n * data
        return max(data + self.alike_issue(rest, size), rest * data), max(n * data, data + self.alike_end(rest, size))

    def walk(self, sizes: Iterator[int], issue: int | None, end: int) -> tuple[int | None, int]:
        """Return issue and end of the last request; `issue`: of the first, None long ago; `end`: of earlier data."""
        ends: deque[int] = deque(maxlen=self.outstanding)
        for j, size in enumerate(sizes):
            if j and issue is not None:
                issue += self.cycle
            if len(ends) == self.outstanding:
                issue = ends[0] if issue is None else max(issue, ends[0])
            end = (end if issue is None else max(issue + self.latency, end)) + size * self.byte
            ends.append(end)
        return issue, end


@lru_cache(maxsize=1 << 16)
def transfer(moved: Moved, path: MemoryPath) -> Transfer:
    """Cycles of a transfer of some bytes, at least one."""
    pace, runs = _Pace(path), request_sizes(moved, path.burst_bytes)
    count, lengths = sum(n for n, _ in runs), {size for _, size in runs}
    if len(lengths) == 1:
        (size,) = lengths
        issued, alone = pace.alike_issue(count, size), pace.alike_end(count, size)
        issued_behind, behind = pace.alike_behind(count, size)
    else:
        first, alone = pace.walk(chain.from_iterable(repeat(size, n) for n, size in runs), 0, 0)
        issued = first or 0
        issued_behind, behind = pace.walk(chain.from_iterable(repeat(size, n) for n, size in runs), None, 0)
    alone_cycles, behind_cycles = pace.cycles(alone), pace.cycles(behind)
    late = None if issued_behind is None else min(pace.cycles(issued_behind) + 1, behind_cycles)
    return Transfer(
        setup_cycles=path.setup_cycles * sum(size > 0 for size, _ in moved),
        latency_cycles=path.latency_cycles,
        bus_cycles=pace.cycles(sum(size for size, _ in moved) * pace.byte),
        alone_cycles=alone_cycles,
        issued_cycles=min(pace.cycles(issued) + 1, alone_cycles),
        behind_cycles=behind_cycles,
        issued_behind_cycles=late,
    )
