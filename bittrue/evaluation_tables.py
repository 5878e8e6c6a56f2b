"""The table of an evaluation on a console."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from bittrue.tables import draw
from reports.evaluation import class_rows, evaluation_rows, evaluation_verdict, sweep_sentence
from simulator.records.evaluation import EvaluationRecord

_SPARE = ("images hit", "events", "points lost to overflow")


def show_evaluation(console: Console, record: EvaluationRecord, classes: bool = False) -> None:
    """Print what was evaluated, one row a machine, where the loss comes from, and what the reader must know."""
    wanted = "" if record.images == record.wanted_images else f" of {record.wanted_images:,}"
    images = f"{record.images:,}{wanted} images"
    console.print(Text(f"{record.network} on {record.dataset} {record.split}, {images}, fit {record.fit}\n"))
    draw(console, evaluation_rows(record), flexible=("machine",), spare=_SPARE)
    if classes:
        console.print()
        draw(console, class_rows(record), flexible=("class",))
    console.print()
    for sentence in filter(None, (evaluation_verdict(record), sweep_sentence(record))):
        console.print(Text(sentence))
    for note in record.notes:
        console.print(Text(f"note: {note}"))
