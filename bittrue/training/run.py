"""A training run in its folder: steps, checkpoints, validations; stopped at any moment, it goes on from the last."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bittrue.training.plan import Plan
from simulator.errors import InputError
from simulator.records.training import (
    STEPS_FILE,
    VALIDATIONS_FILE,
    StepRow,
    ValidationRow,
    read_steps,
    read_validations,
    write_steps,
    write_validations,
)
from workloads.training.checkpoint import Checkpoint, CheckpointError, newest, read_checkpoint, write_checkpoint
from workloads.training.loop import State, check_state

ABOUT_FILE = "training.json"
_PREVIEWS = 4


@dataclass(eq=False)
class TrainingRun:
    """Make it with `begin`, then `run`."""

    plan: Plan
    folder: Path
    checkpoint_every: int
    """Steps between checkpoints; validations write one too."""
    validate_every: int
    """Steps between validations; 0 = only at the end."""
    step: int
    """Steps that are done."""
    state: State
    steps: list[StepRow]
    validations: list[ValidationRow]
    notes: list[str] = field(default_factory=list)
    images_per_s: float = 0.0
    """Of the steps so far, validations left out; wall time, in no file."""

    @classmethod
    def begin(
        cls, plan: Plan, folder: Path, *, resume: bool, checkpoint_every: int, validate_every: int
    ) -> TrainingRun:
        """Begin in an empty folder, or go on from the newest checkpoint of it.

        Raises
        ------
        InputError
            A folder with a run where none is resumed, or a run of something else.
        CheckpointError
            A damaged checkpoint, or none to resume from.

        """
        _make_folder(folder)
        path = newest(folder)
        every = max(checkpoint_every, 1), validate_every
        if not resume:
            if path is not None or any(folder.iterdir()):
                raise InputError(f"{folder} is not empty: go on with --resume, or give another folder with -o")
            first = plan.first_state()
            run = cls(plan, folder, *every, 0, dict(first.arrays), [], [])
            run.notes += [f"{name}: {count} values clipped to its grid" for name, count in first.clipped.items()]
            _write_text(folder / ABOUT_FILE, json.dumps(dict(plan.about), indent=2) + "\n")
            run.save()
            return run
        if path is None:
            raise CheckpointError(f"{folder} holds no checkpoint to resume from; begin without --resume")
        stored = read_checkpoint(path)
        _check_same(path, dict(stored.about), dict(plan.about))
        check_state(plan.trainer.step, stored.state)
        steps = [row for row in read_steps(folder / STEPS_FILE) if row.step <= stored.step]
        validations = [row for row in read_validations(folder / VALIDATIONS_FILE) if row.step <= stored.step]
        return cls(plan, folder, *every, stored.step, stored.state, steps, validations)

    def save(self) -> None:
        """Write a checkpoint and the rows so far."""
        write_checkpoint(self.folder, Checkpoint(self.step, self.plan.about, self.state))
        write_steps(self.folder / STEPS_FILE, self.steps)
        if self.validations:
            write_validations(self.folder / VALIDATIONS_FILE, self.validations)

    def run(
        self,
        on_step: Callable[[StepRow], None] | None = None,
        on_validation: Callable[[ValidationRow], None] | None = None,
        on_progress: Callable[[int, int, str], None] | None = None,
    ) -> None:
        """Train to the last step. Stopped before, what was done since the last checkpoint is done again."""
        trainer = self.plan.trainer
        done, spent = 0, 0.0
        self._validate_if_due(on_validation, on_progress)
        while self.step < trainer.steps:
            began = time.perf_counter()
            self.state, row = trainer.run_step(self.step, self.state)
            self.step += 1
            self.steps.append(row)
            spent += time.perf_counter() - began
            done += trainer.step.batch
            self.images_per_s = done / spent
            if on_step:
                on_step(row)
            if on_progress:
                on_progress(self.step, trainer.steps, f"train: loss {row.loss:.3f}")
            if self.step % self.checkpoint_every == 0 or self._is_validated(self.step):
                self.save()
            self._validate_if_due(on_validation, on_progress)

    def _is_validated(self, step: int) -> bool:
        if step == self.plan.trainer.steps:
            return True
        return step > 0 and self.validate_every > 0 and step % self.validate_every == 0

    def _validate_if_due(
        self,
        on_validation: Callable[[ValidationRow], None] | None,
        on_progress: Callable[[int, int, str], None] | None,
    ) -> None:
        if not self._is_validated(self.step) or any(row.step == self.step for row in self.validations):
            return
        row = self.plan.trainer.validate(self.step, self.state, on_progress)
        self.validations.append(row)
        write_validations(self.folder / VALIDATIONS_FILE, self.validations)
        self.draw()
        if on_validation:
            on_validation(row)

    def draw(self) -> None:
        """Draw the curves, and the label maps of a few validation images beside their truth."""
        from reports.figures_training import save_curves
        from reports.label_sheet import save_sheet

        save_curves(self.folder / "curves.png", self.steps, self.validations)
        trainer = self.plan.trainer
        dataset = trainer.validation.dataset
        count = len(trainer.validation)
        shown = min(count, _PREVIEWS)
        rows: list[tuple[NDArray[np.uint8], NDArray[Any], NDArray[Any]]] = []
        for index in (count * part // shown for part in range(shown)):
            pixels, labels = trainer.validation.sample(index)
            rows.append((pixels, labels, trainer.label(index, self.state)))
        save_sheet(self.folder / "labels.png", rows, dataset.palette, dataset.ignore_label)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be made: {error.strerror or error}") from None


def _check_same(path: Path, stored: dict[str, Any], wanted: dict[str, Any]) -> None:
    plain = json.loads(json.dumps(wanted))
    differing = [key for key in sorted({*stored, *plain}) if stored.get(key) != plain.get(key)]
    if differing:
        told = "; ".join(f"{key}: {stored.get(key)} there, {plain.get(key)} now" for key in differing[:3])
        raise CheckpointError(f"{path} is of another run ({told}); give the options it was begun with, or another -o")


def _write_text(path: Path, text: str) -> None:
    staged = path.with_name(f".{path.name}.tmp")
    staged.write_text(text, encoding="utf-8")
    staged.replace(path)
