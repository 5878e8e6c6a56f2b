"""Transposed convolutions, requantized on the way, whose phases are not all for the same kernel."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.graph.ops import Padding, TransposeConv2D
from simulator.kernels import isa
from simulator.numerics.formats import INT8, INT16
from support.array_layers import Quant, machine, run_layer
from support.array_twin import Shape
from support.array_twin import run_array as run_twin

REGISTERS = (1, None, (32, "wrap"))


@pytest.mark.parametrize("name", isa.available())
@pytest.mark.parametrize("filters", [3, 50])
@pytest.mark.parametrize("wide_tap", [0, 1])
def test_tiles_take_one_phase_and_not_the_other(name, filters, wide_tap, monkeypatch):
    """17-bit weights under one tap of a filter: vector kernels have no room for them, and requantize the others."""
    monkeypatch.setenv(isa.VARIABLE, name)
    rng = np.random.default_rng(filters + wide_tap)
    x = rng.integers(-3, 4, (2, 4, 3, 5)).astype(np.int8)
    w = (-32768 + rng.integers(0, 9, (filters, 3, 1, 5))).astype(np.int16)
    w[:, wide_tap::2] = 32767 - rng.integers(0, 9, w[:, wide_tap::2].shape)
    op = TransposeConv2D((2, 1), (9, 3), Padding(0, 0, 0, 0))
    quant = Quant(INT8, INT16, INT8, w_zero=-32768, y_scale=0.5 * 0.25 * 2**7)
    result = run_layer(op, x, w, None, quant, machine(*REGISTERS))
    shape = Shape((3, 1), (2, 1), transposed=True, output_size=(9, 3))
    twin = run_twin(x.astype(np.int64), w.astype(np.int64) + 32768, 0, shape, *REGISTERS)
    expected = np.clip((twin.accumulators + 64) // 128, -128, 127).astype(np.int64)
    np.testing.assert_array_equal(result.outputs[0].reshape(expected.shape), expected)
    exact = (twin.accumulators.astype(np.int64) + 64) // 128
    assert result.overflow.saturations == int((exact != expected).sum())
