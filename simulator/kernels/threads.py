"""How many threads kernels run on, and which library runs them. The bits depend on neither.

Numba takes Intel's Threading Building Blocks (TBB) where it finds them, else OpenMP, else its own work queue. TBB does
not wait busily, starts a parallel loop soonest and survives a fork; the `tbb` wheel (the extra of that name) puts it
where the loader does not look.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from pathlib import Path

import numba


def load_tbb(folder: Path) -> bool:
    """Load TBB from a folder, so that Numba then finds it by its name; return whether it was there."""
    try:
        ctypes.CDLL(str(folder / "libtbb.so.12"), ctypes.RTLD_GLOBAL)
    except OSError:
        return False
    return True


if sys.platform == "linux":
    load_tbb(Path(sys.prefix) / "lib")  # before the first parallel kernel makes Numba choose


class _Held(threading.local):
    """How many threads the calling thread's kernels run on, as far as `thread_count` set it."""

    count: int | None = None


_held = _Held()


def threads_now() -> int:
    """Return how many threads the calling thread's kernels run on: sooner than Numba, which first sees to its own."""
    return _held.count or numba.get_num_threads()


def thread_count(threads: int | None) -> _ThreadCount:
    """Run the body's kernels on `threads` threads (None = all cores), at most as many as Numba was started with."""
    return _ThreadCount(threads)


class _ThreadCount:
    """The count while it is in force; written out, for a generator as context manager takes twice as long."""

    __slots__ = ("_before", "_held", "_threads")

    def __init__(self, threads: int | None) -> None:
        self._threads = threads

    def __enter__(self) -> int:
        """Return the number of threads."""
        self._held, self._before = _held.count, threads_now()
        limit = int(numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
        used = limit if self._threads is None else min(self._threads, limit)
        if used != self._before:
            numba.set_num_threads(used)
        _held.count = used
        return used

    def __exit__(self, *_: object) -> None:
        """Set what was set before."""
        used, _held.count = _held.count, self._held
        if used != self._before:
            numba.set_num_threads(self._before)
