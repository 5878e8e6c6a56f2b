"""A matrix product on the register-accurate model of the array: values, overflow events, cycles and a digest.

The model steps every register of the SystemVerilog in rtl/ clock by clock, and equals it in all that is returned here
(tests/rtl). It is the judge of `simulator.mapping.array_cycles`; `bittrue.simulate` is what runs networks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InputError, SpecError
from simulator.kernels import clocked_requantizer, requantize
from simulator.kernels.clocked import COUNTS, DIGEST_START, JOB
from simulator.kernels.clocked_output_stationary import clock_output_stationary
from simulator.kernels.clocked_weight_stationary import clock_weight_stationary
from simulator.numerics.modes import Dataflow, RequantizerKind, RoundingMode
from simulator.numerics.quant import Requantizer

Int64 = NDArray[np.int64]
Execute = Callable[[Int64, Int64, Int64, Int64, Int64, Int64, Any, Any], None]
"""Runs one job; parameters as `clock_output_stationary`."""

REQUANTIZER_CODES = {
    RequantizerKind.FIXED_POINT_DOUBLE: clocked_requantizer.DOUBLE,
    RequantizerKind.FIXED_POINT_SINGLE: clocked_requantizer.SINGLE,
    RequantizerKind.FLOAT32: clocked_requantizer.FLOAT32,
    RequantizerKind.POWER_OF_TWO: clocked_requantizer.POWER_OF_TWO,
}
ROUNDING_CODES = {
    RoundingMode.TIES_AWAY: requantize.TIES_AWAY,
    RoundingMode.TIES_EVEN: requantize.TIES_EVEN,
    RoundingMode.TIES_POS: requantize.TIES_POS,
    RoundingMode.TO_NEG: requantize.TO_NEG,
    RoundingMode.TO_ZERO: requantize.TO_ZERO,
}
"""As the model and the SystemVerilog count them."""


_SINGLE = Requantizer(RequantizerKind.FIXED_POINT_SINGLE)


@dataclass(frozen=True)
class ArrayRegister:
    """Width and overflow mode of a register of the array."""

    bits: int = 32
    saturates: bool = False
    """Saturates rather than wraps."""


@dataclass(frozen=True)
class ClockedArray:
    """An array as built: the parameters of rtl/engine_ws.sv and rtl/engine_os.sv."""

    dataflow: Dataflow
    rows: int
    cols: int
    activation_bits: int = 8
    weight_bits: int = 8
    partial_sum: ArrayRegister = ArrayRegister()
    """Weight stationary only."""
    accumulator: ArrayRegister = ArrayRegister()
    weight_double_buffer: bool = True
    """Weight stationary only."""
    output_bits: int = 8
    requantizer: Requantizer = _SINGLE
    """Any but one that rounds stochastically."""

    @property
    def fold_length(self) -> int:
        """Products that a fold of the reduction has, and words of weights; output stationary, 1."""
        return self.rows if self.dataflow is Dataflow.WEIGHT_STATIONARY else 1


@dataclass(frozen=True)
class Gemm:
    """y[m, n] = requantize(bias[n] + sum over k of (a[m, k] - zero point) * (w[k, n] - zero point)), all int64."""

    a: Int64
    """[M, K]"""
    w: Int64
    """[K, N]"""
    bias: Int64
    """[N] or [M, N], int32 values."""
    multiplier: Int64
    """[N], 0 <= multiplier < 2^31; for float32 the bits of the scale, for power_of_two not used."""
    shift: Int64
    """[N], times 2^-shift, -31 <= shift < 64: after the multiplier, a whole number (fixed_point_double: from 0); for
    float32 not used."""
    activation_zero_point: int = 0
    weight_zero_point: int = 0
    output_zero_point: int = 0
    output_minimum: int = -128
    output_maximum: int = 127
    k_cuts: tuple[int, ...] = ()
    """Where K is cut into jobs that continue one another: rising multiples of the array's fold length."""

    @property
    def k_chunks(self) -> Iterator[tuple[int, int]]:
        """Begin and end of each job's k."""
        bounds = (0, *self.k_cuts, self.a.shape[1])
        return pairwise(bounds)


@dataclass
class ClockedRun:
    """What the array did."""

    accumulators: Int64
    """[M, N]"""
    outputs: Int64
    """[M, N]"""
    cycles: list[int] = field(default_factory=list)
    """Of each job, from the first operand offered to the last output written."""
    digest: int = DIGEST_START
    """Over what left the array's right and bottom edges in every cycle."""
    partial_sum_events: int = 0
    accumulator_events: int = 0
    saturations: int = 0


