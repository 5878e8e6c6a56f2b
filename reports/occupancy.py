"""How busy each engine is over stretches of a run, from the events of its timeline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.records.run import RunRecord


@dataclass(frozen=True, eq=False)
class Track:
    """The events of one engine as arrays, all [events]."""

    starts: NDArray[np.int64]
    """First cycle of each event."""
    durations: NDArray[np.int64]
    """Length of each event, cycles."""
    layers: NDArray[np.int64]
    """Index of the layer that each event belongs to."""
    engines: int = 1
    """Engines that work side by side on it: one a core."""


def tracks(record: RunRecord) -> dict[str, Track]:
    """Return the events of a record by engine, in the order in which the engines first appear; all cores' together."""
    rows: dict[str, list[tuple[int, int, int]]] = {}
    engines: dict[str, int] = {}
    for event in record.events:
        of_core = event.track.startswith("core ")
        name = event.track.split(" ", 2)[2] if of_core else event.track
        engines[name] = record.cores if of_core else 1
        rows.setdefault(name, []).append((event.start_cycle, event.duration_cycles, event.layer))
    tables = {name: np.array(found, dtype=np.int64).T for name, found in rows.items()}
    return {name: Track(table[0], table[1], table[2], engines[name]) for name, table in tables.items()}


def amounts(track: Track, edges: NDArray[np.float64], rates: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """Return what a track does between neighbouring edges.

    Parameters
    ----------
    track
        The events.
    edges
        Cycles, rising, [bins + 1].
    rates
        What each event does in a cycle, [events]; without it, 1: the result is then cycles of work.

    Returns
    -------
    NDArray[np.float64]
        [bins]; an event that crosses an edge is divided there.

    """
    rates = np.ones(len(track.starts)) if rates is None else rates
    at = np.concatenate([track.starts, track.starts + track.durations])
    steps = np.concatenate([rates, -rates])
    order = np.argsort(at, kind="stable")
    at, steps = at[order].astype(np.float64), steps[order]
    if not len(at):
        return np.zeros(len(edges) - 1)
    # The rate is a step function of time; its integral is piecewise linear between the steps.
    done = np.concatenate([[0.0], np.cumsum(np.cumsum(steps)[:-1] * np.diff(at))])
    spent: NDArray[np.float64] = np.diff(np.interp(edges, at, done))
    return np.maximum(spent, 0.0)


def shares(track: Track, edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of each stretch between neighbouring edges in which the engine works, [bins], 0 to 1.

    Of several cores' engines it is the mean.
    """
    return np.clip(amounts(track, edges) / (np.diff(edges) * track.engines), 0.0, 1.0)


def only(track: Track, chosen: NDArray[np.bool_]) -> Track:
    """Return the events of a track that `chosen`, [events], marks."""
    return Track(track.starts[chosen], track.durations[chosen], track.layers[chosen], track.engines)
