"""`bittrue export`: an integer network as a file for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bittrue.commands.loading import load_named_network
from bittrue.commands.options import NetworkName, NetworkOptions
from bittrue.console import refusals, stderr, stdout


@refusals
def export(
    network: NetworkName,
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write: .tflite, .onnx or .npz.")],
    images: Annotated[
        list[Path] | None,
        typer.Option("--input", "-i", help="Image, or folder of images, to calibrate a float network on. Repeatable."),
    ] = None,
    net: NetworkOptions = None,
    seed: Annotated[int, typer.Option(min=0, help="Of seeded weights.")] = 0,
) -> None:
    """Write a network as .tflite, .onnx or .npz; the file's own reference then gives the integers of our run."""
    from bittrue.inputs import check_input_file
    from bittrue.progress import RunProgress
    from simulator.errors import InputError
    from workloads.exporters.export import check_target

    check_target(output)
    for image in images or []:
        if not image.is_dir():
            check_input_file(image)
    with RunProgress(stderr()) as progress:
        progress.phase("load", network)
        loaded = load_named_network(network, net or [], seed)
        if loaded.is_float and not images:
            raise InputError(f"{network} is float: give images to calibrate it on (-i photo.jpg)")
        if images and not loaded.is_float:
            raise InputError(f"{network} is integer already; it takes no -i")
        if images:
            progress.phase("calibrate", f"{loaded.name} on {len(images)} image{'s' if len(images) > 1 else ''}")
            loaded = loaded.quantize(images, on_progress=progress.update)
        progress.phase("write", str(output))
        written = loaded.export(output)
    console = stdout()
    for note in loaded.notes:
        console.print(f"note: {note}")
    console.print(f"{written}: {written.stat().st_size:,} bytes, {len(loaded.graph.nodes)} operators")
