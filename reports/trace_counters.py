"""Counters beside the slices of a trace: DRAM bytes a cycle and the array's utilization, over the run."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from reports.occupancy import Track, amounts, tracks
from simulator.records.layer import LayerRecord
from simulator.records.run import RunRecord

_STRETCHES = 1000
"""Stretches of equal length that a run is divided into; a shorter run has one a cycle."""

COUNTERS = ("DRAM read, B/cycle", "DRAM written, B/cycle", "array utilization, %")
"""Names of the counters."""


def counters(record: RunRecord) -> dict[str, list[tuple[int, float]]]:
    """Return (cycle, value) of each counter wherever its value changes, and 0 at the end of the run.

    A layer's bytes are spread evenly over the cycles in which its DMA works, its MACs over those in which the array
    does, so that each counter's sum over all cycles is the run's total.
    """
    total = record.total_cycles
    if not total or not record.events:
        return {}
    edges = np.unique(np.linspace(0, total, min(_STRETCHES, total) + 1).round())
    sources: tuple[tuple[str, Callable[[LayerRecord], int], float], ...] = (
        ("load dma", lambda layer: layer.dram_read_bytes, 1.0),
        ("store dma", lambda layer: layer.dram_write_bytes, 1.0),
        ("array", lambda layer: layer.macs, 100 / record.peak_macs_per_cycle),
    )
    found = tracks(record)
    made = {}
    for name, (engine, amount, scale) in zip(COUNTERS, sources, strict=True):
        if engine in found:
            rates = _rates(record, found[engine], amount)
            values = scale * amounts(found[engine], edges, rates) / np.diff(edges)
            made[name] = list(_changes(edges, values))
    return made


def _rates(record: RunRecord, track: Track, amount: Callable[[LayerRecord], int]) -> NDArray[np.float64]:
    """Return what each event does in a cycle: its layer's amount over the cycles of all the layer's events."""
    wanted = np.array([amount(layer) for layer in record.layers], dtype=np.float64)
    worked = np.bincount(track.layers, track.durations, minlength=len(record.layers))
    rates: NDArray[np.float64] = np.divide(wanted, worked, out=np.zeros(len(worked)), where=worked > 0)[track.layers]
    return rates


def _changes(edges: NDArray[np.float64], values: NDArray[np.float64]) -> Iterator[tuple[int, float]]:
    before = None
    for cycle, value in zip(edges, [*values, 0.0], strict=True):
        rounded = round(float(value), 3)
        if rounded != before or cycle == edges[-1]:
            yield int(cycle), rounded
        before = rounded
