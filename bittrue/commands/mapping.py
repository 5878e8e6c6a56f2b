"""`bittrue mapping`: how each layer of a network is cut and ordered on an accelerator."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated

import typer

from bittrue.commands.loading import load_device, load_named_network
from bittrue.commands.options import AcceleratorChanges, AcceleratorName, NetworkName, NetworkOptions
from bittrue.console import refusals, stdout


@refusals
def mapping(
    network: NetworkName,
    accelerator: AcceleratorName,
    layer: Annotated[str, typer.Option("--layer", metavar="PATTERN", help="Only these, e.g. 'layer3.*'.")] = "*",
    changes: AcceleratorChanges = None,
    net: NetworkOptions = None,
) -> None:
    """Print the loop nest of every layer on the array: tile sizes, loop order, what stays in the scratchpads."""
    from reports.units import short_name
    from simulator.errors import InputError
    from simulator.lowering.lower import lower
    from simulator.mapping.mapper import map_layers
    from simulator.mapping.split import split_text
    from simulator.timing.fast import layer_cycles
    from simulator.timing.joined import joined_fields

    device = load_device(accelerator, changes or [])
    graph = load_named_network(network, net or [], None).ready(for_values=False).graph
    layers = lower(graph, device)
    schedule = map_layers(layers, device, layer_cycles(device), graph.outputs)
    on_store = {
        one.name: row["on_store"] for one, row in zip(layers, joined_fields(layers, schedule.layers), strict=True)
    }
    console = stdout()
    mapped = [(name, one) for name, one in zip(schedule.names, schedule.layers, strict=True) if one.mapping]
    chosen = [(name, one) for name, one in mapped if fnmatchcase(name, layer) or fnmatchcase(short_name(name), layer)]
    if not chosen:
        names = ", ".join(short_name(name) for name, _ in mapped[:6])
        raise InputError(f"--layer {layer}: no layer of {network} on the array has such a name; there are {names} ...")
    for name, one in chosen:
        assert one.mapping is not None
        loads = int(one.ops["input_bytes"].sum() + one.ops["weight_bytes"].sum() + one.ops["bias_bytes"].sum())
        stores = int(one.ops["store_bytes"].sum())
        console.print(f"{short_name(name)}: {len(one.ops):,} tile ops, {loads:,} bytes loaded, {stores:,} bytes stored")
        if one.parts:
            console.print(f"  {split_text(one.parts)}, the largest part as")
        for line in one.mapping.loop_nest().splitlines():
            console.print(f"  {line}")
        console.print(f"  on the store: {on_store[name] or 'accumulators as they are'}")
