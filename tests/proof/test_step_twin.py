"""The fast twin of the array against the specification on Python ints, and against the slow twin."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.numerics import scalar
from simulator.numerics.modes import OverflowMode
from support import array_twin
from support.array_twin import Shape
from support.step_twin import flat_weights, output_size, patches, run_steps


def random_shape(rng: np.random.Generator) -> tuple[tuple[int, ...], int, Shape]:
    """Input shape, filters and geometry of a small layer."""
    pick = lambda low, high: int(rng.integers(low, high + 1))  # noqa: E731
    kernel, stride = (pick(1, 3), pick(1, 3)), (pick(1, 3), pick(1, 3))
    groups, channels, per_group = pick(1, 3), pick(1, 4), pick(1, 3)
    if rng.random() < 0.3:
        # No deeper crops than the input is long: the slow twin does not take them.
        size = (pick(1, 3), pick(1, 3))
        crops = [pick(0, min(kernel[i] - 1, (size[i] - 1) * stride[i] + 1)) for i in (0, 1)]
        padding = (crops[0], 0, crops[1], 0)
        shape = Shape(kernel, stride, padding=padding, transposed=True, output_size=(pick(1, 7), pick(1, 7)))
        return (pick(1, 2), *size, channels), per_group, shape
    dilation, padding = (pick(1, 2), pick(1, 2)), tuple(pick(0, 2) for _ in range(4))
    span = [(kernel[i] - 1) * dilation[i] + 1 for i in (0, 1)]
    size = (pick(0, 3) + span[0], pick(0, 3) + span[1])
    return (pick(1, 2), *size, channels * groups), per_group * groups, Shape(kernel, stride, dilation, padding, groups)


def random_registers(rng: np.random.Generator) -> tuple[int, tuple[int, str] | None, tuple[int, str]]:
    bits = lambda: int(rng.choice([8, 9, 11, 13, 15, 16, 17, 18, 20, 24, 31, 32, 40]))  # noqa: E731
    mode = lambda: str(rng.choice(["wrap", "saturate"]))  # noqa: E731
    if rng.random() < 0.5:
        return 0, None, (bits(), mode())
    return int(rng.integers(1, 20)), (bits(), mode()), (bits(), mode())


def case(seed: int):
    """Centred operands, start values, geometry and registers of a small random layer."""
    rng = np.random.default_rng(seed)
    x_shape, filters, shape = random_shape(rng)
    x = rng.integers(-255, 256, x_shape) * (rng.random(x_shape) < 0.8)
    weights = rng.integers(-255, 256, (filters, *shape.kernel, x_shape[3] // shape.groups))
    size = int(rng.choice([100, 5000, 200000]))
    rows, columns = output_size(x_shape, shape)
    of_pixels = (x_shape[0] * rows * columns,) if rng.random() < 0.2 else ()
    bias = rng.integers(-size, size, (*of_pixels, filters))
    return x, weights, bias, shape, *random_registers(rng)


@pytest.mark.parametrize("seed", range(60))
def test_against_the_slow_twin(seed):
    x, weights, bias, shape, *registers = case(seed)
    slow = array_twin.run_array(x.astype(object), weights.astype(object), bias, shape, *registers)
    fast = run_steps(x, weights, bias, shape, *registers, block=1 << (seed % 9))
    assert fast.accumulators.tolist() == slow.accumulators.tolist()
    assert fast.first_event == slow.first_event
    assert fast.affected_outputs == slow.affected_outputs
    assert fast.events == slow.partial_sum_events + slow.accumulator_events
    for ours, theirs in ((fast.accumulator, slow.accumulator), (fast.partial_sum, slow.partial_sum)):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            assert ours.events.tolist() == theirs.events.sum(axis=0).tolist()
            assert ours.least.tolist() == theirs.channel_least.tolist()
            assert ours.greatest.tolist() == theirs.channel_greatest.tolist()
            assert ours.channel_needed_bits == theirs.channel_needed_bits
            assert ours.needed_bits == theirs.needed_bits
            outputs = np.flatnonzero(theirs.events.reshape(-1))
            first = (outputs[0], theirs.first.reshape(-1)[outputs[0]]) if outputs.size else None
            assert ours.first == first


def specified(a, w, start, rows, partial_sum, accumulator) -> scalar.Accumulation:
    a, w = a.tolist(), w.tolist()
    if partial_sum is None:
        return scalar.accumulate_output_stationary(a, w, start, accumulator[0], OverflowMode(accumulator[1]))
    registers = [(bits, OverflowMode(mode)) for bits, mode in (partial_sum, accumulator)]
    return scalar.accumulate_weight_stationary(a, w, start, rows, *registers)


@pytest.mark.parametrize("seed", range(100, 130))
def test_against_the_specification(seed):
    x, weights, bias, shape, *registers = case(seed)
    fast = run_steps(x, weights, bias, shape, *registers)
    pixels, filters = fast.accumulators.shape
    a, w = patches(x, shape, np.arange(pixels)), flat_weights(weights, shape)
    start = np.broadcast_to(bias, (pixels, filters)).tolist()
    by_output = []
    for output in range(pixels * filters):
        pixel, channel = divmod(output, filters)
        group, filter_ = divmod(channel, filters // shape.groups)
        by_output.append(specified(a[:, group, pixel], w[:, group, filter_], start[pixel][channel], *registers))
    assert fast.accumulators.reshape(-1).tolist() == [output.value for output in by_output]
    first = next(((i, *output.first_event) for i, output in enumerate(by_output) if output.first_event), None)
    assert fast.first_event == first
    assert fast.affected_outputs == sum(output.first_event is not None for output in by_output)
    for channel in range(filters):
        mine = by_output[channel::filters]
        assert fast.accumulator.events[channel] == sum(output.accumulator_events for output in mine)
        ranges = [output.accumulator_range for output in mine]
        assert fast.accumulator.least[channel] == min(least for least, _ in ranges)
        assert fast.accumulator.greatest[channel] == max(greatest for _, greatest in ranges)
        if fast.partial_sum is not None:
            assert fast.partial_sum.events[channel] == sum(output.partial_sum_events for output in mine)
            assert fast.partial_sum.least[channel] == min(output.partial_sum_range[0] for output in mine)
            assert fast.partial_sum.greatest[channel] == max(output.partial_sum_range[1] for output in mine)


@pytest.mark.parametrize("seed", range(20))
def test_transposed_convolutions_scatter(seed):
    """y[i * stride - pad + tap] += x[i] * w[tap], cropped anywhere inside the full result."""
    rng = np.random.default_rng(seed)
    batch, height, width, channels, filters, kernel_h, kernel_w, down, across = rng.integers(1, 5, 9).tolist()
    full = ((height - 1) * down + kernel_h, (width - 1) * across + kernel_w)
    top, left = int(rng.integers(0, full[0])), int(rng.integers(0, full[1]))
    size = (int(rng.integers(1, 9)), int(rng.integers(1, 9)))
    x = rng.integers(-255, 256, (batch, height, width, channels))
    weights = rng.integers(-255, 256, (filters, kernel_h, kernel_w, channels))
    y = np.zeros((batch, full[0] + 20, full[1] + 20, filters), np.int64)
    for row, column, tap_h, tap_w in np.ndindex(height, width, kernel_h, kernel_w):
        y[:, row * down + tap_h, column * across + tap_w] += x[:, row, column] @ weights[:, tap_h, tap_w].T
    y = y[:, top : top + size[0], left : left + size[1]]
    shape = Shape((kernel_h, kernel_w), (down, across), (1, 1), (top, 0, left, 0), 1, True, size)
    account = run_steps(x, weights, 0, shape, 3, (32, "wrap"), (32, "wrap"))
    assert account.accumulators.reshape(y.shape).tolist() == y.tolist()


def test_many_events_of_one_register():
    """More than 255, past which a byte would not count."""
    k = 700
    x, weights = np.full((1, 1, 1, k), 255), np.full((2, 1, 1, k), -255)
    for mode in ("wrap", "saturate"):
        account = run_steps(x, weights, 0, Shape(), 0, None, (8, mode))
        assert account.accumulator.events.tolist() == [k, k]
        assert account.first_event == (0, 0, "accumulator")


def test_sums_that_int64_might_not_hold_are_refused():
    with pytest.raises(AssertionError, match="may not fit"):
        run_steps(np.full((1, 1, 1, 2), 1), np.full((1, 1, 1, 2), 1), 1 << 62, Shape(), 0, None, (32, "wrap"))
