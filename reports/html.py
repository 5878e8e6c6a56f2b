"""One run as one HTML file: needs no network, follows the reader's light or dark page, prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

from reports import figures
from reports.events import count_text
from reports.figures_style import printable
from reports.layer_table import definition_of, layer_table
from reports.outline import outline, prices
from reports.pictures import picture_of
from reports.summary import bottleneck
from reports.sweep import FIELDS as SWEEP_FIELDS
from reports.sweep import sweep_rows
from reports.tables import FIELDS, summary_rows
from reports.training_parts import is_training_step, part_rows
from reports.units import short_name
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


@dataclass(frozen=True)
class Card:
    """One total."""

    name: str
    value: str
    definition: str


@dataclass(frozen=True)
class Figure:
    """One figure of the page."""

    name: str
    heading: str
    caption: str
    svg: Markup


@dataclass(frozen=True)
class Column:
    """One column of a plain table."""

    header: str
    definition: str
    numeric: bool


@dataclass(frozen=True)
class Table:
    """A plain table: text cells under their columns."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]

    def __bool__(self) -> bool:
        return bool(self.rows)


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
    picture, problem = picture_of(record, outputs, preview)
    table = layer_table(record)
    shown = {
        "notes": [*map(printable, record.notes), *([problem] if problem else [])],
        "picture": picture,
        "totals": _totals(record),
        "parts": _parts(record),
        "drawings": _drawings(record),
    }
    summary = dict(summary_rows(record))
    verdict = printable(bottleneck(record)).replace(" %", "\N{NO-BREAK SPACE}%") if record.total_cycles else None
    return (
        environment()
        .get_template("report.html")
        .render(
            **shown,
            record=record,
            cards=_cards(record, summary),
            contents=_contents(shown),
            overflow=summary.get("overflow"),
            activity="; ".join(text for name, text in summary.items() if name in ("activity", "array energy")),
            bottleneck=verdict,
            sweep=_sweep(record),
            table=table,
            blocks=any(row.is_block for row in table.rows),
            overflowed=_overflowed(record),
            count_text=count_text,
            short=lambda name: printable(short_name(name)),
            spec=outline(record.spec),
            prices=prices(record.energy_table),
        )
    )


@cache
def environment() -> Environment:
    """Return the templates of all pages; `page.html` is what a page extends: style, scripts, no third-party code."""
    loader = PackageLoader("reports")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


@cache
def _definitions() -> dict[tuple[str, str], str]:
    return {(item.record, item.field): item.text for item in explanations()}


def _cards(record: RunRecord, summary: Mapping[str, str]) -> list[Card]:
    known = _definitions()
    renamed = {"frames/s": "steps/s"} if is_training_step(record) else {}
    return [
        Card(
            renamed.get(name, name),
            summary[name].replace(" u", " µ").replace("mm2", "mm²"),
            known.get(("RunRecord", field), ""),
        )
        for name, field in _CARDS.items()
        if name in summary and getattr(record, field)
    ]


def _with_signs(text: str) -> str:
    return text.replace(" u", " µ").replace("mm2", "mm²")


def _contents(shown: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (id, heading) of the sections that a reader looks for."""
    first = [("segmentation", "Segmentation", "picture"), ("totals", "Totals", "totals"), ("parts", "Parts", "parts")]
    listed = [(section, heading) for section, heading, name in first if shown[name]]
    listed += [(drawing.name, drawing.heading) for drawing in shown["drawings"]]
    return [*listed, ("layers", "Layers"), ("accelerator", "Accelerator"), ("provenance", "Provenance")]


def _totals(record: RunRecord) -> list[Figure]:
    return _figures(
        {
            "Where the time goes": figures.time(record),
            "Energy by component": figures.components(record),
            "Traffic by memory": figures.memories(record),
        }
    )


def _drawings(record: RunRecord) -> list[Figure]:
    return _figures(
        {
            "Roofline": figures.roofline(record),
            "Cycles by layer": figures.cycles(record),
            "Timeline of the longest layers": figures.timeline(record),
            "Energy by layer and component": figures.energy(record),
            "DRAM traffic by layer": figures.traffic(record),
            "Overflow and headroom by layer": figures.overflow(record),
            "Outputs by needed bits": figures.needed_bits(record),
            "What a narrower accumulator costs": figures.sweep(record),
        }
    )


def _figures(drawn: Mapping[str, figures.Drawing | None]) -> list[Figure]:
    """Return the figures that this run has."""
    return [Figure(d.name, heading, d.caption, Markup(d.svg())) for heading, d in drawn.items() if d]


def _parts(record: RunRecord) -> Table:
    known = {"layers": "Layers of the part.", "% of cycles": "Share of the run's total_cycles."}
    rows = part_rows(record)
    columns = [
        Column(h.replace("uJ", "µJ"), known.get(h) or definition_of(FIELDS.get(h, "")), h != "part")
        for h in (rows[0] if rows else ())
    ]
    return _table(columns, rows)


def _sweep(record: RunRecord) -> Table:
    known = _definitions()
    rows = sweep_rows(record)
    texts = {"output", "worst layer"}
    return _table([Column(h, known[SWEEP_FIELDS[h]], h not in texts) for h in (rows[0] if rows else ())], rows)


def _table(columns: Sequence[Column], rows: Sequence[Mapping[str, str]]) -> Table:
    return Table(tuple(columns), tuple(tuple(map(printable, row.values())) for row in rows))


def _overflowed(record: RunRecord) -> list[LayerRecord]:
    return [layer for layer in record.layers if layer.overflow and layer.overflow.affected_outputs]
