"""One run as one HTML file: needs no network, follows the reader's light or dark page, prints."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

from reports import figures, labels
from reports.figures_style import printable
from reports.summary import bottleneck
from reports.sweep import FIELDS as SWEEP_FIELDS
from reports.sweep import sweep_rows
from reports.tables import FIELDS, layer_rows, summary_rows
from reports.units import short_name
from simulator.errors import InputError
from simulator.records.explain import explanations
from simulator.records.layer import LayerRecord
from simulator.records.run import RunRecord

_CARDS = {
    "time": "total_time_s",
    "frames/s": "frames_per_s",
    "energy": "total_energy_pj",
    "average power": "average_power_w",
    "efficiency": "tops_per_w",
    "area": "total_area_mm2",
    "DRAM traffic": "dram_bytes",
    "peak memory": "peak_memory_bytes",
    "MACs": "total_macs",
    "utilization": "utilization",
    "parameters": "parameters",
    "cycles": "total_cycles",
}
"""Total, as `summary_rows` calls it -> the field of RunRecord that defines it."""

_LARGEST_PICTURE = 1024


@dataclass(frozen=True)
class Card:
    """One total."""

    name: str
    value: str
    definition: str


@dataclass(frozen=True)
class Column:
    """One column of the layer table."""

    header: str
    definition: str
    numeric: bool


@dataclass(frozen=True)
class Picture:
    """The label map, with the photo where there is one, as data URIs."""

    photo: str | None
    label_map: str
    caption: str
    classes: tuple[labels.ClassShare, ...]


def render(record: RunRecord, outputs: Mapping[str, NDArray[Any]], preview: NDArray[np.uint8] | None) -> str:
    """Draw the report of a run: the same bytes for the same run.

    Parameters
    ----------
    record
        The run; what it has no values or no time for is left out.
    outputs
        The network's outputs; the label map is drawn from the one that `record.segmentation` names.
    preview
        The photo that was put in, RGB [h, w, 3], if it was one.

    """
    picture, problem = _picture(record, outputs, preview)
    rows = [[printable(cell) for cell in row.values()] for row in layer_rows(record)]
    return (
        _environment()
        .get_template("report.html")
        .render(
            record=record,
            cards=_cards(record),
            overflow=dict(summary_rows(record)).get("overflow"),
            activity="; ".join(text for name, text in summary_rows(record) if name in ("activity", "array energy")),
            bottleneck=printable(bottleneck(record)).replace(" %", "\N{NO-BREAK SPACE}%")
            if record.total_cycles
            else None,
            notes=[*map(printable, record.notes), *([problem] if problem else [])],
            picture=picture,
            sections=_sections(record),
            sweep_columns=_sweep_columns(record),
            sweep_rows=[[printable(cell) for cell in row.values()] for row in sweep_rows(record)],
            columns=_columns(record),
            rows=[(str(layer.index), *row) for layer, row in zip(record.layers, rows, strict=True)],
            definitions=_layer_definitions(record),
            overflowed=_overflowed(record),
            short=lambda name: printable(short_name(name)),
            spec=_outline(record.spec),
            prices=_prices(record.energy_table),
        )
    )


@cache
def _environment() -> Environment:
    loader = PackageLoader("reports")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


@cache
def _definitions() -> dict[tuple[str, str], str]:
    return {(item.record, item.field): item.text for item in explanations()}


def _field_definition(name: str) -> str:
    known = _definitions()
    records = ("LayerRecord", "OverflowRecord", "ActivityRecord")
    return next((known[record, name] for record in records if (record, name) in known), "")


def _cards(record: RunRecord) -> list[Card]:
    totals = dict(summary_rows(record))
    known = _definitions()
    return [
        Card(name, totals[name].replace(" u", " µ"), known.get(("RunRecord", field), ""))
        for name, field in _CARDS.items()
        if name in totals and getattr(record, field)
    ]


def _columns(record: RunRecord) -> list[Column]:
    shown = layer_rows(record)
    headers = list(shown[0]) if shown else []
    texts = {"name", "op", "engine", "output_shape", "bound"}
    columns = [Column(h.replace("uJ", "µJ"), _field_definition(FIELDS[h]), FIELDS[h] not in texts) for h in headers]
    return [Column("#", _field_definition("index"), True), *columns]


def _sweep_columns(record: RunRecord) -> list[Column]:
    known = _definitions()
    rows = sweep_rows(record)
    texts = {"output", "worst layer"}
    return [Column(h, known[SWEEP_FIELDS[h]], h not in texts) for h in (rows[0] if rows else ())]


def _layer_definitions(record: RunRecord) -> list[tuple[str, str, str]]:
    """Return (header, field, definition) of every column."""
    shown = layer_rows(record)
    return [(h.replace("uJ", "µJ"), FIELDS[h], _field_definition(FIELDS[h])) for h in (shown[0] if shown else ())]


def _overflowed(record: RunRecord) -> list[LayerRecord]:
    return [layer for layer in record.layers if layer.overflow and layer.overflow.events]


def _sections(record: RunRecord) -> list[tuple[str, str, str, Markup]]:
    """Return (id, heading, caption, SVG) of every figure that this run has."""
    drawings = {
        "Roofline": figures.roofline(record),
        "Cycles by layer": figures.cycles(record),
        "Energy by layer and component": figures.energy(record),
        "DRAM traffic by layer": figures.traffic(record),
        "Overflow and headroom by layer": figures.overflow(record),
        "What a narrower accumulator costs": figures.sweep(record),
    }
    return [(d.name, heading, d.caption, Markup(d.svg())) for heading, d in drawings.items() if d]


def _picture(
    record: RunRecord, outputs: Mapping[str, NDArray[Any]], preview: NDArray[np.uint8] | None
) -> tuple[Picture | None, str | None]:
    """Return the label map beside the photo, or why there is none though the network promises one."""
    segmentation = record.segmentation
    output = outputs.get(segmentation.output) if segmentation else None
    if segmentation is None or output is None:
        return None, None
    try:
        found = labels.label_map(output)
    except InputError as error:
        return None, f"no label map is drawn: {error}"
    photo = None if preview is None else labels.thinned(preview, _LARGEST_PICTURE)
    height, width = found.shape if photo is None else photo.shape[:2]
    drawn = labels.resize_nearest(labels.coloured(found, labels.palette_of(segmentation)), height, width)
    caption = f"Labels at {found.shape[1]} x {found.shape[0]} pixels, from output {printable(segmentation.output)}"
    caption += f"; image 1 of {len(output)}." if output.ndim > 2 and len(output) > 1 else "."
    shares = labels.classes_present(found, segmentation)
    return Picture(None if photo is None else _data_uri(photo), _data_uri(drawn), caption, shares), None


def _data_uri(image: NDArray[np.uint8]) -> str:
    return "data:image/png;base64," + base64.b64encode(labels.png(image)).decode("ascii")


def _outline(value: Any, depth: int = 0) -> str:
    """Write nested plain data as indented lines, the way its YAML reads."""
    pad = "  " * depth
    if isinstance(value, Mapping):
        items = [(f"{pad}{key}:", item) for key, item in value.items()]
    else:
        items = [(f"{pad}-", item) for item in value]
    lines = []
    for head, item in items:
        nested = isinstance(item, Mapping) or (isinstance(item, list | tuple) and item)
        lines.append(f"{head}\n{_outline(item, depth + 1)}" if nested else f"{head} {item}")
    return "\n".join(lines)


def _prices(table: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return (action, price, source) of every entry of an energy table."""
    return [
        (action, ", ".join(f"{entry[key]} {key}" for key in entry if key != "source"), str(entry.get("source", "")))
        for action, entry in table.items()
        if isinstance(entry, Mapping)
    ]
