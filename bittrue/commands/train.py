"""`bittrue train`: integer training of a built-in network on a data set, from the shell."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bittrue.commands.loading import assignments, load_device
from bittrue.commands.options import Threads
from bittrue.console import INTERRUPTED, refusals, stderr, stdout

if TYPE_CHECKING:
    from bittrue.training.run import TrainingRun
    from simulator.records.training import StepRow, ValidationRow
    from workloads.training.config import TrainingConfig

_SPOKEN_EVERY = 10


@refusals
def train(
    network: Annotated[str, typer.Argument(help="A built-in network (`bittrue networks`).")],
    dataset: Annotated[
        str,
        typer.Option(
            "--dataset",
            "-d",
            metavar="KIND:PATH",
            help="camvid, voc, ade20k, cityscapes, nuclei or folder, and where it lies.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the run.")],
    accelerator: Annotated[
        str, typer.Option("--accelerator", "-a", help="Whose arithmetic: a preset or a YAML file.")
    ] = "paper_device",
    width: Annotated[float | None, typer.Option(help="Multiplies the network's channels.", show_default=False)] = None,
    size: Annotated[
        str | None,
        typer.Option(metavar="HxW", help="Size of the images; that of the first one without it.", show_default=False),
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="How long to train.", show_default=False)] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Or so many steps.", show_default=False)] = None,
    batch: Annotated[int, typer.Option(min=1, help="Images of a step.")] = 8,
    preset: Annotated[str, typer.Option(help="paper, e2_8, wageubn or niti.")] = "paper",
    learning_rate: Annotated[
        float | None, typer.Option("--lr", help="The first learning rate, a power of two.", show_default=False)
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change the preset, e.g. update_bits=16. Repeatable."),
    ] = None,
    net: Annotated[
        list[str] | None,
        typer.Option("--net", metavar="KEY=VALUE", help="Option of the network, e.g. output_stride=8. Repeatable."),
    ] = None,
    pretrained: Annotated[
        Path | None, typer.Option(help="A .npz of float weights to begin with.", show_default=False)
    ] = None,
    shift_weights: Annotated[
        bool, typer.Option("--shift-weights", help="A power-of-two grid for each weight without batch norm.")
    ] = False,
    train_split: Annotated[str, typer.Option(help="Split to train on.")] = "train",
    validation_split: Annotated[str, typer.Option(help="Split to validate on.")] = "val",
    validate_every: Annotated[int, typer.Option(min=0, help="Epochs between validations; 0 = at the end.")] = 1,
    checkpoint_every: Annotated[int, typer.Option(min=1, help="Steps between checkpoints.")] = 25,
    seed: Annotated[int, typer.Option(min=0, help="Of order, flips, random rounding and fresh weights.")] = 0,
    threads: Threads = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the newest checkpoint of the folder.")] = False,
) -> None:
    """Train a segmentation network in integers, with the device's own arithmetic: loss, mIoU, checkpoints, curves."""
    from bittrue.compiling import TRAINING_S, note_compiling
    from bittrue.progress import RunProgress
    from bittrue.training.plan import Request, make_plan
    from bittrue.training.run import TrainingRun

    config = training_config(preset, learning_rate, changes or [])
    keywords = assignments("--net", net or []) | ({} if width is None else {"width": width})
    request = Request(
        network,
        dataset,
        config,
        load_device(accelerator, []),
        keywords,
        None if size is None else parse_size(size),
        batch,
        epochs,
        steps,
        seed,
        threads,
        pretrained,
        train_split,
        validation_split,
        shift_weights,
    )
    began = time.perf_counter()
    with RunProgress(stderr()) as progress:
        progress.phase("load", f"{network}, {dataset}")
        plan = make_plan(request, progress.update)
        every = validate_every * plan.trainer.steps_per_epoch
        progress.phase("begin", str(output))
        run = TrainingRun.begin(plan, output, resume=resume, checkpoint_every=checkpoint_every, validate_every=every)
        for note in run.notes:
            progress.note(note)
        if run.step:
            progress.note(f"{run.step} of {plan.trainer.steps} steps were done before; going on after them")
        note_compiling(progress, TRAINING_S)
        progress.phase("train", plan.trainer.step.graph.name)
        interrupted = False
        try:
            run.run(
                lambda row: _speak(progress.note, run, row),
                lambda row: progress.note(_validation(row)),
                progress.update,
            )
        except KeyboardInterrupt:
            interrupted = True
    _conclude(run, time.perf_counter() - began)
    if interrupted:
        stderr().print(f"interrupted: the newest checkpoint is kept in {output}/, --resume goes on from it")
        raise typer.Exit(INTERRUPTED)


def training_config(preset_name: str, learning_rate: float | None, changes: list[str]) -> TrainingConfig:
    """Read --preset, --lr and --set."""
    from workloads.training.config import learning_rate_exponent, preset

    config = preset(preset_name)
    if learning_rate is not None:
        config = config.evolve({"learning_rate_exponent": learning_rate_exponent(learning_rate)})
    return config.evolve(assignments("--set", changes))


def parse_size(text: str) -> tuple[int, int]:
    """Read HxW; InputError on anything else."""
    from simulator.errors import InputError

    match = re.fullmatch(r"([1-9][0-9]*)[xX]([1-9][0-9]*)", text.strip())
    if not match:
        raise InputError(f"--size {text}: write height x width, e.g. 180x240")
    return int(match[1]), int(match[2])


def _speak(note: object, run: TrainingRun, row: StepRow) -> None:
    if row.step % _SPOKEN_EVERY and row.step != run.plan.trainer.steps:
        return
    overflow = f", {row.overflow_events} overflow events" if row.overflow_events else ""
    assert callable(note)
    note(
        f"step {row.step}/{run.plan.trainer.steps}  lr 2^{row.learning_rate_exponent}  loss {row.loss:.4f}  "
        f"{run.images_per_s:.2f} images/s{overflow}"
    )


def _validation(row: ValidationRow) -> str:
    return (
        f"epoch {row.epoch}, step {row.step}: mIoU {100 * row.miou:.2f} %, pixel accuracy "
        f"{100 * row.pixel_accuracy:.2f} % on {row.images} images"
    )


def _conclude(run: TrainingRun, wall_s: float) -> None:
    console = stdout()
    for row in run.validations:
        console.print(_validation(row))
    console.print(f"\n{run.folder}/")
    for path in sorted(run.folder.iterdir()):
        console.print(f"  {path.name}")
    stderr().print(f"wall time {wall_s:.1f} s, {run.images_per_s:.2f} images/s in training steps")
