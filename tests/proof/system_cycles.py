"""Hold the tile machine to the register-accurate model of array, DMA and memory, on drawn products and memories.

    PYTHONPATH=.:tests python -m proof.system_cycles [--cases 20000] [--seed 0] [--log FILE]

Half of the arrays are output stationary. Jobs take the closed form's cycles in both. Begin and end of every load, job
and store must be the same. In half of the cases the requests of each transfer are alike and enough of them in flight to
cover a round trip, so that the bus is never idle within one. Exit status 1 where anything differs.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace

import numpy as np

from proof.drawn import prove
from simulator.kernels.clocked_system import SYSTEM_COUNTS
from simulator.mapping.array_cycles import output_stationary, weight_stationary
from simulator.mapping.work import Device
from simulator.numerics.modes import Dataflow
from simulator.timing.clocked_array import ClockedArray
from simulator.timing.clocked_dma import ClockedDma
from simulator.timing.clocked_program import ClockedSystem, Program, plan
from simulator.timing.clocked_system import clock_times
from support.devices import machine
from support.gemm_cases import Stream
from support.system_cases import draw_product
from support.system_machine import Kind, kind_of, machine_intervals, rows_of


def draw(seed: int) -> tuple[ClockedSystem, Program]:
    stream = Stream(12, seed)
    rows, cols = stream.integer(1, 8), stream.integer(1, 8)
    dataflow = Dataflow.OUTPUT_STATIONARY if seed & 2 else Dataflow.WEIGHT_STATIONARY
    array = ClockedArray(dataflow, rows, cols, weight_double_buffer=stream.integer(0, 1) == 1)
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
    dataflow = array.dataflow.value
    device = Device.of(machine(array.rows, array.cols, dataflow=dataflow, weight_double_buffer=double))
    jobs = rows_of(program)
    if array.dataflow is Dataflow.WEIGHT_STATIONARY:
        cycles = [weight_stationary(row["n_folds"] * row["k_folds"], row["pixels"], device) for row in jobs]
    else:
        blocks = [row["n_folds"] * -(-row["pixels"] // array.rows) for row in jobs]
        sizes = zip(blocks, jobs, strict=True)
        cycles = [output_stationary(count, row["k_folds"], row["continues"], device) for count, row in sizes]
    return np.array(cycles, np.int64) + 1


def judge(seed: int, tally: Counter[str]) -> str | None:
    """Run one case; say what differs."""
    system, program = draw(seed)
    work_cycles, counts = job_cycles(system.array, program), np.zeros(1, SYSTEM_COUNTS)[0]
    model = clock_times(system, program, work_cycles, counts)
    end, ours = machine_intervals(system, program, work_cycles)
    tally.update(
        {"tile ops": len(model), kind_of(system.dma, program): 1, f"{system.array.dataflow.value} products": 1}
    )
    if end == counts["cycles"] and np.array_equal(ours, model):
        return None
    return f"seed {seed}: model {counts['cycles']}, machine {end}; {system.dma}"


def main() -> int:
    def summary(wrong: int, first: int, tally: Counter[str]) -> list[str]:
        return [f"{wrong} products of {sum(tally[kind] for kind in Kind)} differ, seeds from {first}"]

    return prove(__doc__, 20_000, judge, summary)


if __name__ == "__main__":
    sys.exit(main())
