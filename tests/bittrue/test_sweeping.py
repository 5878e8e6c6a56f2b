"""Sweeps: the points of a space, results that outlive kills, fronts, and what is refused."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import bittrue
from bittrue.cli import app
from bittrue.sweeping.engines import Dask, InProcess, Processes, engine_named
from bittrue.sweeping.evaluate import Outcome, evaluate
from bittrue.sweeping.metrics import LARGER_IS_BETTER
from bittrue.sweeping.pareto import pareto_front
from bittrue.sweeping.points import design_points
from bittrue.sweeping.space import read_space
from bittrue.sweeping.store import FILE, StoreError, SweepStore
from simulator.errors import InputError, SpecError
from support.killed_driver import kill_driver
from support.sweep_evaluators import NOTES, crashing, evaluated_keys, greedy, killed_once, noted
from support.sweep_spaces import small_space

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def notes(tmp_path, monkeypatch):
    folder = tmp_path / "notes"
    folder.mkdir()
    monkeypatch.setenv(NOTES, str(folder))
    return folder


def test_a_grid_is_every_combination_once():
    found = design_points(small_space()).points
    asked = {(r, c, b) for r, c, b in product((8, 16, 32), (8, 16), (4, 8, 16))}
    assert {
        (p.changes["array.rows"], p.changes["array.cols"], p.changes["dram.bytes_per_cycle"]) for p in found
    } == asked
    assert len({p.key for p in found}) == len(found) == len(asked)


@pytest.mark.parametrize("method", ["random", "latin_hypercube"])
def test_draws_are_different_points_and_always_the_same(method):
    space = small_space(method=method, points=9, seed=3)
    first, again = design_points(space).points, design_points(space).points
    assert first == again
    assert len({p.key for p in first}) == 9
    assert first != design_points(small_space(method=method, points=9, seed=4)).points


def test_a_latin_hypercube_has_every_value_equally_often():
    drawn = [design_points(small_space(method="latin_hypercube", points=6, seed=seed)).points for seed in range(20)]
    rows = [sorted(p.changes["array.rows"] for p in found) for found in drawn]
    assert {len(found) for found in drawn} == {6}
    # Where two rows of the hypercube are one combination, a random one takes the place of the second.
    assert rows.count([8, 8, 16, 16, 32, 32]) >= 10


def test_cores_are_an_axis_like_any_other():
    space = small_space(vary={"cores": [1, 2, 4]}, constraints={"processing_elements": {"most": 2048}})
    found = design_points(space)
    assert [point.changes["cores"] for point in found.points] == [1, 2]
    gemmini = small_space(accelerator="gemmini_16x16", vary={"cores": [1, 2]})
    assert design_points(gemmini).impossible == 1  # command loops drive one array


def test_constraints_and_impossible_accelerators_are_counted():
    space = small_space(constraints={"processing_elements": {"most": 256}})
    found = design_points(space)
    assert found.outside == 3  # 32 x 16 at three bandwidths
    gemmini = small_space(accelerator="gemmini_16x16", vary={"array.rows": [16, 8]})
    assert design_points(gemmini).impossible == 1  # command loops drive a square array


def test_the_same_point_alone_gives_the_same_bytes(tmp_path):
    found = bittrue.sweep(small_space(), tmp_path)
    for point in found.points[::5]:
        accelerator = bittrue.load_accelerator("edge_32x32").evolve(point.changes)
        record = bittrue.simulate(bittrue.load_network(point.network, **point.keywords), accelerator).record
        assert point.figures["total_cycles"] == record.total_cycles
        assert point.figures["total_energy_pj"] == record.total_energy_pj
        shares = sum(value for key, value in point.figures.items() if key.startswith("bound_"))
        assert shares == pytest.approx(1, abs=0.01)


@given(
    st.lists(st.tuples(*[st.integers(0, 6)] * 3), min_size=1, max_size=30),
    st.sampled_from([("total_cycles", "dram_bytes"), ("total_cycles", "frames_per_s", "utilization")]),
)
def test_the_front_is_what_nothing_dominates(rows, objectives):
    named = [dict(zip(objectives, row, strict=False)) for row in rows]

    def costs(row):
        return [-row[name] if name in LARGER_IS_BETTER else row[name] for name in objectives]

    def dominates(a, b):
        return all(x <= y for x, y in zip(a, b, strict=True)) and a != b

    expected = {i for i, a in enumerate(named) if not any(dominates(costs(b), costs(a)) for b in named)}
    assert set(pareto_front(named, objectives)) == expected


@pytest.mark.parametrize("engine", [InProcess(), Processes(2)], ids=["in-process", "processes"])
def test_a_second_run_evaluates_nothing_again(tmp_path, notes, engine):
    first = bittrue.sweep(small_space(), tmp_path / "out", engine, evaluate=noted)
    again = bittrue.sweep(small_space(), tmp_path / "out", engine, evaluate=noted)
    assert first.points == again.points
    assert sorted(evaluated_keys(notes)) == sorted(p.key for p in first.points)


def test_engines_agree(tmp_path):
    one = bittrue.sweep(small_space(), tmp_path / "a", InProcess())
    two = bittrue.sweep(small_space(), tmp_path / "b", Processes(2))
    assert [(p.key, p.figures) for p in one.points] == [(p.key, p.figures) for p in two.points]
    assert one.front_layer_shares() == two.front_layer_shares()


def test_a_killed_worker_costs_no_point_and_none_is_done_twice(tmp_path, notes):
    found = bittrue.sweep(small_space(), tmp_path / "out", Processes(2), evaluate=killed_once)
    assert (notes / "killed").exists()
    assert len(found.evaluated) == len(found.points)
    stored = [p.attempts for p in found.points]
    assert set(stored) == {1}


def test_points_that_crash_or_fail_are_quarantined_and_the_others_finish(tmp_path, notes):
    space = small_space(vary={"array.rows": [8, 16, 32], "array.cols": [8, 16]})
    found = bittrue.sweep(space, tmp_path / "out", Processes(2), evaluate=crashing)
    bad = {p.key: p for p in found.quarantined}
    assert {p.changes["array.rows"] for p in bad.values()} == {16, 32}
    assert {p.changes["array.rows"] for p in found.evaluated} == {8}
    assert len(bad) == 4
    for point in bad.values():
        assert ("died" if point.changes["array.rows"] == 16 else "MemoryError: no room") in point.error
        assert point.attempts == 2


def test_points_that_exhaust_memory_are_quarantined_and_the_others_finish(tmp_path, notes):
    space = small_space(vary={"array.rows": [8, 16, 32], "array.cols": [8]})
    found = bittrue.sweep(space, tmp_path / "out", Processes(2), evaluate=greedy)
    assert {p.changes["array.rows"] for p in found.evaluated} == {8}
    told = {p.changes["array.rows"]: p.error for p in found.quarantined}
    assert "Unable to allocate" in told[16]
    assert "died" in told[32]
    assert {p.attempts for p in found.quarantined} == {2}


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no right to mount a small file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_fills_up_stops_the_sweep_with_a_clear_message(tmp_path, small_disk, notes):
    text = json.dumps(small_space().model_dump(mode="json", by_alias=True, exclude_none=True))
    (tmp_path / "space.yaml").write_text(text)
    command = ["sweep", str(tmp_path / "space.yaml"), "-o", str(small_disk / "out")]
    filler = small_disk / "filler"
    filler.write_bytes(bytes(930 << 10))
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 2
    assert "full" in result.output or "No space left" in result.output
    assert "Traceback" not in result.output
    with SweepStore(small_disk / "out") as store:
        before = {p.key: p.figures for p in store.points() if p.figures is not None}
    filler.unlink()
    assert len(before) < 18
    again = CliRunner().invoke(app, command)
    assert again.exit_code == 0, again.output
    with SweepStore(small_disk / "out") as store:
        after = store.points()
    assert len(after) == 18
    assert {p.attempts for p in after} == {1}
    assert all(p.figures == before.get(p.key, p.figures) for p in after)


def _fails(point):
    return Outcome(point.key, error="no") if point.changes["array.rows"] == 8 else evaluate(point)


def test_a_failing_point_is_tried_twice_and_not_again(tmp_path):
    found = bittrue.sweep(small_space(), tmp_path, evaluate=_fails)
    assert {p.attempts for p in found.quarantined} == {2}
    assert {p.attempts for p in bittrue.sweep(small_space(), tmp_path, evaluate=_fails).quarantined} == {2}


def test_a_killed_driver_resumes_where_it_was(tmp_path, notes):
    before = kill_driver(tmp_path / "out", notes)
    assert 0 < len(before) < 18
    found = bittrue.sweep(small_space(), tmp_path / "out", evaluate=noted)
    assert len(found.evaluated) == 18
    done = evaluated_keys(notes)
    assert all(done.count(key) == 1 for key in before)


def test_a_full_disk_is_told_and_what_is_finished_stays(tmp_path, monkeypatch):
    space = small_space()
    with SweepStore(tmp_path) as store:
        store.begin("x", design_points(space).points)
    original = sqlite3.connect

    def full(*arguments, **keywords):
        db = original(*arguments, **keywords)
        db.execute("PRAGMA max_page_count = 5")
        return db

    monkeypatch.setattr(sqlite3, "connect", full)
    with pytest.raises(StoreError, match=r"cannot be written.*full"):
        bittrue.sweep(space, tmp_path / "new", evaluate=evaluate)
    monkeypatch.undo()
    assert len(bittrue.sweep(space, tmp_path / "new").evaluated) == 18


def test_another_space_is_not_mixed_in(tmp_path):
    bittrue.sweep(small_space(vary={"array.rows": [8, 16]}), tmp_path)
    with pytest.raises(StoreError, match="another space"):
        bittrue.sweep(small_space(), tmp_path)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / FILE).write_text("no database at all, but long enough to be taken for a page of one" * 20)
    with pytest.raises(StoreError, match="is it the folder of a sweep"):
        bittrue.sweep(small_space(), tmp_path / "bad")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("objectives: [speed, total_cycles]", "speed"),
        ("objectives: [total_cycles]", "two or three"),
        ("vary: {array.rows: []}", "array.rows has no values"),
        ("vary: {array.rows: {from: 1, to: 8}}", "exactly one of step and factor"),
        ("vary: {array.rowz: [1, 2]}", "array.rowz"),
        ("vary: {array.rows: [0, 8]}", "array.rows"),
        ("method: random", "points is for the methods"),
        ("networks: []", "networks"),
        ("wrong: 1", "wrong"),
    ],
)
def test_spaces_that_cannot_be_used(tmp_path, line, told):
    lines = ["name: s", "accelerator: edge_32x32", "networks: [unet]", "vary: {array.rows: [8, 16]}"]
    key = line.partition(":")[0]
    kept = [other for other in lines if not other.startswith(f"{key}:")]
    path = tmp_path / "space.yaml"
    path.write_text("\n".join([*kept, line]))
    with pytest.raises(SpecError, match=told):
        read_space(path)


@pytest.mark.parametrize("text", ["threads", "processes:0", "processes:two", "dask:", "ray", "in-process:4"])
def test_engines_that_do_not_exist(text):
    with pytest.raises(InputError, match="does not exist"):
        engine_named(text)


def test_a_dask_cluster_does_the_same_and_survives_a_killed_worker(tmp_path, notes, monkeypatch):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", "0")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, processes=True, silence_logs=50
    ) as cluster:
        found = bittrue.sweep(small_space(), tmp_path / "out", Dask(cluster.scheduler_address), evaluate=killed_once)
    assert len(found.evaluated) == len(found.points)
    here = bittrue.sweep(small_space(), tmp_path / "here")
    assert [p.figures for p in here.points] == [p.figures for p in found.points]


def test_no_scheduler_is_told():
    pytest.importorskip("distributed")
    with (
        pytest.raises(InputError, match=r"no scheduler at tcp://127\.0\.0\.1:1"),
        Dask("tcp://127.0.0.1:1", timeout_s=1).session(),
    ):
        pass


def test_command_leaves_tables_and_a_picture(tmp_path):
    space = tmp_path / "space.yaml"
    space.write_text(json.dumps(small_space().model_dump(mode="json", by_alias=True, exclude_none=True)))
    result = CliRunner().invoke(app, ["sweep", str(space), "-o", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert "18 of 18 points evaluated, 0 quarantined" in result.stdout
    assert "<svg" in (tmp_path / "out" / "pareto.svg").read_text()
    lines = (tmp_path / "out" / "points.csv").read_text().splitlines()
    assert len(lines) == 19
    layers = (tmp_path / "out" / "front_layers.csv").read_text().splitlines()
    assert layers[0].startswith("network,point,layer,engine,bound,share")
    assert lines[0].startswith("network,array.rows,array.cols,dram.bytes_per_cycle,total_time_s")


def _sweep_command(tmp_path, **changes):
    space = tmp_path / "space.yaml"
    space.write_text(json.dumps(small_space(**changes).model_dump(mode="json", by_alias=True, exclude_none=True)))
    return CliRunner().invoke(app, ["sweep", str(space), "-o", str(tmp_path / "out")])


@pytest.mark.parametrize(
    ("network", "told"),
    [
        ({"network": "unit"}, "networks.0: network 'unit': no such file or built-in network; did you mean 'unet'?"),
        ({"network": "unet", "widht": 0.1}, "networks.0: unet has no keyword 'widht'; did you mean 'width'?"),
    ],
)
def test_a_network_that_cannot_be_loaded_is_told_once_before_any_point(tmp_path, network, told):
    result = _sweep_command(tmp_path, networks=[network])
    assert result.exit_code == 2
    assert told in result.stderr
    assert not (tmp_path / "out").exists()


def test_why_an_accelerator_is_impossible_is_told(tmp_path):
    result = _sweep_command(tmp_path, vary={"array.rows": [8, 0], "array.cols": [8]})
    assert result.exit_code == 0
    assert "1 impossible\n  impossible: " in result.stdout
    assert "array.rows: 0 is out of range: at least 1" in result.stdout
    none = _sweep_command(tmp_path, vary={"array.rows": [0], "array.cols": [8]})
    assert none.exit_code == 2
    assert "array.rows: 0 is out of range: at least 1" in none.stderr


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*_space.yaml")), ids=lambda path: path.stem)
def test_examples_run_in_small(tmp_path, path):
    small = ["--limit", "4", "--net", "size=33", "--net", "width=0.125"]
    result = CliRunner().invoke(app, ["sweep", str(path), "-o", str(tmp_path / "out"), *small])
    assert result.exit_code == 0, result.output
    assert "4 of 4 points evaluated, 0 quarantined" in result.stdout
    assert len((tmp_path / "out" / "points.csv").read_text().splitlines()) == 5


def test_a_limit_spreads_points_over_the_space():
    whole = [p.key for p in design_points(small_space()).points]
    assert [p.key for p in design_points(small_space(limit=3)).points] == [whole[0], whole[8], whole[-1]]
    assert [p.key for p in design_points(small_space(limit=1)).points] == whole[:1]
    assert [p.key for p in design_points(small_space(limit=99)).points] == whole
