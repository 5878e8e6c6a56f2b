"""The figures of a report. Each is drawn from the record alone, and is None where the record has nothing to show."""

from __future__ import annotations

from dataclasses import fields

from reports.figures_layers import Series, stacked
from reports.figures_needed_bits import needed_bits
from reports.figures_overflow import overflow
from reports.figures_roofline import roofline
from reports.figures_style import (
    BLUE,
    COMPONENTS,
    GREEN,
    GREY,
    OCHRE,
    VERMILION,
    VIOLET,
    Drawing,
)
from reports.figures_sweep import sweep
from reports.figures_timeline import timeline
from reports.figures_totals import components, memories, time
from simulator.records.layer import EnergyRecord
from simulator.records.run import RunRecord

__all__ = [
    "Drawing",
    "components",
    "cycles",
    "energy",
    "memories",
    "needed_bits",
    "overflow",
    "roofline",
    "sweep",
    "time",
    "timeline",
    "traffic",
]


def cycles(record: RunRecord) -> Drawing | None:
    """Draw each layer's cycles: array, vector unit or host computing, waiting for loads, for stores, otherwise."""
    if not record.total_cycles:
        return None
    layers = record.layers
    other = [max(0, la.stall_cycles - la.load_stall_cycles - la.store_stall_cycles) for la in layers]
    engines = (("array", "array", BLUE), ("vector", "vector unit", GREEN), ("host", "host", VIOLET))
    series = [
        Series(f"{label} computing", colour, [la.compute_cycles * (la.engine == engine) for la in layers])
        for engine, label, colour in engines
    ]
    series += [
        Series("waiting for loads", VERMILION, [layer.load_stall_cycles for layer in layers]),
        Series("waiting for stores", OCHRE, [layer.store_stall_cycles for layer in layers]),
        Series("waiting otherwise", GREY, other),
    ]
    return stacked("cycles", "Cycles by layer", layers, series, "cycles")


def energy(record: RunRecord) -> Drawing | None:
    """Draw each layer's energy by component."""
    if not record.total_energy_pj:
        return None
    series = [
        Series(*COMPONENTS[part.name], [getattr(layer.energy, part.name) for layer in record.layers])
        for part in fields(EnergyRecord)
    ]
    return stacked("energy", "Energy by layer and component", record.layers, series, "pJ")


def traffic(record: RunRecord) -> Drawing | None:
    """Draw the bytes that each layer reads from and writes to DRAM."""
    if not record.dram_bytes:
        return None
    series = [
        Series("read", BLUE, [layer.dram_read_bytes for layer in record.layers]),
        Series("written", OCHRE, [layer.dram_write_bytes for layer in record.layers]),
    ]
    return stacked("traffic", "DRAM traffic by layer", record.layers, series, "B")
