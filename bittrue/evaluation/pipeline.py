"""Read ahead while the array computes, and count behind it: the kernels never wait for a file."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_Item = TypeVar("_Item")
_Made = TypeVar("_Made")
_Result = TypeVar("_Result")

_AHEAD = 2
_BEHIND = 2


def overlapped(
    items: Iterable[_Item],
    read: Callable[[_Item], _Made],
    compute: Callable[[_Made], Callable[[], _Result]],
) -> Generator[_Result]:
    """Do three things to each item, the first and the last beside the second, and give the results in order.

    Parameters
    ----------
    items
        What there is to do.
    read
        Called in a thread of its own, at most two items ahead.
    compute
        Called in this thread, one item after another; what it returns is called in a third thread.

    Whatever is raised comes out here, in its turn. Where the caller stops, nothing more is begun.

    """
    waiting: deque[Future[_Made]] = deque()
    behind: deque[Future[_Result]] = deque()
    source = iter(items)
    reader, finisher = ThreadPoolExecutor(1, "read ahead"), ThreadPoolExecutor(1, "count")
    try:
        for _, item in zip(range(_AHEAD), source, strict=False):
            waiting.append(reader.submit(read, item))
        while waiting:
            made = waiting.popleft().result()
            for item in source:
                waiting.append(reader.submit(read, item))
                break
            behind.append(finisher.submit(compute(made)))
            while len(behind) > _BEHIND:
                yield behind.popleft().result()
        while behind:
            yield behind.popleft().result()
    finally:
        reader.shutdown(wait=True, cancel_futures=True)
        finisher.shutdown(wait=True)
