"""Time the timing model: the compiled machine, the mapping search, the SimPy machine.

    python -m benchmarks.timing_model [--network deeplabv3_resnet50] [--size 513] [--repeats 20]
                                      [--accelerators edge_32x32,edge_16x16_os]

`again` is simulate(network, accelerator, timing_only=True) for an accelerator of which only the vector unit is another
each time: lowered layers and schedules are found again, times, records and energy are not. `point` has another DRAM
latency each time, so every layer is mapped anew.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable
from copy import copy

import bittrue
from benchmarks.machine import describe_machine
from benchmarks.plain_table import PlainTable, words
from simulator.mapping import search
from simulator.mapping.mapper import map_layers
from simulator.mapping.schedule import Schedule
from simulator.timing import fast, machine


def seconds(run: object, *arguments: object) -> float:
    """Return the processor time of one call."""
    begin = time.process_time()
    run(*arguments)  # type: ignore[operator]
    return time.process_time() - begin


def least_simulation(network: bittrue.Network, accelerators: Iterable[bittrue.Accelerator]) -> float:
    """Return the least time of a timing-only run of the network on each accelerator, seconds."""
    return min(seconds(lambda a: bittrue.simulate(network, a, timing_only=True), a) for a in accelerators)


def unknown(schedule: Schedule) -> Schedule:
    """Return a copy of which the machine has run no layer yet."""
    return Schedule(schedule.names, tuple(copy(layer) for layer in schedule.layers))


def row(network: bittrue.Network, name: str, repeats: int) -> list[str]:
    """Measure one accelerator."""
    accelerator = bittrue.load_accelerator(name)
    layers = bittrue.prepare(network, accelerator, timing_only=True).engine.layers
    schedule = map_layers(layers, accelerator)
    if fast.run_schedule(schedule, accelerator).layers != machine.run_schedule(schedule, accelerator).layers:
        raise SystemExit(f"{name}: the two machines differ")
    search.search.cache_clear()
    mapping = seconds(map_layers, layers, accelerator)
    loop = min(seconds(fast.run_schedule, unknown(schedule), accelerator) for _ in range(repeats))
    simpy = seconds(machine.run_schedule, schedule, accelerator)
    bittrue.simulate(network, accelerator, timing_only=True)
    lanes = accelerator.vector_unit.lanes
    again = [accelerator.evolve({"vector_unit.lanes": lanes + 1 + i}) for i in range(repeats)]
    latency = accelerator.dram_latency_cycles
    points = [accelerator.evolve({"dram.latency_cycles": latency + 1 + i}) for i in range(max(3, repeats // 4))]
    return [
        name,
        str(schedule.tile_ops),
        f"{loop * 1e3:.2f}",
        f"{least_simulation(network, again) * 1e3:.2f}",
        f"{mapping:.3f}",
        f"{least_simulation(network, points) * 1e3:.1f}",
        f"{simpy:.2f}",
        f"{simpy / loop:.0f}x",
    ]


def main() -> None:
    """Print the machine and one row for each accelerator."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--network", default="deeplabv3_resnet50", help="built-in network")
    parser.add_argument("--size", type=int, default=513, help="side of the image")
    parser.add_argument("--repeats", type=int, default=20, help="runs, of which the least is told")
    parser.add_argument("--accelerators", type=words, default=("edge_32x32", "edge_16x16_os"), help="by commas")
    options = parser.parse_args()
    network = bittrue.load_network(options.network, size=options.size)
    print(describe_machine())
    print(f"{options.network} @{options.size}, processor time, least of {options.repeats}; mapping and SimPy once")
    table = PlainTable(
        *(("accelerator", 14), ("tile ops", 8), ("machine ms", 10), ("again ms", 8), ("mapping s", 9)),
        *(("point ms", 8), ("SimPy s", 7), ("SimPy / machine", 15)),
    )
    print(table.header())
    for name in options.accelerators:
        print(table.row(row(network, name, options.repeats)), flush=True)


if __name__ == "__main__":
    main()
