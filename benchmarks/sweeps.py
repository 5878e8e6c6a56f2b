"""Time sweeps: design points a second and processor time, by mapper, engine and number of processes.

    python -m benchmarks.sweeps [--network deeplabv3_resnet50] [--size 513] [--points 1600] [--mapper fixed_rule]
                                [--engine in-process]

Every point has a memory and a DRAM bandwidth of its own, so no point is found ready made; what the points of a sweep
share (layers cut alike) they find again, as users' points do. The first half of a sweep warms its processes up, the
second is told. Each result also goes to the store. A search takes long: it gets a tenth of the points.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.machine import describe_machine
from benchmarks.plain_table import PlainTable
from bittrue.sweeping.engines import Engine, InProcess, Processes
from bittrue.sweeping.evaluate import Outcome, evaluate
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


@dataclass(frozen=True)
class Rate:
    """How fast the second half of a sweep was."""

    points_per_s: float
    worker_ms: float
    """Processor time of a point where it is evaluated, milliseconds."""
    driver_ms: float
    """Processor time of a point where it is given out and stored, if that is another process, milliseconds."""


def clocked(point: DesignPoint) -> Outcome:
    """Evaluate, and say how much processor time that took."""
    begin = time.process_time()
    outcome = evaluate(point)
    return replace(outcome, figures=outcome.figures | {"cpu_s": time.process_time() - begin})


def rate_of(engine: Engine, points: Sequence[DesignPoint]) -> Rate:
    """Evaluate all points and return the rate of the second half."""
    with tempfile.TemporaryDirectory() as folder, SweepStore(Path(folder)) as store, engine.session() as session:
        store.begin("benchmark", points)
        begin = driver = worker = 0.0
        seen = counted = 0
        for outcomes in session.outcomes(points, clocked):
            failed = next((outcome for outcome in outcomes if outcome.error), None)
            if failed:
                raise SystemExit(f"{failed.key}: {failed.error}")
            store.record(outcomes, lost_counts=True)
            seen += len(outcomes)
            if begin:
                counted += len(outcomes)
                worker += sum(outcome.figures["cpu_s"] for outcome in outcomes)
            elif seen >= len(points) // 2:
                begin, driver = time.perf_counter(), time.process_time()
        own = time.process_time() - driver
        own -= worker if isinstance(engine, InProcess) else 0.0
        return Rate(counted / (time.perf_counter() - begin), 1000 * worker / counted, 1000 * own / counted)


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
    parser.add_argument("--points", type=int, default=1600, help="design points of a sweep, half of them to warm up")
    parser.add_argument("--mapper", action="append", help="only this mapper; repeatable")
    parser.add_argument("--engine", action="append", help="only this engine; repeatable")
    options = parser.parse_args()
    print(describe_machine())
    table = PlainTable(("mapper", 14), ("engine", 12), ("points/s", 9), ("worker ms", 10), ("driver ms", 10))
    for mapper in options.mapper or ("fixed_rule", "least_traffic"):
        count = options.points if mapper == "fixed_rule" else max(4, options.points // 10)
        print(f"{options.network} @{options.size}, timing only, {count - count // 2} points each")
        print(table.header())
        points = design_points(space(options.network, options.size, mapper, count)).points
        for name, engine in engines():
            if options.engine and name not in options.engine:
                continue
            rate = rate_of(engine, points)
            cells = [f"{rate.points_per_s:.1f}", f"{rate.worker_ms:.2f}", f"{rate.driver_ms:.2f}"]
            print(table.row([mapper, name, *cells]), flush=True)


if __name__ == "__main__":
    main()
