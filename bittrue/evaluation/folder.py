"""The folder of an evaluation: what is written beside the journal."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict, fields
from pathlib import Path

from simulator.errors import RunFolderError
from simulator.records.evaluation import EVALUATION_SCHEMA, EvaluationRecord, EvaluationRow, UnusableSample

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
            _replace(folder / FIGURE, drawing.file_text())
    except OSError as error:
        raise RunFolderError(f"{folder} cannot be written: {error.strerror or error}") from None


def record_text(record: EvaluationRecord) -> str:
    """Return the record as JSON, its derived scores beside its fields."""
    data = asdict(record)
    for entry, row in zip(data["rows"], record.rows, strict=True):
        entry |= {"miou": row.miou, "pixel_accuracy": row.pixel_accuracy}
    totals = {"quantization_loss": record.quantization_loss, "overflow_loss": record.overflow_loss}
    return json.dumps(data | totals, indent=1, allow_nan=False) + "\n"


def read_results(folder: Path) -> EvaluationRecord:
    """Read the record of an evaluation back; RunFolderError where it is missing, damaged or of another version."""
    path = folder / RECORD
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["schema_version"] != EVALUATION_SCHEMA:
            found = data["schema_version"]
            raise RunFolderError(f"{path}: schema version {found}, this tool reads {EVALUATION_SCHEMA}")
        known = {field.name: data[field.name] for field in fields(EvaluationRecord)}
        rows = [{field.name: row[field.name] for field in fields(EvaluationRow)} for row in known["rows"]]
        known["rows"] = tuple(EvaluationRow(**row | {"class_iou": tuple(row["class_iou"])}) for row in rows)
        known["unusable"] = tuple(UnusableSample(**sample) for sample in known["unusable"])
        return EvaluationRecord(**known | {name: tuple(known[name]) for name in ("classes", "notes")})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunFolderError(f"{path} is no evaluation that can be read ({error})") from None


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
