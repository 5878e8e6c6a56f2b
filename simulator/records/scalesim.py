"""One layer as SCALE-Sim 3 reports it, in words (operand elements) and cycles."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Access:
    """Requests of one operand at one memory. None where SCALE-Sim's own figure needs a replay of its trace."""

    start_cycle: int
    """Cycle of the first request; DRAM prefetches have negative ones."""
    stop_cycle: int | None
    """Cycle of the last request."""
    words: int | None
    """Number of elements requested."""

    @property
    def words_per_cycle(self) -> float | None:
        """Average over the time from the first to the last request."""
        if self.stop_cycle is None or self.words is None:
            return None
        return self.words / (self.stop_cycle - self.start_cycle + 1)


@dataclass(frozen=True)
class ScaleSimRow:
    """Everything that the three reports say of a layer."""

    total_cycles: int
    """Last compute cycle, counted from 0: one less than the number of cycles, as SCALE-Sim has it."""
    overall_utilization: float | None
    """MACs / (total_cycles x PEs), as a fraction; None where total_cycles is 0."""
    mapping_efficiency: float
    """PEs that hold work / PEs, averaged over folds."""
    compute_utilization: float
    """MACs of a fold / (PEs x (cycles of a fold + columns - 1)), averaged over folds.

    Output stationary has no columns - 1 here.
    """
    rtl_cycles: int | None
    """Cycles of the same work on the array in `rtl/`; None for input stationary, which that array has not."""
    sram: tuple[Access, Access, Access]
    """Ifmap reads, filter reads, ofmap writes."""
    dram: tuple[Access, Access, Access]
    """Ifmap reads, filter reads, ofmap writes."""

    @property
    def total_cycles_with_prefetch(self) -> int:
        """Cycles from the first DRAM read to the last DRAM write."""
        stop = self.dram[2].stop_cycle
        assert stop is not None
        return stop - min(self.dram[0].start_cycle, self.dram[1].start_cycle)
