"""Worker threads: every one is used, none on the caller's CPU, and tasks are done once."""

from __future__ import annotations

import os
import threading
import time

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


needs_two = pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="one thread at most")


@needs_two
def test_every_ticket_is_taken_once_and_all_is_done_on_return():
    """Work of all lengths, so that workers are awake in time, late, or not at all."""
    for count in (0, 1, 3, 1000):
        for _ in range(50):
            stock, taken = iter(range(count)), []
            with thread_count(2):
                found = run_on_threads(lambda _, stock=stock, taken=taken: sum(taken.append(n) or n for n in stock))
            assert found == sum(range(count))
            assert sorted(taken) == list(range(count))


@needs_two
def test_an_error_of_any_thread_reaches_the_caller_and_the_next_work_is_done():
    for failing in (0, 1):
        barrier = threading.Barrier(2, timeout=30)

        def work(thread: int, failing: int = failing, barrier: threading.Barrier = barrier) -> int:
            barrier.wait()
            if thread == failing:
                raise ZeroDivisionError(thread)
            return 1

        with thread_count(2):
            with pytest.raises(ZeroDivisionError, match=str(failing)):
                run_on_threads(work)
            again = threading.Barrier(2, timeout=30)
            assert run_on_threads(lambda thread, again=again: (again.wait() and 0) or thread + 1) == 3


@needs_two
def test_a_second_caller_works_alone_meanwhile():
    found = []

    def call() -> None:
        with thread_count(2):
            found.append(run_on_threads(lambda thread: 10 + thread))

    def work(thread: int) -> int:
        if thread == 0:
            other = threading.Thread(target=call)
            other.start()
            other.join(30)
        return 0

    with thread_count(2):
        assert run_on_threads(work) == 0
    assert found == [10]


@needs_two
def test_a_worker_that_has_begun_is_waited_for():
    for _ in range(5):
        barrier = threading.Barrier(2, timeout=30)

        def work(thread: int, barrier: threading.Barrier = barrier) -> int:
            barrier.wait()
            if thread == 1:
                time.sleep(0.02)
            return 10 + thread

        with thread_count(2):
            assert run_on_threads(work) == 21
