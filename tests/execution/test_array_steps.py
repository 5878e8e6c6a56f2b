"""Array layers against the step-by-step twin: values and every field of the ledger."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulator.execution.context import ExecutionContext
from simulator.numerics.formats import INT8, INT16, UINT8, IntFormat
from support.array_layers import Quant, lower_layer, machine, operator, raw_gemm, run_layer
from support.array_twin import Account, Shape, run_array


def check_ledger(record, twin: Account, accelerator) -> None:
    assert record.partial_sum_events == twin.partial_sum_events
    assert record.accumulator_events == twin.accumulator_events
    assert record.events == twin.partial_sum_events + twin.accumulator_events
    assert record.affected_outputs == twin.affected_outputs
    assert record.first_event == twin.first_event
    assert record.accumulator_bits == accelerator.arithmetic.accumulator.bits
    assert record.partial_sum_bits == (accelerator.partial_sum.bits if accelerator.partial_sum else None)
    assert bool(record.outputs_by_needed_bits) == (record.method == "steps")
    if record.outputs_by_needed_bits:
        assert record.outputs_by_needed_bits == twin.accumulator.outputs_by_needed_bits
    if record.needed_bits_is_exact:
        assert record.partial_sum_needed_bits == twin.partial_sum_needed_bits
        assert record.accumulator_needed_bits == twin.accumulator_needed_bits
    else:
        assert record.accumulator_needed_bits >= twin.accumulator_needed_bits
        if twin.partial_sum_needed_bits is not None:
            assert record.partial_sum_needed_bits >= twin.partial_sum_needed_bits
    both = [record.accumulator_needed_bits, record.partial_sum_needed_bits or 0]
    assert record.needed_bits == max(both)


def check_channels(channels, twin: Account) -> None:
    """The ledger of each channel against the twin's registers of that channel."""
    assert (channels.partial_sum is None) == (twin.partial_sum is None)
    for register, expected in ((channels.accumulator, twin.accumulator), (channels.partial_sum, twin.partial_sum)):
        if register is None:
            continue
        needed = np.minimum(expected.channel_needed_bits, 65)
        np.testing.assert_array_equal(register.events, expected.events.sum(axis=0))
        np.testing.assert_array_equal(register.needed_bits, needed)
        known = needed <= 64
        np.testing.assert_array_equal(register.least[known], expected.channel_least[known].astype(np.int64))
        np.testing.assert_array_equal(register.greatest[known], expected.channel_greatest[known].astype(np.int64))
        assert register.histogram.tolist() == [int((needed == bits).sum()) for bits in range(66)]


def scaled(accumulators: np.ndarray, quant: Quant) -> np.ndarray:
    """Power-of-two requantizer on Python ints: a tie goes up."""
    shift = round(np.log2(quant.y_scale / quant.x_scale / quant.w_scale))
    real = (accumulators + (1 << (shift - 1))) // (1 << shift) + quant.y_zero
    return np.minimum(np.maximum(real, quant.y_format.min), quant.y_format.max)


def check_layer(x, weights, bias, shape: Shape, quant: Quant, rows, partial_sum, accumulator) -> None:
    """Both ledgers of one layer against the twin."""
    accelerator = machine(rows, partial_sum, accumulator)
    w_zero = np.asarray(quant.w_zero).reshape(-1, 1, 1, 1)
    centred = x.astype(object) - quant.x_zero, weights.astype(object) - w_zero
    twin = run_array(*centred, 0 if bias is None else bias, shape, rows, partial_sum, accumulator)
    for exact, by_channel in ((False, False), (True, False), (True, True)):
        context = ExecutionContext(exact_ledger=exact, channel_ledger=by_channel)
        result = run_layer(operator(shape), x, weights, bias, quant, accelerator, context)
        expected = scaled(twin.accumulators, quant)
        np.testing.assert_array_equal(result.outputs[0].reshape(expected.shape), expected.astype(np.int64))
        assert result.outputs[0].dtype == quant.y_format.dtype
        check_ledger(result.overflow, twin, accelerator)
        assert result.overflow.needed_bits_is_exact >= exact
        if by_channel:
            check_channels(result.channels, twin)
        else:
            assert result.channels is None
        exact_scaled = scaled(twin.accumulators, Quant(**{**vars(quant), "y_format": IntFormat(64)}))
        assert result.overflow.saturations == int((exact_scaled != expected).sum())


def values(rng, shape, format: IntFormat, kind: str) -> np.ndarray:
    """Stored values: random, all at an end, or alternating ends."""
    if kind == "random":
        return rng.integers(format.min, format.max + 1, shape).astype(format.dtype)
    if kind == "high":
        return np.full(shape, format.max, format.dtype)
    if kind == "low":
        return np.full(shape, format.min, format.dtype)
    if kind == "sparse":
        return (rng.integers(format.min, format.max + 1, shape) * (rng.random(shape) < 0.3)).astype(format.dtype)
    flips = np.indices(shape).sum(axis=0) % 2
    return np.where(flips == 0, format.min, format.max).astype(format.dtype)


