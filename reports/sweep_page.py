"""A sweep as one HTML file: the front of each network as a picture and a table, what failed, the space itself."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from reports.figures_pareto import LARGER_IS_BETTER, figure_text, pareto, words
from reports.html import Card, Column, Figure, Table, environment
from reports.layer_shares import HEADERS, LayerShare, share_rows
from reports.units import binary_bytes

_MOST_FAILURES = 200
"""Rows of the table of failures; all of them stand in points.csv."""
_MOST_LAYERS = 10
"""Layers of a point on a front; all of them stand in front_layers.csv."""
_BOTTLENECK = "What most of the time is bound by, with the share of the time of layers that are."


@dataclass(frozen=True)
class SweepPage:
    """What the page shows, as plain data."""

    name: str
    description: str
    version: str
    """Of the tool."""
    objectives: Sequence[str]
    varied: Sequence[str]
    """Dotted keys that vary."""
    rows: Sequence[Mapping[str, Any]]
    """One a point, as in points.csv."""
    fronts: Mapping[str, Sequence[Mapping[str, Any]]]
    """Rows of the points on the front of each network, in the order of the first objective."""
    counts: Mapping[str, int]
    """Points by what became of them, e.g. quarantined."""
    space: Mapping[str, Any]
    """The space, as its YAML file has it."""
    layers: Mapping[str, Sequence[LayerShare]]
    """Layers of each point on a front, by its `point`."""


@dataclass(frozen=True)
class _Cell:
    text: str
    value: float | None


@dataclass(frozen=True)
class _Sorted:
    columns: tuple[Column, ...]
    rows: tuple[tuple[_Cell, ...], ...]


@dataclass(frozen=True)
class _Part:
    id: str
    network: str
    verdicts: tuple[str, ...]
    figure: Figure | None
    table: _Sorted
    layers: tuple[tuple[str, Table], ...]
    """(Point, where its time goes)."""


def write_sweep_page(path: Path, page: SweepPage) -> Path:
    """Write the page; OSError where it cannot be written, and then what was there before stays."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        draft.write_text(render_sweep(page), encoding="utf-8")
        return draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def render_sweep(page: SweepPage) -> str:
    """Draw the page: the same bytes for the same sweep."""
    failed = [row for row in page.rows if row.get("error")]
    columns = (Column("point", "", False), Column("error", "", False))
    failures = tuple((_label(row, page.varied), str(row["error"]).splitlines()[0]) for row in failed[:_MOST_FAILURES])
    space = tuple((key, _plain(value)) for key, value in page.space.items())
    return (
        environment()
        .get_template("sweep.html")
        .render(
            name=page.name,
            description=page.description,
            version=page.version,
            cards=[Card(name, f"{count:,}", _COUNTED.get(name, "")) for name, count in page.counts.items()],
            parts=[_part(index, network, page) for index, network in enumerate(page.fronts)],
            failures=Table(columns, failures) if failures else None,
            space=Table((Column("key", "", False), Column("value", "", False)), space),
        )
    )


_COUNTED = {
    "points": "Accelerators times networks.",
    "evaluated": "Points with figures.",
    "on a front": "Points that no other point of the same network beats in every objective.",
    "quarantined": "Points that failed twice; their errors stand below.",
    "outside constraints": "Accelerators outside a constraint that is known before an evaluation: left out.",
    "impossible": "Accelerators that the specification refuses: left out.",
}


def _part(index: int, network: str, page: SweepPage) -> _Part:
    front = page.fronts[network]
    points = [row for row in page.rows if row["network"] == network and page.objectives[0] in row]
    drawing = pareto(page.name, network, points, front, page.objectives) if points else None
    figure = None
    if drawing is not None:
        # Two pictures on one page may not share ids.
        svg = _renamed(drawing.svg(), f"p{index}-") if len(page.fronts) > 1 else drawing.svg()
        figure = Figure(drawing.name, network, drawing.caption, Markup(svg))
    return _Part(
        f"network-{index}", network, tuple(_verdicts(front, page)), figure, _table(front, page), _layers(front, page)
    )


def _layers(front: Sequence[Mapping[str, Any]], page: SweepPage) -> tuple[tuple[str, Table], ...]:
    columns = tuple(Column(header, meaning, index > 1) for index, (header, meaning) in enumerate(HEADERS.items()))
    found = []
    for row in front:
        if layers := page.layers.get(row["point"]):
            rows = tuple(tuple(cells.values()) for cells in share_rows(layers, _MOST_LAYERS))
            found.append((f"{_label(row, page.varied)} ({row['point']}): {row['bottleneck']}", Table(columns, rows)))
    return tuple(found)


def _renamed(svg: str, prefix: str) -> str:
    svg = re.sub(r' id="', f' id="{prefix}', svg)
    return svg.replace("url(#", f"url(#{prefix}").replace('href="#', f'href="#{prefix}')


def _verdicts(front: Sequence[Mapping[str, Any]], page: SweepPage) -> list[str]:
    """Say which point is best in each objective."""
    found = []
    for name in page.objectives:
        if not front:
            break
        pick = max if name in LARGER_IS_BETTER else min
        best = pick(front, key=lambda row: float(row[name]))
        others = ", ".join(f"{_text(other, best[other])}" for other in page.objectives if other != name)
        found.append(
            f"Best {words(name)}: {_text(name, best[name])} (with {others}) by {_label(best, page.varied)}; "
            f"bound by {best['bottleneck']}."
        )
    return found


def _table(front: Sequence[Mapping[str, Any]], page: SweepPage) -> _Sorted:
    columns = [Column(_short(key), f"{key} of the accelerator", _numeric(front, key)) for key in page.varied]
    columns += [Column(words(name), f"{name}: `bittrue explain {name}`", True) for name in page.objectives]
    columns.append(Column("bottleneck", _BOTTLENECK, False))
    rows = [
        (
            *(_cell(key, row.get(key, ""), _numeric(front, key)) for key in page.varied),
            *(_Cell(_text(name, row[name]), float(row[name])) for name in page.objectives),
            _Cell(str(row["bottleneck"]), None),
        )
        for row in front
    ]
    return _Sorted(tuple(columns), tuple(rows))


def _short(key: str) -> str:
    return " ".join(key.split(".")[-2:]).replace("_", " ")


def _numeric(rows: Sequence[Mapping[str, Any]], key: str) -> bool:
    return bool(rows) and all(isinstance(row.get(key), int | float) for row in rows)


def _cell(key: str, value: Any, numeric: bool) -> _Cell:
    return _Cell(_setting(key, value), float(value) if numeric else None)


def _setting(key: str, value: Any) -> str:
    return binary_bytes(value) if key.endswith(".size") and isinstance(value, int) else str(value)


def _text(name: str, value: Any) -> str:
    return figure_text(name, float(value)).replace(" u", " µ").replace("mm2", "mm²")


def _label(row: Mapping[str, Any], varied: Sequence[str]) -> str:
    return ", ".join(f"{_short(key)} {_setting(key, row[key])}" for key in varied if row.get(key) is not None)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
