"""Layers run for their affected outputs alone, against the step-by-step twin: each way to step them."""

from __future__ import annotations

import numpy as np
import pytest
from test_array_steps import check_ledger

from simulator.execution import array_guarded
from simulator.execution.context import ExecutionContext
from simulator.graph.ops import FullyConnected
from simulator.kernels import isa
from simulator.kernels.guarded_tile import CELLS, COUNTED_WORDS, FLAGGED_WORDS, STICKY_CELLS, STICKY_TILE
from simulator.numerics.formats import INT8, UINT8, IntFormat
from support.array_layers import Quant, machine, operator, raw_gemm, run_layer
from support.array_twin import Shape
from support.array_twin import run_array as run_twin

PAIRED = next((s for s in isa.available() if s in ("avx512vnni", "avxvnni")), "emulated-avx512vnni")
UNPAIRED = "avx2" if "avx2" in isa.available() else "emulated-avx2"
SHAPE = Shape((3, 3), padding=(1, 1, 0, 1))
AFFECTED = ExecutionContext(event_counts=False)


@pytest.fixture
def steppings(monkeypatch) -> list[str]:
    """How each layer was stepped."""
    found: list[str] = []
    choose = array_guarded._stepping

    def record(*arguments, **keywords):
        stepping = choose(*arguments, **keywords)
        found.append(stepping.kernel)
        return stepping

    monkeypatch.setattr(array_guarded, "_stepping", record)
    return found


DEVIATION = {18: 100, 17: 60, 16: 30, 12: 4}
"""Of the weights: so that some outputs are affected, and not all."""


def _layer(bits: int, filters: int):
    rng = np.random.default_rng(bits)
    x = rng.integers(0, 256, (2, 6, 5, 24), dtype=np.uint8)
    weights = np.clip(rng.normal(0, DEVIATION[bits], (filters, 3, 3, 24)), -128, 127).astype(np.int8)
    return x, weights, rng.integers(-1500, 1500, filters, dtype=np.int32)


@pytest.mark.parametrize("name", [PAIRED, UNPAIRED])
@pytest.mark.parametrize("filters", [70, 9])
@pytest.mark.parametrize("mode", ["saturate", "wrap"])
@pytest.mark.parametrize("bits", [18, 17, 16, 12])
@pytest.mark.parametrize("rows", [0, 40])
def test_values_and_affected_outputs(monkeypatch, steppings, name, filters, mode, bits, rows):
    monkeypatch.setenv(isa.VARIABLE, name)
    x, weights, bias = _layer(bits, filters)
    quant = Quant(x_format=UINT8, w_format=INT8, x_zero=100)
    partial, accumulator = ((bits, mode), (20, "wrap")) if rows else (None, (bits, mode))
    twin = run_twin(x.astype(np.int64) - 100, weights.astype(np.int64), bias, SHAPE, rows or 1, partial, accumulator)
    assert twin.affected_outputs < twin.accumulators.size
    assert rows or twin.affected_outputs
    device = machine(rows or 1, partial, accumulator)
    counted = run_layer(operator(SHAPE), x, weights, bias, quant, device)
    found = run_layer(operator(SHAPE), x, weights, bias, quant, device, AFFECTED)
    np.testing.assert_array_equal(found.outputs[0], counted.outputs[0])
    check_ledger(counted.overflow, twin, device)
    assert found.overflow == counted.overflow.without_counts()
    assert found.overflow.affected_outputs == twin.affected_outputs
    assert (found.overflow.events is None) == (twin.affected_outputs > 0)
    sticky = STICKY_TILE if mode == "saturate" else STICKY_CELLS
    words = COUNTED_WORDS if bits == 16 else CELLS
    affected = FLAGGED_WORDS if bits <= 16 else sticky if name == PAIRED else CELLS
    assert steppings == [words, affected]


def test_events_at_both_rails_of_a_block_that_cancel_are_seen(monkeypatch, steppings):
    """One beyond each rail within a block: the register ends at the exact sum, and was affected."""
    monkeypatch.setenv(isa.VARIABLE, PAIRED)
    products = [(1, 1), (255, -128), (255, -128), (1, -128), (1, -128)]
    x = np.array([[a for a, _ in products]], np.int16)
    weights = np.array([[w for _, w in products]], np.int8)
    quant, bias = Quant(x_format=IntFormat(9), w_format=INT8), np.array([(1 << 15) - 1], np.int32)
    op, device = FullyConnected(raw_accumulator=True), machine(1, None, (16, "saturate"))
    result = run_layer(op, x, weights, bias, quant, device, AFFECTED)
    assert steppings == [FLAGGED_WORDS]
    assert int(result.outputs[0].item()) == int(bias[0]) + sum(a * w for a, w in products) == -(1 << 15)
    assert result.overflow.affected_outputs == 1
    assert result.overflow.first_event == (0, 0, "accumulator")


def test_where_nothing_is_affected_counts_are_zero():
    ones = np.ones((2, 8), np.int8), np.ones((3, 8), np.int8)
    result = raw_gemm(*ones, None, machine(1, None, (16, "wrap")))
    assert result.overflow.without_counts() is result.overflow
    assert result.overflow.events == 0
