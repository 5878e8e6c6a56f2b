"""Worker threads: every one is used, none on the caller's CPU, and tasks are done once."""

from __future__ import annotations

import os
import threading

import numba
import numpy as np
import pytest

from simulator.kernels import placement
from simulator.kernels.extremes import extremes
from simulator.kernels.threads import thread_count
from simulator.kernels.workers import run_on_threads


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="one thread at most")
def test_all_threads_begin_together():
    barrier = threading.Barrier(2, timeout=30)
    with thread_count(2):
        assert run_on_threads(lambda thread: (barrier.wait() and 0) or thread + 1) == 3
        assert run_on_threads(lambda thread: thread + 1, most=1) == 1


def test_workers_keep_off_the_callers_cpu(monkeypatch):
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("threads cannot be placed on this system")
    placed = []
    monkeypatch.setattr(placement, "_place", lambda thread, cpus: placed.append((thread, set(cpus))))
    monkeypatch.setattr(placement, "_current_cpu", lambda: lambda: 5)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {4, 5, 6})
    here = placement.Placement()
    here.keep_off_caller([11, 12], 3)
    here.keep_off_caller([11, 12], 3)
    here.place_self()
    assert placed == [(11, {4, 6}), (12, {4, 6}), (0, {4, 6})], "once for each place of the caller"
    here.keep_off_caller([11], 4)
    assert placed[3:] == [(11, {4, 5, 6})], "fewer CPUs than threads: they share"


def test_a_thread_that_is_gone_is_not_placed():
    placement._place(1 << 22, {0})


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.int32])
def test_extremes(dtype):
    limits = np.iinfo(dtype)
    values = np.random.default_rng(1).integers(limits.min, limits.max, 1000, dtype, endpoint=True)
    for size in (1, 2, 63, 1000):
        assert extremes(values[:size]) == (values[:size].min(), values[:size].max())
    assert extremes(np.array([3, limits.min, limits.max], dtype)) == (limits.min, limits.max)
