"""Speed of an evaluation beside that of the simulator alone: reading, resizing and counting are to cost little.

    BITTRUE_ASSETS=... python -m benchmarks.evaluation [--images 12] [--repeats 3] [--threads 1,2]

The int8 DeepLab runs on the VOC subset, on edge_32x32: the same images three ways by turns, wall time, the least of
the repeats. `simulate(values_only=True)` has its inputs ready in memory and lowers the network each time; a prepared
network has them too and is lowered once; the evaluation goes from JPEG files to scores on disk.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import bittrue
from benchmarks.machine import describe_machine
from benchmarks.plain_table import PlainTable, positive_integers
from benchmarks.timing import Statistic, interleave
from bittrue.evaluation.evaluate import Evaluation
from bittrue.evaluation.plan import Plan, make_plan
from bittrue.evaluation.score import read_sample

MODEL = "assets/deeplabv3_mnv2_dm05_pascal_quant.tflite"
DATASET = "datasets/voc2012_subset"
DEVICE = "edge_32x32"
TARGET = 0.8
"""Images per second of the evaluation, of those of `simulate`."""


def plan_of(assets: Path, images: int, threads: int) -> Plan:
    """Return the evaluation that is timed."""
    return make_plan(
        bittrue.load_network(assets / MODEL),
        bittrue.load_accelerator(DEVICE),
        bittrue.open_dataset(f"voc:{assets / DATASET}"),
        float_network=None,
        widths=(),
        class_map=None,
        fit="stretch",
        limit=images,
        threads=threads,
        seed=0,
    )


def evaluate_once(plan: Plan) -> None:
    """Evaluate into a new folder."""
    with tempfile.TemporaryDirectory() as folder:
        evaluation = Evaluation.begin(plan, Path(folder))
        evaluation.run()
        evaluation.record()
        evaluation.close()


def measure(assets: Path, images: int, threads: int, repeats: int) -> dict[str, float]:
    """Return seconds an image of each contender."""
    plan = plan_of(assets, images, threads)
    inputs = [read_sample(plan, index).inputs for index in range(images)]
    accelerator = plan.prepared.engine.accelerator
    times = interleave(
        {
            "simulate(values_only)": lambda: [
                bittrue.simulate(plan.network, accelerator, value, values_only=True, threads=threads)
                for value in inputs
            ],
            "prepared.run": lambda: [plan.prepared.run(value) for value in inputs],
            "evaluation": lambda: evaluate_once(plan),
            "reading alone": lambda: [read_sample(plan, index) for index in range(images)],
        },
        repeats,
        2,  # by the clock on the wall, whatever the threads: files are waited for
        Statistic.LEAST,
    )
    return {name: seconds / images for name, seconds in times.items()}


def main(arguments: list[str] | None = None) -> int:
    """Print a table; 1 where the evaluation falls below the target."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=positive_integers, default=(1, 2))
    chosen = parser.parse_args(arguments)
    assets = os.environ.get("BITTRUE_ASSETS")
    if not assets:
        parser.error("BITTRUE_ASSETS names no folder")
    print(describe_machine())
    print(f"images        {chosen.images} of VOC, least of {chosen.repeats} runs, wall time\n")
    table = PlainTable(("", 22), ("threads", 7), ("ms/image", 8), ("images/s", 8), ("of simulate", 11))
    print(table.header())
    worst = float("inf")
    for threads in chosen.threads:
        times = measure(Path(assets), chosen.images, threads, chosen.repeats)
        base = times["simulate(values_only)"]
        worst = min(worst, base / times["evaluation"])
        for name, seconds in times.items():
            print(
                table.row((name, str(threads), f"{1e3 * seconds:.1f}", f"{1 / seconds:.2f}", f"{base / seconds:.0%}"))
            )
    print(f"\nevaluation at {worst:.0%} of simulate(values_only), wanted {TARGET:.0%}")
    return 0 if worst >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
