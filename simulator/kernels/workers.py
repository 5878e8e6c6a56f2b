"""Serial kernels on several threads at once, for kernels that share their work by tickets.

Such a kernel releases the GIL, so threads of Python do; Numba's parallel loops would compile it a second time.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numba


@cache
def _pool() -> ThreadPoolExecutor:
    threads = int(numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
    return ThreadPoolExecutor(max(threads - 1, 1), thread_name_prefix="bittrue-kernel")


os.register_at_fork(after_in_child=_pool.cache_clear)  # a child has none of its parent's threads


def run_on_threads(work: Callable[[int], int]) -> int:
    """Call `work` with the number of each thread, as many as Numba may use now, all at once; return the sum.

    Each call takes tasks from a common stock until there are none: when the first returns, those threads that have not
    begun are not waited for.
    """
    others = [_pool().submit(work, thread) for thread in range(1, numba.get_num_threads())]
    return work(0) + sum(other.result() for other in others if not other.cancel())
