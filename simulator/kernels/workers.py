"""Serial kernels on several threads at once, for kernels that share their work by tickets.

Such a kernel releases the GIL, so threads of Python do; Numba's parallel loops would compile it a second time.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numba

from simulator.kernels.placement import Placement
from simulator.kernels.threads import threads_now


class _Team:
    """The worker threads of the process."""

    def __init__(self) -> None:
        self._threads: list[int] = []
        self._placement = Placement()
        most = max(int(numba.config.NUMBA_NUM_THREADS) - 1, 1)  # type: ignore[attr-defined]
        self._pool = ThreadPoolExecutor(most, thread_name_prefix="bittrue-kernel", initializer=self._begin)

    def _begin(self) -> None:
        self._threads.append(threading.get_native_id())
        self._placement.place_self()

    def run(self, work: Callable[[int], int], threads: int) -> int:
        self._placement.keep_off_caller(tuple(self._threads), threads)
        others = [self._pool.submit(work, thread) for thread in range(1, threads)]
        return work(0) + sum(other.result() for other in others if not other.cancel())


@cache
def _team() -> _Team:
    return _Team()


os.register_at_fork(after_in_child=_team.cache_clear)  # a child has none of its parent's threads


def run_on_threads(work: Callable[[int], int], most: int | None = None) -> int:
    """Call `work` with the number of each thread, as many as Numba may use now or `most`, all at once; return the sum.

    Each call takes tasks from a common stock until there are none: when the first returns, those threads that have not
    begun are not waited for.
    """
    threads = min(threads_now(), most or sys.maxsize)
    return _team().run(work, threads) if threads > 1 else work(0)
