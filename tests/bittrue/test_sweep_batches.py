"""Batches of points: how long one is, and that every point comes back once whatever becomes of the pool."""

from __future__ import annotations

from collections import Counter, deque
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from itertools import cycle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bittrue.sweeping import batches
from bittrue.sweeping.batches import BATCH_S, MOST_POINTS, Done, evaluate_batch
from bittrue.sweeping.engines import InProcess
from bittrue.sweeping.evaluate import LOST, Outcome
from bittrue.sweeping.points import DesignPoint
from bittrue.sweeping.processes_engine import _Flow


def points(count):
    return [DesignPoint(f"{index}", "edge_32x32", {}, "unet", {}) for index in range(count)]


def takes(seconds, monkeypatch):
    """Return an evaluation that takes the next of `seconds` on a clock of its own."""
    now, left = [0.0], cycle(seconds)
    monkeypatch.setattr(batches.time, "perf_counter", lambda: now[0])

    def evaluation(point):
        now[0] += next(left)
        if point.key == "2":
            raise ValueError("two")
        return Outcome(point.key)

    return evaluation


def test_a_batch_begins_no_point_after_its_time_and_an_error_ends_nothing(monkeypatch):
    done = evaluate_batch(takes([BATCH_S / 4], monkeypatch), points(9))
    assert [(o.key, o.error) for o in done.outcomes] == [("0", ""), ("1", ""), ("2", "ValueError: two"), ("3", "")]
    assert done.size == 4
    long = evaluate_batch(takes([60.0], monkeypatch), points(9))
    assert (len(long.outcomes), long.size) == (1, 1)
    short = evaluate_batch(takes([BATCH_S / 1000], monkeypatch), points(9))
    assert (len(short.outcomes), short.size) == (9, MOST_POINTS)


def test_what_was_evaluated_before_an_interruption_is_kept(monkeypatch):
    def interrupted(point):
        if point.key == "3":
            raise KeyboardInterrupt
        return Outcome(point.key)

    monkeypatch.setattr(batches.time, "perf_counter", lambda: 0.0)
    with InProcess().session() as session:
        batched = session.outcomes(points(9), interrupted)
    assert [outcome.key for outcome in next(batched)] == ["0", "1", "2"]
    with pytest.raises(KeyboardInterrupt):
        next(batched)


class Pool:
    """A pool of processes that evaluates a part of each batch, and breaks in the middle of some."""

    def __init__(self, parts, breaks):
        self.parts, self.breaks, self.broken = parts, breaks, False

    def submit(self, function, evaluate, batch):
        assert function is evaluate_batch
        future = Future()
        self.broken = self.broken or next(self.breaks)
        if self.broken and not next(self.breaks):
            raise BrokenProcessPool
        if self.broken:
            future.set_exception(BrokenProcessPool())
        else:
            begun = batch[: max(1, int(len(batch) * next(self.parts)))]
            future.set_result(Done(tuple(map(evaluate, begun)), BATCH_S * len(begun) / next(self.parts) / 20))
        return future


@given(
    st.integers(0, 60),
    st.integers(1, 3),
    st.lists(st.floats(0.1, 1), min_size=1, max_size=9),
    st.lists(st.booleans(), max_size=9),
)
def test_every_point_comes_back_once_whatever_becomes_of_the_pool(count, workers, parts, breaks):
    parts, breaks = cycle(parts), cycle([*breaks, False, False])
    evaluated = Counter()

    def counted(point):
        evaluated[point.key] += 1
        return Outcome(point.key)

    flow = _Flow(counted, deque(points(count)), workers, 2 * workers)
    found = []
    pools = 0
    while flow.waiting:
        found += [outcome for outcomes in flow.through(Pool(parts, breaks)) for outcome in outcomes]
        pools += 1
        assert pools < 1000
    assert sorted(o.key for o in found) == sorted(p.key for p in points(count))
    assert evaluated == Counter(o.key for o in found if not o.lost)
    assert {o.error for o in found if o.lost} <= {LOST}
