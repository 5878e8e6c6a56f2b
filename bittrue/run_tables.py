"""The tables of a run on a console."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from bittrue.tables import draw
from reports.tables import layer_rows, summary_rows
from simulator.records.run import RunRecord

_FLEXIBLE = ("layer",)
_SPARE = ("engine", "clipped", "outputs hit", "bound", "output", "op")


def show_record(console: Console, record: RunRecord) -> None:
    """Print a table of the layers, the totals (the bottleneck last), and what the reader must know."""
    draw(console, layer_rows(record), flexible=_FLEXIBLE, spare=_SPARE)
    console.print()
    rows = summary_rows(record)
    widest = max((len(label) for label, _ in rows), default=0)
    for label, value in rows:
        console.print(Text.assemble(f"{label:<{widest}}  ", (value, "bold")))
    for note in record.notes:
        console.print(Text(f"note: {note}"))
