from __future__ import annotations

import gzip
import json
from dataclasses import replace
from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from reports.trace import microseconds, trace_events, write_trace
from simulator.records.run import TraceEvent
from support.small_runs import small_run


def test_the_trace_is_what_perfetto_reads(tmp_path):
    write_trace(tmp_path / "trace.json.gz", small_run())
    trace = json.loads(gzip.decompress((tmp_path / "trace.json.gz").read_bytes()))
    names = {event["tid"]: event["args"]["name"] for event in trace["traceEvents"] if event["name"] == "thread_name"}
    slices = [event for event in trace["traceEvents"] if event["ph"] == "X"]
    assert trace["displayTimeUnit"] == "ns"
    assert [(names[s["tid"]], s["name"], s["ts"], s["dur"]) for s in slices] == [
        ("load dma", "conv: load", 0.0, 0.5),
        ("array", "conv", 0.5, 0.4),
    ]
    assert slices[1]["args"] == {"layer": "conv", "start_cycle": 500, "cycles": 400}


def test_same_run_same_bytes(tmp_path):
    write_trace(tmp_path / "one.gz", small_run())
    write_trace(tmp_path / "two.gz", small_run())
    assert (tmp_path / "one.gz").read_bytes() == (tmp_path / "two.gz").read_bytes()


@given(st.integers(0, 10**14))
@example(1001)
@example(1_000_003_019)
def test_every_cycle_is_read_back_by_viewers_that_round_and_by_those_that_cut(cycles):
    value = json.loads(json.dumps(microseconds(cycles)))
    assert int(value * 1000.0) == cycles
    assert round(value * 1000.0) == cycles


def test_slices_that_touch_do_not_overlap_in_a_viewer():
    lengths = [1 + (7919 * i) % 1013 for i in range(2000)]
    starts = [sum(lengths[:i]) for i in range(len(lengths))]
    events = tuple(TraceEvent("array", "conv", at, size, 0) for at, size in zip(starts, lengths, strict=True))
    slices = [event for event in trace_events(replace(small_run(), events=events)) if event["ph"] == "X"]
    spans = [(int(s["ts"] * 1000.0), int(s["dur"] * 1000.0)) for s in slices]
    assert all(start + length == after for (start, length), (after, _) in pairwise(spans))


def test_each_engine_has_a_named_track_of_its_own():
    events = trace_events(small_run())
    tracks = {event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name"}
    assert sorted(tracks.values()) == ["array", "load dma"]
    assert len({event["pid"] for event in events}) == 1
    assert {event["tid"] for event in events if event["ph"] == "X"} == set(tracks)
