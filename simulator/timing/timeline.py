"""What the machine found out: when each layer ran, who waited for whom, and a timeline to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from simulator.records.changed import changed
from simulator.records.run import TraceEvent


@dataclass(frozen=True)
class CoreTime:
    """What the engines of one core do in one layer, cycles."""

    compute_cycles: int
    """Its engine works."""
    load_cycles: int
    """Its load DMA works."""
    store_cycles: int
    """Its store DMA works."""
    load_stall_cycles: int
    """Its engine waits for operands."""
    bank_conflict_cycles: int
    """Of compute_cycles, those in which pixels wait for banks."""


@dataclass(frozen=True)
class LayerTime:
    """Times of one layer, cycles; what its engines do is that of the core that computes longest (`busiest`)."""

    start_cycle: int = 0
    """First command offered."""
    end_cycle: int = 0
    """Last write done."""
    compute_cycles: int = 0
    """Its engine works."""
    load_cycles: int = 0
    """The load DMA works."""
    store_cycles: int = 0
    """The store DMA works."""
    load_stall_cycles: int = 0
    """Its engine waits for operands."""
    store_stall_cycles: int = 0
    """Its engine waits for room, or the layer for its last write."""
    bank_conflict_cycles: int = 0
    """Of compute_cycles, those in which pixels wait for banks."""
    core_compute_cycles: tuple[int, ...] = ()
    """Cycles in which each core's engine works, where a layer is split over cores."""

    @classmethod
    def busiest(cls, end_cycle: int, cores: Sequence[CoreTime]) -> LayerTime:
        """Make the times of a layer from those of its cores: of the first of those that compute longest.

        After its last tile op it waits for its writes and for the other cores.
        """
        most = cores[0] if len(cores) == 1 else max(cores, key=lambda core: core.compute_cycles)
        return cls(
            end_cycle=end_cycle,
            compute_cycles=most.compute_cycles,
            load_cycles=most.load_cycles,
            store_cycles=most.store_cycles,
            load_stall_cycles=most.load_stall_cycles,
            store_stall_cycles=end_cycle - most.compute_cycles - most.load_stall_cycles,
            bank_conflict_cycles=most.bank_conflict_cycles,
            core_compute_cycles=tuple(core.compute_cycles for core in cores) if len(cores) > 1 else (),
        )

    def shifted(self, cycles: int) -> LayerTime:
        """Return the same, `cycles` later."""
        return changed(self, start_cycle=self.start_cycle + cycles, end_cycle=self.end_cycle + cycles)


@dataclass(frozen=True)
class Timeline:
    """Times of a whole schedule."""

    layers: tuple[LayerTime, ...]
    """One per layer, in order."""
    events: Sequence[TraceEvent]
    """Work of each engine, coalesced where a layer has many tile ops."""

    @property
    def total_cycles(self) -> int:
        """End of the last layer."""
        return self.layers[-1].end_cycle if self.layers else 0
