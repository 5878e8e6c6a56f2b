"""Arrays and matrix products that hold the SystemVerilog, its model and the closed forms against one another."""

from __future__ import annotations

import numpy as np

from simulator.numerics import scalar
from simulator.numerics.modes import Dataflow, OverflowMode, RequantizerKind, RoundingMode
from simulator.numerics.quant import Requantizer, RequantParams
from simulator.timing.clocked_array import ArrayRegister, ClockedArray, ClockedRun, Gemm

_KIND, _MODE = RequantizerKind, RoundingMode
SINGLE = Requantizer(_KIND.FIXED_POINT_SINGLE)
AWAY = Requantizer(SINGLE.kind, _MODE.TIES_AWAY)


def _ws(rows, cols, partial_sum, accumulator, *, double=True, operands=(8, 8), output=8, scaler=SINGLE) -> ClockedArray:
    widths = (*operands, ArrayRegister(*partial_sum), ArrayRegister(*accumulator), double, output, scaler)
    return ClockedArray(Dataflow.WEIGHT_STATIONARY, rows, cols, *widths)


def _os(rows, cols, accumulator, *, operands=(8, 8), output=8, scaler=SINGLE) -> ClockedArray:
    register = ArrayRegister(*accumulator)
    return ClockedArray(
        Dataflow.OUTPUT_STATIONARY, rows, cols, *operands, ArrayRegister(), register, True, output, scaler
    )


WRAP, SATURATE = False, True
ARRAYS = {
    "ws_1x8": _ws(1, 8, (8, WRAP), (8, SATURATE)),
    "ws_2x3_single": _ws(2, 3, (12, SATURATE), (16, WRAP), double=False),
    "ws_3x5": _ws(3, 5, (16, SATURATE), (18, WRAP), scaler=Requantizer(_KIND.FLOAT32)),
    "ws_5x2_single": _ws(5, 2, (24, WRAP), (28, SATURATE), double=False, operands=(16, 4), output=16, scaler=AWAY),
    "ws_6x4": _ws(6, 4, (24, WRAP), (40, SATURATE), operands=(16, 8), scaler=Requantizer(_KIND.POWER_OF_TWO)),
    "ws_7x1": _ws(7, 1, (32, WRAP), (32, WRAP), scaler=Requantizer(_KIND.FIXED_POINT_DOUBLE)),
    "ws_8x8": _ws(8, 8, (20, SATURATE), (32, WRAP)),
    "os_1x1": _os(1, 1, (16, WRAP)),
    "os_2x8": _os(2, 8, (8, WRAP)),
    "os_4x6": _os(4, 6, (16, SATURATE), scaler=Requantizer(SINGLE.kind, _MODE.TIES_EVEN)),
    "os_5x3": _os(5, 3, (20, WRAP), operands=(12, 5), scaler=Requantizer(SINGLE.kind, _MODE.TO_ZERO)),
    "os_6x7": _os(6, 7, (36, WRAP), scaler=Requantizer(_KIND.FLOAT32)),
    "os_8x4": _os(8, 4, (24, SATURATE), output=16, scaler=Requantizer(_KIND.POWER_OF_TWO, _MODE.TO_NEG)),
}
"""What is built as RTL: all numbers of rows and of columns from 1 to 8, registers of 8 to 40 bits; all requantizers."""


class Stream:
    """Whole numbers drawn from raw PCG64 output, which no version of NumPy may change."""

    def __init__(self, *seed: int) -> None:
        self._bits = np.random.PCG64(list(seed))

    def integers(self, low: int, high: int, shape: tuple[int, ...]) -> np.ndarray:
        """Return int64 of `shape` in low..high, both included; high - low below 2^62."""
        raw = self._bits.random_raw(int(np.prod(shape))).astype(np.uint64).reshape(shape)
        return low + ((raw >> np.uint64(1)) % np.uint64(high - low + 1)).astype(np.int64)

    def integer(self, low: int, high: int) -> int:
        return int(self.integers(low, high, (1,))[0])


