"""Times that bear comparison: contenders by turns in one process, the median of each, or the least.

One thread is timed by processor time, which other programs on the machine do not lengthen: that of all threads of the
process, so that no helper thread works for free. Several threads are timed by the clock on the wall; on a machine that
others use at the same time, the least of many runs says more there than the median.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum

_PAUSE_S = 0.03
"""Between runs on several threads: idle threads of a pool spin for some milliseconds, on the next contender's cores."""


def clock(threads: int) -> Callable[[], float]:
    """Return the clock that runs on `threads` threads are timed with, seconds."""
    return time.process_time if threads == 1 else time.perf_counter


def clock_name(threads: int) -> str:
    """Return how a table names that clock."""
    return "processor time" if threads == 1 else "wall time"


class Statistic(StrEnum):
    """What of several times is told."""

    MEDIAN = "median"
    LEAST = "least"

    def of(self, seconds: Sequence[float]) -> float:
        """Return the one that stands for all."""
        return min(seconds) if self is Statistic.LEAST else statistics.median(seconds)


def caption(threads: int, repeats: int, statistic: Statistic) -> str:
    """Return the line above a table of such times; the load tells how far several threads are to be believed."""
    load = ", ".join(f"{average:.1f}" for average in os.getloadavg())
    return f"threads: {threads}, {statistic} of {repeats} runs, {clock_name(threads)}, load {load}"


def interleave(
    contenders: Mapping[str, Callable[[], object]],
    repeats: int,
    threads: int,
    statistic: Statistic = Statistic.MEDIAN,
) -> dict[str, float]:
    """Run every contender once to warm up, then all of them by turns; return the time of each, seconds.

    Parameters
    ----------
    contenders
        What is timed, by name.
    repeats
        Timed runs of each.
    threads
        Threads that every contender uses; decides the clock.
    statistic
        Median or least of the repeats.

    """
    now = clock(threads)
    for run in contenders.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(repeats):
        for name, run in contenders.items():
            if threads > 1:
                time.sleep(_PAUSE_S)
            begin = now()
            run()
            times[name].append(now() - begin)
    return {name: statistic.of(values) for name, values in times.items()}
