"""Hold the tile machine to the register-accurate model of array, DMA and memory, on drawn products and memories.

    PYTHONPATH=.:tests python -m proof.system_cycles [--cases 10000] [--seed 0] [--log FILE]

Jobs take the closed form's cycles in both. Where the requests of each transfer are alike and enough of them in flight
to cover a round trip, begin and end of every load, job and store must be the same; half of the cases are drawn so.
Elsewhere the difference of the whole is counted. Exit status 1 where anything differs that must not.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from simulator.kernels.clocked_system import SYSTEM_COUNTS
from simulator.mapping.array_cycles import weight_stationary
from simulator.mapping.work import Device
from simulator.numerics.modes import Dataflow
from simulator.timing.clocked_array import ClockedArray
from simulator.timing.clocked_dma import ClockedDma
from simulator.timing.clocked_program import ClockedSystem, Program, plan
from simulator.timing.clocked_system import clock_times
from support.devices import machine
from support.gemm_cases import Stream
from support.system_cases import draw_product
from support.system_machine import bus_is_never_idle, machine_intervals, rows_of

LEVEL, OTHER = "bus never idle within a transfer", "other"


def draw(seed: int) -> tuple[ClockedSystem, Program]:
    stream = Stream(12, seed)
    rows, cols = stream.integer(1, 8), stream.integer(1, 8)
    array = ClockedArray(Dataflow.WEIGHT_STATIONARY, rows, cols, weight_double_buffer=stream.integer(0, 1) == 1)
    bus_bytes = 2 << stream.integer(0, 3)
    system, gemm, tiling = draw_product(stream, ClockedSystem(array, ClockedDma(bus_bytes=bus_bytes)))
    if seed % 2:
        dma = system.dma
        covers = -(-(dma.latency_cycles + dma.interval_cycles) // dma.interval_cycles)
        dma = replace(dma, burst_bytes=bus_bytes, max_outstanding=covers + stream.integer(0, 9))
        system = ClockedSystem(array, dma)
    return system, plan(system, gemm, tiling)


def job_cycles(array: ClockedArray, program: Program) -> np.ndarray:
    """Closed form of each job, and the cycle in which its first operands are read."""
    double = array.weight_double_buffer
    device = Device.of(machine(array.rows, array.cols, dataflow="weight_stationary", weight_double_buffer=double))
    jobs = [(row["n_folds"] * row["k_folds"], row["pixels"]) for row in rows_of(program)]
    return np.array([int(weight_stationary(folds, pixels, device)) + 1 for folds, pixels in jobs], np.int64)


def judge(seed: int, tally: Counter[str], misses: list[float]) -> str | None:
    """Run one case; say what differs that must not; note the machine's error where it may."""
    system, program = draw(seed)
    work_cycles, counts = job_cycles(system.array, program), np.zeros(1, SYSTEM_COUNTS)[0]
    model = clock_times(system, program, work_cycles, counts)
    end, ours = machine_intervals(system, program, work_cycles)
    level = bus_is_never_idle(system.dma, program)
    tally.update({f"{LEVEL if level else OTHER}: products": 1, f"{LEVEL if level else OTHER}: tile ops": len(model)})
    if not level:
        misses.append(end / int(counts["cycles"]) - 1)
        return None
    if end == counts["cycles"] and np.array_equal(ours, model):
        return None
    return f"seed {seed}: model {counts['cycles']}, machine {end}; {system.dma}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log", type=Path)
    arguments = parser.parse_args()
    tally: Counter[str] = Counter()
    misses: list[float] = []
    began = time.monotonic()
    found = [judge(seed, tally, misses) for seed in range(arguments.seed, arguments.seed + arguments.cases)]
    wrong = [text for text in found if text]
    lines = [f"{count:14,d}  {name}" for name, count in sorted(tally.items())]
    lines.append(
        f"{len(wrong)} of {tally[f'{LEVEL}: products']} differ where they must not, seeds from {arguments.seed}"
    )
    error = np.array(misses)
    lines.append(
        f"elsewhere the machine is equal in {np.mean(error == 0):.1%}, off by {np.mean(np.abs(error)):.2%} on average, "
        f"{error.min():+.1%} to {error.max():+.1%}"
    )
    text = "\n".join([*lines, *wrong[:20]]) + "\n"
    sys.stdout.write(f"{text}{time.monotonic() - began:.0f} s\n")
    if arguments.log:
        arguments.log.write_text(text)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
