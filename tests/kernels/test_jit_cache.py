"""The compile cache: what keys it, what is removed from it, and processes that share it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import pytest

from simulator.kernels import _jit

ROOT = Path(__file__).parents[2]
NOW = 1_800_000_000.0
DAY = 86_400.0
SUM = """
import numpy as np
from simulator.kernels.lookup import look_up
from simulator.kernels.reduction import partial_sums
x, out = np.arange(600, dtype=np.uint8).reshape(1, 200, 3), np.empty((1, 1, 3), np.int32)
partial_sums(x, out)
looked_up = np.empty(4, np.uint8)
look_up(np.array([1, 2, 3, 255], np.uint8), np.arange(256, dtype=np.uint8)[::-1].copy(), looked_up)
print(out.ravel().tolist(), looked_up.tolist(), sum(partial_sums.stats.cache_misses.values()))
"""


@pytest.mark.parametrize("name", ["numba", "llvmlite", "np"])
def test_other_compilers_take_another_directory(name, monkeypatch):
    before = _jit.cache_directory()
    assert before == _jit.cache_directory()
    monkeypatch.setattr(getattr(_jit, name), "__version__", "0.0")
    assert _jit.cache_directory() != before


def test_bounds_checked_kernels_take_another_directory(monkeypatch):
    before = _jit.cache_directory()
    monkeypatch.setattr(numba.config, "BOUNDSCHECK", 1)
    assert _jit.cache_directory() != before


def folder(path, days_ago):
    (path / "kernels_0").mkdir(parents=True)
    (path / "kernels_0" / "a.nbc").write_bytes(b"")
    os.utime(path, (NOW - days_ago * DAY,) * 2)
    return path


def test_a_new_directory_removes_siblings_unused_for_thirty_days(tmp_path):
    old, recent = folder(tmp_path / "kernels-old", 31), folder(tmp_path / "kernels-recent", 29)
    foreign = folder(tmp_path / "other-old", 99)
    _jit.mark_used(tmp_path / "kernels-new", NOW)
    assert sorted(tmp_path.iterdir()) == sorted([tmp_path / "kernels-new", recent, foreign])
    assert not old.exists()


def test_the_one_in_use_stays_however_old_and_is_young_again(tmp_path):
    used, old = folder(tmp_path / "kernels-used", 400), folder(tmp_path / "kernels-old", 400)
    _jit.mark_used(used, NOW)
    assert old.exists()  # nothing is new, so nothing is looked through
    _jit.mark_used(tmp_path / "kernels-new", NOW + 29 * DAY)
    assert used.exists()
    assert not old.exists()


def test_what_cannot_be_removed_or_made_is_let_be(tmp_path, monkeypatch):
    folder(tmp_path / "kernels-old", 99)

    def refuse(path, ignore_errors):
        raise PermissionError(path)

    monkeypatch.setattr(shutil, "rmtree", refuse)
    _jit.mark_used(tmp_path / "kernels-new", NOW)
    (tmp_path / "file").write_text("no folder")
    _jit.mark_used(tmp_path / "file" / "kernels-new", NOW)


def test_a_directory_is_cold_until_it_holds_compiled_code(tmp_path):
    assert _jit.is_cold(tmp_path / "missing")
    (tmp_path / "kernels_0").mkdir()
    (tmp_path / "kernels_0" / "a.nbi").write_bytes(b"")
    assert _jit.is_cold(tmp_path)
    (tmp_path / "kernels_0" / "a.nbc").write_bytes(b"")
    assert not _jit.is_cold(tmp_path)


@pytest.mark.slow
def test_processes_that_start_at_once_on_an_empty_cache(tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", SUM]

    def start():
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    expected = "[23092, 23036, 22980] [254, 253, 252, 0]"
    for process in [start() for _ in range(3)]:
        stdout, stderr = process.communicate()
        assert process.returncode == 0, stderr
        assert stdout.rpartition(" ")[0] == expected
    (directory,) = tmp_path.iterdir()
    assert not _jit.is_cold(directory)
    stdout, _ = start().communicate()
    assert stdout.strip() == f"{expected} 0"  # and compiles nothing


@pytest.mark.parametrize("home", ["a file", None])
def test_without_a_place_for_the_cache_kernels_compile_all_the_same(tmp_path, home):
    (tmp_path / "file").write_text("no folder")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": "", "HOME": str(tmp_path / "file")}
    environment.pop("NUMBA_CACHE_DIR", None)
    if home is None:  # nor a line in the password file, which is not for a test to change
        without = "import pathlib\ndef none(_): raise RuntimeError\npathlib.Path.home = classmethod(none)\n"
    else:
        without = ""
    command = [sys.executable, "-c", without + SUM]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.rpartition(" ")[0] == "[23092, 23036, 22980] [254, 253, 252, 0]", done.stderr


def test_another_checkout_of_the_same_sources_compiles_nothing(tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}

    def misses(checkout):
        shutil.copytree(ROOT / "simulator", tmp_path / checkout / "simulator")
        command = [sys.executable, "-c", SUM]
        run = subprocess.run(command, cwd=tmp_path / checkout, env=environment, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        return int(run.stdout.split()[-1])

    assert misses("first") > 0
    assert misses("second") == 0


def test_what_else_a_process_compiles_keeps_its_own_cache(monkeypatch):
    monkeypatch.setattr(numba.config, "CACHE_LOCATOR_CLASSES", "")
    before = numba.config.CACHE_DIR
    _jit.kernel()(lambda x: x)
    assert (before, "") == (numba.config.CACHE_DIR, numba.config.CACHE_LOCATOR_CLASSES)
