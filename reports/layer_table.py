"""The layer table of the report: blocks with sums over their layers, each cell as text and as what it is sorted by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from reports.blocks import Block, Leaf, blocks, open_depth
from reports.figures_style import printable
from reports.sums import summed
from reports.tables import FIELDS, cells_of, headers, peak_live_bytes
from reports.units import short_name
from simulator.records.explain import explanations
from simulator.records.layer import LayerRecord
from simulator.records.run import RunRecord

_TEXTS = ("layer", "op", "engine", "output", "bound")
_BARS = ("kcycles", "DRAM KiB", "energy uJ", "alive KiB")
"""Columns whose cells show their share of the run as a bar."""
_RECORDS = ("LayerRecord", "OverflowRecord", "ActivityRecord")


@dataclass(frozen=True)
class Column:
    """One column."""

    header: str
    """What stands at its head."""
    field: str
    """The record field that it shows."""
    definition: str
    """What `bittrue explain` says of the field."""
    numeric: bool
    """Whether it is aligned right and sorted by number."""


@dataclass(frozen=True)
class Cell:
    """One cell."""

    text: str
    """What is shown."""
    value: float | None
    """What it is sorted by; None for a text, and where there is nothing."""
    share: float | None
    """Its share of the run's total (alive: of the peak), 0 to 1; None in columns that show none."""


@dataclass(frozen=True)
class Row:
    """A layer or a block."""

    number: int
    """Position in the table, from 0: blocks stand before what is in them."""
    parent: int | None
    """Number of the block around it."""
    depth: int
    """Blocks around it."""
    index: int | None
    """The layer's index; None for a block."""
    first: int
    """Index of the layer, or of the block's first."""
    label: str
    """What its name adds to that of the block around it."""
    name: str
    """Its whole name."""
    unfolded: bool
    """Whether a block stands open at first."""
    overflowed: bool
    """Whether a sum in it overflowed."""
    cells: tuple[Cell, ...]
    """Of every column behind the name."""

    @property
    def is_block(self) -> bool:
        """Whether it stands for the layers below it."""
        return self.index is None


@dataclass(frozen=True)
class LayerTable:
    """All of the table."""

    columns: tuple[Column, ...]
    """Index, name, and what follows."""
    rows: tuple[Row, ...]
    """Blocks and layers."""
    total: tuple[Cell, ...]
    """Of the whole run, for every column behind the name; empty without layers."""


def layer_table(record: RunRecord) -> LayerTable:
    """Return the table of a run."""
    shown = _shown(record)
    columns = (_column("#", "index"), *(_column(header, field) for header, field in shown.items()))
    whole = summed("", record.layers, record.peak_macs_per_cycle) if record.layers else None
    tree = blocks(record.layers)
    rows: list[Row] = []
    for part in tree:
        _add(rows, part, None, 0, open_depth(tree), _Writer(record, tuple(shown), whole))
    total = () if whole is None else _Writer(record, tuple(shown), whole).cells(whole)
    return LayerTable(columns, tuple(rows), total)


def _shown(record: RunRecord) -> dict[str, str]:
    """Return {header: field}: the columns of every table, and beside the needed bits those that are left."""
    fields = {}
    for header in headers(record):
        fields[header] = FIELDS[header]
        if header == "bits needed":
            fields["headroom"] = "headroom_bits"
    return fields


def _column(header: str, field: str) -> Column:
    return Column(header.replace("uJ", "µJ"), field, definition_of(field), header not in _TEXTS)


@cache
def definition_of(field: str) -> str:
    """Return what `bittrue explain` says of a field of a layer, its ledger or its activity."""
    known = {(item.record, item.field): item.text for item in explanations()}
    return next((known[name, field] for name in _RECORDS if (name, field) in known), "")


@dataclass(frozen=True)
class _Writer:
    record: RunRecord
    headers: tuple[str, ...]
    whole: LayerRecord | None

    def cells(self, layer: LayerRecord) -> tuple[Cell, ...]:
        texts = cells_of(layer, peak_live_bytes(self.record))
        return tuple(self._cell(layer, header, texts.get(header, "")) for header in self.headers if header != "layer")

    def _cell(self, layer: LayerRecord, header: str, text: str) -> Cell:
        if header == "headroom":
            bits = layer.overflow.headroom_bits if layer.overflow else None
            return Cell("-" if bits is None else str(bits), bits, None)
        if header == "engine" and "," in text:
            return Cell("several", None, None)
        if header in _TEXTS or text == "-":
            return Cell(printable(text), None, None)
        value = value_of(layer, FIELDS[header])
        total = value_of(self.whole, FIELDS[header]) if self.whole and header in _BARS else None
        return Cell(text, value, value / total if total and value is not None else None)


def value_of(layer: LayerRecord, field: str) -> float | None:
    """Return a number that the layer, its overflow ledger or its activity holds; None where there is none."""
    for record in (layer, layer.overflow, layer.activity):
        value = getattr(record, field, None)
        if isinstance(value, int | float):
            return value
    return None


def _add(rows: list[Row], part: Block | Leaf, parent: int | None, depth: int, opened: int, writer: _Writer) -> None:
    number = len(rows)
    if isinstance(part, Leaf):
        layer = part.layer
        index, name = layer.index, layer.name
    else:
        layer = summed(part.name, part.layers, writer.record.peak_macs_per_cycle)
        index, name = None, part.name
    hit = layer.overflow is not None and layer.overflow.affected_outputs > 0
    label = printable(short_name(part.label))
    rows.append(
        Row(number, parent, depth, index, layer.index, label, printable(name), depth < opened, hit, writer.cells(layer))
    )
    for inner in _inner(part):
        _add(rows, inner, number, depth + 1, opened, writer)


def _inner(part: Block | Leaf) -> Iterator[Block | Leaf]:
    yield from part.parts if isinstance(part, Block) else ()
