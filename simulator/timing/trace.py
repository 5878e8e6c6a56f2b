"""Intervals of work, coalesced into few enough events for a viewer."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

MAX_EVENTS = 18_000
"""Events kept for a run, about."""


@dataclass(frozen=True)
class Span:
    """A stretch of work on one engine."""

    start_cycle: int
    end_cycle: int
    pieces: int
    """Tile ops or transfers in it."""


@dataclass
class Intervals:
    """Intervals of one engine in one layer, in rising order."""

    starts: array[int] = field(default_factory=lambda: array("q"))
    ends: array[int] = field(default_factory=lambda: array("q"))

    def add(self, start: int, end: int) -> None:
        """Append one interval; empty ones are dropped."""
        if end > start:
            self.starts.append(start)
            self.ends.append(end)

    @property
    def busy_cycles(self) -> int:
        """Sum of all lengths."""
        return sum(self.ends) - sum(self.starts)

    def spans(self, limit: int) -> tuple[Span, ...]:
        """At most `limit` spans: neighbours are joined, evenly, their gaps included."""
        count = len(self.starts)
        if count == 0:
            return ()
        size = -(-count // limit)
        cuts = range(0, count, size)
        return tuple(Span(self.starts[a], self.ends[min(a + size, count) - 1], min(a + size, count) - a) for a in cuts)
