"""The timeline to look at: intervals of work, coalesced into few enough events for a viewer."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from simulator.lowering.layer import Engine
from simulator.records.run import TraceEvent

MAX_EVENTS = 18_000
"""Events kept for a run, about."""

TRACKS = ("load dma", "work", "store dma")
"""Engines of a layer; `work` stands for array, vector, host or dma."""

_VERBS = {"load dma": "load", "work": "compute", "store dma": "store"}


def spans_per_track(layers: int, cores: int = 1) -> int:
    """Return how many spans are kept of each engine of so many cores in each of so many layers."""
    return max(1, MAX_EVENTS // (len(TRACKS) * cores * max(1, layers)))


@dataclass(frozen=True)
class Span:
    """A stretch of work on one engine."""

    start_cycle: int
    end_cycle: int
    pieces: int
    """Tile ops or transfers in it."""


Spans = Mapping[str, tuple[Span, ...]]
"""Work of the engines of one core, by track."""


def join(starts: ArrayLike, ends: ArrayLike, limit: int) -> tuple[Span, ...]:
    """Join intervals in rising order into at most `limit` spans: neighbours, evenly, their gaps included."""
    begin, end = np.asarray(starts, np.int64), np.asarray(ends, np.int64)
    count = len(begin)
    if count == 0:
        return ()
    size = -(-count // limit)
    first = np.arange(0, count, size)
    last = np.minimum(first + size, count) - 1
    rows = zip(begin[first].tolist(), end[last].tolist(), (last - first + 1).tolist(), strict=True)
    return tuple(Span(*row) for row in rows)


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
        """At most `limit` spans, see `join`."""
        return join(self.starts, self.ends, limit)


def layer_events(
    index: int, name: str, engine: Engine, spans: Sequence[Spans], offset: int, cores: int = 1
) -> Iterator[TraceEvent]:
    """Events of one layer that begins at cycle `offset`; `spans` of each core that works, by track.

    Where the device has several `cores`, tracks are named after them; the host is one.
    """
    for core, of_core in enumerate(spans):
        for track, stretch in of_core.items():
            where = engine.value if track == "work" else track
            if cores > 1 and where != Engine.HOST:
                where = f"core {core} {where}"
            for span in stretch:
                label = f"{name}: {_VERBS[track]}" + ("" if span.pieces == 1 else f" ({span.pieces} tile ops)")
                yield TraceEvent(where, label, span.start_cycle + offset, span.end_cycle - span.start_cycle, index)
