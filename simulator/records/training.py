"""What a training run leaves to read: one row a step, one row a validation, as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from simulator.errors import InputError

STEPS_FILE, VALIDATIONS_FILE = "steps.csv", "validations.csv"
_STEP_COLUMNS = ("step", "epoch", "learning_rate_exponent", "loss", "valid_pixels", "overflow_events")
_VALIDATION_COLUMNS = ("step", "epoch", "images", "miou", "pixel_accuracy")
_CLASS = "iou:"


@dataclass(frozen=True)
class StepRow:
    """One training step."""

    step: int
    """Number of the step, from 1."""
    epoch: int
    """Passes over the training split that were finished before it."""
    learning_rate_exponent: int
    """The learning rate was 2^this."""
    loss: float
    """Mean loss of the step's valid pixels, weighted by class."""
    valid_pixels: int
    """Pixels of the batch that are not ignored."""
    overflow_events: int
    """Additions of the array that left their register."""


@dataclass(frozen=True)
class ValidationRow:
    """One validation."""

    step: int
    """Steps that were done."""
    epoch: int
    """Passes over the training split that were finished."""
    images: int
    """Images that were labelled."""
    miou: float
    """Mean intersection over union of the classes that occur, 0 to 1."""
    pixel_accuracy: float
    """Share of the valid pixels that are right, 0 to 1."""
    class_iou: tuple[float, ...]
    """Of each class, 0 to 1; NaN for one that does not occur."""
    classes: tuple[str, ...]
    """Names of the classes."""


def write_steps(path: Path, rows: Iterable[StepRow]) -> None:
    """Write the steps; the file is replaced as a whole."""
    lines = [[getattr(row, name) for name in _STEP_COLUMNS] for row in rows]
    _write(
        path,
        _STEP_COLUMNS,
        [[f"{value:.6f}" if isinstance(value, float) else value for value in line] for line in lines],
    )


def write_validations(path: Path, rows: Sequence[ValidationRow]) -> None:
    """Write the validations; the file is replaced as a whole."""
    names = tuple(f"{_CLASS}{name}" for name in rows[0].classes) if rows else ()
    lines = [
        [row.step, row.epoch, row.images, *(f"{value:.6f}" for value in (row.miou, row.pixel_accuracy, *row.class_iou))]
        for row in rows
    ]
    _write(path, _VALIDATION_COLUMNS + names, lines)


def read_steps(path: Path) -> tuple[StepRow, ...]:
    """Read the steps; empty where there is no file, InputError where it is damaged."""
    _, lines = _read(path)
    try:
        return tuple(
            StepRow(
                step=int(line["step"]),
                epoch=int(line["epoch"]),
                learning_rate_exponent=int(line["learning_rate_exponent"]),
                loss=float(line["loss"]),
                valid_pixels=int(line["valid_pixels"]),
                overflow_events=int(line["overflow_events"]),
            )
            for line in lines
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: damaged ({error})") from None


def read_validations(path: Path) -> tuple[ValidationRow, ...]:
    """Read the validations; empty where there is no file, InputError where it is damaged."""
    names, lines = _read(path)
    classes = [name for name in names if name.startswith(_CLASS)]
    short = tuple(name.removeprefix(_CLASS) for name in classes)
    try:
        return tuple(
            ValidationRow(
                step=int(line["step"]),
                epoch=int(line["epoch"]),
                images=int(line["images"]),
                miou=float(line["miou"]),
                pixel_accuracy=float(line["pixel_accuracy"]),
                class_iou=tuple(float(line[name]) for name in classes),
                classes=short,
            )
            for line in lines
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: damaged ({error})") from None


def _read(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    if not path.exists():
        return [], []
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        return list(reader.fieldnames or ()), list(reader)


def _write(path: Path, names: Sequence[str], lines: Iterable[Sequence[object]]) -> None:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(lines)
    staged = path.with_name(f".{path.name}.tmp")
    try:
        staged.write_text(buffer.getvalue(), encoding="utf-8")
        staged.replace(path)
    except OSError as error:
        staged.unlink(missing_ok=True)
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from None
