"""The figures of a report. Each is drawn from the record alone, and is None where the record has nothing to show."""

from __future__ import annotations

from dataclasses import fields

from reports.figures_layers import Series, stacked
from reports.figures_overflow import overflow
from reports.figures_roofline import roofline
from reports.figures_style import (
    BLUE,
    GREEN,
    GREY,
    MINT,
    OCHRE,
    PINK,
    SKY,
    VERMILION,
    VIOLET,
    Drawing,
)
from reports.figures_sweep import sweep
from simulator.records.layer import EnergyRecord
from simulator.records.run import RunRecord

__all__ = ["Drawing", "cycles", "energy", "overflow", "roofline", "sweep", "traffic"]

_COMPONENTS = {
    "mac_pj": ("MAC", BLUE),
    "idle_pe_pj": ("idle PE", SKY),
    "input_scratchpad_pj": ("input scratchpad", GREEN),
    "weight_scratchpad_pj": ("weight scratchpad", MINT),
    "accumulator_pj": ("accumulator", OCHRE),
    "dram_pj": ("DRAM", VERMILION),
    "vector_pj": ("vector unit", PINK),
    "host_pj": ("host", VIOLET),
    "leakage_pj": ("leakage", GREY),
}


def cycles(record: RunRecord) -> Drawing | None:
    """Draw each layer's cycles: computing, waiting for loads, waiting for stores, waiting otherwise."""
    if not record.total_cycles:
        return None
    layers = record.layers
    other = [max(0, la.stall_cycles - la.load_stall_cycles - la.store_stall_cycles) for la in layers]
    series = [
        Series("computing", BLUE, [layer.compute_cycles for layer in layers]),
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
        Series(*_COMPONENTS[part.name], [getattr(layer.energy, part.name) for layer in record.layers])
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
