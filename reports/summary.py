"""One sentence on where the time of a run goes."""

from __future__ import annotations

from reports.units import percent, short_name
from simulator.records.layer import LayerRecord
from simulator.records.run import RunRecord


def bottleneck(record: RunRecord) -> str:
    """Name what most of the run's cycles go to, with its share and the layer that matters most in it."""
    total = record.total_cycles
    if not total:
        return "no time was computed" if record.mode == "values" else "the network takes no time"
    kinds = {
        "array computing": {layer.index: layer.compute_cycles for layer in record.layers if layer.engine == "array"},
        "vector unit computing": {la.index: la.compute_cycles for la in record.layers if la.engine == "vector"},
        "host computing": {layer.index: layer.compute_cycles for layer in record.layers if layer.engine == "host"},
        "waiting for DRAM loads": {layer.index: layer.load_stall_cycles for layer in record.layers},
        "waiting for DRAM stores": {layer.index: layer.store_stall_cycles for layer in record.layers},
    }
    kind, cycles = max(kinds.items(), key=lambda item: sum(item[1].values()))
    worst = max(cycles, key=lambda index: cycles[index])
    return (
        f"{_verdict(kind)}: {percent(sum(cycles.values()) / total)} of all cycles are {kind}, "
        f"most of all in {short_name(record.layers[worst].name)} ({percent(cycles[worst] / total)})"
    )


def _verdict(kind: str) -> str:
    return "memory bound" if kind.startswith("waiting") else f"{kind.split()[0]} bound"


def widest_layer(record: RunRecord) -> LayerRecord | None:
    """Return the layer that needs the widest accumulator; None where no values were computed."""
    layers = [layer for layer in record.layers if layer.overflow and layer.overflow.needed_bits is not None]
    return max(layers, key=lambda layer: (layer.overflow.needed_bits or 0) if layer.overflow else 0, default=None)
