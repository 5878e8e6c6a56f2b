"""The overflow ledger of one layer: registers, events, needed width."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

BOUNDS = "bounds"
"""Cleared by the range of the activations and the sums of the weights: no running sum can reach a rail."""
NORMS = "norms"
"""Cleared by Cauchy-Schwarz: the greatest norm of what an output reads times the greatest of a filter."""
GUARDED = "guarded steps"
"""Stepped where no proof cleared a block of k, leapt over elsewhere."""
STEPS = "steps"
"""Stepped, every addition."""


def sum_or_none(counts: Iterable[int | None]) -> int | None:
    """Add up counts; None where one of them is not known."""
    known = list(counts)
    return None if None in known else sum(count for count in known if count is not None)


class FirstEvent(NamedTuple):
    """Where the first overflow happened."""

    output: int
    """Flat NHWC index of the output."""
    k: int
    """Flat reduction index of the addition, (kh, kw, c) with c fastest; -1 = loading the start value.
    An addition of a partial sum to the accumulator carries the last k of its fold."""
    register: str
    """`partial_sum` or `accumulator`."""


@dataclass(frozen=True)
class OverflowRecord:
    """What the registers of the array did while a layer ran. All zero for a layer that does not use the array."""

    events: int | None = 0
    """Additions whose exact result lay outside the register: partial_sum_events + accumulator_events. None where there
    were some and they were not counted (ledger="affected"); the same of the two that follow."""
    partial_sum_events: int | None = 0
    """Events in the processing elements' partial-sum registers (weight stationary only)."""
    accumulator_events: int | None = 0
    """Events in the accumulators, loading the start value included."""
    affected_outputs: int = 0
    """Outputs with at least one event in either register, even where the final value is right."""
    first_event: FirstEvent | None = None
    """Lowest output, then lowest k, partial sum before accumulator; None without events."""
    needed_bits: int | None = None
    """Least register width (both registers) at which nothing would overflow: it holds every exact, unwrapped running
    sum, the start value included. A proven upper bound unless needed_bits_is_exact. None for layers off the array."""
    needed_bits_is_exact: bool = False
    """Whether needed_bits was measured on these inputs (ledger="exact", or a layer run step by step)."""
    partial_sum_needed_bits: int | None = None
    """The same, of the partial-sum register alone; None where the dataflow has none."""
    accumulator_needed_bits: int | None = None
    """The same, of the accumulator alone."""
    outputs_by_needed_bits: tuple[int, ...] = ()
    """How many outputs need exactly 0, 1, 2, ... bits of their accumulator on these inputs (65 stands for more than
    64). Empty where the layer was not stepped throughout; ledger="exact" steps every layer."""
    partial_sum_bits: int | None = None
    """Width of the partial-sum register; None where the dataflow has none."""
    accumulator_bits: int | None = None
    """Width of the accumulator; None for layers off the array."""
    method: str | None = None
    """How the ledger was found out: `bounds` or `norms` (proved free of events, run as one exact sum), `guarded steps`
    (each addition, but for blocks of k that are proved free of events) or `steps` (each addition). None off the
    array. Values and counts do not depend on it."""
    saturations: int = 0
    """Outputs clipped on purpose at requantize (rail of the output format or of the fused activation). Not overflow."""

    def without_counts(self) -> OverflowRecord:
        """Return it as ledger="affected" has it: of a layer with affected outputs, no counts of events."""
        if not self.affected_outputs:
            return self
        return replace(self, events=None, partial_sum_events=None, accumulator_events=None)

    def bits_for(self, share: float) -> int | None:
        """Width of the accumulator at which `share` (0 to 1) of the outputs, or more, need no more; None if unknown."""
        total, held = sum(self.outputs_by_needed_bits), 0
        for bits, outputs in enumerate(self.outputs_by_needed_bits):
            held += outputs
            if held >= share * total:
                return bits
        return None

    @property
    def headroom_bits(self) -> int | None:
        """Accumulator bits left over: accumulator_bits - accumulator_needed_bits (negative = overflowed)."""
        if self.accumulator_bits is None or self.accumulator_needed_bits is None:
            return None
        return self.accumulator_bits - self.accumulator_needed_bits
