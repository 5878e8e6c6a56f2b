"""A small run of the proof program, and what makes its cases worth something: the same anywhere, and hard."""

from __future__ import annotations

import numpy as np
import pytest

from proof import prove as program
from proof.cases import draw
from proof.judge import Outcome, Variant, Verdict, judge, twin_of
from proof.prove import Tally, report

SEED, MACS, MOST_MACS = 20_000, 2e7, 1_500_000


@pytest.fixture(scope="module")
def tally() -> Tally:
    tally, seed = Tally(), SEED
    while tally.macs < MACS:
        tally.add(judge(draw(seed, MOST_MACS)))
        seed += 1
    return tally


@pytest.mark.slow
def test_nothing_differs(tally):
    assert [str(verdict.case) + "\n" + "\n".join(verdict.differences) for verdict in tally.failures] == []
    assert tally.macs >= MACS


@pytest.mark.slow
def test_the_run_meets_every_kind_of_layer(tally):
    """Both dataflows, both modes, layers with and without events, every generator of data."""
    assert {key[1] for key in tally.by_register} == {"os", "ws"}
    assert {key[3] for key in tally.by_register} >= {"wrap", "saturate", "wrap/saturate", "saturate/wrap"}
    assert {key[2] for key in tally.by_register} >= {"8-12", "13-16", "17-24", "25-32"}
    assert 0.3 < tally.affected_layers / tally.layers < 0.9
    assert {key[0] for key in tally.by_ledger} == {"fast", "affected", "exact", "channels", "sweep"}
    assert len(tally.by_data) == len(program.DATA_WORDS)


def test_a_seed_is_one_case():
    for seed in range(5):
        first, again = draw(seed), draw(seed)
        assert str(first) == str(again)
        for name in ("x", "weights", "bias"):
            np.testing.assert_array_equal(getattr(first, name), getattr(again, name))


def test_the_bends_reach_the_rails():
    """Steered outputs overflow by one: their exact extremes are the register's ends, or one beyond."""
    at_rails = 0
    for seed in range(400):
        case = draw(seed, 100_000)
        if case.data[1] != "touching" or case.data[2] != "none" or case.bias is None or case.bias.ndim > 1:
            continue
        account = twin_of(case)
        low, high = -(1 << (case.accumulator[0] - 1)), (1 << (case.accumulator[0] - 1)) - 1
        touched = (account.accumulator.greatest - high) * (account.accumulator.greatest - high - 1) == 0
        touched |= (low - account.accumulator.least) * (low - account.accumulator.least - 1) == 0
        at_rails += bool(touched.all())
    assert at_rails > 20


def test_a_case_can_be_replayed_alone(capsys):
    assert program.main(["--case", f"20001/{MOST_MACS}"]) == 0
    assert str(draw(20001, MOST_MACS)) in capsys.readouterr().out


def test_the_report_names_what_differed():
    variant = Variant("fast", 1)
    outcome = Outcome(variant, "stepped", 10, 3, ("events is 4, the twin says 3",))
    tally = Tally()
    tally.add(Verdict(draw(SEED), 3, 7, (outcome,)))
    text = report(tally, "title")
    assert "1 layers differ" in text
    assert f"replay: --case {SEED}" in text
    assert "events is 4" in text


def test_real_layers_are_left_out_with_a_reason(monkeypatch, capsys):
    monkeypatch.delenv("BITTRUE_ASSETS", raising=False)
    assert program.main(["--macs", "1e5"]) == 0
    assert "BITTRUE_ASSETS names no folder" in capsys.readouterr().out


@pytest.mark.assets
def test_real_layers(assets):
    from proof.real import MODELS, layers_of, real_case

    for model in ("person_detect_qdimfix", "vww_96_int8"):
        assert model in MODELS
        for index in range(0, len(layers_of(model)), 9):
            assert judge(real_case(f"real:{model}:{index}:1")).differences == []


def test_arguments_for_a_child_leave_the_log_to_the_parent():
    assert program._without_log(["--log", "a", "--macs", "3", "--log=b"]) == ["--macs", "3"]
