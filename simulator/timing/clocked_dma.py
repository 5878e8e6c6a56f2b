"""Transfers on the register-accurate model of the DMA: bytes, cycles and a digest of its path to memory.

The model steps every register of rtl/dma.sv clock by clock, and equals it in all that is returned here (tests/rtl). It
is the judge of the closed form in `simulator.timing.dma`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InputError, SpecError
from simulator.kernels.clocked import DIGEST_START
from simulator.kernels.clocked_dma import DMA_COUNTS, SETTINGS, clock_dma
from simulator.timing.dma import MemoryPath

Bytes = NDArray[np.uint8]
ExecuteDma = Callable[[Any, Any, Any, Bytes, Bytes, Any], None]
"""Runs transfers; parameters as `clock_dma`."""

_WORD = 1 << 16
"""Counts and sizes of a descriptor have 16 bits."""


@dataclass(frozen=True)
class ClockedDma:
    """A DMA as built, and the memory behind it."""

    burst_bytes: int = 64
    max_outstanding: int = 16
    """Requests in flight, of loads and of stores."""
    setup_cycles: int = 0
    """Of each descriptor."""
    latency_cycles: int = 1
    """From a request to its first beat, at least 1."""
    bus_bytes: int = 8
    """Of a beat."""
    interval_cycles: int = 1
    """Of a beat."""

    @property
    def path(self) -> MemoryPath:
        """The same for the closed form."""
        rate = Fraction(self.bus_bytes, self.interval_cycles)
        return MemoryPath(self.burst_bytes, self.max_outstanding, self.setup_cycles, self.latency_cycles, rate)

    @property
    def settings(self) -> Any:
        """Record of dtype SETTINGS."""
        return np.array([tuple(getattr(self, name) for name in SETTINGS.names or ())], SETTINGS)[0]

    def check(self) -> None:
        """Raise SpecError where a number is out of range."""
        for name in SETTINGS.names or ():
            value, low = getattr(self, name), 0 if name == "setup_cycles" else 1
            if not low <= value < _WORD:
                raise SpecError(f"{name}: {value}, but it must lie in {low} to {_WORD - 1}")


@dataclass(frozen=True)
class Descriptor:
    """Stretches of memory that are moved one after another."""

    address: int
    segments: int
    """Stretches."""
    segment_bytes: int
    stride: int
    """Bytes from the begin of a stretch to that of the next."""

    @property
    def row(self) -> list[int]:
        """As the model takes it."""
        return [self.address, self.segments, self.segment_bytes, self.stride]

    @property
    def end(self) -> int:
        """Byte after the last one."""
        return self.address + (self.segments - 1) * self.stride + self.segment_bytes

    def check(self, name: str) -> None:
        """Raise SpecError where a field has more bits than the DMA holds."""
        for field in ("segments", "segment_bytes"):
            if not 1 <= getattr(self, field) < _WORD:
                raise SpecError(f"{name}: {field} is {getattr(self, field)}, but must lie in 1 to {_WORD - 1}")

    def requests(self, burst_bytes: int) -> list[tuple[int, int]]:
        """Address and bytes of each request."""
        return [
            (self.address + segment * self.stride + at, min(burst_bytes, self.segment_bytes - at))
            for segment in range(self.segments)
            for at in range(0, self.segment_bytes, burst_bytes)
        ]

    def words(self, dma: ClockedDma) -> int:
        """Scratchpad words that it fills or empties: every request begins a new one."""
        return sum(-(-size // dma.bus_bytes) for _, size in self.requests(dma.burst_bytes))


@dataclass(frozen=True)
class DmaRun:
    """What the DMA did."""

    load_cycles: int
    """From the first cycle of setup to the last beat, both included; 0 where there is none."""
    store_cycles: int
    digest: int
    """Over what passed between DMA and memory in every cycle."""
    memory: Bytes
    scratchpad: Bytes
    """[words, bus bytes]"""


def run_dma(
    dma: ClockedDma,
    memory: Bytes,
    scratchpad: Bytes,
    load: Descriptor | None = None,
    store: Descriptor | None = None,
    execute: ExecuteDma | None = None,
) -> DmaRun:
    """Run a load, a store, or both at once on the DMA, and return what it did.

    Parameters
    ----------
    dma
        The engine and its memory.
    memory
        uint8 [bytes].
    scratchpad
        uint8 [words, bus bytes]; the load fills it, the store empties it, each from word 0 on. A request's last word
        may be part of what it asks for: a load brings a whole bus word all the same, a store writes that part.
    load, store
        What to move.
    execute
        What runs the transfers; default: the register-accurate model.

    Raises
    ------
    InputError, SpecError
        Numbers out of range, bytes beyond the memory, words beyond the scratchpad.

    """
    dma.check()
    rows = []
    for name, moved in (("load", load), ("store", store)):
        if moved is not None:
            _check(name, moved, dma, memory, scratchpad)
        rows.append(np.array([moved.row if moved else [0, 0, 0, 0]], np.int64))
    counts = np.zeros(1, DMA_COUNTS)[0]
    counts["digest"] = DIGEST_START
    held = np.concatenate([memory, np.zeros(dma.bus_bytes, np.uint8)])
    words = scratchpad.copy()
    (execute or clock_dma)(rows[0], rows[1], dma.settings, held, words, counts)
    cycles = int(counts["load_cycles"]), int(counts["store_cycles"])
    return DmaRun(*cycles, int(counts["digest"]), held[: len(memory)], words)


def _check(name: str, moved: Descriptor, dma: ClockedDma, memory: Bytes, scratchpad: Bytes) -> None:
    moved.check(name)
    if moved.address < 0 or moved.stride < 0 or moved.end > len(memory):
        raise InputError(f"{name}: bytes {moved.address} to {moved.end}, but the memory has {len(memory)}")
    if scratchpad.shape[1] != dma.bus_bytes:
        raise InputError(f"the scratchpad has words of {scratchpad.shape[1]} bytes, but the bus has {dma.bus_bytes}")
    if moved.words(dma) > len(scratchpad):
        raise InputError(f"{name}: {moved.words(dma)} words, but the scratchpad has {len(scratchpad)}")
