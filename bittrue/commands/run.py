"""`bittrue run`: a network on an accelerator, from the shell."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bittrue.commands.loading import assignments, load_device, load_named_network, register_widths
from bittrue.commands.options import AcceleratorChanges, NetworkOptions, Threads
from bittrue.console import refusals, stderr, stdout
from bittrue.moved_files import SearchPlan
from bittrue.progress import RunProgress
from bittrue.replay import RunCommand, read_command

if TYPE_CHECKING:
    from bittrue.progress import RunProgress
    from bittrue.quantization import Quantization
    from bittrue.run import Run
    from simulator.accelerator.spec import Accelerator
    from workloads.network import Network


@refusals
def run(
    network: Annotated[
        str | None, typer.Argument(help="A file (.tflite ...) or a built-in name (`bittrue networks`).")
    ] = None,
    accelerator: Annotated[
        str | None,
        typer.Option(
            "--accelerator",
            "-a",
            help="A preset (`bittrue accelerators`) or a YAML file.",
            show_default=False,
        ),
    ] = None,
    input_file: Annotated[
        Path | None,
        typer.Option(
            "--input",
            "-i",
            help="An image (resized and quantized as the input asks), or arrays as they are: .npy, .npz, the "
            "manifest.json of vectors. Without it, timing only.",
        ),
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Folder for the results.")] = None,
    changes: AcceleratorChanges = None,
    net: NetworkOptions = None,
    scheme: Annotated[
        str | None,
        typer.Option(
            help="How a float network is quantized: affine, symmetric, power_of_two or paper. "
            "Without it, what the device's requantizer needs.",
            show_default=False,
        ),
    ] = None,
    calibration: Annotated[
        str | None,
        typer.Option(
            help="Range of a float network's activations: minmax (the default), percentile, mse or kl.",
            show_default=False,
        ),
    ] = None,
    activation_scales: Annotated[
        str | None,
        typer.Option(
            help="Of scheme paper: frozen by calibration (the default), or dynamic, each tensor's own maximum.",
            show_default=False,
        ),
    ] = None,
    timing_only: Annotated[bool, typer.Option("--timing-only", help="Do not compute values.")] = False,
    values_only: Annotated[bool, typer.Option("--values-only", help="Do not compute time and energy.")] = False,
    keep_tensors: Annotated[bool, typer.Option("--keep-tensors", help="Save every intermediate tensor.")] = False,
    ledger: Annotated[
        Literal["fast", "affected", "exact", "channels"],
        typer.Option(
            help="affected = count affected outputs, not their events (faster); exact = measure needed_bits of every "
            "layer (slower); channels = of every channel too."
        ),
    ] = "fast",
    activity: Annotated[
        bool, typer.Option("--activity", help="Count zero operands and toggled bits of the array, from the values.")
    ] = False,
    sweep: Annotated[
        str,
        typer.Option(
            "--accumulator-sweep",
            metavar="BITS,BITS...",
            help="Also run with registers of these widths, e.g. 16,20,24, and compare the outputs with 32 bits.",
        ),
    ] = "",
    ignore_memory: Annotated[
        bool, typer.Option("--ignore-memory", help="Run also what is not expected to fit into memory.")
    ] = False,
    threads: Threads = None,
    seed: Annotated[int, typer.Option(min=0, help="Of stochastic rounding and seeded weights.")] = 0,
    train_step: Annotated[
        bool, typer.Option("--train-step", help="One step of integer training instead of an inference.")
    ] = False,
    batch: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Images in one run, stacked along the first axis of inputs and outputs: 1, of a training step 8.",
            show_default=False,
        ),
    ] = None,
    preset: Annotated[str, typer.Option(help="With --train-step: paper, e2_8, wageubn or niti.")] = "paper",
    dataset: Annotated[
        str | None,
        typer.Option(metavar="KIND:PATH", help="With --train-step: compute it on this data; without, time alone."),
    ] = None,
    saved: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="RUN.JSON",
            help="Run a saved run again, by its run.json or folder, and say whether anything changed.",
            show_default=False,
        ),
    ] = None,
    search: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR",
            help="With --from: look there too, in all folders below, for files that were moved. Repeatable.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Run a network on an accelerator: a table per layer, totals, and a folder of results."""
    from simulator.errors import InputError

    if saved is not None:
        alone = (
            network,
            accelerator,
            input_file,
            scheme,
            calibration,
            activation_scales,
            timing_only,
            values_only,
            keep_tensors,
        )
        if any(alone) or any((changes, net, sweep, activity, train_step, dataset, ledger != "fast", seed, batch)):
            raise InputError(
                "--from says everything of the run; it goes with -o, --search, --threads and --ignore-memory"
            )
        replay(saved, output, threads, search or [], ignore_memory=ignore_memory)
        return
    if search:
        raise InputError("--search goes with --from: it finds the moved files of a saved run")
    if network is None or accelerator is None:
        raise InputError("give a network and --accelerator (-a), or a saved run (--from out/first/run.json)")
    if train_step:
        asked = (input_file, timing_only, values_only, keep_tensors, activity, sweep, ledger != "fast")
        if any(asked):
            raise InputError(
                "--train-step goes with -a, -o, --set, --net, --batch, --preset, --dataset, --threads, --seed"
            )
        step = (accelerator, changes or [], net or [], batch or 8, preset, dataset, threads, seed)
        _run_train_step(network, output, *step)
        return
    _check_choices(timing_only, values_only, keep_tensors, input_file)
    asked_of_floats = {"--scheme": scheme, "--calibration": calibration, "--activation-scales": activation_scales}
    for option, given in {"--activity": activity, **asked_of_floats}.items():
        if given and (timing_only or input_file is None):
            raise InputError(f"{option} needs values: give -i and leave --timing-only out")
    _check_files(input_file, output)
    command = RunCommand(
        network,
        tuple(net or ()),
        None if input_file is None or timing_only else str(input_file),
        "",
        scheme,
        calibration,
        activation_scales,
        values_only,
        keep_tensors,
        ledger,
        activity,
        _widths(sweep, values=input_file is not None and not timing_only),
        seed,
        batch or 1,
    )
    began = time.perf_counter()
    device = load_device(accelerator, changes or [])
    folder = None
    with RunProgress(stderr()) as progress:
        result = execute(command, device, progress, threads, ignore_memory=ignore_memory)
        if output is not None:
            progress.phase("save", str(output))
            folder = result.save(output)
            command.with_digest().write(folder)
    _show(result, folder)
    stderr().print(f"wall time {time.perf_counter() - began:.1f} s")


