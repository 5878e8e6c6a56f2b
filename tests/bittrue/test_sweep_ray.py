"""Sweeps on a Ray cluster that runs on this machine: workers and drivers that are killed, points that crash."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

import bittrue
from bittrue.sweeping.engines import engine_named
from bittrue.sweeping.ray_engine import Ray
from simulator.errors import InputError
from support.killed_driver import kill_driver
from support.sweep_evaluators import NOTES, evaluated_keys, faulty, killed_once, noted
from support.sweep_spaces import small_space

TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def settings():
    """What Ray's processes and its drivers are told: no token, nothing sent home, evaluators of the tests found."""
    pytest.importorskip("ray", reason="needs Ray: pip install 'bittrue[ray]'")
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(prefix="ray", dir="/tmp") as notes:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")  # else whatever else runs on the machine goes first
        patch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS), str(TESTS.parent)]))
        # Workers have the environment in which the cluster was started: one folder for all tests.
        patch.setenv(NOTES, notes)
        yield Path(notes)


@pytest.fixture(scope="module")
def cluster(settings):
    """Address of a cluster of two CPUs."""
    # A path of few letters: sockets are in it.
    folder = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))
    options = ["--port=0", "--num-cpus=2", "--object-store-memory=80000000", "--include-dashboard=false"]
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", *options]
    with (folder / "log").open("w") as log:
        head = subprocess.Popen([*command, f"--temp-dir={folder}"], stdout=log, stderr=log)
        try:
            yield _address(folder, head)
        finally:
            head.terminate()
            head.wait(60)
            shutil.rmtree(folder, ignore_errors=True)


def _address(folder, head):
    until = time.monotonic() + 60
    while time.monotonic() < until and head.poll() is None:
        found = folder / "ray_current_cluster"
        if found.exists() and "runtime started" in (folder / "log").read_text():
            return found.read_text().strip()
        time.sleep(0.1)
    pytest.fail(f"Ray did not start: {(folder / 'log').read_text()}")


@contextmanager
def driver_of(address):
    """This process as a driver that the engine finds connected, and leaves so."""
    import ray

    ray.init(address=address, log_to_driver=False)
    try:
        yield ray
    finally:
        ray.shutdown()


@pytest.fixture
def notes(settings):
    for note in settings.iterdir():
        note.unlink()
    return settings


def test_a_killed_worker_costs_no_point_and_none_is_done_twice(tmp_path, cluster, notes):
    with driver_of(cluster):
        found = bittrue.sweep(small_space(), tmp_path / "out", engine_named("ray:auto"), evaluate=killed_once)
    assert (notes / "killed").exists()
    assert {p.attempts for p in found.points} == {1}
    assert sorted(evaluated_keys(notes)) == sorted(p.key for p in found.evaluated)
    assert len(found.evaluated) == 18
    here = bittrue.sweep(small_space(), tmp_path / "here")
    assert [p.figures for p in here.points] == [p.figures for p in found.points]


def test_a_killed_driver_resumes_where_it_was(tmp_path, cluster, notes):
    imports = "from bittrue.sweeping.ray_engine import Ray"
    before = kill_driver(tmp_path / "out", notes, engine=f"Ray({cluster!r})", imports=imports, seconds=120)
    assert 0 < len(before) < 18
    with driver_of(cluster) as ray:
        found = bittrue.sweep(small_space(), tmp_path / "out", Ray("auto"), evaluate=noted)
        assert ray.is_initialized()
        assert len(found.evaluated) == 18
        done = evaluated_keys(notes)
        assert all(done.count(key) == 1 for key in before)


def test_points_that_crash_or_exhaust_memory_are_quarantined_and_the_others_finish(tmp_path, cluster, notes):
    space = small_space(vary={"array.rows": [8, 16, 32], "array.cols": [8]})
    with driver_of(cluster):
        found = bittrue.sweep(space, tmp_path / "out", Ray("auto"), evaluate=faulty)
    assert {p.changes["array.rows"] for p in found.evaluated} == {8}
    told = {p.changes["array.rows"]: p.error for p in found.quarantined}
    assert "Unable to allocate" in told[16]
    assert "died" in told[32]
    assert {p.attempts for p in found.quarantined} == {2}


def test_no_cluster_is_told(settings):
    with pytest.raises(InputError, match=r"no cluster at 127\.0\.0\.1:1 \(.*refused"), Ray("127.0.0.1:1").session():
        pass
    with pytest.raises(InputError, match="no cluster at nonsense"), Ray("nonsense").session():
        pass


def test_a_missing_ray_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"pip install 'bittrue\[ray\]'"), engine_named("ray:auto").session():
        pass
