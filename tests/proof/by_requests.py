"""How far the machine is from one in which every DMA request is on its own: `python -m proof.by_requests`.

A network, layer by layer, with the schedule that the mapper makes for the accelerator: cycles of the compiled machine,
and of `support.request_machine`. One core with a memory without banks: the same; else constants of transfers stand in
for turns of requests.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from accel_models.load import load_accelerator
from bittrue import load_network, prepare
from simulator.accelerator.spec import Accelerator
from simulator.mapping.mapper import map_layers
from simulator.timing.fast import layer_cycles
from support.request_machine import cycles_by_requests

_MEMORIES: Mapping[str, Mapping[str, object]] = {
    "simple": {},
    "ddr4_3200": {"dram.model": "banked", "dram.device": "ddr4_3200", "dram.type": "ddr4"},
    "lpddr4x_3200": {"dram.model": "banked", "dram.device": "lpddr4x_3200"},
}
_COUNTS = (1, 2, 4)
_OUTSTANDING = (16, 4)


def deviations(network: str, size: int, accelerator: Accelerator) -> tuple[int, int, float]:
    """Cycles of the machine and request by request, of all distinct layers; the greatest deviation of one of them."""
    layers = prepare(load_network(network, size=size), accelerator, timing_only=True).engine.layers
    cycles = layer_cycles(accelerator)
    schedules = {id(layer): layer for layer in map_layers(layers, accelerator, cycles).layers if layer.tile_ops}
    found = [(cycles(layer), cycles_by_requests(layer, accelerator)) for layer in schedules.values()]
    worst = max((ours / theirs - 1 for ours, theirs in found), key=abs)
    return sum(ours for ours, _ in found), sum(theirs for _, theirs in found), worst


def main() -> int:
    """Print a row for each memory, number of cores and limit of requests in flight."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--network", default="unet", help="built-in network")
    parser.add_argument("--size", type=int, default=65, help="side of the image")
    parser.add_argument("--accelerator", default="edge_32x32", help="preset or file")
    parser.add_argument("--log", type=Path, help="file that the outcome is written to")
    options = parser.parse_args()
    base = load_accelerator(options.accelerator)
    lines = [
        f"{options.network} @{options.size} on {options.accelerator}, cycles of its distinct layers",
        "memory        cores  in flight      machine   by requests  deviation  worst layer",
    ]
    for memory, change in _MEMORIES.items():
        for cores in _COUNTS:
            for limit in _OUTSTANDING:
                accelerator = base.evolve({**change, "cores": cores, "dma.max_outstanding": limit})
                ours, theirs, worst = deviations(options.network, options.size, accelerator)
                told = f"{ours:13,} {theirs:13,} {100 * (ours / theirs - 1):9.2f}% {100 * worst:11.2f}%"
                lines.append(f"{memory:13} {cores:5} {limit:10} {told}")
                sys.stderr.write(lines[-1] + "\n")
    text = "".join(f"{line}\n" for line in lines)
    sys.stdout.write(text)
    if options.log:
        options.log.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
