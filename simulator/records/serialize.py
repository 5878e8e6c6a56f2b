"""RunRecord to plain JSON and back: same record, same text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from typing import Any

from simulator.errors import RunFolderError
from simulator.records.accumulator_sweep import OutputError, SweepPoint
from simulator.records.activity import ActivityRecord
from simulator.records.layer import EnergyRecord, LayerRecord
from simulator.records.overflow import FirstEvent, OverflowRecord
from simulator.records.run import SCHEMA_VERSION, RunRecord, Segmentation, TraceEvent

_TOTALS = (
    "total_cycles",
    "total_time_s",
    "frames_per_s",
    "total_macs",
    "total_energy_pj",
    "total_area_mm2",
    "average_power_w",
    "tops_per_w",
    "utilization",
    "dram_read_bytes",
    "dram_write_bytes",
    "overflow_events",
)
"""Derived figures of a RunRecord, written for readers without this tool and ignored when read back."""

_PLAIN: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (float, int),
    "str": (str,),
    "bool": (bool,),
    "Mapping[str, Any]": (dict,),
    "Mapping[str, float]": (dict,),
}
"""Declared type of a field -> what JSON may give for it."""


def record_to_json(record: RunRecord) -> str:
    """Return the record as JSON text: its fields, and its totals for readers without this tool."""
    data = asdict(replace(record, events=()))
    data["events"] = [vars(event) for event in record.events]
    data["totals"] = {name: getattr(record, name) for name in _TOTALS}
    for row, layer in zip(data["layers"], record.layers, strict=True):
        row["energy_pj"] = layer.energy_pj
    order = ["schema_version", "tool_version", "network", "accelerator", "mode", "seed", "totals", "notes"]
    ordered = {key: data.pop(key) for key in order} | data
    return json.dumps(ordered, indent=1, allow_nan=False) + "\n"


def record_from_json(text: str, place: str) -> RunRecord:
    """Read a record back; RunFolderError naming `place` on damaged text or another schema version."""
    try:
        data = json.loads(text)
        version = data["schema_version"]
        if version != SCHEMA_VERSION:
            raise RunFolderError(f"{place}: schema version {version}, this tool reads {SCHEMA_VERSION}; run it again")
        return _record(data)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise RunFolderError(f"{place}: damaged run record ({type(error).__name__}: {error})") from None


def _record(data: Mapping[str, Any]) -> RunRecord:
    # A folder written before there were sweeps, areas or batches has no such key.
    absent: dict[str, Any] = {"accumulator_sweep": (), "area_mm2": {}, "images": 1}
    data = absent | dict(data)
    plain = _known(RunRecord, data)
    segmentation = data["segmentation"]
    plain |= {
        "layers": tuple(_layer(row) for row in data["layers"]),
        "notes": tuple(data["notes"]),
        "events": tuple(TraceEvent(**_known(TraceEvent, event)) for event in data["events"]),
        "segmentation": None if segmentation is None else _segmentation(segmentation),
        "accumulator_sweep": tuple(_sweep_point(point) for point in data["accumulator_sweep"]),
    }
    return RunRecord(**plain)


def _segmentation(data: Mapping[str, Any]) -> Segmentation:
    palette = tuple((int(r), int(g), int(b)) for r, g, b in data["palette"])
    return Segmentation(data["output"], tuple(data["class_names"]), palette)


def _sweep_point(data: Mapping[str, Any]) -> SweepPoint:
    outputs = tuple(OutputError(**_known(OutputError, error)) for error in data["outputs"])
    return SweepPoint(**_known(SweepPoint, data) | {"outputs": outputs})


def _layer(data: Mapping[str, Any]) -> LayerRecord:
    absent = {"activity": None, "live_bytes": 0, "core_compute_cycles": (), "on_store": "", "done_by": ""}
    data = absent | {"bank_conflict_cycles": 0} | dict(data)  # likewise
    plain = _known(LayerRecord, data)
    plain |= {
        "input_shape": tuple(data["input_shape"]),
        "output_shape": tuple(data["output_shape"]),
        "core_compute_cycles": tuple(int(cycles) for cycles in data["core_compute_cycles"]),
        "energy": EnergyRecord(**_known(EnergyRecord, data["energy"])),
        "activity": None if data["activity"] is None else ActivityRecord(**_known(ActivityRecord, data["activity"])),
        "overflow": None if data["overflow"] is None else _overflow(data["overflow"]),
    }
    return LayerRecord(**plain)


def _overflow(data: Mapping[str, Any]) -> OverflowRecord:
    data = {"outputs_by_needed_bits": ()} | dict(data)  # older folders lack it
    first, widths = data["first_event"], tuple(data["outputs_by_needed_bits"])
    return OverflowRecord(
        **_known(OverflowRecord, data)
        | {"first_event": None if first is None else FirstEvent(*first), "outputs_by_needed_bits": widths}
    )


def _known(record: type, data: Mapping[str, Any]) -> dict[str, Any]:
    return {field.name: _plain(record, field.name, str(field.type), data[field.name]) for field in fields(record)}


def _plain(record: type, name: str, declared: str, value: Any) -> Any:
    """Return `value` where it is of the declared plain type; nested records are checked where they are built."""
    kinds = _PLAIN.get(declared.removesuffix(" | None"))
    if kinds is None or (value is None and declared.endswith(" | None")):
        return value
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise TypeError(f"{record.__name__}.{name} is {value!r:.40}, not {declared}")
    return value
