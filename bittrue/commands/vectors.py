"""`bittrue vectors`: stimuli and expected results for somebody's test bench."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bittrue.commands.loading import load_device, load_named_network
from bittrue.commands.options import AcceleratorChanges, AcceleratorName, NetworkName, NetworkOptions
from bittrue.console import refusals, stderr, stdout

if TYPE_CHECKING:
    from bittrue.inputs import ReadyNetwork
    from bittrue.progress import RunProgress
    from simulator.accelerator.spec import Accelerator
    from simulator.records.vectors.manifest import Manifest


@refusals
def vectors(
    network: NetworkName,
    accelerator: AcceleratorName,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the files.")],
    input_file: Annotated[
        Path | None, typer.Option("--input", "-i", help="As for `run`: an image, .npy, .npz or manifest.json.")
    ] = None,
    input_seed: Annotated[
        int | None,
        typer.Option(min=0, help="Instead of -i: random integers of each input's whole range.", show_default=False),
    ] = None,
    layer: Annotated[
        str | None, typer.Option(help="One layer: what it reads, constants included, and writes.", show_default=False)
    ] = None,
    format: Annotated[
        Literal["npz", "raw", "memh"], typer.Option(help="NumPy; raw binaries; text for Verilog's $readmemh.")
    ] = "npz",
    byte_order: Annotated[
        Literal["little", "big"],
        typer.Option(help="raw: of an element's bytes. memh: a word's first element in its low (little) or high bits."),
    ] = "little",
    lanes: Annotated[
        int | None, typer.Option(min=1, help="memh: elements of a word.", show_default="as many as fit")
    ] = None,
    word_bits: Annotated[
        int | None, typer.Option(min=1, help="memh: width of a word.", show_default="what the lanes take")
    ] = None,
    changes: AcceleratorChanges = None,
    net: NetworkOptions = None,
    seed: Annotated[int, typer.Option(min=0, help="Of stochastic rounding and seeded weights.")] = 0,
) -> None:
    """Write stimuli and expected results of a network or a layer: .npz, raw binaries or $readmemh, and a manifest."""
    from bittrue.compiling import VALUES_S, note_compiling
    from bittrue.progress import RunProgress
    from bittrue.vectors import export_vectors
    from simulator.errors import InputError
    from simulator.records.vectors.files import VectorFormat

    if (input_file is None) == (input_seed is None):
        raise InputError("give exactly one of -i and --input-seed")
    chosen = VectorFormat(format, byte_order, lanes, word_bits)
    device = load_device(accelerator, changes or [])
    with RunProgress(stderr()) as progress:
        progress.phase("load", network)
        ready = _ready(network, net or [], device, (input_file, input_seed), seed, progress)
        note_compiling(progress, VALUES_S)
        progress.phase("execute", ready.network.name)
        written = export_vectors(ready.network, device, ready.inputs, output, layer=layer, format=chosen, seed=seed)
    _show(written, output)


def _ready(
    name: str,
    options: list[str],
    device: Accelerator,
    source: tuple[Path | None, int | None],
    seed: int,
    progress: RunProgress,
) -> ReadyNetwork:
    """Return the network, integer, and its inputs."""
    from bittrue.inputs import ReadyNetwork, check_input_file, prepare_input, random_inputs
    from bittrue.quantization import choose_quantization

    path, input_seed = source
    if path is not None:
        check_input_file(path)
    network = load_named_network(name, options, None if path is None else seed)
    if path is None:
        return ReadyNetwork(network, random_inputs(network, input_seed or 0))
    return prepare_input(network, path, progress, choose_quantization(device, None, "minmax"))


def _show(written: Manifest, output: Path) -> None:
    from bittrue.tables import draw
    from simulator.records.vectors.manifest import MANIFEST

    rows = []
    for entry in written.tensors:
        row = {"tensor": entry.name, "role": entry.role, "dtype": entry.dtype, "shape": "x".join(map(str, entry.shape))}
        if entry.format == "memh":
            row |= {"lanes": str(entry.lanes), "word bits": str(entry.word_bits)}
        if entry.format != "npz":
            row["first"] = "low" if entry.byte_order == "little" else "high"
        rows.append(row | {"file": entry.file})
    console = stdout()
    draw(console, rows, flexible=("tensor",))
    console.print(f"\n{output / MANIFEST}")
