"""The loop: one step after another on the device's arithmetic, and validations between."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.engine import Prepared
from simulator.errors import InputError
from simulator.numerics.formats import IntFormat
from simulator.records.training import StepRow, ValidationRow
from workloads.metrics import Confusion, confusion
from workloads.training.derive import TrainingStep
from workloads.training.samples import Samples
from workloads.training.tape import IMAGE, KEY, LABELS, LEARNING_RATE, LOSS

Progress = Callable[[int, int, str], None]
"""(done, total, label)."""
State = dict[str, NDArray[Any]]

_LOSS_STEP, _WEIGHT_STEP = 2.0**-16, 2.0**-8


@dataclass(frozen=True, eq=False)
class Trainer:
    """One training: its step and its evaluation, prepared for a device, and the samples of both."""

    step: TrainingStep
    prepared: Prepared
    """Of the step's graph."""
    evaluation: Prepared
    """Of the evaluation graph, batch 1."""
    train: Samples
    validation: Samples
    seed: int
    steps: int
    """All steps of the run: the learning rate follows from them."""

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise InputError(f"a training run has at least 1 step, not {self.steps}")
        classes = len(self.train.dataset.classes)
        if self.step.classes != classes:
            raise InputError(
                f"the network has {self.step.classes} classes, {self.train.dataset.name} {classes}; build it with "
                f"classes={classes}"
            )

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in the training split."""
        return len(self.train) // self.step.batch

    def run_step(self, number: int, state: State, on_progress: Progress | None = None) -> tuple[State, StepRow]:
        """Do step `number`, from 0, on a state; return the next state and the step's row.

        `on_progress` is called with the layers of the step.

        Raises
        ------
        InputError
            A state that does not suit the step, or a batch without a valid pixel; names the samples.

        """
        images, labels = self.train.batch(self.seed, number, self.step.batch)
        exponent = self.step.config.learning_rate_at(number, self.steps)
        batch: dict[str, NDArray[Any]] = {
            IMAGE: images,
            LABELS: labels,
            LEARNING_RATE: np.array([exponent], np.int64),
            KEY: np.array([self.seed, number], np.int64),
        }
        result = self.prepared.run(batch, on_progress, state=state)
        loss, weight, valid = (int(value) for value in result.outputs[f"{LOSS}:2"])
        epoch = number // self.steps_per_epoch
        if not valid:
            raise InputError(
                f"step {number + 1}: no pixel of its {self.step.batch} samples has a class, all are ignored"
            )
        events = sum(layer.overflow.events or 0 for layer in result.record.layers if layer.overflow is not None)
        mean = loss * _LOSS_STEP / (weight * _WEIGHT_STEP)
        return {**state, **result.state}, StepRow(number + 1, epoch, exponent, mean, valid, events)

    def validate(self, steps: int, state: State, on_progress: Progress | None = None) -> ValidationRow:
        """Label the validation split with the state after `steps` steps, one image at a time."""
        dataset = self.validation.dataset
        total = Confusion.empty(len(dataset.classes))
        for index in range(len(self.validation)):
            if on_progress:
                on_progress(index, len(self.validation), dataset.names[index])
            predicted = self.label(index, state)
            total += confusion(self.validation.sample(index)[1], predicted, len(dataset.classes), dataset.ignore_label)
        iou = tuple(float(value) for value in total.class_iou)
        epoch = steps // self.steps_per_epoch
        return ValidationRow(steps, epoch, len(self.validation), total.miou, total.pixel_accuracy, iou, dataset.classes)

    def label(self, index: int, state: State) -> NDArray[np.int32]:
        """Return the label map of a validation image, int32 [H, W]."""
        graph = self.evaluation.graph
        parameters = {name: state[name] for name in graph.inputs if name != IMAGE}
        result = self.evaluation.run({IMAGE: self.validation.image(index)[None]}, state=parameters)
        return np.asarray(result.outputs[graph.outputs[0]][0], np.int32)


def check_state(step: TrainingStep, state: Mapping[str, NDArray[Any]]) -> None:
    """Raise InputError where arrays are not the state of a step: missing, left over, or of another shape or dtype."""
    wanted = set(step.state_names) | set(step.frozen_names)
    missing, unknown = sorted(wanted - set(state)), sorted(set(state) - wanted)
    if missing or unknown:
        raise InputError(f"{step.graph.name}: the state lacks {missing[:3]} and has {unknown[:3]}, which it should not")
    for name in wanted:
        tensor, value = step.graph.tensors[name], state[name]
        assert isinstance(tensor.format, IntFormat)
        if value.shape != tensor.shape or value.dtype != tensor.format.dtype:
            raise InputError(
                f"{step.graph.name}: state {name} is {value.dtype} {value.shape}, not {tensor.format} {tensor.shape}"
            )
