from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.occupancy import Track, amounts, only, shares, tracks
from simulator.records.run import TraceEvent
from support.small_runs import small_run

EVENTS = st.lists(st.tuples(st.integers(0, 90), st.integers(0, 30), st.integers(0, 5)), max_size=8)


def counted(events: list[tuple[int, int, int]], edges: list[int]) -> list[float]:
    """The same, cycle by cycle."""
    rate = [0] * 200
    for start, duration, each in events:
        for cycle in range(start, start + duration):
            rate[cycle] += each
    return [float(sum(rate[low:high])) for low, high in pairwise(edges)]


@given(EVENTS, st.lists(st.integers(0, 150), min_size=2, max_size=9, unique=True).map(sorted))
def test_amounts_are_those_counted_cycle_by_cycle(events, edges):
    table = np.array(events, dtype=np.int64).reshape(-1, 3).T
    track = Track(table[0], table[1], table[2])
    found = amounts(track, np.array(edges, dtype=np.float64), table[2].astype(np.float64))
    assert found == pytest.approx(counted(events, edges), abs=1e-9)


def test_an_event_across_an_edge_is_divided_there():
    track = Track(np.array([5]), np.array([10]), np.array([0]))
    assert shares(track, np.array([0.0, 10.0, 30.0])).tolist() == [0.5, 0.25]


def test_events_come_by_engine_in_the_order_of_their_first():
    found = tracks(small_run())
    assert list(found) == ["load dma", "array"]
    assert (found["array"].starts.tolist(), found["array"].durations.tolist()) == ([500], [400])
    assert only(found["array"], found["array"].layers == 1).starts.tolist() == []


def test_cores_are_one_track_that_is_full_when_all_work():
    run = small_run()
    events = tuple(TraceEvent(f"core {core} array", "a", 10 * core, 20, 0) for core in (0, 1))
    record = replace(run, spec=run.spec | {"cores": 2}, events=(*events, TraceEvent("host", "h", 0, 40, 1)))
    found = tracks(record)
    assert list(found) == ["array", "host"]
    edges = np.array([0.0, 10.0, 20.0, 40.0])
    assert shares(found["array"], edges).tolist() == [0.5, 1.0, 0.25]
    assert shares(only(found["array"], found["array"].starts > 0), edges).tolist() == [0.0, 0.5, 0.25]
    assert shares(found["host"], edges).tolist() == [1.0, 1.0, 1.0]
