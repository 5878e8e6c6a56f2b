"""Raw sums that are written past the caches are those that are not."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.execution import array_tiles
from simulator.graph.ops import Conv2D, Padding
from simulator.kernels import isa
from simulator.numerics.formats import INT8, IntFormat
from support import training_step_twin as twin
from support.array_layers import Quant, machine, run_layer


@pytest.mark.parametrize(("groups", "filters"), [(1, 96), (1, 80), (1, 70), (2, 32), (2, 24)])
@pytest.mark.parametrize("name", [*isa.available(), "emulated-avx512vnni", "emulated-avx2"])
def test_streamed_sums(name, groups, filters, monkeypatch):
    monkeypatch.setenv(isa.VARIABLE, name)
    monkeypatch.setattr(array_tiles, "STREAMED_BYTES", 1)
    rng = np.random.default_rng(filters)
    x = rng.integers(-128, 128, (2, 21, 20, 6 * groups)).astype(np.int8)
    w = rng.integers(-127, 128, (filters * groups, 3, 3, 6)).astype(np.int8)
    bias = rng.integers(-9000, 9000, filters * groups).astype(np.int32)
    op = Conv2D((1, 1), Padding(1, 1, 1, 1), groups=groups, raw_accumulator=True)
    result = run_layer(op, x, w, bias, Quant(INT8, INT8, IntFormat(32)), machine(1, None, (32, "wrap")))
    single = Conv2D((1, 1), Padding(1, 1, 1, 1), raw_accumulator=True)
    parts = zip(np.split(x, groups, axis=3), np.split(w, groups), strict=True)
    expected = np.concatenate([twin.convolve(*part, single) for part in parts], axis=3) + bias
    np.testing.assert_array_equal(result.outputs[0], expected)
