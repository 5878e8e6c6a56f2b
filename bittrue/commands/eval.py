"""`bittrue eval`: a network's scores on a data set, from the shell."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bittrue.commands.loading import assignments, load_device, load_named_network, register_widths, text_pairs
from bittrue.commands.options import AcceleratorChanges, AcceleratorName, NetworkName, NetworkOptions, Threads
from bittrue.console import BAD_INPUT, INTERRUPTED, refusals, stderr, stdout

if TYPE_CHECKING:
    from bittrue.evaluation.evaluate import Evaluation
    from bittrue.progress import RunProgress
    from workloads.network import ImageInput, Network


@refusals
def evaluate(
    network: NetworkName,
    dataset: Annotated[
        str,
        typer.Option(
            "--dataset",
            "-d",
            metavar="KIND:PATH",
            help="voc, ade20k, camvid, cityscapes, nuclei or folder, and where it lies.",
        ),
    ],
    accelerator: AcceleratorName,
    split: Annotated[str, typer.Option(help="Which split of the data set.")] = "val",
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many images.", show_default=False)] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Folder of the evaluation: finished images are kept, the same command goes on."
        ),
    ] = None,
    sweep: Annotated[
        str,
        typer.Option(
            "--accumulator-sweep", metavar="BITS,BITS...", help="Also with registers of these widths, e.g. 16,20,24."
        ),
    ] = "",
    float_network: Annotated[
        str | None, typer.Option("--float", help="The float network that an integer one was made from.")
    ] = None,
    fit: Annotated[
        Literal["stretch", "pad"],
        typer.Option(help="stretch = an image fills the input; pad = it keeps its proportions."),
    ] = "stretch",
    class_map: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="CLASS=CLASS",
            help="A class of the data set and the network's for it; *=CLASS takes all others. Repeatable.",
        ),
    ] = None,
    changes: AcceleratorChanges = None,
    net: NetworkOptions = None,
    quantize: Annotated[
        list[str] | None,
        typer.Option("--quantize", metavar="KEY=VALUE", help="How a float network is quantized. Repeatable."),
    ] = None,
    calibrate: Annotated[int, typer.Option(min=1, help="Images of the train split to quantize it on.")] = 16,
    classes: Annotated[bool, typer.Option("--classes", help="Also print the IoU of each class.")] = False,
    pixel_mean: Annotated[
        float | None,
        typer.Option(
            help="Of a float file that does not say it: a pixel becomes (pixel - mean) / std.", show_default=False
        ),
    ] = None,
    pixel_std: Annotated[float | None, typer.Option(help="See --pixel-mean.", show_default=False)] = None,
    threads: Threads = None,
    seed: Annotated[int, typer.Option(min=0, help="Of stochastic rounding.")] = 0,
) -> None:
    """Evaluate a segmentation network on a data set: float, integer and other register widths in one table."""
    from bittrue.compiling import VALUES_S, note_compiling
    from bittrue.evaluation.calibrate import integer_network
    from bittrue.evaluation.evaluate import Evaluation
    from bittrue.evaluation.plan import make_plan
    from bittrue.progress import RunProgress
    from workloads.datasets import open_dataset

    began = time.perf_counter()
    samples = open_dataset(dataset, split)
    device = load_device(accelerator, changes or [])
    widths = register_widths(sweep)
    mapping = text_pairs("--map", class_map or [])
    pixels = _pixels(pixel_mean, pixel_std)
    with RunProgress(stderr()) as progress:
        note_compiling(progress, VALUES_S)
        progress.phase("load", network)
        loaded = _with_pixels(load_named_network(network, net or [], None), pixels)
        twin = None if float_network is None else _with_pixels(load_named_network(float_network, [], None), pixels)
        if loaded.is_float:
            progress.phase("calibrate", loaded.name)
        options = assignments("--quantize", quantize or [])
        loaded, twin = integer_network(loaded, twin, samples, dataset, options, calibrate, fit)
        progress.phase("lower", f"{loaded.name} for {device.name}")
        plan = make_plan(
            loaded,
            device,
            samples,
            float_network=twin,
            widths=widths,
            class_map=mapping or None,
            fit=fit,
            limit=limit,
            threads=threads,
            seed=seed,
        )
        evaluation = Evaluation.begin(plan, output)
        try:
            stopped = _run(evaluation, progress)
        finally:
            evaluation.close()
    _conclude(evaluation, classes, stopped)
    stderr().print(f"wall time {time.perf_counter() - began:.1f} s")
    if stopped:
        raise typer.Exit(INTERRUPTED)
    if evaluation.unusable:
        raise typer.Exit(BAD_INPUT)


def _pixels(mean: float | None, std: float | None) -> ImageInput | None:
    from simulator.errors import InputError
    from workloads.network import ImageInput

    if mean is None and std is None:
        return None
    if mean is None or std is None or not std > 0:
        raise InputError("--pixel-mean and --pixel-std are given together, the second greater than 0")
    return ImageInput((mean,), (std,))  # for any number of channels


def _with_pixels(network: Network, pixels: ImageInput | None) -> Network:
    """Tell a float network how a pixel becomes its input."""
    return network if pixels is None or not network.is_float else replace(network, image=pixels)


def _run(evaluation: Evaluation, progress: RunProgress) -> bool:
    """Evaluate all images; whether Ctrl-C came before the last."""
    from simulator.errors import BittrueError

    kept = evaluation.finished_images
    if kept:
        progress.note(f"{kept} of {evaluation.plan.limit} images were finished before; going on after them")
    progress.phase("evaluate", evaluation.plan.network.name)
    try:
        evaluation.run(progress.update)
    except KeyboardInterrupt:
        return True
    except BittrueError:
        progress.note(f"stopped: {_finished(evaluation)}")
        raise
    return False


def _finished(evaluation: Evaluation) -> str:
    where = f"they are kept in {evaluation.folder}/, the same command goes on" if evaluation.folder else "not kept"
    return f"{evaluation.finished_images} of {evaluation.plan.limit} images are finished ({where})"


def _conclude(evaluation: Evaluation, classes: bool, stopped: bool) -> None:
    """Print the table of what is finished, and say what is not."""
    from bittrue.evaluation_tables import show_evaluation

    done, wanted = evaluation.finished_images, evaluation.plan.limit
    if stopped:
        stderr().print(f"interrupted: {_finished(evaluation)}")
        if not done:
            return
    record = evaluation.record()
    show_evaluation(stdout(), record, classes)
    for sample in record.unusable:
        stderr().print(f"left out: {sample.problem}")
    if record.unusable:
        stderr().print(
            f"{len(record.unusable)} of {wanted} samples cannot be used and count in no score; "
            f"{record.images} are evaluated"
        )
    if evaluation.folder is not None:
        stdout().print(f"\n{evaluation.folder}/")
        for path in sorted(evaluation.folder.iterdir()):
            stdout().print(f"  {path.name}")
