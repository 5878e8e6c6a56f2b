"""evaluate: a network's scores on a data set, in float, on a device, and with registers of other widths."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from bittrue.evaluation.calibrate import integer_network
from bittrue.evaluation.journal import Journal
from bittrue.evaluation.pipeline import overlapped
from bittrue.evaluation.plan import Plan, Progress, make_plan
from bittrue.evaluation.score import ImageScore, ReadySample, predict, read_sample, score
from simulator.accelerator.spec import Accelerator
from simulator.errors import InputError, SpecError
from simulator.records.evaluation import EvaluationRecord, EvaluationRow, UnusableSample
from workloads.datasets import Dataset, SampleError, open_dataset
from workloads.fitting import Fit
from workloads.metrics import Confusion
from workloads.network import Network


def evaluate(
    net: Network,
    acc: Accelerator,
    dataset: Dataset | str,
    *,
    split: str = "val",
    float_network: Network | None = None,
    accumulator_sweep: Sequence[int] = (),
    class_map: Mapping[str, str] | None = None,
    fit: Fit = "stretch",
    limit: int | None = None,
    quantize: Mapping[str, Any] | None = None,
    calibration_images: int = 16,
    threads: int | None = None,
    seed: int = 0,
    directory: str | Path | None = None,
    on_progress: Progress | None = None,
) -> EvaluationRecord:
    """Evaluate a segmentation network on a data set.

    Parameters
    ----------
    net
        An integer network; or a float one, which is quantized on images of the train split and compared with itself.
    acc
        From `load_accelerator`.
    dataset
        From `workloads.datasets.open_dataset`, or what that takes, ``"camvid:PATH"``, of which `split` is opened.
    split
        Which split of a data set given by path.
    float_network
        The float network that an integer `net` was made from: its scores tell what quantization costs.
    accumulator_sweep
        Widths of registers from 8 to 64: scores with accumulator and partial sums of each, the modes kept.
    class_map
        {class of the data set: class of the network}, ``"*"`` for all others, where the two differ.
    fit
        How an image meets the input: ``"stretch"`` or ``"pad"`` (workloads.fitting). Predictions are compared on the
        image's own pixels: each takes the label of the output cell in which its centre lies.
    limit
        Only the first so many samples.
    quantize, calibration_images
        Keywords of `Network.quantize` for a float `net`, e.g. ``{"scheme": "affine"}``, and on how many images.
    threads, seed
        As `simulate` takes them.
    directory
        Folder of the evaluation. Finished images are kept there one by one; called again, it goes on after them.
    on_progress
        Called with (done, total, sample).

    Returns
    -------
    EvaluationRecord
        A sample of which a file cannot be used is left out and listed in `unusable`, and tried again by the next call.

    Raises
    ------
    InputError
        A data set that cannot be opened, classes that differ, widths or limits that make no sense, or no usable sample.
    RunFolderError
        `directory` holds something else, another evaluation, or is being written.
    OverflowTrap
        An overflow in a register whose mode is trap.
    BittrueError
        Otherwise as `prepare`.

    """
    if not isinstance(acc, Accelerator):
        raise SpecError(f"acc is an Accelerator, as bittrue.load_accelerator gives it, not {acc!r}")
    samples = open_dataset(dataset, split) if isinstance(dataset, str) else dataset
    net, float_network = integer_network(
        net,
        float_network,
        samples,
        dataset if isinstance(dataset, str) else None,
        quantize or {},
        calibration_images,
        fit,
    )
    plan = make_plan(
        net,
        acc,
        samples,
        float_network=float_network,
        widths=accumulator_sweep,
        class_map=class_map,
        fit=fit,
        limit=limit,
        threads=threads,
        seed=seed,
    )
    evaluation = Evaluation.begin(plan, None if directory is None else Path(directory))
    try:
        evaluation.run(on_progress)
    finally:
        evaluation.close()
    return evaluation.record()


@dataclass(eq=False)
class Evaluation:
    """An evaluation under way: run it, and ask for the record at any time, finished or not."""

    plan: Plan
    """What is evaluated."""
    journal: Journal
    """Scores of the images that are finished."""
    folder: Path | None
    """Where the journal and the results lie; None in memory."""
    unusable: dict[str, UnusableSample]
    """Samples whose files cannot be used, by name."""

    @classmethod
    def begin(cls, plan: Plan, folder: Path | None) -> Evaluation:
        """Open the journal, with what an earlier call finished."""
        return cls(plan, Journal(folder, plan.key(), plan.classes, len(plan.machines)), folder, {})

    @cached_property
    def _wanted(self) -> tuple[str, ...]:
        return self.plan.dataset.names[: self.plan.limit]

    @property
    def finished_images(self) -> int:
        """Images of the wanted ones that have a score."""
        return sum(name in self.journal.scores for name in self._wanted)

    def run(self, on_progress: Progress | None = None) -> None:
        """Evaluate what is not finished yet, in the order of the samples."""
        todo = [index for index, name in enumerate(self._wanted) if name not in self.journal.scores]
        tell = on_progress or (lambda _done, _total, _label: None)
        before = len(self._wanted) - len(todo)
        tell(before, len(self._wanted), "")
        with closing(overlapped(todo, self._read, self._compute)) as names:
            for done, name in enumerate(names, start=before + 1):
                tell(done, len(self._wanted), name)

    def _read(self, index: int) -> ReadySample | UnusableSample:
        try:
            return read_sample(self.plan, index)
        except SampleError as error:
            return UnusableSample(self.plan.dataset.names[index], str(error))

    def _compute(self, ready: ReadySample | UnusableSample) -> Callable[[], str]:
        """Run a sample; what is left, to count and to keep, is returned as a function that returns the name."""
        if isinstance(ready, UnusableSample):
            self.unusable[ready.sample] = ready
            return lambda: ready.sample
        predicted = predict(self.plan, ready)

        def finish() -> str:
            self.journal.add(score(self.plan, predicted))
            return predicted.sample.name

        return finish

    def record(self) -> EvaluationRecord:
        """Return the scores of the images that are finished, and write them to the folder.

        Raises
        ------
        InputError
            No image is finished, or none has a pixel that counts.

        """
        scores = [self.journal.scores[name] for name in self._wanted if name in self.journal.scores]
        if not scores:
            first = next(iter(self.unusable.values()), None)
            reason = f"; the first: {first.problem}" if first else ""
            raise InputError(f"none of {len(self._wanted)} samples of {self._place} was evaluated{reason}")
        record = self._record(scores)
        if not record.device_row.pixels:
            raise InputError(f"{self._place}: no pixel of {len(scores)} images has a label that counts")
        if self.folder is not None:
            from bittrue.evaluation.folder import write_results

            write_results(self.folder, record)
        return record

    @property
    def _place(self) -> str:
        return f"{self.plan.dataset.name} {self.plan.dataset.split}"

    def _record(self, scores: Sequence[ImageScore]) -> EvaluationRecord:
        plan, key = self.plan, self.plan.key()
        rows = tuple(self._row(index, scores) for index in range(len(plan.machines)))
        engine = plan.prepared.engine
        return EvaluationRecord(
            network=plan.network.name,
            accelerator=engine.accelerator.name,
            dataset=plan.dataset.name,
            split=plan.dataset.split,
            fit=plan.fit,
            classes=plan.match.classes,
            images=len(scores),
            wanted_images=len(self._wanted),
            rows=rows,
            overflow=_overflow_modes(engine.accelerator),
            unusable=tuple(self.unusable[name] for name in self._wanted if name in self.unusable),
            notes=plan.notes,
            network_hash=key["network_hash"],
            spec_hash=key["spec_hash"],
            tool_version=version("bittrue"),
            seed=key["seed"],
        )

    def _row(self, index: int, scores: Sequence[ImageScore]) -> EvaluationRow:
        machine = self.plan.machines[index]
        total = sum((image.machines[index].confusion for image in scores), Confusion.empty(self.plan.classes))
        events = [found for image in scores if (found := image.machines[index].events) is not None]
        return EvaluationRow(
            machine=machine.kind,
            accumulator_bits=machine.accumulator_bits,
            partial_sum_bits=machine.partial_sum_bits,
            pixels=total.pixels,
            correct=total.correct,
            class_iou=tuple(None if np.isnan(iou) else float(iou) for iou in total.class_iou),
            events=sum(events) if events else None,
            images_with_events=sum(count > 0 for count in events) if events else None,
        )

    def close(self) -> None:
        """Let others have the folder."""
        self.journal.close()


def _overflow_modes(accelerator: Accelerator) -> str:
    outer, inner = accelerator.arithmetic.accumulator, accelerator.partial_sum
    if inner is None or inner.overflow is outer.overflow:
        return outer.overflow.value
    return f"accumulator {outer.overflow.value}, partial sums {inner.overflow.value}"
