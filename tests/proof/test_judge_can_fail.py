"""The judge reports what is wrong: one count, one value, one k, one width at a time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from proof import judge as judging
from proof.cases import Case, draw
from proof.judge import Variant, judge
from simulator.errors import OverflowTrap

FAST, RAW, CHANNELS = Variant("fast", 1), Variant("fast", 1, raw=True), Variant("channels", 1)


def affected_case(stationary: str = "ws") -> Case:
    """A small layer with events in every register that it has."""
    for seed in range(10_000):
        case = draw(seed, 30_000)
        if (case.partial_sum is None) != (stationary == "os"):
            continue
        account = judging.twin_of(case)
        registers = [account.accumulator, account.partial_sum] if case.partial_sum else [account.accumulator]
        if all(register.total_events > 0 for register in registers) and account.accumulators.size > 3:
            return case
    raise AssertionError("no case")


@pytest.fixture(scope="module")
def proved() -> Case:
    """A layer of 32-bit registers that no sum comes near."""
    for seed in range(10_000):
        case = draw(seed, 30_000)
        widths = [case.accumulator[0], (case.partial_sum or (32, ""))[0]]
        if widths == [32, 32] and case.partial_sum and judge(case, [FAST]).outcomes[0].path == "proved":
            return case
    raise AssertionError("no case")


@pytest.fixture(scope="module")
def ws() -> Case:
    return affected_case("ws")


@pytest.fixture
def mutate(monkeypatch):
    """Let the product's results be changed by a function before the judge sees them."""

    def install(change) -> None:
        honest = judging.run_array
        monkeypatch.setattr(judging, "run_array", lambda *arguments: change(honest(*arguments)))

    return install


def counted(**changes):
    """Change fields of the ledger: numbers are added, functions applied."""

    def change(result):
        record = result.overflow
        changed = {
            name: by(getattr(record, name)) if callable(by) else getattr(record, name) + by
            for name, by in changes.items()
        }
        return replace(result, overflow=replace(record, **changed))

    return change


def test_an_honest_result_passes(ws, proved):
    assert judge(ws, [FAST, RAW, CHANNELS]).differences == []
    assert judge(proved, [FAST, RAW]).differences == []


@pytest.mark.parametrize(
    "field",
    [
        *("events", "accumulator_events", "partial_sum_events", "affected_outputs", "saturations"),
        *("needed_bits", "accumulator_needed_bits", "partial_sum_needed_bits", "accumulator_bits", "partial_sum_bits"),
    ],
)
@pytest.mark.parametrize("by", [1, -1])
def test_a_count_off_by_one(mutate, ws, field, by):
    mutate(counted(**{field: by}))
    named = [line.split(": ", 1)[1] for line in judge(ws, [FAST]).differences]
    assert any(line.startswith(f"{field} is ") for line in named)


@pytest.mark.parametrize(
    "change",
    [
        lambda first: first._replace(k=first.k + 1),
        lambda first: first._replace(output=first.output + 1),
        lambda first: first._replace(register="partial_sum" if first.register == "accumulator" else "accumulator"),
        lambda _: None,
    ],
)
def test_another_first_event(mutate, ws, change):
    mutate(counted(first_event=change))
    assert "first_event" in " ".join(judge(ws, [FAST]).differences)


@pytest.mark.parametrize("variant", [FAST, RAW])
@pytest.mark.parametrize("where", [0, -1])
def test_one_value(mutate, ws, variant, where):
    def change(result):
        (output,) = result.outputs
        output = output.copy()
        output.reshape(-1)[where] ^= 1
        return replace(result, outputs=(output,))

    mutate(change)
    (line,) = judge(ws, [variant]).differences
    assert "output: 1 of" in line


def test_another_dtype_and_shape(mutate, ws):
    mutate(lambda result: replace(result, outputs=(result.outputs[0].astype(np.int64),)))
    assert "dtype of the output" in " ".join(judge(ws, [FAST]).differences)
    mutate(lambda result: replace(result, outputs=(result.outputs[0][None],)))
    assert "has shape" in " ".join(judge(ws, [FAST]).differences)