def run_gemm(array: ClockedArray, gemm: Gemm, execute: Execute | None = None) -> ClockedRun:
    """Run a matrix product on the array, job after job, and return what it did.

    Parameters
    ----------
    array, gemm
        The array and the product.
    execute
        What runs a job; default: the register-accurate model.

    Raises
    ------
    InputError, SpecError
        Operands, bias, scales or cuts that the array does not take.

    """
    check_gemm(array, gemm)
    weight_stationary = array.dataflow is Dataflow.WEIGHT_STATIONARY
    layout = _WeightStationary(array, gemm) if weight_stationary else _OutputStationary(array, gemm)
    execute = execute or model_of(array)
    accumulators = np.zeros((layout.result_words + 1, array.cols), np.int64)
    outputs = np.zeros_like(accumulators)
    if gemm.bias.ndim == 1:
        biases = np.zeros((layout.n_folds + 1, array.cols), np.int64)
        biases[:-1].flat[: len(gemm.bias)] = gemm.bias
    else:
        biases = layout.words(gemm.bias)
    scales = np.zeros((layout.n_folds + 1, 2, array.cols), np.int64)
    scales[:-1, 0] = pad(gemm.multiplier[None], 1, array.cols, 0).reshape(-1, array.cols)
    scales[:-1, 1] = pad(gemm.shift[None], 1, array.cols, 0).reshape(-1, array.cols)
    counts = np.zeros(1, COUNTS)[0]
    counts["digest"] = DIGEST_START
    run = ClockedRun(accumulators, outputs)
    for begin, end in gemm.k_chunks:
        job = new_job(array, gemm, begin)
        activations, weights = layout.operands(job, begin, end)
        execute(activations, weights, biases, scales, accumulators, outputs, job, counts)
        run.cycles.append(int(counts["cycles"]))
        run.partial_sum_events += int(counts["partial_sum_events"])
        run.accumulator_events += int(counts["accumulator_events"])
        run.saturations = int(counts["saturations"])
    run.digest = int(counts["digest"])
    run.accumulators, run.outputs = layout.matrix(accumulators), layout.matrix(outputs)
    return run


def model_of(array: ClockedArray, resets: bool = True) -> Execute:
    """Return the register-accurate model of the array, which runs jobs; it `resets` before each, or does not.

    Only an output-stationary array holds anything that a later job lets out: a weight-stationary one ends empty.
    """
    if array.dataflow is Dataflow.WEIGHT_STATIONARY:
        return _clock_weight_stationary
    held = np.zeros((2, array.rows, array.cols), np.int64)

    def run(*job: Any) -> None:
        if resets:
            held[:] = 0
        clock_output_stationary(*(*job, held))

    return run


def _clock_weight_stationary(activations: Int64, *job: Any) -> None:
    """Run a job of which every word of activations can be read in one cycle; nothing is pooled."""
    clock_weight_stationary(activations, np.ones(len(activations), np.int64), np.zeros((0, 0), np.int64), *job)


def check_gemm(array: ClockedArray, gemm: Gemm) -> None:
    """Raise where a product is none that the array takes."""
    for name, value, low, high in (
        ("rows", array.rows, 1, 65536),
        ("cols", array.cols, 1, 65536),
        ("activation_bits", array.activation_bits, 2, 16),
        ("weight_bits", array.weight_bits, 2, 16),
        ("output_bits", array.output_bits, 2, 16),
        ("partial_sum.bits", array.partial_sum.bits, 8, 64),
        ("accumulator.bits", array.accumulator.bits, 8, 64),
    ):
        if not low <= value <= high:
            raise SpecError(f"{name}: {value}, but it must lie in {low} to {high}")
    (m, k), n = gemm.a.shape, gemm.w.shape[1]
    if gemm.w.shape[0] != k or min(m, k, n) < 1:
        raise InputError(f"a [M, K] and w [K, N] are {gemm.a.shape} and {gemm.w.shape}; K must agree, no size be 0")
    for name, values, low, high in (
        ("a", gemm.a, *_range(array.activation_bits)),
        ("w", gemm.w, *_range(array.weight_bits)),
        ("activation_zero_point", gemm.activation_zero_point, *_range(array.activation_bits)),
        ("weight_zero_point", gemm.weight_zero_point, *_range(array.weight_bits)),
        ("bias", gemm.bias, *_range(32)),
        ("multiplier", gemm.multiplier, 0, 2**31 - 1),
        ("shift", gemm.shift, 0 if array.requantizer.kind is RequantizerKind.FIXED_POINT_DOUBLE else -31, 63),
        ("output_zero_point", gemm.output_zero_point, *_range(array.output_bits)),
        ("output_minimum", gemm.output_minimum, *_range(array.output_bits)),
        ("output_maximum", gemm.output_maximum, *_range(array.output_bits)),
    ):
        if np.min(values) < low or np.max(values) > high:
            raise InputError(f"{name}: {np.min(values)} to {np.max(values)}, but the array takes {low} to {high}")
    if array.requantizer.resolved_rounding not in ROUNDING_CODES:
        raise SpecError(f"rounding: {array.requantizer.resolved_rounding}, but the array has {[*ROUNDING_CODES]}")
    for name, shapes in (("bias", ((n,), (m, n))), ("multiplier", ((n,),)), ("shift", ((n,),))):
        if getattr(gemm, name).shape not in shapes:
            raise InputError(f"{name} has shape {getattr(gemm, name).shape}, not {' or '.join(map(str, shapes))}")
    if any(end <= begin for begin, end in gemm.k_chunks) or any(cut % array.fold_length for cut in gemm.k_cuts):
        raise SpecError(f"k_cuts {gemm.k_cuts}: give rising multiples of {array.fold_length} between 0 and K = {k}")


