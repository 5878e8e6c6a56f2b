"""Thread counts, and the library that runs the threads: neither decides a bit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

from simulator.kernels.threads import load_tbb, settle_loops, thread_count, threads_now

TBB = Path(sys.prefix) / "lib" / "libtbb.so.12"
SUM = """
import numba, numpy as np
import simulator.kernels.threads
from simulator.kernels.reduction import partial_sums
x = np.random.default_rng(0).integers(-128, 128, (1, 5000, 16), np.int8)
out = np.empty((1, 10, 16), np.int32)
partial_sums(x, out)
print(numba.threading_layer(), out.sum(axis=1)[0].tolist())
"""


def stop_at_once():
    with thread_count(1):
        raise ZeroDivisionError


def test_the_count_holds_inside_and_is_restored_after_an_error():
    before = numba.get_num_threads()
    with thread_count(1) as used:
        assert used == numba.get_num_threads() == 1
    assert numba.get_num_threads() == before
    with pytest.raises(ZeroDivisionError):
        stop_at_once()
    assert numba.get_num_threads() == before


def test_counts_within_counts_are_those_of_numba_too():
    most = numba.config.NUMBA_NUM_THREADS
    with thread_count(1):
        with thread_count(None) as used:
            assert used == threads_now() == numba.get_num_threads() == most
        assert threads_now() == numba.get_num_threads() == 1
        with thread_count(1):
            assert threads_now() == 1
        assert threads_now() == numba.get_num_threads() == 1
    assert threads_now() == numba.get_num_threads()


def test_loops_follow_when_they_are_settled():
    before = numba.get_num_threads()
    with thread_count(1, loops=False):
        assert threads_now() == 1
        assert numba.get_num_threads() == before
        with thread_count(None, loops=False) as most:
            settle_loops()
            assert numba.get_num_threads() == most
        assert numba.get_num_threads() == before
        settle_loops()
        settle_loops()
        assert numba.get_num_threads() == 1
    assert numba.get_num_threads() == before
    settle_loops()
    assert numba.get_num_threads() == before


def test_a_count_set_outside_is_followed():
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        assert threads_now() == 1
    finally:
        numba.set_num_threads(before)
    assert threads_now() == before


def test_no_more_threads_than_there_are():
    with thread_count(10**6) as used:
        assert used == numba.config.NUMBA_NUM_THREADS


def layer_and_sums(priority):
    """Sum in a new interpreter on the first threading layer of `priority` that is found: its name, and the sums."""
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "NUMBA_THREADING_LAYER_PRIORITY": priority}
    environment.pop("NUMBA_THREADING_LAYER", None)
    done = subprocess.run([sys.executable, "-c", SUM], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    layer, _, sums = done.stdout.strip().partition(" ")
    return layer, sums


EXPECTED = str(np.random.default_rng(0).integers(-128, 128, (5000, 16), np.int8).sum(axis=0, dtype=int).tolist())


@pytest.mark.skipif(not TBB.exists(), reason="the extra `tbb` is not installed")
def test_tbb_is_taken_where_its_wheel_put_it():
    assert layer_and_sums("tbb omp workqueue") == ("tbb", EXPECTED)


def test_without_tbb_numba_chooses():
    layer, sums = layer_and_sums("workqueue omp tbb")
    assert layer != "tbb"
    assert sums == EXPECTED


def test_a_folder_without_tbb_or_with_something_else_of_its_name(tmp_path):
    assert not load_tbb(tmp_path)
    (tmp_path / "libtbb.so.12").write_bytes(b"no library")
    assert not load_tbb(tmp_path)
