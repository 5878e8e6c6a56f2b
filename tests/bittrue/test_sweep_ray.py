"""The Ray engine on a real cluster of this machine: killed workers, a killed driver, the same figures as anywhere."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_sweeping import small_space

import bittrue
from bittrue.sweeping.engines import engine_named
from bittrue.sweeping.ray_engine import Ray
from bittrue.sweeping.store import SweepStore
from simulator.errors import InputError
from support.sweep_evaluators import NOTES, crashing, evaluated_keys, killed_once, noted

HERE = Path(__file__).parent
PATHS = os.pathsep.join([str(HERE), str(HERE.parent), str(HERE.parents[1])])


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"pip install 'bittrue\[ray\]'"):
        list(Ray().outcomes([], noted))


def test_engines_by_name():
    assert engine_named("ray:auto") == Ray("auto")
    assert engine_named("ray:10.0.0.1:6379") == Ray("10.0.0.1:6379")


LOCAL = {
    "address": "local",
    "num_cpus": 2,
    "include_dashboard": False,
    "log_to_driver": False,
    "logging_level": "ERROR",
    "object_store_memory": 80_000_000,
    "_node_ip_address": "127.0.0.1",
}
"""A cluster of two processors on this machine alone."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Start a cluster; give the folder of notes that its workers know."""
    ray = pytest.importorskip("ray")
    notes = tmp_path_factory.mktemp("notes")
    known = {"RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": PATHS, NOTES: str(notes)}
    before = {name: os.environ.get(name) for name in known}
    os.environ.update(known)
    ray.init(**LOCAL)
    yield notes
    ray.shutdown()
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.update({name: value})


@pytest.fixture
def notes(cluster):
    for note in cluster.iterdir():
        note.unlink()
    return cluster


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_killed_worker_costs_no_point_and_the_figures_are_those_of_anywhere(tmp_path, notes):
    found = bittrue.sweep(small_space(), tmp_path / "out", Ray(), evaluate=killed_once)
    assert (notes / "killed").exists()
    assert len(found.evaluated) == len(found.points)
    assert {p.attempts for p in found.points} == {1}
    here = bittrue.sweep(small_space(), tmp_path / "here")
    assert [p.figures for p in here.points] == [p.figures for p in found.points]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_points_that_crash_or_fail_are_quarantined_and_the_others_finish(tmp_path, notes):
    space = small_space(vary={"array.rows": [8, 16, 32], "array.cols": [8]})
    found = bittrue.sweep(space, tmp_path / "out", Ray(), evaluate=crashing)
    told = {p.changes["array.rows"]: p.error for p in found.quarantined}
    assert {p.changes["array.rows"] for p in found.evaluated} == {8}
    assert "died" in told[16]
    assert "MemoryError: no room" in told[32]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_killed_driver_resumes_where_it_was(tmp_path, notes):
    (notes / "slow").touch()
    code = (
        "from test_sweeping import small_space\nimport bittrue\nfrom support.sweep_evaluators import noted\n"
        "from bittrue.sweeping.ray_engine import Ray\n"
        "from test_sweep_ray import LOCAL\nimport ray\nray.init(**LOCAL)\n"
        f"bittrue.sweep(small_space(), {str(tmp_path / 'out')!r}, Ray(), evaluate=noted)"
    )
    driver = subprocess.Popen([sys.executable, "-c", code])
    for _ in range(2400):
        if len(evaluated_keys(notes)) >= 4:
            break
        time.sleep(0.05)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    (notes / "slow").unlink()
    with SweepStore(tmp_path / "out") as store:
        before = {p.key for p in store.points() if p.figures is not None}
    assert 0 < len(before) < 18
    time.sleep(2)  # what was under way in the cluster ends
    for note in notes.glob("done-*"):
        note.unlink()
    found = bittrue.sweep(small_space(), tmp_path / "out", Ray(), evaluate=noted)
    assert len(found.evaluated) == 18
    assert not before & set(evaluated_keys(notes))
