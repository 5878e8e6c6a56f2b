"""Build the SystemVerilog of rtl/ with Verilator, and run jobs on it through ctypes."""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest

from simulator.kernels.clocked import COUNTS
from simulator.numerics.modes import Dataflow
from simulator.timing.clocked_array import ClockedArray

RTL = Path(__file__).parents[2] / "rtl"
MOST_CYCLES = 2_000_000
"""A job that takes longer hangs."""

needs_verilator = [
    pytest.mark.rtl,
    pytest.mark.skipif(shutil.which("verilator") is None, reason="needs Verilator: apt install verilator g++ make"),
]
"""Marks of tests that run the SystemVerilog; under CI=true they fail where they cannot."""


def engine_parameters(array: ClockedArray) -> dict[str, int | bool]:
    """Parameters of the engine's module, by name."""
    parameters = {
        "ROWS": array.rows,
        "COLS": array.cols,
        "ACTIVATION_BITS": array.activation_bits,
        "WEIGHT_BITS": array.weight_bits,
        "ACCUMULATOR_BITS": array.accumulator.bits,
        "ACCUMULATOR_SATURATES": array.accumulator.saturates,
        "OUTPUT_BITS": array.output_bits,
    }
    if array.dataflow is Dataflow.WEIGHT_STATIONARY:
        parameters |= {
            "PARTIAL_SUM_BITS": array.partial_sum.bits,
            "PARTIAL_SUM_SATURATES": array.partial_sum.saturates,
            "WEIGHT_DOUBLE_BUFFER": array.weight_double_buffer,
        }
    return parameters


def top_module(array: ClockedArray) -> str:
    return "engine_ws" if array.dataflow is Dataflow.WEIGHT_STATIONARY else "engine_os"


def cache_directory() -> Path:
    """Where built engines are kept: BITTRUE_RTL_CACHE, else the user's cache folder."""
    base = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "bittrue" / "rtl"
    return Path(os.environ.get("BITTRUE_RTL_CACHE", base))


def build(array: ClockedArray, rtl: Path = RTL) -> Path:
    """Return the shared library of an engine, built where the cache, keyed by all that decides it, has none."""
    sources = [*sorted(rtl.glob("*.sv")), rtl / "bench.cpp"]
    digest = hashlib.sha256(repr((top_module(array), engine_parameters(array), verilator_version())).encode())
    for source in [*sources, Path(__file__)]:
        digest.update(source.read_bytes())
    cache = cache_directory()
    library = cache / f"{digest.hexdigest()[:24]}.so"
    cache.mkdir(parents=True, exist_ok=True)
    with library.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another worker may be building the same
        if not library.exists():
            with tempfile.TemporaryDirectory(dir=cache) as folder:
                _verilate(array, sources, Path(folder))
                (Path(folder) / "engine.so").replace(library)
    return library


def verilator_version() -> str:
    return subprocess.run(["verilator", "--version"], capture_output=True, text=True, check=True).stdout


def _verilate(array: ClockedArray, sources: list[Path], folder: Path) -> None:
    parameters = engine_parameters(array)
    defines = {name: int(value) for name, value in parameters.items()}
    defines |= {"SUM_BITS": parameters.get("PARTIAL_SUM_BITS", array.accumulator.bits)}
    defines |= {"ENGINE": "Vengine", "ENGINE_HEADER": '\\"Vengine.h\\"'}
    if array.dataflow is Dataflow.WEIGHT_STATIONARY:
        defines["WEIGHT_STATIONARY"] = 1
    flags = " ".join(["-fPIC", *(f"-D{name}={value}" for name, value in defines.items())])
    command = [
        *("verilator", "--cc", "--exe", "--build", "-j", "1", "-O3", "--x-assign", "fast", "--x-initial", "fast"),
        *("--noassert", "--top-module", top_module(array), "--prefix", "Vengine", "--Mdir", str(folder)),
        *(f"-G{name}={literal(value)}" for name, value in parameters.items()),
        *("-CFLAGS", flags, "-LDFLAGS", "-shared", "-MAKEFLAGS", "OPT_FAST=-O1 OPT_SLOW=-O0 OPT_GLOBAL=-O1"),
        *("-o", "engine.so"),
        *map(str, sources),
    ]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{result.stdout[-4000:]}{result.stderr[-4000:]}")


def literal(value: int | bool) -> str:
    return f"1'b{value:d}" if isinstance(value, bool) else str(value)


class VerilatedEngine:
    """A built engine; calling it runs a job, with the parameters of `clock_weight_stationary`."""

    def __init__(self, library: Path) -> None:
        self._library = ctypes.CDLL(str(library))
        self._library.bench_new.restype = ctypes.c_void_p
        self._bench = ctypes.c_void_p(self._library.bench_new())

    def __call__(self, activations, weights, biases, scales, accumulators, outputs, job, counts) -> None:
        def address(array: np.ndarray) -> ctypes.c_void_p:
            assert array.flags.c_contiguous
            return ctypes.c_void_p(array.ctypes.data)

        job, tally = np.array([job]), np.array([counts])
        self._library.bench_run(
            *(self._bench, address(activations), ctypes.c_int64(len(activations))),
            *(address(weights), ctypes.c_int64(len(weights))),
            *(address(biases), address(scales), ctypes.c_int64(len(biases))),
            *(address(accumulators), address(outputs), ctypes.c_int64(len(outputs))),
            *(address(job), address(tally), ctypes.c_int64(MOST_CYCLES)),
        )
        for name in COUNTS.names:
            counts[name] = tally[0][name]
