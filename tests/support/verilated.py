"""The engines of rtl/ as functions that run jobs, as their models do."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np

from simulator.kernels.clocked import COUNTS
from simulator.kernels.clocked_dma import DMA_COUNTS
from simulator.kernels.clocked_system import SYSTEM_COUNTS
from simulator.numerics.modes import Dataflow
from simulator.timing.clocked_array import REQUANTIZER_CODES, ROUNDING_CODES, ClockedArray, Execute, Gemm
from simulator.timing.clocked_convolution import Banks, Pool
from simulator.timing.clocked_dma import ExecuteDma
from simulator.timing.clocked_program import ClockedSystem, Program
from simulator.timing.clocked_system import ExecuteSystem
from support.verilator import RTL, build

DMA_PARAMETERS = {"BUS_BYTES": 8}
MOST_CYCLES = 2_000_000
"""A job that takes longer hangs."""


PRODUCTS: Banks = (0, 1)
"""Banks of what runs no convolutions."""


def engine_parameters(array: ClockedArray, banks: Banks = PRODUCTS) -> dict[str, int | bool]:
    """Parameters of the engine's module, by name; with `banks` it is the one for convolutions."""
    parameters = {
        "ROWS": array.rows,
        "COLS": array.cols,
        "ACTIVATION_BITS": array.activation_bits,
        "WEIGHT_BITS": array.weight_bits,
        "ACCUMULATOR_BITS": array.accumulator.bits,
        "ACCUMULATOR_SATURATES": array.accumulator.saturates,
        "OUTPUT_BITS": array.output_bits,
        "REQUANTIZER": REQUANTIZER_CODES[array.requantizer.kind],
        "ROUNDING": ROUNDING_CODES[array.requantizer.resolved_rounding],
    }
    if array.dataflow is Dataflow.WEIGHT_STATIONARY:
        parameters |= {
            "PARTIAL_SUM_BITS": array.partial_sum.bits,
            "PARTIAL_SUM_SATURATES": array.partial_sum.saturates,
            "WEIGHT_DOUBLE_BUFFER": array.weight_double_buffer,
        }
    return parameters | bank_parameters(banks)


def bank_parameters(banks: Banks) -> dict[str, int | bool]:
    return dict(zip(("BANKS", "WORD_ELEMENTS"), banks, strict=True)) if banks[0] else {}


def top_module(array: ClockedArray, banks: Banks = PRODUCTS) -> str:
    if banks[0]:
        return "engine_conv"
    return "engine_ws" if array.dataflow is Dataflow.WEIGHT_STATIONARY else "engine_os"


def build_dma(rtl: Path = RTL) -> ExecuteDma:
    """Build the DMA with its scratchpad; what is returned runs transfers, with the parameters of `clock_dma`."""
    library = ctypes.CDLL(str(build("dma_scratchpad", DMA_PARAMETERS, "dma_bench.cpp", {}, rtl)))

    def execute(load, store, settings, memory, words, counts) -> None:
        assert settings["bus_bytes"] == DMA_PARAMETERS["BUS_BYTES"]
        held, tally = np.array([settings]), np.array([counts])
        library.dma_run(
            *(ctypes.c_void_p(array.ctypes.data) for array in (load, store, held, memory, words)),
            *(ctypes.c_int64(len(words)), ctypes.c_void_p(tally.ctypes.data), ctypes.c_int64(MOST_CYCLES)),
        )
        for name in DMA_COUNTS.names:
            counts[name] = tally[0][name]

    return execute


def sum_bits(array: ClockedArray) -> int:
    """Bits of what leaves the array's columns."""
    return array.partial_sum.bits if array.dataflow is Dataflow.WEIGHT_STATIONARY else array.accumulator.bits


def system_parameters(system: ClockedSystem) -> dict[str, int | bool]:
    """Parameters of rtl/system_top.sv, by name."""
    output_stationary = system.array.dataflow is Dataflow.OUTPUT_STATIONARY
    sizes = {"BUS_BYTES": system.dma.bus_bytes, "ADDRESS_BITS": system.address_bits}
    own = {"OUTPUT_STATIONARY": output_stationary} | bank_parameters((system.banks, system.word_elements))
    return engine_parameters(system.array) | sizes | own


