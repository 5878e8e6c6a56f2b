"""What the SystemVerilog did on a few products, for machines without Verilator.

PYTHONPATH=.:tests python -m rtl.golden        writes tests/rtl/golden.csv anew (needs Verilator)
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from simulator.timing.clocked_array import ClockedRun, Execute, run_gemm
from support.gemm_cases import ARRAYS, Stream, draw_gemm
from support.verilated import VerilatedEngine, build

GOLDEN = Path(__file__).with_name("golden.csv")
SEEDS = range(1000, 1006)


def rows(name: str, execute: Execute | None = None, seeds: Iterable[int] = SEEDS) -> list[dict[str, str]]:
    """One row for each product on the array `name`; run on the model where `execute` is None."""
    array = ARRAYS[name]
    return [_row(name, seed, run_gemm(array, draw_gemm(Stream(seed), array), execute)) for seed in seeds]


def _row(name: str, seed: int, run: ClockedRun) -> dict[str, str]:
    values = np.concatenate([run.accumulators.ravel(), run.outputs.ravel()]).astype("<i8")
    return {
        "array": name,
        "seed": str(seed),
        "cycles": " ".join(map(str, run.cycles)),
        "partial_sum_events": str(run.partial_sum_events),
        "accumulator_events": str(run.accumulator_events),
        "saturations": str(run.saturations),
        "edge_digest": f"{run.digest:016x}",
        "values_sha256": hashlib.sha256(values.tobytes()).hexdigest()[:16],
    }


def read() -> list[dict[str, str]]:
    with GOLDEN.open(newline="") as file:
        return list(csv.DictReader(file))


def main() -> None:
    table = [row for name, array in ARRAYS.items() for row in rows(name, VerilatedEngine(build(array)))]
    with GOLDEN.open("w", newline="") as file:
        writer = csv.DictWriter(file, table[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)


if __name__ == "__main__":
    main()
