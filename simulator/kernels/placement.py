"""Keeping worker threads off the CPU of the thread that calls them.

A sleeping virtual CPU looks taken to Linux (paravirtual "preempted" state), so in a virtual machine a thread that is
woken may be put on its waker's CPU and stay there for milliseconds, until the load is balanced: two threads, one CPU.
The workers are therefore allowed every CPU of the caller's but the one that it is on.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterable
from functools import cache


@cache
def _current_cpu() -> Callable[[], int] | None:
    """Return what tells the caller's CPU, where the system has it and lets threads be placed."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    try:
        return ctypes.CDLL(None).sched_getcpu
    except (OSError, AttributeError):
        return None


def can_place() -> bool:
    """Whether the system lets threads be placed, and tells on which CPU one runs."""
    return _current_cpu() is not None


class Placement:
    """Where the workers of a pool may run now."""

    def __init__(self) -> None:
        self._allowed: frozenset[int] = frozenset()

    def keep_off_caller(self, threads: Iterable[int], cpus_needed: int) -> None:
        """Forbid the caller's CPU to `threads` (native ids), if it may use `cpus_needed` CPUs in all."""
        current = _current_cpu()
        if current is None:
            return
        everywhere = os.sched_getaffinity(0)
        allowed = frozenset(everywhere - {current()} if len(everywhere) >= cpus_needed else everywhere)
        if allowed == self._allowed:
            return
        self._allowed = allowed
        for thread in threads:
            _place(thread, allowed)

    def place_self(self) -> None:
        """Put the calling thread, a new worker, where the others are."""
        if self._allowed:
            _place(0, self._allowed)


def _place(thread: int, cpus: Iterable[int]) -> None:
    try:
        os.sched_setaffinity(thread, cpus)
    except OSError:
        return  # the thread has ended, or the system refuses: it then runs where the scheduler puts it