def build_system(system: ClockedSystem, rtl: Path = RTL) -> ExecuteSystem:
    """Build the system of an array and a bus; what is returned runs programs, as `clock_program`."""
    defines = {"SUM_BITS": sum_bits(system.array)}
    library = ctypes.CDLL(str(build("system_top", system_parameters(system), "system_bench.cpp", defines, rtl)))

    def execute(run: ClockedSystem, gemm: Gemm, program: Program, memory: np.ndarray, counts: np.void) -> None:
        names = ("activation_zero_point", "weight_zero_point", "output_zero_point", "output_minimum", "output_maximum")
        rows, settings, tally = np.ascontiguousarray(program.rows), np.array([run.dma.settings]), np.array([counts])
        quantization = np.array([getattr(gemm, name) for name in names], np.int64)
        geometry = None if program.geometry is None else np.array([program.geometry])
        pool, width = program.pool or Pool(1, 1), 0 if geometry is None else geometry[0]["out_width"]
        pooling = np.array([pool.size, pool.stride, pool.padding[1], pool.end_padding[1], width], np.int64)
        pointers = [
            array if array is None else ctypes.c_void_p(array.ctypes.data)
            for array in (settings, quantization, geometry, pooling, memory, tally)
        ]
        library.system_run(
            *(ctypes.c_void_p(rows.ctypes.data), ctypes.c_int64(len(rows)), *pointers, ctypes.c_int64(MOST_CYCLES))
        )
        for name in SYSTEM_COUNTS.names:
            counts[name] = tally[0][name]

    return execute


def build_engine(array: ClockedArray, banks: Banks = PRODUCTS, rtl: Path = RTL, **parameters: int) -> VerilatedEngine:
    """Build the engine of an array; with `banks` the one for convolutions. `parameters`: more of its module's."""
    defines = {"SUM_BITS": sum_bits(array)}
    if array.dataflow is Dataflow.WEIGHT_STATIONARY:
        defines["WEIGHT_STATIONARY"] = 1
    if banks[0]:
        defines["CONVOLUTION"] = 1
    parameters = engine_parameters(array, banks) | parameters
    library = build(top_module(array, banks), parameters, "bench.cpp", defines, rtl)
    return VerilatedEngine(library, banks[1])


class VerilatedEngine:
    """A built engine; calling it runs a job, with the parameters of `clock_output_stationary`."""

    def __init__(self, library: Path, word_elements: int) -> None:
        self._library = ctypes.CDLL(str(library))
        self._library.bench_new.restype = ctypes.c_void_p
        self._bench = ctypes.c_void_p(self._library.bench_new())
        self._word_elements = word_elements

    def convolve(self, feature_map: np.ndarray, geometry: np.void) -> Execute:
        """Return what runs jobs on a feature map, int64, instead of on activations as the array takes them."""
        elements = feature_map.reshape(-1)
        words = np.pad(elements, (0, -elements.size % self._word_elements)).reshape(-1, self._word_elements)
        return lambda activations, *job: self(words, *job, geometry=geometry)

    def __call__(self, activations, weights, biases, scales, accumulators, outputs, job, counts, geometry=None) -> None:
        def address(array: np.ndarray) -> ctypes.c_void_p:
            assert array.flags.c_contiguous
            return ctypes.c_void_p(array.ctypes.data)

        job, tally = np.array([job]), np.array([counts])
        shape = None if geometry is None else np.array([geometry])
        self._library.bench_run(
            *(self._bench, address(activations), ctypes.c_int64(len(activations))),
            *(address(weights), ctypes.c_int64(len(weights))),
            *(address(biases), ctypes.c_int64(len(biases)), address(scales), ctypes.c_int64(len(scales))),
            *(address(accumulators), address(outputs), ctypes.c_int64(len(outputs))),
            *(address(job), None if shape is None else address(shape), address(tally), ctypes.c_int64(MOST_CYCLES)),
        )
        for name in COUNTS.names:
            counts[name] = tally[0][name]
