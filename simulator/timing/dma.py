"""Time of one DMA transfer: requests of at most a burst, some of them in flight, over a bus of given bandwidth.

The model, request by request: one request is issued a cycle, while fewer than `max_outstanding` are in flight. A
request's data take the bus, in order, no sooner than `latency_cycles` after its issue, for s / bandwidth cycles; the
request is in flight until then. For n requests of equal size, with L the latency, d = s / bandwidth, W the limit and
u = max(1, d), the last byte arrives

    L + d + (n - 1 mod W) * u + floor((n - 1) / W) * max(L + d, W * u)

cycles after the first issue: either the bus (or the issue) is never idle, or every W requests wait one round trip.
Requests of a transfer are taken to be of equal size, their mean: exact where the burst divides the stretches, and else
the bytes are right and the shorter last request of a stretch is spread over the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from simulator.accelerator.spec import Accelerator


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
    """One transfer of the DMA, in three parts."""

    lead_cycles: int
    """Setup of the descriptors and latency of the first request: the bus is free for others."""
    bus_cycles: int
    """Bytes over bandwidth: the bus is this transfer's own."""
    tail_cycles: int
    """What the limit on requests in flight adds: the bus is free for others."""

    @property
    def cycles(self) -> int:
        """Duration where nobody else wants the bus."""
        return self.lead_cycles + self.bus_cycles + self.tail_cycles


def burst_cycles(size_bytes: int, requests: int, path: MemoryPath) -> int:
    """Cycles from the first request's issue to the last byte, alone on the bus (the closed form above, rounded up)."""
    data = Fraction(size_bytes, requests) / path.bytes_per_cycle
    pace = max(Fraction(1), data)
    trip = path.latency_cycles + data
    rounds, rest = divmod(requests - 1, path.max_outstanding)
    last = trip + rest * pace + rounds * max(trip, path.max_outstanding * pace)
    return -(-last.numerator // last.denominator)


@lru_cache(maxsize=1 << 16)
def transfer(size_bytes: int, requests: int, descriptors: int, path: MemoryPath) -> Transfer:
    """Parts of a transfer of `size_bytes` in `requests` requests of `descriptors` descriptors."""
    bus = Fraction(size_bytes) / path.bytes_per_cycle
    bus_cycles = -(-bus.numerator // bus.denominator)
    total = burst_cycles(size_bytes, requests, path)
    return Transfer(
        lead_cycles=descriptors * path.setup_cycles + path.latency_cycles,
        bus_cycles=bus_cycles,
        tail_cycles=total - path.latency_cycles - bus_cycles,
    )


def requests_of(size_bytes: NDArray[np.int64], segments: NDArray[np.int64], burst_bytes: int) -> NDArray[np.int64]:
    """Count requests of descriptors of `size_bytes` in `segments` equal stretches; bursts do not cross a stretch."""
    stretches = np.maximum(segments, 1)
    return np.asarray(np.where(size_bytes > 0, stretches * -(-size_bytes // (stretches * burst_bytes)), 0), np.int64)
