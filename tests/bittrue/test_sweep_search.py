"""Searches: points chosen from results, the same with any engine and after any stop."""

from __future__ import annotations

import sys

import pytest

import bittrue
from bittrue.sweeping.engines import InProcess, Processes
from bittrue.sweeping.evaluate import Outcome
from bittrue.sweeping.points import design_points
from bittrue.sweeping.search import Search
from bittrue.sweeping.space import Space
from simulator.errors import InputError, SpecError
from support.sweep_evaluators import NOTES, evaluated_keys, noted

pytest.importorskip("optuna")

SIDES = list(range(8, 136, 8))


def space(**changes) -> Space:
    data = {
        "name": "searched",
        "accelerator": "edge_32x32",
        "networks": [{"network": "unet", "size": 32, "width": 0.125}],
        "fixed": {"mapper": "fixed_rule"},
        "vary": {"array.rows": SIDES, "array.cols": SIDES, "vector_unit.lanes": SIDES},
        "method": "nsga2",
        "points": 30,
        **changes,
    }
    return Space.model_validate(data)


def grid_of(searched: Space) -> Space:
    return searched.model_copy(update={"method": "grid", "points": None})


def made_up(point) -> Outcome:
    """Return two figures in conflict along array.rows alone; every other key away from its first value costs both."""
    rows, cols, lanes = (SIDES.index(value) for value in list(point.changes.values())[-3:])
    waste = cols + lanes
    return Outcome(point.key, {"total_time_s": 1.0 + 15 - rows + waste, "total_energy_pj": 1.0 + rows + waste})


@pytest.mark.parametrize("method", ["nsga2", "tpe"])
def test_a_search_finds_more_of_the_front_than_a_draw(tmp_path, method):
    wastes = {method: [], "random": []}
    for seed in range(3):
        for way in wastes:
            found = bittrue.sweep(space(method=way, points=96, seed=seed), tmp_path / f"{way}{seed}", evaluate=made_up)
            assert len(found.points) == 96
            # On the true front both figures sum up to 17.
            sums = [sum(p.figures.values()) - 17 for p in found.front(found.networks[0])]
            wastes[way].append(sum(sums) / len(sums))
    assert sum(wastes[method]) < sum(wastes["random"]) * 2 / 3


@pytest.mark.parametrize("method", ["nsga2", "tpe"])
def test_points_are_different_points_of_the_space_and_always_the_same(tmp_path, method):
    first = bittrue.sweep(space(method=method), tmp_path / "a", evaluate=made_up)
    again = bittrue.sweep(space(method=method), tmp_path / "b", evaluate=made_up)
    other = bittrue.sweep(space(method=method, seed=1), tmp_path / "c", evaluate=made_up)
    keys = [p.key for p in first.points]
    assert [p.key for p in again.points] == keys
    assert [p.key for p in other.points] != keys
    assert len(set(keys)) == 30
    assert set(keys) <= {p.key for p in design_points(grid_of(space())).points}


class _Stopped(BaseException):
    """Stands for Ctrl-C."""


def test_a_stopped_search_goes_on_as_if_nothing_had_happened(tmp_path, monkeypatch):
    notes = tmp_path / "notes"
    notes.mkdir()
    monkeypatch.setenv(NOTES, str(notes))
    whole = bittrue.sweep(space(), tmp_path / "whole", evaluate=made_up)

    def stops(point):
        if len(evaluated_keys(notes)) == 13:
            raise _Stopped
        noted(point)
        return made_up(point)

    with pytest.raises(_Stopped):
        bittrue.sweep(space(), tmp_path / "out", evaluate=stops)

    def goes_on(point):
        noted(point)
        return made_up(point)

    found = bittrue.sweep(space(), tmp_path / "out", evaluate=goes_on)
    assert [(p.key, p.figures) for p in found.points] == [(p.key, p.figures) for p in whole.points]
    assert sorted(evaluated_keys(notes)) == sorted(p.key for p in whole.points)


def test_engines_ask_the_same(tmp_path):
    one = bittrue.sweep(space(method="tpe", points=12), tmp_path / "a", InProcess())
    two = bittrue.sweep(space(method="tpe", points=12), tmp_path / "b", Processes(2))
    assert [(p.key, p.figures) for p in one.points] == [(p.key, p.figures) for p in two.points]
    assert len(one.evaluated) == 12


def _told(point) -> Outcome:
    noted(point)
    return made_up(point)


def test_the_rounds_of_a_search_share_one_session_and_none_is_begun_for_nothing(tmp_path, monkeypatch):
    notes = tmp_path / "notes"
    notes.mkdir()
    monkeypatch.setenv(NOTES, str(notes))
    begun = []

    class Counted(Processes):
        def session(self):
            begun.append(self)
            return super().session()

    bittrue.sweep(space(), tmp_path / "out", Counted(2), evaluate=_told)
    assert len(evaluated_keys(notes)) == 30
    assert len(list(notes.glob("done-*"))) <= 2  # one note a process
    bittrue.sweep(space(), tmp_path / "out", Counted(2), evaluate=_told)
    assert len(begun) == 1


def _fails(point) -> Outcome:
    return Outcome(point.key, error="no") if point.changes["array.rows"] > 64 else made_up(point)


def test_points_that_fail_or_are_left_out_do_not_end_a_search(tmp_path):
    found = bittrue.sweep(space(), tmp_path / "a", evaluate=_fails)
    assert found.quarantined
    assert {p.attempts for p in found.quarantined} == {2}
    assert len(found.evaluated) + len(found.quarantined) == 30
    limited = space(constraints={"processing_elements": {"most": 2000}, "total_time_s": {"most": 20}})
    found = bittrue.sweep(limited, tmp_path / "b", evaluate=made_up)
    assert found.outside > 0
    assert all(p.changes["array.rows"] * p.changes["array.cols"] <= 2000 for p in found.points)
    assert all(p.figures["total_time_s"] <= 20 for p in found.front(found.networks[0]))


def test_a_small_space_is_seen_whole(tmp_path):
    small = space(vary={"array.rows": [8, 16], "array.cols": [8, 16]}, points=4)
    found = bittrue.sweep(small, tmp_path, evaluate=lambda p: Outcome(p.key, dict.fromkeys(small.objectives, 1.0)))
    assert len(found.points) == 4


def test_searches_that_cannot_be():
    with pytest.raises(SpecError, match="5000 points to try, the space has 4096; method: grid takes all"):
        Search(space(points=5000))
    with pytest.raises(SpecError, match=r"the search found no point: .* outside constraints"):
        Search(space(constraints={"processing_elements": {"most": 1}}, points=9)).ask()
    with pytest.raises(ValueError, match="nsga2 weighs the figures of one network"):
        space(networks=["unet", "fcn_vgg16"])
    with pytest.raises(ValueError, match="points is for the methods random, latin_hypercube, nsga2, tpe"):
        space(points=None)


def test_without_optuna_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(InputError, match=r"pip install 'bittrue\[search\]'"):
        Search(space())
