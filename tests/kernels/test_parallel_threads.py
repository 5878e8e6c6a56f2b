"""Threads of parallel loops: found for every caller, kept off its CPU, never on one that it may not use."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numba
import numpy as np
import pytest

from simulator.kernels import parallel_threads
from simulator.kernels.parallel_threads import place_loops, tell_threads
from simulator.kernels.threads import thread_count

pytestmark = [
    pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="one thread at most"),
    pytest.mark.skipif(not parallel_threads._can_tell(), reason="threads cannot be placed on this system"),
]


def _others() -> tuple[int, ...]:
    return parallel_threads._loops.others


@pytest.fixture
def own_cpus():
    """Threads forgotten, and the CPUs that this thread may use; given back afterwards."""
    parallel_threads._forget()
    before = os.sched_getaffinity(0)
    yield before
    os.sched_setaffinity(0, before)
    place_loops()


def test_loops_run_on_the_threads_that_were_found(own_cpus):
    with thread_count(2):
        place_loops()
        if numba.threading_layer() not in parallel_threads._LIBRARIES:
            pytest.skip("the threads of the work queue are left alone")
        numbers = np.zeros(2, np.int64)
        tell_threads(numbers, np.uint32(1000))
    assert set(numbers) == {threading.get_native_id(), *_others()}
    assert len(_others()) == 1
    assert Path(f"/proc/self/task/{_others()[0]}").exists()


def test_other_threads_are_kept_off_the_callers_cpu(own_cpus):
    if len(own_cpus) < 2:
        pytest.skip("one CPU at most")
    with thread_count(2):
        for cpu in own_cpus:
            os.sched_setaffinity(0, {cpu})
            os.sched_setaffinity(0, own_cpus)  # the caller stays where it is, as a rule
            place_loops()
            (other,) = _others()
            allowed = os.sched_getaffinity(other)
            assert allowed < own_cpus
            assert len(allowed) == len(own_cpus) - 1


def test_no_thread_gets_a_cpu_that_the_caller_may_not_use(own_cpus):
    one = {min(own_cpus)}
    with thread_count(2):
        place_loops()
        os.sched_setaffinity(0, one)
        place_loops()
        assert os.sched_getaffinity(_others()[0]) == one, "fewer CPUs than threads: they share"


def test_every_caller_has_threads_of_its_own(own_cpus):
    found = {}

    def call(name: str) -> None:
        with thread_count(2):
            place_loops()
            found[name] = _others()

    call("here")
    thread = threading.Thread(target=call, args=("there",))
    thread.start()
    thread.join()
    assert all(len(others) == 1 for others in found.values())
    assert _others() == found["here"]
    if numba.threading_layer() == "omp":
        assert found["here"] != found["there"]


def test_one_thread_asks_for_nothing(own_cpus, monkeypatch):
    monkeypatch.setattr(parallel_threads, "_loops", None)
    with thread_count(1):
        place_loops()


def test_a_system_that_cannot_place_is_left_alone(own_cpus, monkeypatch):
    monkeypatch.setattr(parallel_threads, "_can_tell", lambda: False)
    with thread_count(2):
        place_loops()
    assert _others() == ()


def test_a_child_forgets_the_threads_of_its_parent(own_cpus):
    with thread_count(2):
        place_loops()
        child = os.fork()
        if child == 0:
            os._exit(0 if _others() == () else 1)
    assert os.waitpid(child, 0)[1] == 0
