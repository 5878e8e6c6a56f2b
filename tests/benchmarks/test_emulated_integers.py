"""The imitation of integer quantizers in float32 lies on the grids of their specification."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from benchmarks.emulated_integers import EmulatedPart, on_scale, stochastic_on_scale
from simulator.numerics.training_quant import scale_quantize
from simulator.numerics.training_scale import ScaleRule
from workloads.training.config import preset


@pytest.mark.parametrize("bits", [4, 8])
def test_values_lie_where_the_specification_puts_them(bits):
    values = np.random.default_rng(bits).integers(-3000, 3001, 500)
    steps, (mantissa, exponent) = scale_quantize(values.tolist(), (1, 0), bits, ScaleRule.MAX)
    found = on_scale(torch.tensor(values, dtype=torch.float64), bits)
    np.testing.assert_allclose(found.numpy(), np.array(steps) * mantissa * 2.0**exponent, rtol=1e-12)


def test_stochastic_rounding_keeps_the_mean():
    torch.manual_seed(0)
    x = torch.full((200_000,), 0.3, dtype=torch.float64)
    x[0] = 1.0
    mean = stochastic_on_scale(x, 3)[1:].mean().item()  # steps of 1/4: 0.3 is 1.2 steps
    assert mean == pytest.approx(0.3, abs=5 * 0.25 * 0.4 / 200_000**0.5)


def test_errors_are_quantized_on_their_way_back():
    part = EmulatedPart(("conv",), preset("e2_8"), {"conv.weight": -7})
    assert part.holds("conv1")
    assert not part.holds("fc6")
    x = torch.linspace(-1, 1, 9, dtype=torch.float64, requires_grad=True)
    error = torch.linspace(0.1, 1, 9, dtype=torch.float64)
    part.sums(x).backward(error)
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), on_scale(error, 8).numpy())
    assert part.weights("conv.weight", torch.tensor([0.5, 0.0039, 2.0])).tolist() == [0.5, 0.0, 127 / 128]
