"""Layers proved free of events from their sums at the ends of chunks of K, against the step-by-step twin."""

from __future__ import annotations

import numpy as np
import pytest
from test_array_steps import check_ledger, scaled

from simulator.execution import array, array_watched
from simulator.kernels import isa
from simulator.numerics.formats import INT8, UINT8
from support.array_layers import Quant, machine, operator, run_layer
from support.array_twin import Shape
from support.array_twin import run_array as run_twin

CHUNK_K = 16
NATIVE_OR_EMULATED = next((s for s in isa.available() if s in ("avx512vnni", "avxvnni")), "emulated-avx512vnni")

SHAPES = {
    "1x1": ((2, 4, 5, 200), 19, Shape()),
    "3x3": ((1, 5, 4, 21), 70, Shape((3, 3), padding=(1, 1, 1, 1))),
    "dilated": ((1, 7, 6, 33), 8, Shape((3, 2), dilation=(2, 3), padding=(2, 1, 2, 3))),
    "whole folds": ((1, 5, 4, 32), 70, Shape((3, 3), padding=(1, 0, 0, 1))),
    "folds across taps": ((1, 5, 4, 24), 9, Shape((3, 3), padding=(1, 0, 0, 1))),
    "taps passed over": ((1, 2, 20, 33), 9, Shape((2, 3), dilation=(1, 8), padding=(0, 1, 8, 8))),
    "groups": ((1, 5, 4, 42), 12, Shape((3, 3), groups=2, stride=(2, 1))),
}


@pytest.fixture
def proofs(monkeypatch) -> list[bool]:
    """Whether each attempt proved its layer; on a set with vpdpbusd, in short chunks."""
    found: list[bool] = []

    def run(*arguments):
        result = array_watched.run_watched(*arguments)
        found.append(result is not None)
        return result

    monkeypatch.setenv(isa.VARIABLE, NATIVE_OR_EMULATED)
    monkeypatch.setattr(array_watched, "_CHUNK_K", (CHUNK_K,))
    monkeypatch.setattr(array, "run_watched", run)
    return found


def check(x, weights, bias, shape: Shape, quant: Quant, registers) -> None:
    centred = x.astype(np.int64) - quant.x_zero, weights.astype(np.int64)
    twin = run_twin(*centred, bias, shape, *registers)
    accelerator = machine(*registers)
    result = run_layer(operator(shape), x, weights, bias, quant, accelerator)
    expected = scaled(twin.accumulators, quant).astype(np.int64)
    np.testing.assert_array_equal(result.outputs[0].reshape(expected.shape), expected)
    check_ledger(result.overflow, twin, accelerator)


@pytest.mark.parametrize("dataflow", [(1, None), (5, (20, "wrap")), (8, (24, "wrap")), (16, (32, "saturate"))], ids=str)
@pytest.mark.parametrize("name", SHAPES)
def test_proved_or_not_the_ledger_is_the_same(proofs, name, dataflow):
    """Registers from hopeless to safe: some are proved by their chunks, and none that has an event."""
    rng = np.random.default_rng(3)
    x_shape, filters, shape = SHAPES[name]
    for x_format, x_zero in ((UINT8, 9), (INT8, -128), (INT8, 50)):
        x = rng.integers(x_format.min, x_format.max + 1, x_shape).astype(x_format.dtype)
        weights = rng.integers(-128, 128, (filters, *shape.kernel, x_shape[3] // shape.groups)).astype(np.int8)
        bias = rng.integers(-3000, 3000, filters).astype(np.int32)
        for bits in range(15, 24):
            registers = (*dataflow, (bits, "wrap" if bits % 2 else "saturate"))
            check(x, weights, bias, shape, Quant(x_format, INT8, x_zero=x_zero, y_scale=4096.0), registers)
    assert True in proofs
    assert False in proofs


@pytest.mark.parametrize("over", [0, 1])
@pytest.mark.parametrize("at_end", [False, True], ids=["within a chunk", "at a chunk's end"])
def test_an_excursion_in_one_output_alone_is_seen(proofs, at_end, over):
    """Sums that touch the rail, or pass it by one, once, then come back: least cases on both sides."""
    channels, filters, peak = 5 * CHUNK_K, 70, 3 * CHUNK_K - (0 if at_end else 5)
    x = np.zeros((1, 3, 3, channels), np.int8)
    weights = np.zeros((filters, 1, 1, channels), np.int8)
    x[0, 1, 1] = 100
    weights[41, 0, 0, :peak] = 100
    weights[41, 0, 0, peak:-4] = -100
    weights[41, 0, 0, -4:] = 100  # all positive products together would pass the rail
    total = 10_000 * peak
    bits = total.bit_length() + 1
    bias = np.zeros(filters, np.int32)
    bias[41] = (1 << (bits - 1)) - 1 - total + over
    check(x, weights, bias, Shape(), Quant(y_scale=4096.0), (1, None, (bits, "saturate")))
    assert proofs == [not over]


@pytest.mark.parametrize("over", [0, 1])
def test_what_a_sum_held_before_it_passed_over_a_chunk_is_seen(proofs, over):
    """It stands below the rail while its tile has nothing to add, then leaves it by one within a chunk, and is back."""
    filters = 70
    x = np.full((1, 2, 20, CHUNK_K), -128, np.int8)
    x[0, :, 0] = 100 - 128
    weights = np.zeros((filters, 2, 3, CHUNK_K), np.int8)
    weights[41, 0, 1] = 50
    weights[41, 1, 1, : CHUNK_K // 2], weights[41, 1, 1, CHUNK_K // 2 :] = 50, -50
    weights[41, 1, 2, 0] = 1  # all positive products together would pass the rail
    peak, bits = 5_000 * (CHUNK_K + CHUNK_K // 2), 18
    bias = np.zeros(filters, np.int32)
    bias[41] = (1 << (bits - 1)) - 1 - peak + over
    shape = Shape((2, 3), dilation=(1, 8), padding=(0, 0, 8, 8))
    check(x, weights, bias, shape, Quant(x_zero=-128, y_scale=4096.0), (1, None, (bits, "saturate")))
    assert proofs == [not over]


@pytest.mark.parametrize("bits", [31, 32, 33, 64])
def test_wide_partial_sums_do_not_keep_narrow_accumulators_from_the_vectors(bits, monkeypatch):
    monkeypatch.setenv(isa.VARIABLE, NATIVE_OR_EMULATED)
    rng = np.random.default_rng(bits)
    x = rng.integers(-128, 128, (1, 4, 4, 40)).astype(np.int8)
    weights = rng.integers(-128, 128, (9, 3, 3, 40)).astype(np.int8)
    quant, shape, registers = Quant(y_scale=4096.0), Shape((3, 3)), (16, (bits, "wrap"), (17, "wrap"))
    twin = run_twin(x.astype(np.int64), weights.astype(np.int64), np.zeros(9, np.int64), shape, *registers)
    result = run_layer(operator(shape), x, weights, None, quant, machine(*registers))
    assert (result.overflow.method, twin.accumulator_events > 0) == ("guarded steps", True)
    check_ledger(result.overflow, twin, machine(*registers))
