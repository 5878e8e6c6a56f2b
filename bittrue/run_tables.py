"""The tables of a run on a console."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from bittrue.tables import draw, shorten
from reports.sweep import sweep_rows, sweep_verdict
from reports.tables import layer_rows, summary_rows
from reports.units import short_name
from simulator.records.run import RunRecord

_LONGEST_NAME = 48
_SPARE = ("engine", "clipped", "outputs hit", "bound", "output", "op")
_SWEEP_NAMES = ("output", "worst layer")


def show_record(console: Console, record: RunRecord) -> None:
    """Print a table of the layers, the totals (the bottleneck last), and what the reader must know."""
    rows = [
        {header: cell for header, cell in row.items() if header != "alive KiB"}  # for that there is `bittrue memory`
        | {"layer": shorten(short_name(row["layer"]), _LONGEST_NAME)}
        for row in layer_rows(record)
    ]
    draw(console, rows, flexible=("layer",), spare=_SPARE)
    console.print()
    totals = summary_rows(record)
    widest = max(len(label) for label, _ in totals)
    for label, value in totals:
        console.print(Text.assemble(f"{label:<{widest}}  ", (value, "bold")))
    _show_sweep(console, record)
    for note in record.notes:
        console.print(Text(f"note: {note}"))


def _show_sweep(console: Console, record: RunRecord) -> None:
    rows = [
        row | {header: shorten(row[header], _LONGEST_NAME) for header in _SWEEP_NAMES if header in row}
        for row in sweep_rows(record)
    ]
    if not rows:
        return
    console.print("\nregisters of other widths, against 32 bits")
    draw(console, rows, flexible=_SWEEP_NAMES, spare=("mean error LSB", "worst layer"))
    console.print(Text(sweep_verdict(record)))
