from __future__ import annotations

import gzip
import json
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reports.trace import microseconds, trace_events, write_trace
from reports.trace_counters import COUNTERS, counters
from simulator.records.run import TraceEvent
from support.records import run_record
from support.small_runs import small_run
from support.trace_format import complaints


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


def whole(record):
    return json.loads(json.dumps({"displayTimeUnit": "ns", "traceEvents": trace_events(record)}))


@pytest.mark.parametrize("record", [small_run(), run_record(30)], ids=["small", "synthetic"])
def test_the_trace_keeps_to_its_format(record):
    assert complaints(whole(record)) == []


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"ph": "B"}, "phase 'B'"),
        ({"ts": -1}, "no ts"),
        ({"dur": None}, "no dur"),
        ({"tid": "array"}, "no tid"),
        ({"name": 3}, "no name"),
        ({"ts": 0.6, "tid": 1}, "begins before"),
    ],
)
def test_what_breaks_the_format_is_seen(change, complaint):
    trace = whole(small_run())
    at = [i for i, event in enumerate(trace["traceEvents"]) if event["ph"] == "X"][-1]
    trace["traceEvents"][at] |= change
    trace["traceEvents"].append({"ph": "X", "pid": 1, "tid": 1, "name": "late", "ts": 0.7, "dur": 0.1})
    assert any(complaint in text for text in complaints(trace))


def total(changes: list[tuple[int, float]]) -> float:
    """Sum of a counter over all cycles."""
    return sum(value * (after - at) for (at, value), (after, _) in pairwise(changes))


def test_counters_add_up_to_what_the_run_moves_and_computes():
    record = run_record(30)
    found = counters(record)
    assert tuple(found) == COUNTERS
    with_loads = [layer for layer in record.layers if layer.load_cycles]
    assert total(found["DRAM read, B/cycle"]) == pytest.approx(sum(la.dram_read_bytes for la in with_loads), rel=2e-3)
    assert total(found["DRAM written, B/cycle"]) == pytest.approx(record.dram_write_bytes, rel=2e-3)
    utilization = total(found["array utilization, %"]) / record.total_cycles
    assert utilization == pytest.approx(100 * record.utilization, rel=2e-3)
    assert all(changes[-1] == (record.total_cycles, 0.0) for changes in found.values())


def test_a_counter_shows_the_rate_while_the_engine_works():
    # conv reads 300 bytes in its load of 500 cycles, and computes 6912 MACs in the 400 cycles after it, of 1200.
    found = counters(small_run())
    assert found["DRAM read, B/cycle"][0] == (0, 0.6)
    peak = small_run().peak_macs_per_cycle
    busy = [value for at, value in found["array utilization, %"] if value]
    assert max(busy) == pytest.approx(100 * 6912 / 400 / peak, abs=1e-3)


def test_without_a_timeline_there_are_no_counters():
    assert counters(replace(small_run(), events=())) == {}
