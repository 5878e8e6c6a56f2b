"""What the machine found out: when each layer ran, who waited for whom, and a timeline to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from simulator.records.run import TraceEvent


@dataclass(frozen=True)
class LayerTime:
    """Times of one layer, cycles."""

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

    def shifted(self, cycles: int) -> LayerTime:
        """Return the same, `cycles` later."""
        return LayerTime(
            self.start_cycle + cycles,
            self.end_cycle + cycles,
            self.compute_cycles,
            self.load_cycles,
            self.store_cycles,
            self.load_stall_cycles,
            self.store_stall_cycles,
        )


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
