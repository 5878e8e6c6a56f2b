"""Hold the tile machine to the register-accurate model of array, DMA and memory, on drawn products and memories.

    PYTHONPATH=.:tests python -m proof.system_cycles [--cases 10000] [--seed 0] [--log FILE]

Jobs take the closed form's cycles in both. Where the requests of each transfer are alike and enough of them in flight
to cover a round trip, begin and end of every load, job and store must be the same; half of the cases are drawn so.
Elsewhere the difference of the whole is counted. Exit status 1 where anything differs that must not.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace

import numpy as np

from proof.drawn import prove
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
    misses: list[float] = []

    def summary(wrong: int, first: int, tally: Counter[str]) -> list[str]:
        error = np.array(misses)
        return [
            f"{wrong} of {tally[f'{LEVEL}: products']} differ where they must not, seeds from {first}",
            f"elsewhere the machine is equal in {np.mean(error == 0):.1%}, off by {np.mean(np.abs(error)):.2%} on "
            f"average, {error.min():+.1%} to {error.max():+.1%}",
        ]

    return prove(__doc__, 10_000, lambda seed, tally: judge(seed, tally, misses), summary)


if __name__ == "__main__":
    sys.exit(main())
