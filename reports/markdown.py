"""A run as Markdown for a pull request: verdicts, totals, the longest layers, and all blocks folded away."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from reports.blocks import Block, blocks
from reports.events import severity
from reports.figures_style import printable
from reports.sums import summed
from reports.tables import cells_of, headers, layer_rows, summary_rows
from reports.training_parts import part_rows
from reports.units import percent, short_name
from simulator.records.layer import LayerRecord
from simulator.records.run import RunRecord

_LONGEST = 10
_TEXTS = ("layer", "op", "engine", "output", "bound", "block", "part")
_SPECIAL = re.compile(r"([\\`*{}\[\]<>#|~$&]|(?<!\w)_|_(?!\w))")
"""What GitHub reads as markup; an underscore within a word is none."""


def markdown(record: RunRecord) -> str:
    """Return the run as GitHub-flavoured Markdown, the same text for the same run."""
    totals = dict(summary_rows(record))
    lines = [f"### {_escaped(totals.pop('network'))} on {_escaped(totals.pop('accelerator'))}", ""]
    lines += [f"**{name.capitalize()}:** {_escaped(totals.pop(name))}." for name in _VERDICTS if name in totals]
    lines = [text for line in lines for text in (line, "")]
    lines += _table([{"": name, "total": text} for name, text in totals.items()])
    if rows := part_rows(record):
        lines += ["", "#### Parts of the training step", "", *_table(rows)]
    lines += _longest(record)
    lines += _overflowed(record)
    lines += _blocks(record)
    lines += [f"\n> {_escaped(note)}" for note in record.notes]
    lines += ["", f"<sub>bittrue {record.tool_version}, network {record.network_hash[:12]}, "]
    lines[-1] += f"specification {record.spec_hash[:12]}, seed {record.seed}</sub>"
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)) + "\n"


_VERDICTS = ("bottleneck", "overflow")


def _longest(record: RunRecord) -> list[str]:
    if not record.total_cycles:
        return []
    longest = sorted(record.layers, key=lambda layer: (-layer.total_cycles, layer.index))[:_LONGEST]
    rows = []
    all_rows = layer_rows(record)
    for layer in longest:
        share = percent(layer.total_cycles / record.total_cycles)
        rows.append({"#": str(layer.index)} | _named(all_rows[layer.index]) | {"of all cycles": share})
    return ["", f"#### {len(rows)} longest of {len(record.layers)} layers", "", *_table(rows)]


def _overflowed(record: RunRecord) -> list[str]:
    hit = [layer for layer in record.layers if layer.overflow and layer.overflow.affected_outputs]
    if not hit:
        return []
    worst = sorted(hit, key=lambda layer: (-_events(layer), layer.index))[:_LONGEST]
    rows = [{"#": str(layer.index)} | _named({h: cells_of(layer)[h] for h in _OVERFLOW}) for layer in worst]
    return ["", f"#### {len(rows)} worst of {len(hit)} layers that overflowed", "", *_table(rows)]


_OVERFLOW = ("layer", "bits needed", "overflows", "outputs hit")


def _events(layer: LayerRecord) -> int:
    return severity(layer.overflow) if layer.overflow else 0


def _blocks(record: RunRecord) -> list[str]:
    """Return the outermost blocks, where there are two or more, with their sums, folded away."""
    parts = blocks(record.layers)
    while len(found := [part for part in parts if isinstance(part, Block)]) == 1:
        parts = found[0].parts
    if not found:
        return []
    shown = [header for header in headers(record) if header not in ("layer", "engine", "output", "bound")]
    rows = []
    for block in found:
        cells = cells_of(summed(block.name, block.layers, record.peak_macs_per_cycle))
        rows.append({"block": printable(block.name)} | {header: cells[header] for header in shown})
    return ["", f"<details><summary>{len(rows)} blocks</summary>", "", *_table(rows), "", "</details>"]


def _named(row: Mapping[str, str]) -> dict[str, str]:
    return {**row, "layer": short_name(row["layer"])}


def _table(rows: Sequence[Mapping[str, str]]) -> list[str]:
    """Return a table; numbers are aligned right."""
    if not rows:
        return []
    names = list(rows[0])
    left = {"", "total", *_TEXTS}
    lines = [_line(names), "|" + "|".join(":--" if name in left else "--:" for name in names) + "|"]
    return lines + [_line([row[name] for name in names]) for row in rows]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_escaped(cell) for cell in cells) + " |"


def _escaped(text: str) -> str:
    """Return text that stays text: no layer's name becomes markup, a link, or a mention of somebody."""
    return _SPECIAL.sub(r"\\\1", printable(text)).replace("@", "@\u200b")
