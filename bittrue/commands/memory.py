"""`bittrue memory`: which tensors are alive at each layer, and what a run takes of this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from bittrue.commands.loading import load_device, load_named_network
from bittrue.commands.options import NetworkName, NetworkOptions, Threads
from bittrue.console import refusals, stdout


@refusals
def memory(
    network: NetworkName,
    accelerator: Annotated[
        str | None,
        typer.Option("--accelerator", "-a", help="Also estimate the time of a run on it.", show_default=False),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Images in one run.")] = 1,
    net: NetworkOptions = None,
    threads: Threads = None,
) -> None:
    """Print the tensors alive at each layer, where most are, and the memory (with -a the time) that a run takes."""
    from bittrue.foresight import available_bytes, foresee, seconds_estimate
    from bittrue.tables import draw, shorten
    from reports.units import binary_bytes, short_name, three_digits

    loaded = load_named_network(network, net or [], None).batched(batch).ready(for_values=False)
    found, kept = foresee(loaded), foresee(loaded, keep_tensors=True)
    peak, console = found.peak, stdout()
    rows = [
        {
            "layer": shorten(short_name(step.node), 48),
            "alive KiB": f"{step.bytes / 1024:,.1f}",
            "peak": "*" if step is peak else "",
            "tensors": ", ".join(shorten(short_name(name), 32) for name in step.tensors),
        }
        for step in found.plan
    ]
    draw(console, rows, flexible=("layer", "tensors"))
    if peak is not None:
        most = f"tensors {binary_bytes(peak.bytes)} at {short_name(peak.node)}"
        console.print(f"\npeak of the device's DRAM  {binary_bytes(found.weights_bytes + peak.bytes)}: {most}")
    console.print(f"a run on values adds       about {binary_bytes(found.run_bytes)} to this process")
    console.print(f"with --keep-tensors        about {binary_bytes(kept.run_bytes)}")
    free = available_bytes()
    console.print(f"free                       {'not known here' if free is None else binary_bytes(free)}")
    if accelerator is not None:
        seconds = seconds_estimate(loaded, load_device(accelerator, []), threads)
        console.print(f"its values take            about {three_digits(seconds)} s")
