"""The figures of a design point: plain numbers, named as in the record."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from simulator.accelerator.spec import Accelerator
from simulator.records.run import RunRecord

OBJECTIVES = (
    *("total_time_s", "total_cycles", "total_energy_pj", "edp_pj_s", "total_area_mm2", "dram_bytes"),
    *("frames_per_s", "tops_per_w", "utilization", "average_power_w", "accuracy_loss", "miou_loss"),
)
"""Figures that may be objectives."""
OF_VALUES = ("accuracy_loss", "miou_loss")
"""Figures for which values are computed: of images, and of a labelled data set."""
_NOT_OF_THE_RECORD = ("edp_pj_s", *OF_VALUES)
LARGER_IS_BETTER = frozenset({"frames_per_s", "tops_per_w", "utilization"})
"""Objectives to be raised; the others are to be lowered."""
KNOWN_BEFORE = ("scratchpad_bytes", "processing_elements", "dram_bytes_per_cycle", "peak_tops")
"""Figures of the accelerator alone, known before anything runs."""
LIMITABLE = (*KNOWN_BEFORE, *OBJECTIVES)
"""Figures that a constraint may limit."""
UNITS = {
    "total_time_s": "s",
    "total_cycles": "cycles",
    "total_energy_pj": "pJ",
    "edp_pj_s": "pJ s",
    "total_area_mm2": "mm2",
    "dram_bytes": "bytes",
    "frames_per_s": "frames/s",
    "tops_per_w": "TOPS/W",
    "utilization": "",
    "average_power_w": "W",
    "accuracy_loss": "",
    "miou_loss": "",
}
"""Unit of each objective."""


def figures_before(accelerator: Accelerator) -> dict[str, float]:
    """Return the figures that the specification alone decides."""
    memories = accelerator.memories
    return {
        "scratchpad_bytes": accelerator.cores
        * (memories.input_scratchpad.size + memories.weight_scratchpad.size + memories.accumulator.size),
        "processing_elements": accelerator.peak_macs_per_cycle,
        "dram_bytes_per_cycle": float(accelerator.dram_bytes_per_cycle),
        "peak_tops": 2e-6 * accelerator.peak_macs_per_cycle * accelerator.clock_mhz,
    }


def figures(record: RunRecord) -> dict[str, float]:
    """Return the figures of a run: the objectives, and where the time went.

    `bound_KIND_share` is the share of all cycles in layers whose busiest engine is KIND; `slowest_layer_share` that of
    the longest layer.
    """
    found: dict[str, float] = {name: getattr(record, name) for name in OBJECTIVES if name not in _NOT_OF_THE_RECORD}
    found["edp_pj_s"] = found["total_energy_pj"] * found["total_time_s"]
    return {name: found[name] for name in OBJECTIVES if name in found} | _shares(record)


def _shares(record: RunRecord) -> dict[str, float]:
    bound: defaultdict[str, int] = defaultdict(int)
    for layer in record.layers:
        bound[layer.bound] += layer.total_cycles
    total = max(1, record.total_cycles)
    kinds = ("compute", "vector", "host", "load", "store")
    longest = max((layer.total_cycles for layer in record.layers), default=0)
    return {f"bound_{kind}_share": bound[kind] / total for kind in kinds} | {"slowest_layer_share": longest / total}


def bottleneck(found: Mapping[str, float]) -> str:
    """Return what most of the time is bound by, with its share, e.g. ``load 61 %``."""
    name, share = max(
        ((key.split("_")[1], value) for key, value in found.items() if key.startswith("bound_")), key=lambda kv: kv[1]
    )
    return f"{name} {100 * share:.0f} %"
