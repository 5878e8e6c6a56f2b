"""Power-of-two requantizers on vectors and on scalars: the same outputs and counts, and those of Python ints."""

from __future__ import annotations

import numpy as np
import pytest

import bittrue
from simulator.execution import requantize as requantizing
from simulator.execution.fused import fuse
from simulator.kernels import isa
from simulator.numerics.formats import INT8, UINT8, IntFormat
from simulator.numerics.modes import RequantizerKind, RoundingMode
from simulator.numerics.quant import RequantParams
from simulator.numerics.scalar import requantize
from support.small_nets import exact_network
from workloads.images import prepare_image

KEY = np.zeros(3, np.uint64)


@pytest.mark.parametrize("instruction_set", [*isa.available(), "emulated-avx512vnni"])
@pytest.mark.parametrize("format", [INT8, UINT8, IntFormat(4), IntFormat(2)])
def test_shifts_of_each_channel_are_the_same_on_vectors(instruction_set, format, monkeypatch):
    exponent = -np.array([0, 1, 2, 5, 7, 8, 11, 15, 20, 24, 30, 31] * 3, np.int64)
    ones = np.ones_like(exponent)
    params = RequantParams(
        *(RequantizerKind.POWER_OF_TWO, RoundingMode.TIES_POS, ones, exponent, np.ones(36, np.float32)),
        *(1, format.min, format.max - 1),
    )
    assert fuse(params, format) is not None  # so vectors are taken
    rng = np.random.default_rng(5)
    ends = [-(2**31), 2**31 - 1, -1, 0, 1, -(2**30), 127, 128, -129]
    rows = np.array([*ends, *rng.integers(-(2**31), 2**31, 20)], np.int64)[:, None] >> rng.integers(0, 25, (1, 36))
    accumulators = np.ascontiguousarray(rows.astype(np.int32))
    monkeypatch.setenv(isa.VARIABLE, instruction_set)
    found, clipped = requantizing.requantize(accumulators, 32, params, format, KEY)
    expected = [
        [requantize(int(value), params, channel, 32) for channel, value in enumerate(row)] for row in accumulators
    ]
    np.testing.assert_array_equal(found, [[value for value, _ in row] for row in expected])
    assert clipped == sum(clip for row in expected for _, clip in row)


@pytest.mark.parametrize("bits", [{}, {"*": {"weight_bits": 4, "activation_bits": 5}}])
def test_a_network_has_the_same_bits_on_vectors_and_scalars(bits, monkeypatch):
    pixels = np.random.default_rng(11).integers(0, 256, (6, 7, 3), np.uint8)
    quantized = exact_network().quantize(pixels, scheme="power_of_two", bits=bits)
    accelerator = bittrue.load_accelerator("max78000_like")
    runs = {}
    for name in (isa.PLAIN, isa.available()[0], "emulated-avx512vnni"):
        monkeypatch.setenv(isa.VARIABLE, name)
        run = bittrue.simulate(quantized, accelerator, prepare_image(quantized, pixels), values_only=True)
        runs[name] = run.outputs["up"].tolist(), [layer.overflow.saturations for layer in run.layers]
    assert len({str(run) for run in runs.values()}) == 1