def draw_scales(stream: Stream, array: ClockedArray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw multipliers and shifts of `n` columns that suit the array's requantizer."""
    multiplier = stream.integers(0, (1 << 31) - 1, (n,))
    shift = stream.integers(0, 63, (n,)) if stream.integer(0, 3) == 0 else stream.integers(30, 48, (n,))
    match array.requantizer.kind:
        case RequantizerKind.FIXED_POINT_DOUBLE:
            return multiplier | 1 << 30, np.clip(shift, 1, 62)
        case RequantizerKind.FLOAT32:
            whole = np.where(multiplier % 4 == 0, 1 << 30, multiplier)  # powers of two make ties
            return (whole * 0.5**shift).astype(np.float32).view(np.uint32).astype(np.int64), np.zeros_like(shift)
        case RequantizerKind.POWER_OF_TWO:
            return np.ones_like(multiplier), np.clip(shift - 31, -31, 62)
    if array.requantizer.rounding is not None:
        few = multiplier % 4 == 0  # of few bits, for ties, some of them shifted to the left
        multiplier, shift = np.where(few, multiplier % 16, multiplier), np.where(few, shift - 36, shift)
    return multiplier, np.clip(shift, -31, 63)


def draw_gemm(stream: Stream, array: ClockedArray, most: int = 64, matrix: bool = False) -> Gemm:
    """Draw a product with sides of 1 to `most`; operands of any magnitude: some overflow often, some never.

    `matrix`: a bias for each output.
    """
    m, k, n = (stream.integer(1, stream.integer(1, most)) for _ in range(3))

    def signed(bits: int, shape: tuple[int, ...]) -> np.ndarray:
        magnitude = 1 << stream.integer(0, bits - 1)
        return stream.integers(-magnitude, magnitude - 1, shape)

    bias = signed(32, (m, n) if matrix else (n,))
    if stream.integer(0, 3) == 0:  # near the ends of int32
        bias = np.where(bias < 0, -(1 << 31), (1 << 31) - 1) - (bias >> stream.integer(8, 31))
    least, most_out = sorted(signed(array.output_bits, (2,)).tolist())
    a, w = signed(array.activation_bits, (m, k)), signed(array.weight_bits, (k, n))
    multiplier, shift = draw_scales(stream, array, n)
    return Gemm(
        a=a,
        w=w,
        bias=bias,
        multiplier=multiplier,
        shift=shift,
        activation_zero_point=int(signed(array.activation_bits, (1,))[0]) * stream.integer(0, 1),
        weight_zero_point=int(signed(array.weight_bits, (1,))[0]) * stream.integer(0, 1),
        output_zero_point=int(signed(array.output_bits, (1,))[0]),
        output_minimum=least,
        output_maximum=most_out,
        k_cuts=tuple(k for k in range(array.rows, k, array.rows) if stream.integer(0, 9) == 0),
    )


def differences(one: ClockedRun, other: ClockedRun) -> list[str]:
    """Names of what two runs do not agree in."""
    return [name for name, value in vars(one).items() if not np.array_equal(value, getattr(other, name))]


def register(spec: ArrayRegister) -> tuple[int, OverflowMode]:
    """Width and mode in the words of the specification."""
    return spec.bits, OverflowMode.SATURATE if spec.saturates else OverflowMode.WRAP


def against_specification(array: ClockedArray, gemm: Gemm, run: ClockedRun) -> list[str]:
    """What of a run is not as simulator/numerics/scalar.py has it, output by output: values, events, saturations."""
    params = RequantParams(
        kind=array.requantizer.kind,
        rounding=array.requantizer.resolved_rounding,
        multiplier=gemm.multiplier,
        exponent=(0 if array.requantizer.kind is RequantizerKind.POWER_OF_TWO else 31) - gemm.shift,
        scale=gemm.multiplier.astype(np.uint32).view(np.float32),
        zero_point=gemm.output_zero_point,
        minimum=gemm.output_minimum,
        maximum=gemm.output_maximum,
    )
    wrong, counts = [], [0, 0, 0]
    for m, n in np.ndindex(run.outputs.shape):
        expected = _accumulation(array, gemm, m, n)
        output, clipped = scalar.requantize(expected.value, params, n, array.accumulator.bits)
        if (run.accumulators[m, n], run.outputs[m, n]) != (expected.value, output):
            wrong.append(f"output {m}, {n}")
        events = expected.partial_sum_events, expected.accumulator_events, clipped
        counts = [count + more for count, more in zip(counts, events, strict=True)]
    if [run.partial_sum_events, run.accumulator_events, run.saturations] != counts:
        wrong.append(f"counts, which should be {counts}")
    return wrong


def _accumulation(array: ClockedArray, gemm: Gemm, m: int, n: int) -> scalar.Accumulation:
    a = [int(value) - gemm.activation_zero_point for value in gemm.a[m]]
    w = [int(value) - gemm.weight_zero_point for value in gemm.w[:, n]]
    start, accumulator = int(gemm.bias[n] if gemm.bias.ndim == 1 else gemm.bias[m, n]), register(array.accumulator)
    if array.dataflow is Dataflow.OUTPUT_STATIONARY:
        return scalar.accumulate_output_stationary(a, w, start, *accumulator)
    return scalar.accumulate_weight_stationary(a, w, start, array.rows, register(array.partial_sum), accumulator)