def _range(bits: int) -> tuple[int, int]:
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1


def pad(matrix: Int64, rows: int, cols: int, value: int) -> Int64:
    """Fill a matrix up to multiples of `rows` and `cols`."""
    m, n = matrix.shape
    return np.pad(matrix, ((0, -m % rows), (0, -n % cols)), constant_values=value)


def new_job(array: ClockedArray, gemm: Gemm, k_begin: int) -> Any:
    """Return a record of dtype JOB, its sizes yet to be filled in; it continues the one before where K began before."""
    job = np.zeros(1, JOB)[0]
    job["continues"], job["pool_size"] = k_begin > 0, 1
    job["requantizer"] = REQUANTIZER_CODES[array.requantizer.kind]
    job["rounding"] = ROUNDING_CODES[array.requantizer.resolved_rounding]
    job["bias_matrix"] = gemm.bias.ndim == 2
    job["last_columns"] = (gemm.w.shape[1] - 1) % array.cols + 1
    job["weight_double_buffer"] = array.weight_double_buffer
    for name in ("partial_sum", "accumulator"):
        register: ArrayRegister = getattr(array, name)
        job[f"{name}_bits"], job[f"{name}_saturates"] = register.bits, register.saturates
    for name in ("activation_zero_point", "weight_zero_point", "output_zero_point", "output_minimum", "output_maximum"):
        job[name] = getattr(gemm, name)
    return job


class _Results:
    """How results lie in the scratchpads of both engines."""

    def __init__(self, array: ClockedArray, gemm: Gemm) -> None:
        self.array, self.gemm = array, gemm
        self.pixels = gemm.a.shape[0]
        self.n_folds = -(-gemm.w.shape[1] // array.cols)
        self.result_words = self.n_folds * self.pixels

    def matrix(self, words: Int64) -> Int64:
        """[M, N] of result words [n_fold, pixel]."""
        blocks = words[:-1].reshape(self.n_folds, self.pixels, self.array.cols)
        return blocks.transpose(1, 0, 2).reshape(self.pixels, -1)[:, : self.gemm.w.shape[1]]

    def words(self, matrix: Int64) -> Int64:
        """Return result words, and one more, of [M, N]."""
        blocks = pad(matrix, 1, self.array.cols, 0).reshape(self.pixels, self.n_folds, -1).transpose(1, 0, 2)
        return np.pad(blocks.reshape(self.result_words, -1), ((0, 1), (0, 0)))


class _WeightStationary(_Results):
    """How rtl/sequencer_ws.sv wants its operands. Padding is the zero point."""

    def operands(self, job: Any, begin: int, end: int) -> tuple[Int64, Int64]:
        """Activations [k_fold, pixel] of R, weights [n_fold, k_fold, row] of C; the job's sizes are filled in."""
        rows, cols, gemm = self.array.rows, self.array.cols, self.gemm
        a = pad(gemm.a[:, begin:end], 1, rows, gemm.activation_zero_point)
        w = pad(gemm.w[begin:end], rows, cols, gemm.weight_zero_point)
        job["pixels"], job["k_folds"], job["n_folds"] = self.pixels, len(w) // rows, self.n_folds
        activations = a.reshape(self.pixels, -1, rows).transpose(1, 0, 2).reshape(-1, rows)
        weights = w.reshape(-1, rows, self.n_folds, cols).transpose(2, 0, 1, 3).reshape(-1, cols)
        return np.ascontiguousarray(activations), np.ascontiguousarray(weights)


class _OutputStationary(_Results):
    """How rtl/sequencer_os.sv wants its operands. Padding is the zero point."""

    def operands(self, job: Any, begin: int, end: int) -> tuple[Int64, Int64]:
        """Activations [m_block, k] of R, weights [n_fold, k] of C; the job's sizes are filled in."""
        rows, cols, gemm = self.array.rows, self.array.cols, self.gemm
        a = pad(gemm.a[:, begin:end], rows, 1, gemm.activation_zero_point)
        w = pad(gemm.w[begin:end], 1, cols, gemm.weight_zero_point)
        job["pixels"], job["k"], job["n_folds"] = self.pixels, end - begin, self.n_folds
        activations = a.reshape(-1, rows, end - begin).transpose(0, 2, 1).reshape(-1, rows)
        weights = w.reshape(-1, self.n_folds, cols).transpose(1, 0, 2).reshape(-1, cols)
        return np.ascontiguousarray(activations), np.ascontiguousarray(weights)
