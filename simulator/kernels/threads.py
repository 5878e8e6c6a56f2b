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
    innermost: _ThreadCount | None = None


_held = _Held()


def threads_now() -> int:
    """Return how many threads the calling thread's kernels run on: sooner than Numba, which first sees to its own."""
    return _held.count or numba.get_num_threads()


def thread_count(threads: int | None, *, loops: bool = True) -> _ThreadCount:
    """Run the body's kernels on `threads` threads (None = all cores), at most as many as Numba was started with.

    Parameters
    ----------
    threads
        How many.
    loops
        Whether Numba's parallel loops follow at once; else from `settle_loops` on, for asking Numba and telling it
        takes as long as a small layer, and many a run has no such loop.

    """
    return _ThreadCount(threads, loops)


def settle_loops() -> None:
    """Have Numba's parallel loops run on as many threads as the other kernels: to be called before there is one."""
    if _held.innermost is not None:
        _held.innermost.settle()


class _ThreadCount:
    """The count while it is in force; written out, for a generator as context manager takes twice as long."""

    __slots__ = ("_before", "_loops", "_loops_before", "_outer", "_threads", "_used")

    def __init__(self, threads: int | None, loops: bool) -> None:
        self._threads = threads
        self._loops = loops
        self._loops_before: int | None = None

    def __enter__(self) -> int:
        """Return the number of threads."""
        limit = int(numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
        self._used = limit if self._threads is None else min(self._threads, limit)
        self._outer, self._before = _held.innermost, _held.count
        _held.innermost, _held.count = self, self._used
        if self._loops:
            self.settle()
        return self._used

    def settle(self) -> None:
        """Tell Numba, once."""
        if self._loops_before is None:
            self._loops_before = numba.get_num_threads()
            if self._loops_before != self._used:
                numba.set_num_threads(self._used)

    def __exit__(self, *_: object) -> None:
        """Set what was set before."""
        _held.innermost, _held.count = self._outer, self._before
        if self._loops_before is not None and self._loops_before != self._used:
            numba.set_num_threads(self._loops_before)
