"""Hold the tile machine to the register-accurate model of array, DMA and memory, on drawn layers and memories.

    PYTHONPATH=.:tests python -m proof.system_cycles [--cases 30000] [--seed 0] [--log FILE]

A third are products on a weight-stationary array, a third on an output-stationary one, a third convolutions from banked
memory. Jobs take the closed form's cycles in both, and in convolutions those that pixels wait for banks. Begin and end
of every load, job and store must be the same. In half of the cases the requests of each transfer are alike and enough
of them in flight to cover a round trip, so that the bus is never idle within one. Exit status 1 where anything differs.
Some convolutions are cut in K, with rows that stay or with a part's own; some have a max pool, over bands of rows.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace
from enum import StrEnum

import numpy as np

from proof.drawn import prove
from simulator.kernels.clocked_system import SYSTEM_COUNTS
from simulator.mapping.array_cycles import output_stationary, weight_stationary
from simulator.mapping.work import Device
from simulator.numerics.modes import Dataflow
from simulator.timing.clocked_array import ClockedArray
from simulator.timing.clocked_convolution import fetch_operands
from simulator.timing.clocked_dma import ClockedDma
from simulator.timing.clocked_program import ClockedSystem, Program, plan
from simulator.timing.clocked_system import clock_times, convolution_product, tile_geometry
from support.devices import machine
from support.gemm_cases import Stream
from support.system_cases import draw_product, draw_system_convolution
from support.system_machine import Kind, kind_of, machine_intervals, rows_of


class Layer(StrEnum):
    """What is run."""

    WEIGHT_STATIONARY = "products, weight stationary"
    OUTPUT_STATIONARY = "products, output stationary"
    CONVOLUTION = "convolutions"


def draw(seed: int) -> tuple[Layer, ClockedSystem, Program]:
    stream, layer = Stream(12, seed), list(Layer)[seed // 2 % 3]
    rows, cols = stream.integer(1, 8), stream.integer(1, 8)
    dataflow = Dataflow.OUTPUT_STATIONARY if layer is Layer.OUTPUT_STATIONARY else Dataflow.WEIGHT_STATIONARY
    array = ClockedArray(dataflow, rows, cols, weight_double_buffer=stream.integer(0, 1) == 1)
    bus_bytes = 2 << stream.integer(0, 3)
    system, feature_map = ClockedSystem(array, ClockedDma(bus_bytes=bus_bytes)), None
    if layer is Layer.CONVOLUTION:
        system = replace(system, banks=2 << stream.integer(0, 2))
        system, *convolution, tiling = draw_system_convolution(stream, system, cuts_k=True, pools=True)
        gemm, feature_map = convolution_product(system, *convolution)
    else:
        system, gemm, tiling = draw_product(stream, system)
    if seed % 2:
        dma = system.dma
        covers = -(-(dma.latency_cycles + dma.interval_cycles) // dma.interval_cycles)
        dma = replace(dma, burst_bytes=bus_bytes, max_outstanding=covers + stream.integer(0, 9))
        system = replace(system, dma=dma)
    return layer, system, plan(system, gemm, tiling, feature_map)


def job_cycles(system: ClockedSystem, program: Program) -> np.ndarray:
    """Closed form of each job, and the cycle in which its first operands are read."""
    array, jobs = system.array, rows_of(program)
    kind = {"dataflow": array.dataflow.value, "weight_double_buffer": array.weight_double_buffer}
    device = Device.of(machine(array.rows, array.cols, **kind))
    if array.dataflow is Dataflow.WEIGHT_STATIONARY:
        cycles = [weight_stationary(row["n_folds"] * row["k_folds"], row["pixels"], device) for row in jobs]
    else:
        blocks = [row["n_folds"] * -(-row["pixels"] // array.rows) for row in jobs]
        sizes = zip(blocks, jobs, strict=True)
        cycles = [output_stationary(count, row["k_folds"], row["continues"], device) for count, row in sizes]
    waits = [0 if program.geometry is None else conflict_cycles(system, program, row) for row in jobs]
    return np.array(cycles, np.int64) + np.array(waits, np.int64) + 1


def conflict_cycles(system: ClockedSystem, program: Program, row: dict[str, int]) -> int:
    """Cycles of a job beside the closed form's: a pixel waits for a bank; the pool takes one in all."""
    geometry = program.geometry.copy()
    folds = tile_geometry(geometry, row, system.array.rows)
    nothing = np.zeros(geometry["height"] * geometry["pitch"], np.int64)
    _, cycles = fetch_operands(nothing, geometry, system.banks, 0, system.array.rows, folds)
    return row["n_folds"] * int((cycles - 1).sum()) + (program.pool is not None)


def judge(seed: int, tally: Counter[str]) -> str | None:
    """Run one case; say what differs."""
    layer, system, program = draw(seed)
    work_cycles, counts = job_cycles(system, program), np.zeros(1, SYSTEM_COUNTS)[0]
    model = clock_times(system, program, work_cycles, counts)
    end, ours = machine_intervals(system, program, work_cycles)
    tally.update({"tile ops": len(model), kind_of(system.dma, program): 1, layer: 1})
    if layer is Layer.CONVOLUTION:
        cut = any(row["continues"] for row in rows_of(program))
        tally.update({"convolutions cut in K": cut, "convolutions with a pool": program.pool is not None})
    if end == counts["cycles"] and np.array_equal(ours, model):
        return None
    return f"seed {seed}: model {counts['cycles']}, machine {end}; {system.dma}"


def main() -> int:
    def summary(wrong: int, first: int, tally: Counter[str]) -> list[str]:
        return [f"{wrong} layers of {sum(tally[kind] for kind in Kind)} differ, seeds from {first}"]

    return prove(__doc__, 30_000, judge, summary)


if __name__ == "__main__":
    sys.exit(main())