@pytest.mark.parametrize("register", ["accumulator", "partial_sum"])
@pytest.mark.parametrize("field", ["events", "least", "greatest", "needed_bits"])
def test_one_channel(mutate, ws, register, field):
    def change(result):
        changed = getattr(result.channels, register)
        array = getattr(changed, field).copy()
        array[-1] += 1
        changed = replace(changed, **{field: array})
        return replace(result, channels=replace(result.channels, **{register: changed}))

    mutate(change)
    assert f"{register}.{field}: 1 of" in " ".join(judge(ws, [CHANNELS]).differences)


def test_channels_left_out(mutate, ws):
    mutate(lambda result: replace(result, channels=None))
    assert "whether channels are given" in " ".join(judge(ws, [CHANNELS]).differences)


def test_a_bound_that_is_too_low(mutate, proved):
    needed = judging.twin_of(proved).accumulator.needed_bits
    mutate(counted(accumulator_needed_bits=lambda _: needed - 1))
    assert "is bounded by" in " ".join(judge(proved, [FAST]).differences)


def test_a_bound_that_cries_wolf(mutate, proved):
    mutate(counted(accumulator_needed_bits=lambda _: 33, needed_bits=lambda _: 33))
    assert "whether a bound exceeds its register" in " ".join(judge(proved, [FAST]).differences)


def test_a_bound_that_claims_to_be_exact(mutate, proved):
    mutate(counted(accumulator_needed_bits=1, needed_bits_is_exact=lambda _: True))
    assert "accumulator_needed_bits" in " ".join(judge(proved, [FAST]).differences)


def test_an_exact_ledger_that_is_a_bound(mutate, ws):
    mutate(counted(needed_bits_is_exact=lambda _: False))
    assert "needed_bits_is_exact" in " ".join(judge(ws, [Variant("exact", 1)]).differences)


def test_an_input_that_was_written_to(monkeypatch, ws):
    honest = judging.run_array

    def run(layer, arrays, context):
        result = honest(layer, arrays, context)
        arrays[0].reshape(-1)[0] ^= 1
        return result

    monkeypatch.setattr(judging, "run_array", run)
    case = replace(ws, x=ws.x.copy())
    assert "x after the run" in " ".join(judge(case, [FAST]).differences)


def test_an_error_is_a_difference(mutate, ws):
    def change(_):
        raise ZeroDivisionError("oh")

    mutate(change)
    assert judge(ws, [FAST]).differences == [f"{FAST}: ZeroDivisionError: oh"]


def test_a_sweep_that_swaps_two_widths(monkeypatch, ws):
    assert [line for outcome in judging.sweep(ws) for line in outcome.differences] == []
    honest = judging.run_layer_on_all

    def run(*arguments):
        first, second, *others = honest(*arguments)
        return [second, first, *others]

    monkeypatch.setattr(judging, "run_layer_on_all", run)
    assert "at 8 bits" in " ".join(line for outcome in judging.sweep(ws) for line in outcome.differences)


def trapping_case() -> Case:
    case = affected_case("os")
    return replace(case, accumulator=(case.accumulator[0], "wrap"))


def test_a_trap_at_another_place(monkeypatch):
    case, trap = trapping_case(), Variant("fast", 1, trap=True)
    assert judge(case, [trap]).differences == []
    honest = judging.run_array

    def run(*arguments):
        try:
            return honest(*arguments)
        except OverflowTrap as event:
            raise OverflowTrap(event.layer, event.output, event.k + 1, event.register, event.bits) from None

    monkeypatch.setattr(judging, "run_array", run)
    assert "the event is" in " ".join(judge(case, [trap]).differences)


def test_a_trap_that_does_not_go_off(monkeypatch):
    case = trapping_case()
    layer = judging.lowered(case, FAST)
    honest = judging.run_array
    monkeypatch.setattr(judging, "run_array", lambda _, *arguments: honest(layer, *arguments))
    assert "whether the run stops" in " ".join(judge(case, [Variant("fast", 1, trap=True)]).differences)