def execute(
    command: RunCommand, device: Accelerator, progress: RunProgress, threads: int | None, *, ignore_memory: bool
) -> Run:
    """Load the network and the input of a command, and run it on a device."""
    from bittrue.quantization import choose_quantization
    from simulator.errors import InputError

    quantization = choose_quantization(
        device, command.scheme, command.calibration or "minmax", command.activation_scales or "frozen"
    )
    values = command.input is not None
    progress.phase("load", command.network)
    loaded = load_named_network(command.network, command.net, command.seed if values else None)
    if (command.scheme or command.calibration or command.activation_scales) and not loaded.is_float:
        raise InputError(f"--scheme and --calibration: {loaded.name} is integer already; it runs as it is")
    if command.batch > 1 and values and loaded.is_float:
        raise InputError(
            f"--batch {command.batch}: {loaded.name} is float and would be calibrated on the batch; save it quantized "
            "(net.quantize(images).save(FILE.npz)) and run that file"
        )
    return _simulate(
        loaded.batched(command.batch),
        device,
        None if command.input is None else Path(command.input),
        progress,
        quantization,
        ignore_memory=ignore_memory,
        values_only=command.values_only,
        timing_only=not values,
        keep_tensors=command.keep_tensors,
        ledger=command.ledger,
        activity=command.activity,
        accumulator_sweep=command.accumulator_sweep,
        threads=threads,
        seed=command.seed,
    )


