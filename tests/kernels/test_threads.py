from __future__ import annotations

import numba
import pytest

from simulator.kernels.threads import thread_count


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


def test_no_more_threads_than_there_are():
    with thread_count(10**6) as used:
        assert used == numba.config.NUMBA_NUM_THREADS
