"""Small cases of every kernel of the array, each a function that compares it with the specification.

Run jitted by tests/kernels/test_array_kernels.py, and as a program in a new interpreter by tests/kernels/test_modes.py,
where NUMBA_DISABLE_JIT or NUMBA_BOUNDSCHECK is set: `python -m support.kernel_cases`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from rtl.golden import read, rows
from simulator.execution import requantize as requantizing
from simulator.execution.context import ExecutionContext
from simulator.kernels import philox, requantize
from simulator.kernels.wide import fold_sums
from simulator.numerics import scalar
from simulator.numerics.formats import INT8, INT16, UINT8, IntFormat
from simulator.numerics.modes import RequantizerKind, RoundingMode
from simulator.numerics.quant import RequantParams
from simulator.timing.clocked_array import run_gemm
from support.activity_twin import activity
from support.array_layers import Quant, machine, operator, raw_gemm, run_layer
from support.array_twin import Shape, run_array
from support.gemm_cases import ARRAYS, Stream, against_specification, draw_gemm

ENDS = [-(2**31), -(2**31) + 1, -(2**30), -129, -128, -3, -2, -1, 0, 1, 2, 3, 127, 128, 2**30, 2**31 - 1]
WIDE_ENDS = [-(2**63), -(2**62) + 1, -(2**31) - 1, 2**31, 2**40 + 1, 2**62, 2**63 - 1]

SHAPES = {
    "convolution": ((1, 4, 3, 3), 5, Shape((3, 2), (2, 1), (1, 2), (1, 1, 0, 2))),
    "groups": ((1, 3, 3, 4), 6, Shape((2, 2), groups=2)),
    "depthwise": ((1, 3, 4, 3), 6, Shape((2, 2), padding=(1, 0, 0, 1), groups=3)),
    "transposed": ((1, 2, 3, 2), 3, Shape((3, 3), (2, 2), (1, 1), (1, 0, 0, 0), 1, True, (5, 7))),
}

REGISTERS = [
    (1, None, (13, "wrap")),
    (1, None, (12, "saturate")),
    (1, None, (33, "saturate")),
    (1, None, (64, "wrap")),
    (5, (12, "wrap"), (14, "saturate")),
    (5, (40, "saturate"), (13, "wrap")),
]


def step_by_step() -> None:
    """Values and events of convolutions in narrow and wide registers."""
    rng = np.random.default_rng(1)
    for (x_shape, filters, shape), registers in itertools.product(SHAPES.values(), REGISTERS):
        x = rng.integers(-128, 128, x_shape).astype(np.int8)
        weights = rng.integers(-128, 128, (filters, *shape.kernel, x_shape[3] // shape.groups)).astype(np.int8)
        bias = rng.integers(-9000, 9000, filters).astype(np.int64)
        twin = run_array(x.astype(object) - 100, weights.astype(object), bias, shape, *registers)
        quant = Quant(x_zero=100, y_format=INT16, y_scale=0.125 * 2)
        for exact in (False, True):
            context = ExecutionContext(exact_ledger=exact)
            result = run_layer(operator(shape), x, weights, bias, quant, machine(*registers), context)
            expected = np.clip((twin.accumulators + 1) // 2, -(2**15), 2**15 - 1).astype(np.int64)
            np.testing.assert_array_equal(result.outputs[0].reshape(expected.shape), expected)
            assert result.overflow.partial_sum_events == twin.partial_sum_events
            assert result.overflow.accumulator_events == twin.accumulator_events
            assert result.overflow.first_event == twin.first_event
            assert result.overflow.affected_outputs == twin.affected_outputs
            if result.overflow.needed_bits_is_exact:
                assert result.overflow.partial_sum_needed_bits == twin.partial_sum_needed_bits
                assert result.overflow.accumulator_needed_bits == twin.accumulator_needed_bits


def widest_registers() -> None:
    """Sums at the ends of int64, where a sum of two int64 does not fit."""
    x, weights = np.full((1, 6), 32767, np.int16), np.full((4, 6), -32768, np.int16)
    weights[1::2] = 32767
    bias = np.array([[-(2**63), 2**63 - 1, 2**62, -(2**62)]])
    for bits, mode, partial_sum in itertools.product((62, 63, 64), ("wrap", "saturate"), (None, (32, "wrap"))):
        registers = (4, partial_sum, (bits, mode))
        twin = run_array(
            x[:, None, None].astype(object), weights[:, None, None].astype(object), bias, Shape(), *registers
        )
        result = raw_gemm(x, weights, bias, machine(*registers), Quant(INT16, INT16))
        np.testing.assert_array_equal(result.outputs[0], twin.accumulators.astype(np.int64))
        assert result.overflow.accumulator_events == twin.accumulator_events
        assert result.overflow.needed_bits == max(twin.accumulator_needed_bits, twin.partial_sum_needed_bits or 0)


def wide_sums() -> None:
    """Layers that are proved free of events, 8-bit and wider."""
    rng = np.random.default_rng(2)
    for x_format, w_format, registers in [
        (UINT8, UINT8, (1, None, (32, "wrap"))),
        (INT8, INT8, (3, (32, "wrap"), (32, "saturate"))),
        (INT16, INT16, (3, (48, "wrap"), (48, "saturate"))),
    ]:
        for x_shape, filters, shape in SHAPES.values():
            x = rng.integers(x_format.min, x_format.max + 1, x_shape).astype(x_format.dtype)
            size = (filters, *shape.kernel, x_shape[3] // shape.groups)
            weights = rng.integers(w_format.min, w_format.max + 1, size).astype(w_format.dtype)
            quant = Quant(x_format, w_format, INT16, x_zero=x_format.max, w_zero=w_format.min, y_scale=2.0**18)
            centred = x.astype(object) - x_format.max, weights.astype(object) - w_format.min
            twin = run_array(*centred, 0, shape, *registers)
            result = run_layer(operator(shape), x, weights, None, quant, machine(*registers))
            expected = np.clip((twin.accumulators + (1 << 20)) // (1 << 21), -(2**15), 2**15 - 1).astype(np.int64)
            np.testing.assert_array_equal(result.outputs[0].reshape(expected.shape), expected)
            assert not result.overflow.needed_bits_is_exact
            assert result.overflow.accumulator_needed_bits >= twin.accumulator_needed_bits


def _check_requantizer(params: RequantParams, accumulators: list[int], bits: int, format: IntFormat) -> None:
    channels = len(params.multiplier)
    array = np.repeat(np.array(accumulators, np.int64)[:, None], channels, axis=1)
    key = requantizing.random_key(ExecutionContext(seed=5, step=3), "y")
    outputs, clipped = requantizing.requantize(
        array if bits > 32 else array.astype(np.int32), bits, params, format, key
    )
    seed, step, tensor = (int(part) for part in key)
    expected = [
        scalar.requantize(value, params, c, bits, scalar.stochastic_draw(seed, step, tensor, i * channels + c))
        for i, value in enumerate(accumulators)
        for c in range(channels)
    ]
    assert outputs.dtype == format.dtype
    np.testing.assert_array_equal(outputs.reshape(-1), [value for value, _ in expected])
    assert clipped == sum(clip for _, clip in expected)


def requantizers() -> None:
    """Every kind and rounding against the specification, at the ends of the register and on ties."""
    rng = np.random.default_rng(3)
    reals = [0.0, 2.0**-31, 1e-6, 0.00371, 0.25, 0.4999999, 1.0, 3.7, 200.0, 2.0**30]
    pairs = [scalar.quantize_multiplier(real) for real in reals]
    multiplier, exponent = (np.array(column, np.int64) for column in zip(*pairs, strict=True))
    ones, shifts = np.ones(9, np.int64), np.array([-62, -40, -31, -8, -3, -1, 0, 1, 31], np.int64)
    near = rng.integers(-2000, 2000, 20).tolist()
    cases = [
        (RequantizerKind.FIXED_POINT_DOUBLE, [RoundingMode.TIES_AWAY], multiplier, exponent),
        (RequantizerKind.FLOAT32, [RoundingMode.TIES_EVEN], multiplier, exponent),
        (RequantizerKind.FIXED_POINT_SINGLE, list(RoundingMode), multiplier, exponent),
        (RequantizerKind.POWER_OF_TWO, list(RoundingMode), ones, shifts),
    ]
    for kind, roundings, multipliers, exponents in cases:
        scales = (multipliers * 2.0 ** (exponents - 31)).astype(np.float32)
        for rounding in roundings:
            narrow = RequantParams(kind, rounding, multipliers, exponents, scales, -7, -128, 127)
            _check_requantizer(narrow, ENDS + near, 32, INT8)
            wide = RequantParams(kind, rounding, multipliers, exponents, scales, 12, 12, 65535)
            _check_requantizer(wide, ENDS + WIDE_ENDS + near, 64, IntFormat(16, signed=False))


def random_bits() -> None:
    """Draws against the specification."""
    for seed, step, tensor, index in [
        (0, 0, 0, 0),
        (2**64 - 1, 2**32 - 1, 2**32 - 1, 2**63),
        (12345678901, 7, 99, 2**33),
    ]:
        kernel_draw = philox.draw(np.uint64(seed), np.uint64(step), np.uint64(tensor), np.uint64(index))
        assert int(kernel_draw) == scalar.stochastic_draw(seed, step, tensor, index)


def roundings() -> None:
    """Rounding shifts against the specification."""
    for value, shift in itertools.product([*range(-9, 10), 2**62, -(2**63)], (0, 1, 2, 3, 62)):
        for mode, code in requantizing.ROUNDING.items():
            draw = 0x9E3779B97F4A7C15
            result = requantize.rounding_shift_right(np.int64(value), shift, code, np.uint64(draw))
            assert result == scalar.rounding_shift_right(value, shift, mode, draw), (value, shift, mode)


def weight_sums() -> None:
    """Sums of positive and of negative weights of each fold."""
    rng = np.random.default_rng(4)
    stored, zero_points = rng.integers(-300, 300, (3, 11)).astype(np.int16), rng.integers(-300, 300, 3)
    weights = stored.astype(np.int64) - zero_points[:, None]
    for fold in (1, 4, 11, 50):
        folds = range(0, 11, fold)
        positive, negative = np.empty((3, len(folds)), np.int64), np.empty((3, len(folds)), np.int64)
        fold_sums(stored, zero_points, fold, positive, negative)
        parts = [weights[:, begin : begin + fold] for begin in folds]
        np.testing.assert_array_equal(positive, np.stack([np.maximum(p, 0).sum(axis=1) for p in parts], axis=1))
        np.testing.assert_array_equal(negative, np.stack([np.minimum(p, 0).sum(axis=1) for p in parts], axis=1))


def clocked_arrays() -> None:
    """Matrix products on the register-accurate arrays."""
    for name in ("ws_2x3_single", "ws_3x5", "ws_6x4", "ws_7x1", "os_1x1", "os_4x6"):
        for seed in range(4):
            array, gemm = ARRAYS[name], draw_gemm(Stream(5, seed), ARRAYS[name], most=8, matrix=seed == 3)
            assert against_specification(array, gemm, run_gemm(array, gemm)) == []


def clocked_convolutions() -> None:
    """The shortest convolutions of which the results on RTL are known."""
    for name in ("conv_2x3_single", "conv_3x5"):
        shortest = min((row for row in read() if row["array"] == name), key=lambda row: int(row["cycles"]))
        assert rows(name, None, [int(shortest["seed"])]) == [shortest]


def clocked_transfers() -> None:
    """The shortest transfers of which the results on RTL are known."""
    shortest = min((row for row in read() if row["array"] == "dma"), key=lambda row: int(row["cycles"].split()[0]))
    assert rows("dma", None, [int(shortest["seed"])]) == [shortest]


def toggles() -> None:
    """Toggled bits and zero operands of convolutions in narrow and wide registers."""
    rng = np.random.default_rng(2)
    for (x_shape, filters, shape), registers in itertools.product(SHAPES.values(), REGISTERS):
        x = rng.integers(-128, 128, x_shape).astype(np.int8)
        weights = rng.integers(-128, 128, (filters, *shape.kernel, x_shape[3] // shape.groups)).astype(np.int8)
        bias = rng.integers(-9000, 9000, filters).astype(np.int64)
        quant = Quant(x_zero=100, y_format=INT16)
        context = ExecutionContext(activity=True)
        found = run_layer(operator(shape), x, weights, bias, quant, machine(*registers), context).activity
        expected = activity(x.astype(object) - 100, weights.astype(object), bias, shape, *registers, 9, 8)
        assert found.activation_toggled_bits == expected["a"]
        assert found.weight_toggled_bits == expected["w"]
        assert found.sum_toggled_bits == expected["sum"]
        assert found.zero_products == expected["zero"]


CASES: tuple[Callable[[], None], ...] = (
    roundings,
    random_bits,
    requantizers,
    weight_sums,
    wide_sums,
    step_by_step,
    toggles,
    widest_registers,
    clocked_arrays,
    clocked_convolutions,
    clocked_transfers,
)


def main() -> None:
    """Run every case; what NumPy warns of when its scalars wrap is what the registers do on purpose."""
    with np.errstate(over="ignore"):
        for case in CASES:
            case()
            print(case.__name__)  # noqa: T201


if __name__ == "__main__":
    main()
