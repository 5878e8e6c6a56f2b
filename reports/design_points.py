"""Files of a sweep: all points and the fronts as CSV, and a picture of each front."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reports.figures_pareto import pareto


def write_design_points(
    folder: Path,
    name: str,
    rows: Sequence[Mapping[str, Any]],
    objectives: Sequence[str],
    fronts: Mapping[str, Sequence[Mapping[str, float]]],
) -> list[Path]:
    """Write points.csv, front.csv and a pareto*.svg for each network; return the files.

    Parameters
    ----------
    rows
        One a point: `network`, what varied, figures, `on_front` and `error`; the same columns where they have values.
    objectives
        Two or three figures.
    fronts
        Figures of the points on the front of each network, in the order of the first objective.

    Raises
    ------
    OSError
        A file cannot be written.

    """
    columns = [*dict.fromkeys(key for row in rows for key in row if key != "error"), "error"]
    written = [
        _write_csv(folder / "points.csv", columns, rows),
        _write_csv(folder / "front.csv", columns, [row for row in rows if row["on_front"]]),
    ]
    for network, front in fronts.items():
        others = [row for row in rows if row["network"] == network and objectives[0] in row]
        if not others:
            continue
        drawing = pareto(name, network, others, front, objectives)
        suffix = f"_{re.sub(r'[^A-Za-z0-9]+', '_', network)}" if len(fronts) > 1 else ""
        written.append(_write(folder / f"pareto{suffix}.svg", drawing.file_text()))
    return written


def _write_csv(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Path:
    draft = _draft(path)
    with draft.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return draft.replace(path)


def _write(path: Path, text: str) -> Path:
    draft = _draft(path)
    draft.write_text(text, encoding="utf-8")
    return draft.replace(path)


def _draft(path: Path) -> Path:
    """Return a file beside `path` to write first: what was there before stays until the new one is whole."""
    return path.with_name(f".{path.name}.{os.getpid()}")
