"""Layers run once more as they ran before: the same bits, and only where nothing but the activations has changed."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from simulator.execution import array
from simulator.execution.context import ExecutionContext
from simulator.graph.ops import Conv2D, Padding
from simulator.kernels import isa
from simulator.kernels.threads import thread_count
from simulator.numerics.formats import INT8, UINT8
from simulator.records.overflow import NORMS
from support.array_layers import Quant, lower_layer, machine
from support.array_twin import Shape
from support.array_twin import run_array as run_twin
from support.requantize_twin import requantize

SETS = [name for name in (*isa.available(), "emulated-avx512vnni") if name != isa.PLAIN]
if isa.available() == (isa.PLAIN,):
    pytest.skip("no tiles without a compiler", allow_module_level=True)

WIDE = (1, None, (32, "wrap"))


class Case:
    """A convolution of 20 channels, or of 16 without a border, and how often its proof was made."""

    def __init__(self, monkeypatch, *, pointwise: bool = False, registers=WIDE, requantizer="float32") -> None:
        self.rng = np.random.default_rng(4)
        self.format, self.zero = (UINT8, 7) if pointwise else (INT8, -9)
        self.channels, taps = (16, 1) if pointwise else (20, 3)
        border = (0, 0, 0, 0) if pointwise else (1, 1, 1, 1)
        self.weights = self.rng.integers(-100, 101, (70, taps, taps, self.channels)).astype(np.int8)
        self.bias = self.rng.integers(-999, 999, 70).astype(np.int32)
        self.shape, op = Shape((taps, taps), padding=border), Conv2D(padding=Padding(*border))
        quant = Quant(self.format, x_zero=self.zero, y_zero=3, y_scale=25.0)
        self.layer = lower_layer(op, self.x(), self.weights, self.bias, quant, machine(*registers, requantizer))
        self.context, self.proofs = ExecutionContext(), 0
        prove = array.prove

        def counted(*given, **named):
            self.proofs += 1
            return prove(*given, **named)

        monkeypatch.setattr(array, "prove", counted)

    def x(self, greatest: int = 90) -> np.ndarray:
        """Activations that reach from -100 (unsigned: 28) to `greatest` (128 more)."""
        x = self.rng.integers(-100, greatest + 1, (1, 9, 11, self.channels))
        x[0, 4, 3, :2] = -100, greatest
        return (x + (0 if self.format.signed else 128)).astype(self.format.dtype)

    def run(self, x, context: ExecutionContext | None = None, bias=None):
        given = [x, self.weights, self.bias if bias is None else bias]
        return array.run_array(self.layer, given, context or self.context)

    def check(self, x, result) -> None:
        """Outputs are those of the twin, the ledger that of a layer which never ran before."""
        centred = x.astype(np.int64) - self.zero, self.weights.astype(np.int64)
        twin = run_twin(*centred, self.bias, self.shape, *WIDE)
        accumulators = twin.accumulators.reshape(-1, 70)
        values, clipped = requantize(accumulators, 32, self.layer.constants.requantizer)
        np.testing.assert_array_equal(result.outputs[0].reshape(values.shape), values)
        assert result.overflow.saturations == clipped
        assert clipped > 0
        before = self.proofs
        assert result.overflow == self.run(x, ExecutionContext()).overflow
        self.proofs = before


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("pointwise", [False, True], ids=["bordered", "its own image"])
def test_activations_of_the_same_range_need_no_proof(monkeypatch, name, threads, pointwise):
    monkeypatch.setenv(isa.VARIABLE, name)
    case = Case(monkeypatch, pointwise=pointwise)
    with thread_count(threads):
        results = [(x, case.run(x)) for x in (case.x(), case.x(), case.x())]
        assert case.proofs == 1
        for x, result in results:  # after all have run: no output is another's, nor an input
            case.check(x, result)
            assert not any(np.shares_memory(result.outputs[0], other) for other, _ in results)


@pytest.mark.parametrize("pointwise", [False, True], ids=["bordered", "its own image"])
def test_another_range_is_proved_and_remembered(monkeypatch, pointwise):
    case = Case(monkeypatch, pointwise=pointwise)
    for proofs, greatest in enumerate((90, 40, 91), start=1):
        for _ in range(2):
            x = case.x(greatest)
            case.check(x, case.run(x))
            assert case.proofs == proofs


def test_what_else_may_change_is_noticed(monkeypatch):
    case, last, proofs = Case(monkeypatch), 0, 0
    for threads in (None, 1, 2):
        with thread_count(threads) as used:
            x = case.x()
            case.check(x, case.run(x))
            proofs += used != last  # the same count, on some machines
            assert case.proofs == proofs
            last = used
    monkeypatch.setenv(isa.VARIABLE, "emulated-avx512vnni")
    before, x = case.proofs, case.x()
    case.check(x, case.run(x))
    assert case.proofs == before + 1


def test_a_bias_of_its_own_is_never_taken_for_another(monkeypatch):
    """It is no constant of the layer, so that nothing of the run is kept."""
    case = Case(monkeypatch)
    x, zeros = case.x(), np.zeros(70, np.int32)
    plain = case.run(x, bias=zeros).outputs[0]
    result = case.run(x)
    case.check(x, result)
    assert not np.array_equal(plain, result.outputs[0])


def test_ledgers_that_are_measured_are_measured_again(monkeypatch):
    case = Case(monkeypatch)
    x = case.x()
    bound = case.run(x).overflow
    exact = case.run(x, ExecutionContext(exact_ledger=True, repeats=case.context.repeats)).overflow
    assert not bound.needed_bits_is_exact
    assert exact.needed_bits_is_exact


def test_events_are_counted_again(monkeypatch):
    case = Case(monkeypatch, registers=(1, None, (14, "saturate")))
    results = [case.run(case.x()) for _ in range(2)]
    assert all(result.overflow.events for result in results)
    assert case.proofs == 2


def test_views_in_another_order_are_brought_in_order(monkeypatch):
    case = Case(monkeypatch)
    x = case.x()
    case.run(x)
    turned = np.asfortranarray(x)
    case.check(x, case.run(turned))


def test_several_callers_at_once(monkeypatch):
    case = Case(monkeypatch)
    images = [case.x() for _ in range(8)]
    case.run(images[0])
    found = {}

    def work(number: int) -> None:
        with thread_count(1):
            found[number] = [case.run(images[number]).outputs[0] for _ in range(5)]

    callers = [threading.Thread(target=work, args=(number,)) for number in range(len(images))]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    for number, x in enumerate(images):
        for values in found[number]:
            np.testing.assert_array_equal(values, case.run(x, ExecutionContext()).outputs[0])


def test_what_norms_cleared_is_proved_again(monkeypatch):
    """Activations of one range may have any norm: here nearly all are 0, then they go with the signs of a filter."""
    case = Case(monkeypatch, registers=(1, None, (20, "saturate")))
    sparse = np.full((1, 9, 11, case.channels), case.zero, case.format.dtype)
    sparse[0, 4, 3, :2] = -100, 90
    assert case.run(sparse).overflow.method == NORMS
    aligned = sparse.copy()
    aligned[0, 3:6, 2:5] = np.where(case.weights[0] > 0, 90, -100)
    result, fresh = case.run(aligned), case.run(aligned, ExecutionContext())
    assert fresh.overflow.events
    assert result.overflow == fresh.overflow
    np.testing.assert_array_equal(result.outputs[0], fresh.outputs[0])
