"""Hold the tile machine to the register-accurate model of array, DMA and memory, on drawn layers and memories.

    PYTHONPATH=.:tests python -m proof.system_cycles [--cases 30000] [--seed 0] [--log FILE]

A third are products on a weight-stationary array, a third on an output-stationary one, a third convolutions from banked
memory. Jobs take a tile op's cycles in both, and in convolutions those that pixels wait for banks. Begin and end
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
from simulator.graph.ops import Padding
from simulator.kernels.clocked_im2col import GEOMETRY
from simulator.kernels.clocked_system import SYSTEM_COUNTS
from simulator.lowering.layer import ConvGeometry
from simulator.mapping.array_cycles import tile_op_cycles
from simulator.mapping.schedule import TILE_OP, LayerMapping, LoopOrder, Residency
from simulator.mapping.tiles import array_schedule
from simulator.mapping.work import ArrayWork, Device
from simulator.numerics.modes import Dataflow
from simulator.timing.bank_conflicts import conflict_cycles as tile_op_waits
from simulator.timing.clocked_array import ClockedArray
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
    """Cycles of each job: those of a tile op, and those in which pixels wait for banks."""
    array, jobs = system.array, rows_of(program)
    kind = {"dataflow": array.dataflow.value, "weight_double_buffer": array.weight_double_buffer}
    device = Device.of(machine(array.rows, array.cols, **kind))
    stationary = array.dataflow is Dataflow.WEIGHT_STATIONARY
    ops = np.zeros(len(jobs), TILE_OP)
    for op, row in zip(ops, jobs, strict=True):
        blocks = row["k_folds"] if stationary else -(-row["pixels"] // array.rows)
        op["folds"], op["rows"], op["cols"] = row["n_folds"] * blocks, row["pixels"], 1
        op["k"], op["k_length"] = row["continues"], row["k_folds"]
    waits = [0 if program.geometry is None else conflict_cycles(system, program, row) for row in jobs]
    return tile_op_cycles(ops, device) + np.array(waits, np.int64)


def conflict_cycles(system: ClockedSystem, program: Program, row: dict[str, int]) -> int:
    """Cycles of a job beside a tile op's: pixels wait for banks, as in a real run; a pool takes one in all."""
    geometry = program.geometry.copy()
    first, end = tile_geometry(geometry, row, system.array.rows)
    tile = {name: int(geometry[name]) for name in GEOMETRY.names}
    g = ConvGeometry(
        batch=1,
        in_height=tile["height"],
        in_width=tile["width"],
        out_height=tile["out_height"],
        out_width=tile["out_width"],
        channels=tile["channels"],
        filters=1,
        kernel=(tile["kernel_height"], tile["kernel_width"]),
        padding=Padding(top=tile["padding_top"], left=tile["padding_left"]),
        **{name: (tile[f"{name}_y"], tile[f"{name}_x"]) for name in ("stride", "dilation", "insertion")},
    )
    # A fold of K each, of which the job has some: rows begin in bank 0, so which of them lie there changes nothing.
    fold, extent = system.array.rows, (1, 1, g.out_height, g.out_width, 1, g.k)
    mapping = LayerMapping(
        *(g.out_height, g.out_width, 1, fold, 1, LoopOrder.INPUTS_RESIDENT, Residency.TILE, Residency.LAYER, extent)
    )
    device = Device.of(machine(system.array.rows, system.array.cols))
    layer = array_schedule(ArrayWork(g, 8, 8, 8, 32, bias_matrix=False), mapping, device)
    waits = tile_op_waits(layer, (system.banks, system.word_elements), device)
    of_job = (layer.ops["k"] >= first * fold) & (layer.ops["k"] < end * fold)
    return row["n_folds"] * int(waits[of_job].sum()) + (program.pool is not None)


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
