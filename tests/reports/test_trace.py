from __future__ import annotations

import gzip
import json

from reports.trace import write_trace
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
