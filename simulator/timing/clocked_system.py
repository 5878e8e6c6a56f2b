"""Products and convolutions on the register-accurate model of array, DMA and memory: values, cycles of the whole.

The model equals rtl/system_top.sv in all that is returned here (tests/rtl). It is the judge of the tile machine of
`simulator.timing.machine`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import SpecError
from simulator.kernels.clocked import COUNTS, DIGEST_START
from simulator.kernels.clocked_system import SYSTEM_COUNTS, TILE_OP, clock_system
from simulator.kernels.clocked_weight_stationary import clock_weight_stationary
from simulator.timing.clocked_array import Gemm, Int64, model_of, new_job
from simulator.timing.clocked_convolution import Convolution, check_convolution, fetch_operands, patches, set_pool
from simulator.timing.clocked_dma import Bytes, Descriptor
from simulator.timing.clocked_layout import FeatureMap, Span, Words
from simulator.timing.clocked_program import ClockedSystem, Program, Tiling, plan

ExecuteSystem = Callable[[ClockedSystem, Gemm, Program, Bytes, Any], None]
"""Runs a program on a memory, which it changes, with a bus word more than is used; fills in SYSTEM_COUNTS."""


@dataclass(frozen=True)
class SystemRun:
    """What the system did."""

    outputs: Int64
    """[M, N]; of a pool, [windows, N]"""
    cycles: int
    """From the first cycle of the first load's setup to the last beat of the last store, both included."""
    partial_sum_events: int
    accumulator_events: int
    saturations: int
    digest: int
    """Over what passed between DMA and memory in every cycle."""
    edge_digest: int
    """Over what left the array's right and bottom edges in every cycle of a job."""


def run_system(system: ClockedSystem, gemm: Gemm, tiling: Tiling, execute: ExecuteSystem | None = None) -> SystemRun:
    """Run a matrix product on the system, and return what it did.

    Parameters
    ----------
    system, gemm
        The machine and the product.
    tiling
        How it is cut.
    execute
        What runs the program; default: the register-accurate model.

    Raises
    ------
    InputError, SpecError
        See `plan`.

    """
    if system.banks:
        raise SpecError(f"a system with banks ({system.banks}) runs convolutions; see run_system_convolution")
    return _run(system, gemm, plan(system, gemm, tiling), execute)


def run_system_convolution(
    system: ClockedSystem,
    convolution: Convolution,
    feature_map: Int64,
    product: Gemm,
    tiling: Tiling,
    execute: ExecuteSystem | None = None,
) -> SystemRun:
    """Run a convolution on the system, and return what it did; outputs are [pixels or windows, filters].

    Parameters
    ----------
    system
        The machine, with banks and a weight-stationary array.
    convolution
        Its sizes.
    feature_map
        int64 [height, width, channels].
    product
        Weights [k, filters] with k = (kernel row, kernel column, channel), bias, scales; its `a` and cuts are not used.
    tiling
        How it is cut: its outputs into whole rows and folds of filters, K into folds. A tile loads the rows that it
        reads and the one before has not left; where K is cut, for its own part of K, or for all if `inputs_stay`.
    execute
        What runs the program; default: the register-accurate model.

    Raises
    ------
    InputError, SpecError
        See `plan`; what the array does not take.

    """
    gemm, laid = convolution_product(system, convolution, feature_map, product)
    return _run(system, gemm, plan(system, gemm, tiling, laid), execute)


def convolution_product(
    system: ClockedSystem, convolution: Convolution, feature_map: Int64, product: Gemm
) -> tuple[Gemm, FeatureMap]:
    """Return a convolution as a matrix product, and its feature map in banks; see `run_system_convolution`."""
    array = system.array
    banks = system.banks, system.word_elements
    check_convolution(array, convolution, banks, feature_map)
    flat, zero_point = np.ascontiguousarray(feature_map, np.int64).reshape(-1), product.activation_zero_point
    operands, _ = fetch_operands(flat, convolution.geometry, banks, zero_point, array.rows)
    lanes = prod(banks)
    word = Words((array.activation_bits,) * lanes, system.dma.bus_bytes)
    gemm = replace(product, a=patches(operands, convolution), k_cuts=())
    return gemm, FeatureMap(array, convolution, feature_map, lanes, word)


def _run(system: ClockedSystem, gemm: Gemm, program: Program, execute: ExecuteSystem | None) -> SystemRun:
    memory = np.concatenate([program.layout.image(gemm), np.zeros(system.dma.bus_bytes, np.uint8)])
    counts = np.zeros(1, SYSTEM_COUNTS)[0]
    counts["digest"] = counts["edge_digest"] = DIGEST_START
    (execute or clock_program)(system, gemm, program, memory, counts)
    outputs = program.layout.outputs(memory, gemm.w.shape[1])
    return SystemRun(outputs=outputs, **{name: int(counts[name]) for name in SYSTEM_COUNTS.names or ()})


def clock_program(system: ClockedSystem, gemm: Gemm, program: Program, memory: Bytes, counts: Any) -> None:
    """Run a program on the model: its jobs on the array, whose cycles its control and DMA then take."""
    work_cycles = _run_jobs(system, gemm, program, memory, counts)
    clock_times(system, program, work_cycles, counts)


def clock_times(system: ClockedSystem, program: Program, work_cycles: Int64, counts: Any) -> NDArray[np.int64]:
    """Run control, DMA and memory; return int64 [ops, 6]: begin and end of load, work and store of each.

    Parameters
    ----------
    system, program
        The machine and the program.
    work_cycles
        int64 [ops], of each job.
    counts
        Record of dtype SYSTEM_COUNTS, updated.

    """
    rows = program.rows
    begins, ends = np.zeros((3, len(rows)), np.int64), np.zeros((3, len(rows)), np.int64)
    first = TILE_OP.index("activation_address")
    loads = np.ascontiguousarray(rows[:, first : first + 12]).reshape(-1, 3, 4)
    stores = np.ascontiguousarray(rows[:, -4:]).reshape(-1, 1, 4)
    clock_system(rows, loads, stores, work_cycles, begins, ends, system.dma.settings, counts)
    return np.stack([begins, ends], 2).transpose(1, 0, 2).reshape(-1, 6)