KINDS = ["random", "high", "low", "sparse", "alternating"]

SHAPES = {
    "pointwise": ((2, 3, 5, 6), 5, Shape()),
    "three by three": ((1, 6, 5, 4), 7, Shape((3, 3), padding=(1, 1, 1, 1))),
    "strided, odd padding": ((2, 7, 6, 3), 4, Shape((3, 2), (2, 3), padding=(0, 2, 1, 0))),
    "dilated": ((1, 9, 8, 3), 5, Shape((3, 3), dilation=(2, 3), padding=(2, 2, 3, 3))),
    "grouped": ((1, 5, 5, 6), 8, Shape((2, 2), groups=2, padding=(1, 0, 0, 1))),
    "depthwise": ((1, 6, 6, 5), 5, Shape((3, 3), groups=5, padding=(1, 1, 1, 1))),
    "depthwise, multiplier 3": ((1, 5, 7, 4), 12, Shape((3, 3), (2, 2), (1, 2), (1, 1, 2, 2), groups=4)),
    "depthwise, many channels": ((1, 3, 3, 40), 40, Shape((2, 2), groups=40)),
    "more than a panel": ((1, 4, 4, 3), 37, Shape((3, 3), padding=(1, 1, 1, 1))),
    "transposed": ((1, 3, 4, 3), 4, Shape((3, 3), (2, 2), padding=(1, 0, 1, 0), transposed=True, output_size=(6, 8))),
    "transposed, gaps": ((2, 3, 2, 2), 3, Shape((2, 3), (3, 4), transposed=True, output_size=(10, 9))),
    "transposed, cropped": (
        (1, 4, 4, 2),
        3,
        Shape((4, 4), (2, 2), padding=(2, 0, 1, 0), transposed=True, output_size=(5, 6)),
    ),
    "transposed, dilated": (
        (1, 3, 4, 3),
        4,
        Shape((3, 3), (2, 3), (3, 2), (2, 0, 1, 0), transposed=True, output_size=(8, 11)),
    ),
    "transposed, dilated, phases without taps": (
        (2, 3, 2, 2),
        3,
        Shape((2, 3), (2, 6), (2, 4), (1, 0, 3, 0), transposed=True, output_size=(7, 15)),
    ),
}

REGISTERS = {
    "os 12 wrap": (1, None, (12, "wrap")),
    "os 17 saturate": (1, None, (17, "saturate")),
    "os 20 wrap": (1, None, (20, "wrap")),
    "os 31 saturate": (1, None, (31, "saturate")),
    "os 33 wrap": (1, None, (33, "wrap")),
    "ws 16/18": (4, (16, "wrap"), (18, "saturate")),
    "ws 15/13": (5, (15, "saturate"), (13, "wrap")),
    "ws 20/20": (16, (20, "saturate"), (20, "saturate")),
    "ws 32/64": (7, (32, "wrap"), (64, "saturate")),
    "ws 64/8": (3, (64, "wrap"), (8, "wrap")),
    "ws rows beyond k": (4096, (17, "wrap"), (18, "wrap")),
}


