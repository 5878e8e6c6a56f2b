"""The folder of an evaluation: what is written beside the journal."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict
from pathlib import Path

from simulator.errors import RunFolderError
from simulator.records.evaluation import EvaluationRecord

RECORD = "evaluation.json"
TABLE = "evaluation.csv"
FIGURE = "miou.svg"


def write_results(folder: Path, record: EvaluationRecord) -> None:
    """Write the record, the table and, where there are several widths, the picture; each whole or not at all."""
    try:
        _replace(folder / RECORD, record_text(record))
        _replace(folder / TABLE, _table(record))
        from reports.figures_evaluation import miou_by_width

        drawing = miou_by_width((record,))
        if drawing is not None:
            _replace(folder / FIGURE, drawing.svg())
    except OSError as error:
        raise RunFolderError(f"{folder} cannot be written: {error.strerror or error}") from None


def record_text(record: EvaluationRecord) -> str:
    """Return the record as JSON, its derived scores beside its fields."""
    data = asdict(record)
    for entry, row in zip(data["rows"], record.rows, strict=True):
        entry |= {"miou": row.miou, "pixel_accuracy": row.pixel_accuracy}
    totals = {"quantization_loss": record.quantization_loss, "overflow_loss": record.overflow_loss}
    return json.dumps(data | totals, indent=1, allow_nan=False) + "\n"


def _table(record: EvaluationRecord) -> str:
    rows = [record.columns(row) for row in record.rows]
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def _replace(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.new")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