def tile_geometry(geometry: Any, row: dict[str, int], rows: int) -> Span:
    """Set what is a tile operation's own in a record of dtype GEOMETRY; return its folds of an array's `rows`."""
    index, phase = divmod(row["origin_y"], 256)
    geometry["padding_top"] = -(index * geometry["insertion_y"] + phase)
    geometry["height"], geometry["out_height"] = row["height"], row["out_height"]
    tap = row["tap_row"] * int(geometry["kernel_width"]) + row["tap_column"]
    first = (tap * int(geometry["channels"]) + row["tap_channel"]) // rows
    return first, first + row["k_folds"]


class _Scratchpads:
    """What lies where the jobs read: the ring of activations, the halves of the others."""

    def __init__(self, system: ClockedSystem, program: Program, memory: Bytes) -> None:
        self._layout, self._memory = program.layout, memory
        lanes = system.banks * system.word_elements or system.array.rows
        self._ring = np.zeros((1 << system.address_bits, lanes), np.int64)
        self.activations = self.weights = self.biases = self.scales = np.zeros(0, np.int64)

    def load(self, row: dict[str, int]) -> None:
        """Bring what a tile operation loads."""
        layout = self._layout
        if row["load_takes_input"]:
            word, size = layout.activations.word, len(self._ring)
            loaded = word.unpack(self._words("activation", row, word.bytes))
            self._ring[(row["input_address"] + np.arange(len(loaded))) % size] = loaded
            there = (row["input_address"] - row["input_base"]) % size + len(loaded)
            self.activations = self._ring[(row["input_base"] + np.arange(there)) % size]
        if row["takes_weight"]:
            self.weights = layout.weight.unpack(self._words("weight", row, layout.weight.bytes))
            biases, scales = layout.constants(self._words("constant", row, layout.constant.bytes))
            # The array's model reads a word more, and does not use it.
            self.biases = np.concatenate([biases, np.zeros_like(biases[:1])])
            self.scales = np.concatenate([scales, np.zeros_like(scales[:1])])

    def store(self, row: dict[str, int], outputs: Int64) -> None:
        """Write the first of the outputs, int64 [words, C], to memory."""
        count = row["store_segments"] * row["store_segment_bytes"] // self._layout.output.bytes
        words = self._layout.output.pack(outputs[:count]).ravel()
        for address, begin, size in _stretches("store", row):
            self._memory[address : address + size] = words[begin : begin + size]

    def _words(self, name: str, row: dict[str, int], word_bytes: int) -> Bytes:
        parts = [self._memory[address : address + size] for address, _, size in _stretches(name, row)]
        return np.concatenate(parts).reshape(-1, word_bytes)


def _stretches(name: str, row: dict[str, int]) -> list[tuple[int, int, int]]:
    """Address, bytes before it, and bytes of each stretch of a descriptor."""
    moved = Descriptor(*(row[f"{name}_{field}"] for field in ("address", "segments", "segment_bytes", "stride")))
    size = moved.segment_bytes
    return [(moved.address + i * moved.stride, i * size, size) for i in range(moved.segments)]


def _run_jobs(system: ClockedSystem, gemm: Gemm, program: Program, memory: Bytes, counts: Any) -> Int64:
    """Run the jobs one after another on the array; return the cycles of each from the one after its start on."""
    array, pads = system.array, _Scratchpads(system, program, memory)
    accumulators = np.zeros(((1 << system.address_bits) + 1, array.cols), np.int64)
    outputs, tally = np.zeros_like(accumulators), np.zeros(1, COUNTS)[0]
    tally["digest"], run_job = counts["edge_digest"], model_of(array, resets=False)
    geometry = None if program.geometry is None else program.geometry.copy()
    size = (0, 0) if geometry is None else (int(geometry["out_height"]), int(geometry["out_width"]))
    maps = np.zeros((program.layout.n_folds * program.layout.pixels, array.cols), np.int64)
    cycles = []
    for numbers in program.rows.tolist():
        row = dict(zip(TILE_OP, numbers, strict=True))
        pads.load(row)
        job = new_job(array, gemm, row["continues"])
        for name in ("pixels", "k_folds", "n_folds", "last_columns"):
            job[name] = row[name]
        job["k"] = row["k_folds"]
        rest = (pads.weights, pads.biases, pads.scales, accumulators, outputs, job, tally)
        if geometry is None:
            run_job(pads.activations, *rest)
        else:
            banks, zero_point = (system.banks, system.word_elements), gemm.activation_zero_point
            folds = tile_geometry(geometry, row, array.rows)
            fetched = fetch_operands(pads.activations.ravel(), geometry, banks, zero_point, array.rows, folds)
            if program.pool:
                set_pool(job, program.pool, size)
                job["pool_first_row"], job["pool_first_fold"] = row["pool_first_row"], row["pool_line"] // size[1]
            clock_weight_stationary(*fetched, maps, *rest)
        cycles.append(int(tally["cycles"]) + 1)  # a cycle of the scratchpads comes first
        for name in ("partial_sum_events", "accumulator_events"):
            counts[name] += tally[name]
        if row["finishes"]:
            counts["saturations"] += tally["saturations"]
        if row["stores"]:
            pads.store(row, outputs)
    counts["edge_digest"] = tally["digest"]
    return np.array(cycles, np.int64)
