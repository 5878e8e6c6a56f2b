"""Keeping the threads of Numba's parallel loops off the CPU of the thread that starts these (see `placement`).

Numba's threads begin inside OpenMP or TBB. A loop of as many turns as threads, in which each tells its own number,
finds them. OpenMP keeps threads for every caller apart and ends some when the caller wants fewer, so the numbers are
held by caller, and asked for again when it wants another count.
"""

from __future__ import annotations

import ctypes
import os
import threading
from functools import cache
from typing import Any

import numba
import numpy as np
from numba import types
from numpy.typing import NDArray

from simulator.kernels._jit import kernel
from simulator.kernels.placement import Placement, can_place
from simulator.kernels.threads import settle_loops, threads_now

_TURN_MICROSECONDS = 100
_LIBRARIES = ("omp", "tbb")
"""Where the caller takes part in the loop; the threads of Numba's own work queue do it all, and may use every CPU."""

_own_number: Any = types.ExternalFunction("gettid", types.int32())
_sleep: Any = types.ExternalFunction("usleep", types.int32(types.uint32))


@kernel(parallel=True)
def tell_threads(numbers: NDArray[np.int64], microseconds: Any) -> None:
    """Write the system's number of the thread that does each turn of a parallel loop.

    Parameters
    ----------
    numbers
        int64 [turns], written.
    microseconds
        uint32, how long a turn sleeps, so that no thread takes two where the library hands them out one by one.

    """
    for turn in numba.prange(numbers.shape[0]):
        numbers[turn] = _own_number()
        _sleep(microseconds)


@cache
def _can_tell() -> bool:
    """Whether the system numbers threads and places them, and loops are compiled."""
    return can_place() and hasattr(ctypes.CDLL(None), "gettid") and not numba.config.DISABLE_JIT  # type: ignore[attr-defined]


class _Loops(threading.local):
    """What a calling thread knows of the threads that its parallel loops run on."""

    def __init__(self) -> None:
        self.count = 1
        self.others: tuple[int, ...] = ()
        self.placement = Placement()

    def find(self, count: int) -> None:
        """Ask for the numbers of the threads of a loop on `count`."""
        numbers = np.zeros(count, np.int64)
        tell_threads(numbers, np.uint32(_TURN_MICROSECONDS))
        known = numba.threading_layer() in _LIBRARIES  # type: ignore[attr-defined]
        self.others = tuple(sorted({*numbers.tolist()} - {threading.get_native_id()})) if known else ()
        self.placement = Placement()
        self.count = count


_loops = _Loops()


def _forget() -> None:
    global _loops
    _loops = _Loops()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)  # a child has none of its parent's threads


def place_loops() -> None:
    """Settle the count of this thread's parallel loops, and keep their other threads off the CPU that it is on now.

    To be called before a parallel kernel or a few in a row: microseconds, but for the first time and after a change of
    the count. Nothing is done for one thread, or where the system cannot place threads.
    """
    settle_loops()
    threads = threads_now()
    if threads == 1 or not _can_tell():
        return
    if threads != _loops.count:
        _loops.find(threads)
    _loops.placement.keep_off_caller(_loops.others, threads)
