"""How many threads kernels run on. The bits never depend on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numba


@contextmanager
def thread_count(threads: int | None) -> Iterator[int]:
    """Run the body's kernels on `threads` threads (None = all cores), at most as many as Numba was started with."""
    before = numba.get_num_threads()
    limit = int(numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
    used = limit if threads is None else min(threads, limit)
    numba.set_num_threads(used)
    try:
        yield used
    finally:
        numba.set_num_threads(before)
