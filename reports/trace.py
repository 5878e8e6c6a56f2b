"""The timeline of a run as a Chrome trace: opens in Perfetto; a track an engine and counter, 1 cycle = 1 ns."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path
from typing import Any

from reports.trace_counters import counters
from simulator.records.run import RunRecord

_PROCESS = 1


def trace_events(record: RunRecord) -> list[dict[str, Any]]:
    """Return the trace's events: names of process and tracks, one complete slice per TraceEvent, then the counters."""
    tracks = list(dict.fromkeys(event.track for event in record.events))
    thread = {track: index + 1 for index, track in enumerate(tracks)}
    named = [_metadata("process_name", 0, f"{record.network} on {record.accelerator}")]
    named += [_metadata("thread_name", thread[track], track) for track in tracks]
    named += [
        {"ph": "M", "pid": _PROCESS, "tid": thread[t], "name": "thread_sort_index", "args": {"sort_index": thread[t]}}
        for t in tracks
    ]
    slices = [
        {
            "ph": "X",
            "pid": _PROCESS,
            "tid": thread[event.track],
            "name": event.name,
            "ts": microseconds(event.start_cycle),
            "dur": microseconds(event.duration_cycles),
            "args": {
                "layer": record.layers[event.layer].name,
                "start_cycle": event.start_cycle,
                "cycles": event.duration_cycles,
            },
        }
        for event in record.events
    ]
    return [*named, *slices, *_counter_events(record)]


def _counter_events(record: RunRecord) -> list[dict[str, Any]]:
    return [
        {"ph": "C", "pid": _PROCESS, "name": name, "ts": microseconds(cycle), "args": {name.split(", ")[1]: value}}
        for name, changes in counters(record).items()
        for cycle, value in changes
    ]


def microseconds(cycles: int) -> float:
    """Return cycles, 1 ns each, in the format's unit, microseconds: the nearest double from which all readers get them.

    Perfetto multiplies by 1000.0; some of its versions then round and some cut, which takes 1.001 for 1000 ns and lets
    neighbouring slices overlap (its `json_utils.h` and `json_trace_tokenizer.cc`, CoerceToTs).
    """
    value = cycles / 1000
    return value if int(value * 1000.0) == cycles else math.nextafter(value, math.inf)


def trace_bytes(record: RunRecord) -> bytes:
    """Return the trace as JSON packed by gzip, the same bytes for the same record."""
    text = json.dumps({"displayTimeUnit": "ns", "traceEvents": trace_events(record)}, separators=(",", ":"))
    return gzip.compress(text.encode(), mtime=0)


def write_trace(path: Path, record: RunRecord) -> None:
    """Write `path` (.json.gz), the same bytes for the same record."""
    path.write_bytes(trace_bytes(record))


def _metadata(name: str, thread: int, value: str) -> dict[str, Any]:
    return {"ph": "M", "pid": _PROCESS, "tid": thread, "name": name, "args": {"name": value}}