def replay(
    saved: Path, output: Path | None, threads: int | None, search: Sequence[Path], *, ignore_memory: bool
) -> None:
    """Run a saved run again and compare; exit status 1 where a value, a cycle or an event is not what it was."""
    from bittrue.commands.compare import compare
    from simulator.accelerator.spec import Accelerator
    from simulator.errors import InputError
    from simulator.records.store import read_run

    folder = saved.parent if saved.name == "run.json" else saved
    record = read_run(folder).record
    for place in search:
        if not place.is_dir():
            raise InputError(f"--search {place}: there is no such folder")
    plan = SearchPlan((folder, folder.absolute().parent, Path.cwd()), tuple(search))
    command, told = read_command(folder).located(plan)
    for line in told:
        stdout().print(line)
    _check_files(None, output)
    with TemporaryDirectory(prefix="bittrue-replay-") as scratch:
        target = output or Path(scratch) / "run"
        with RunProgress(stderr()) as progress:
            result = execute(
                command, Accelerator.model_validate(record.spec), progress, threads, ignore_memory=ignore_memory
            )
            command.write(result.save(target))
        if result.record.network_hash != record.network_hash:
            stdout().print("the network is not the one that was run: its file, or how it is read, has changed")
        compare(folder, target)


def _run_train_step(
    network: str,
    output: Path | None,
    accelerator: str,
    changes: list[str],
    net: list[str],
    batch: int,
    preset_name: str,
    dataset: str | None,
    threads: int | None,
    seed: int,
) -> None:
    from bittrue.training.plan import Request
    from bittrue.training.step_report import computed_step, show_step, timed_step
    from workloads.training.config import preset

    keywords = assignments("--net", net)
    size = keywords.pop("size", None) if dataset else None
    sides = (size, size) if isinstance(size, int) else tuple(size) if size else None
    device = load_device(accelerator, changes)
    request = Request(
        network, dataset or "", preset(preset_name), device, keywords, sides, batch, steps=1, seed=seed, threads=threads
    )
    found = computed_step(request) if dataset else timed_step(load_named_network(network, net, None), request)
    show_step(stdout(), found)
    if output is not None:
        stdout().print(f"\n{found.run.save(output)}/")


def _check_choices(timing_only: bool, values_only: bool, keep_tensors: bool, input_file: Path | None) -> None:
    from simulator.errors import InputError

    if timing_only and values_only:
        raise InputError("--timing-only and --values-only exclude each other: nothing would be computed")
    if values_only and input_file is None:
        raise InputError("--values-only needs an input: -i IMAGE, .npy or .npz")
    if keep_tensors and (timing_only or input_file is None):
        raise InputError("--keep-tensors needs values: give -i and leave --timing-only out")


def _widths(text: str, *, values: bool) -> tuple[int, ...]:
    from simulator.errors import InputError

    if text and not values:
        raise InputError("--accumulator-sweep needs values: give -i and leave --timing-only out")
    return register_widths(text)


def _check_files(input_file: Path | None, output: Path | None) -> None:
    """Refuse now what would be refused after minutes of computing."""
    from bittrue.inputs import check_input_file
    from simulator.records.store import check_replaceable

    if input_file is not None:
        check_input_file(input_file)
    if output is not None:
        check_replaceable(output)


def _simulate(
    network: Network,
    accelerator: Accelerator,
    input_file: Path | None,
    progress: RunProgress,
    quantization: Quantization,
    ignore_memory: bool,
    **options: Any,
) -> Run:
    from bittrue.api import prepare
    from bittrue.compiling import TIME_S, VALUES_S, note_compiling
    from bittrue.foresight import LONG_MACS, available_bytes, foresee, refuse_what_cannot_fit, seconds_estimate
    from bittrue.inputs import prepare_input

    inputs = None
    if input_file is not None:
        ready = prepare_input(network, input_file, progress, quantization)
        network, inputs = ready.network, ready.inputs
        if not ignore_memory:
            refuse_what_cannot_fit(network, options["keep_tensors"], available_bytes())
        if network.macs >= LONG_MACS:
            memory = foresee(network, keep_tensors=options["keep_tensors"]).run_bytes >> 20
            seconds = seconds_estimate(network, accelerator, options["threads"])
            progress.note(f"values will take about {seconds:.1f} s and {memory:,} MiB more memory")
    note_compiling(progress, TIME_S if inputs is None else VALUES_S)
    progress.phase("lower", f"{network.name} for {accelerator.name}")
    return prepare(network, accelerator, **options).run(inputs, progress.update)


def _show(result: Run, folder: Path | None) -> None:
    from bittrue.run_tables import show_record

    console = stdout()
    show_record(console, result.record)
    if folder is not None:
        console.print(f"\n{folder}/")
        for path in sorted(folder.iterdir()):
            console.print(f"  {path.name}")
