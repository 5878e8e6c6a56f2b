"""The tables of docs/ that tell every key of a file and every field of a record, written from the code itself.

``python -m bittrue.reference docs`` brings the pages up to date; a test holds them to it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from itertools import groupby
from pathlib import Path

from accel_models.reference import cell, field_table
from bittrue.fitting.rows import COLUMNS
from bittrue.golden.model import Bound, Golden
from bittrue.sweeping.metrics import KNOWN_BEFORE, LIMITABLE, OBJECTIVES, UNITS
from bittrue.sweeping.space import Space
from reports.tables import FIELDS
from simulator.accelerator.energy import EnergyTable
from simulator.accelerator.problems import allowed_words
from simulator.accelerator.spec import Accelerator
from simulator.accelerator.technology import Technology
from simulator.records.explain import attributes, explanations
from simulator.records.vectors.manifest import Manifest
from workloads.training import config

_BEGIN = "<!-- written by `python -m bittrue.reference docs`: {name} -->"
_END = "<!-- end -->"


def measured_layers() -> str:
    """Return the table of every column of a file of measured layers."""
    return "\n".join(_table(("column", "meaning"), ((f"`{name}`", text) for name, text in COLUMNS.items())))


def figures_of_space() -> str:
    """Return the table of every figure that a space may weigh or limit."""
    rows = (
        (
            f"`{name}`",
            UNITS.get(name, ""),
            "yes" if name in OBJECTIVES else "",
            "before anything runs" if name in KNOWN_BEFORE else "after the run",
        )
        for name in LIMITABLE
    )
    return "\n".join(_table(("figure", "unit", "as objective", "a constraint is tried"), rows))


def training_settings() -> str:
    """Return the table of every field of a training configuration."""
    default = config.preset("paper").to_dict()
    rows = (
        (f"`{item.field}`", _choices(item.type), f"`{default[item.field]}`", item.text)
        for item in attributes(config, "TrainingConfig")
        if item.field in default
    )
    return "\n".join(_table(("field", "takes", "preset `paper`", "meaning"), rows))


def _choices(annotation: str) -> str:
    kind = getattr(config, annotation, None)
    words = allowed_words(kind)
    return ", ".join(f"`{word}`" for word in words) if words else f"`{annotation}`"


def records() -> str:
    """Return a section for every record, with a table of its fields."""
    lines: list[str] = []
    for record, items in groupby(explanations(), key=lambda item: item.record):
        rows = [(f"`{item.path}`", f"`{item.type}`", item.text) for item in items]
        lines += [f"### {record}", "", *_table(("field", "type", "meaning"), rows), ""]
    return "\n".join(lines).rstrip()


def report_columns() -> str:
    """Return the table of the columns of reports that have names of their own."""
    rows = ((f"`{column}`", f"`{field}`") for column, field in FIELDS.items() if column != field)
    return "\n".join(_table(("column", "field"), rows))


PAGES: dict[str, dict[str, Callable[[], str]]] = {
    "files/accelerator.md": {"accelerator": lambda: field_table(Accelerator)},
    "files/energy_table.md": {
        "technology": lambda: field_table(Technology),
        "energy table": lambda: field_table(EnergyTable),
    },
    "files/space.md": {"space": lambda: field_table(Space), "figures": figures_of_space},
    "files/golden.md": {"golden": lambda: field_table(Golden, (Bound,)), "bound": lambda: field_table(Bound)},
    "files/manifest.md": {"manifest": lambda: field_table(Manifest)},
    "files/rows.md": {"measured layers": measured_layers},
    "files/training.md": {"training": training_settings},
    "records.md": {"columns": report_columns, "records": records},
}
"""By page, relative to docs/: what stands between its markers."""


def update(page: str, text: str) -> str:
    """Return `text`, that of the page of that name, with what is between its markers written anew."""
    for name, write in PAGES[page].items():
        begin = _BEGIN.format(name=name)
        pattern = re.compile(re.escape(begin) + ".*?" + re.escape(_END), re.DOTALL)
        if not pattern.search(text):
            raise ValueError(f"{page} has no place for {name}: {begin}")
        written = f"{begin}\n\n{write()}\n\n{_END}"
        text = pattern.sub(lambda _, written=written: written, text)  # type: ignore[misc]
    return text


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    lines = [f"| {' | '.join(header)} |", "|" + "---|" * len(header)]
    return lines + [f"| {' | '.join(cell(text) for text in row)} |" for row in rows]


if __name__ == "__main__":
    for page in PAGES:
        path = Path(sys.argv[1]) / page
        path.write_text(update(page, path.read_text(encoding="utf-8")), encoding="utf-8")
