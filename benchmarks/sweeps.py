"""Time sweeps: design points a second, by mapper, engine and number of processes.

    python -m benchmarks.sweeps [--network deeplabv3_resnet50] [--size 513] [--points 60]

Every point has a memory and a DRAM bandwidth of its own, so no point is found ready made; what the points of a sweep
share (layers cut alike) they find again, as users' points do. The first half of a sweep warms its processes up, the
second is told. Each result also goes to the store. A search takes long: it gets a tenth of the points.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.machine import describe_machine
from benchmarks.plain_table import PlainTable
from bittrue.sweeping.engines import Engine, InProcess, Processes
from bittrue.sweeping.evaluate import evaluate
from bittrue.sweeping.points import DesignPoint, design_points
from bittrue.sweeping.space import Space
from bittrue.sweeping.store import SweepStore


def space(network: str, size: int, mapper: str, points: int) -> Space:
    """Return a space of `points` accelerators with memories and bandwidths of their own."""
    return Space.model_validate(
        {
            "name": "benchmark",
            "accelerator": "edge_32x32",
            "networks": [{"network": network, "size": size}],
            "fixed": {"mapper": mapper},
            "vary": {
                "memories.input_scratchpad.size": {"from": "64 KiB", "to": "1 MiB", "step": "1 KiB"},
                "dram.bytes_per_cycle": {"from": 4, "to": 64, "step": 0.125},
            },
            "method": "random",
            "points": points,
        }
    )


def points_per_second(engine: Engine, points: Sequence[DesignPoint]) -> float:
    """Evaluate all points and return those of the second half a second."""
    with tempfile.TemporaryDirectory() as folder, SweepStore(Path(folder)) as store:
        store.begin("benchmark", points)
        half = len(points) // 2
        begin = 0.0
        for index, outcome in enumerate(engine.outcomes(points, evaluate)):
            if outcome.error:
                raise SystemExit(f"{outcome.key}: {outcome.error}")
            store.record(outcome)
            if index == half - 1:
                begin = time.perf_counter()
        return (len(points) - half) / (time.perf_counter() - begin)


def engines() -> Iterator[tuple[str, Engine]]:
    """Yield (name, engine)."""
    yield "in-process", InProcess()
    for workers in (1, 2):
        yield f"processes:{workers}", Processes(workers)


def main() -> None:
    """Print the machine and a row for each mapper and engine."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--network", default="deeplabv3_resnet50", help="built-in network")
    parser.add_argument("--size", type=int, default=513, help="side of the image")
    parser.add_argument("--points", type=int, default=800, help="design points of a sweep, half of them to warm up")
    options = parser.parse_args()
    print(describe_machine())
    print(f"{options.network} @{options.size}, timing only, {options.points // 2} points each")
    table = PlainTable(("mapper", 14), ("engine", 12), ("points/s", 9), ("ms a point", 10))
    print(table.header())
    for mapper in ("fixed_rule", "least_traffic"):
        count = options.points if mapper == "fixed_rule" else max(4, options.points // 10)
        points = design_points(space(options.network, options.size, mapper, count)).points
        for name, engine in engines():
            rate = points_per_second(engine, points)
            print(table.row([mapper, name, f"{rate:.1f}", f"{1000 / rate:.1f}"]), flush=True)


if __name__ == "__main__":
    main()