def weights_shape(x_shape, filters: int, shape: Shape) -> tuple[int, ...]:
    return (filters, *shape.kernel, x_shape[3] // shape.groups)


@pytest.mark.parametrize("registers", REGISTERS)
@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_on_every_register(name, registers):
    x_shape, filters, shape = SHAPES[name]
    rng = np.random.default_rng([len(name), len(registers)])
    x = values(rng, x_shape, INT8, "sparse" if len(name) % 2 else "random")
    weights = values(rng, weights_shape(x_shape, filters, shape), INT8, "random")
    bias = rng.integers(-70000, 70000, filters).astype(np.int32)
    quant = Quant(x_zero=int(rng.integers(-128, 128)), y_zero=int(rng.integers(-20, 20)))
    check_layer(x, weights, bias, shape, quant, *REGISTERS[registers])


@pytest.mark.parametrize("bits", [8, 9, 16, 23, 30, 31, 32, 33, 48, 62, 63, 64])
@pytest.mark.parametrize("mode", ["wrap", "saturate"])
@pytest.mark.parametrize("dataflow", ["os", "ws"])
def test_every_width_with_a_start_value_at_its_end(bits, mode, dataflow):
    rng = np.random.default_rng(bits)
    m, k, n = 3, 11, 5
    x, weights = values(rng, (m, k), INT16, "random"), values(rng, (n, k), INT16, "alternating")
    top = (1 << (min(bits + 1, 64) - 1)) - 1
    bias = np.array([[top, -top - 1, top >> 1, ~(top >> 1), 0]] * m, np.int64)
    bias[1] >>= 1
    partial_sum = None if dataflow == "os" else (bits, mode)
    accelerator = machine(4, partial_sum, (bits, mode))
    quant = Quant(INT16, INT16, x_zero=-32768, w_zero=32767)
    centred = (x.astype(object) + 32768)[:, None, None, :], (weights.astype(object) - 32767)[:, None, None, :]
    twin = run_array(*centred, bias, Shape(), 4, partial_sum, (bits, mode))
    for exact in (False, True):
        result = raw_gemm(x, weights, bias, accelerator, quant, exact=exact)
        np.testing.assert_array_equal(result.outputs[0], twin.accumulators.astype(np.int64))
        assert result.outputs[0].dtype == (np.int32 if bits <= 32 else np.int64)
        check_ledger(result.overflow, twin, accelerator)


@pytest.mark.parametrize("x_kind", KINDS)
@pytest.mark.parametrize("w_kind", KINDS)
@pytest.mark.parametrize("zero_points", [(0, 0), (255, 255), (128, 0), (0, 255)])
def test_uint8_extremes(x_kind, w_kind, zero_points):
    rng = np.random.default_rng(7)
    x = values(rng, (1, 4, 4, 5), UINT8, x_kind)
    weights = values(rng, (6, 3, 3, 5), UINT8, w_kind)
    quant = Quant(UINT8, UINT8, UINT8, x_zero=zero_points[0], w_zero=zero_points[1])
    shape = Shape((3, 3), padding=(1, 1, 1, 1))
    check_layer(x, weights, None, shape, quant, 8, (19, "saturate"), (20, "wrap"))
    check_layer(x, weights, None, shape, quant, 1, None, (32, "wrap"))


def test_zero_point_of_each_filter():
    rng = np.random.default_rng(3)
    x, weights = values(rng, (1, 5, 5, 4), INT8, "random"), values(rng, (3, 2, 2, 4), INT8, "random")
    quant = Quant(w_zero=(-128, 0, 127))
    for registers in REGISTERS.values():
        check_layer(x, weights, None, Shape((2, 2)), quant, *registers)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_random_layers(data):
    draw = lambda low, high: data.draw(st.integers(low, high))  # noqa: E731
    groups, per_group, channels = draw(1, 3), draw(1, 5), draw(1, 4)
    kernel, dilation, stride = [(draw(1, 3), draw(1, 3)) for _ in range(3)]
    span = [(kernel[i] - 1) * dilation[i] + 1 for i in (0, 1)]
    padding = tuple(draw(0, 2) for _ in range(4))
    size = [
        max(span[0] - padding[0] - padding[1], 1) + draw(0, 3),
        max(span[1] - padding[2] - padding[3], 1) + draw(0, 3),
    ]
    shape = Shape(kernel, stride, dilation, padding, groups)
    x_format, w_format = data.draw(st.sampled_from([INT8, UINT8, INT16])), data.draw(st.sampled_from([INT8, UINT8]))
    rng = np.random.default_rng(draw(0, 2**32))
    x = values(rng, (draw(1, 2), *size, channels * groups), x_format, data.draw(st.sampled_from(KINDS)))
    weights = values(rng, (groups * per_group, *kernel, channels), w_format, data.draw(st.sampled_from(KINDS)))
    bias = rng.integers(-(1 << 20), 1 << 20, groups * per_group).astype(np.int64)
    modes = st.sampled_from(["wrap", "saturate"])
    width = st.one_of(st.integers(8, 64), st.integers(12, 24))
    accumulator = (data.draw(width), data.draw(modes))
    partial_sum = data.draw(st.one_of(st.none(), st.tuples(width, modes)))
    zeros = draw(x_format.min, x_format.max), draw(w_format.min, w_format.max)
    quant = Quant(x_format, w_format, x_zero=zeros[0], w_zero=zeros[1])
    check_layer(x, weights, bias, shape, quant, draw(1, 20), partial_sum, accumulator)


def test_layer_of_a_proved_bound_is_lowered_once_and_keeps_its_name():
    layer = lower_layer(
        operator(Shape()),
        np.zeros((1, 2, 2, 3), np.int8),
        np.ones((4, 1, 1, 3), np.int8),
        None,
        Quant(),
        machine(4, None, (32, "wrap")),
    )
    assert (layer.name, layer.macs, layer.kind) == ("layer", 2 * 2 * 3 * 4, "Conv2D")


@pytest.mark.parametrize(
    ("x_bits", "w_bits"), [(2, 2), (3, 8), (4, 4), (5, 12), (8, 2), (8, 4), (10, 16), (16, 3), (16, 16)]
)
@pytest.mark.parametrize("accumulator", [(48, "wrap"), (20, "saturate")])
@pytest.mark.parametrize("groups", [1, 4])
def test_operands_of_2_to_16_bits(x_bits, w_bits, accumulator, groups):
    x_format, w_format = IntFormat(x_bits), IntFormat(w_bits)
    rng = np.random.default_rng(x_bits * 100 + w_bits)
    x = values(rng, (1, 5, 6, 4), x_format, "random")
    weights = values(rng, (8, 3, 3, 4 // groups), w_format, "random")
    bias = rng.integers(-(1 << (x_bits + w_bits)), 1 << (x_bits + w_bits), 8)
    quant = Quant(x_format, w_format, x_format, y_scale=float(1 << max(x_bits + w_bits - 6, 1)))
    check_layer(
        x, weights, bias, Shape((3, 3), padding=(1, 1, 1, 1), groups=groups), quant, 8, accumulator, accumulator
    )
