"""Serial kernels on several threads at once, for kernels that share their work by tickets.

Such a kernel releases the GIL, so threads of Python do; Numba's parallel loops would compile it a second time.
A layer is shared in tens of microseconds, so the workers are woken by a lock each, and no queue.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from functools import cache

from simulator.kernels.placement import Placement
from simulator.kernels.threads import threads_now

Work = Callable[[int], int]
"""Number of the thread, from 0, the caller's -> what is summed."""


class _Worker:
    """One thread that does what it is given. Its fields change under the GIL alone."""

    def __init__(self, number: int, placement: Placement) -> None:
        self._number = number
        self._placement = placement
        self._work: Work | None = None
        self._is_called = self._is_dismissed = False
        self._found = 0
        self._error: BaseException | None = None
        self._call, self._done = threading.Lock(), threading.Lock()
        self._call.acquire()
        self._done.acquire()
        thread = threading.Thread(target=self._serve, name=f"bittrue-kernel-{number}", daemon=True)
        thread.start()
        self.native_id = thread.native_id or 0

    def _serve(self) -> None:
        self._placement.place_self()
        while True:
            self._call.acquire()
            self._is_called = False
            if self._is_dismissed:
                return
            work, self._work = self._work, None
            if work is None:  # taken back before this thread was awake
                continue
            try:
                self._found = work(self._number)
            except BaseException as error:  # it is the caller's
                self._error = error
            del work
            self._done.release()

    def _wake(self) -> None:
        if not self._is_called:
            self._is_called = True
            self._call.release()

    def begin(self, work: Work) -> None:
        """Have the work done."""
        self._work = work
        self._wake()

    def finish(self) -> int:
        """Take the work back if it has not begun, else wait for it; return what it found."""
        work, self._work = self._work, None
        if work is not None:
            return 0
        self._done.acquire()
        if self._error is not None:
            raise self._error
        return self._found

    def dismiss(self) -> None:
        """End the thread once it has done what it is at."""
        self._is_dismissed = True
        self._wake()


class _Team:
    """The worker threads of the process, for one caller at a time."""

    def __init__(self) -> None:
        self._workers: list[_Worker] = []
        self._placement = Placement()
        self._taken = threading.Lock()

    def run(self, work: Work, threads: int) -> int:
        """Call `work` on some threads; on the caller's alone where another caller has the team, and the cores."""
        if not self._taken.acquire(blocking=False):
            return work(0)
        try:
            return self._run(work, threads)
        except BaseException:
            # An interrupt may come anywhere: no telling what a worker is at.
            for worker in self._workers:
                worker.dismiss()
            self._workers = []
            raise
        finally:
            self._taken.release()

    def _run(self, work: Work, threads: int) -> int:
        while len(self._workers) < threads - 1:
            self._workers.append(_Worker(len(self._workers) + 1, self._placement))
        used = self._workers[: threads - 1]
        self._placement.keep_off_caller((worker.native_id for worker in self._workers), threads)
        for worker in used:
            worker.begin(work)
        return work(0) + sum(worker.finish() for worker in used)


@cache
def _team() -> _Team:
    return _Team()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_team.cache_clear)  # a child has none of its parent's threads


def run_on_threads(work: Work, most: int | None = None) -> int:
    """Call `work` with the number of each thread, as many as Numba may use now or `most`, all at once; return the sum.

    Each call takes tasks from a common stock until there are none: when the first returns, those threads that have not
    begun are not waited for, nor counted.
    """
    threads = min(threads_now(), most or sys.maxsize)
    return _team().run(work, threads) if threads > 1 else work(0)
