"""The JSON trace format, checked field by field (Google, Trace Event Format: JSON Object Format, Events)."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

_METADATA = {
    "process_name": ("name", str),
    "thread_name": ("name", str),
    "thread_sort_index": ("sort_index", int),
}


def complaints(trace: Any) -> list[str]:
    """Return what is wrong with a trace; nothing where viewers read all of it."""
    if not isinstance(trace, dict) or not isinstance(trace.get("traceEvents"), list):
        return ["no object with traceEvents"]
    found = [] if trace.get("displayTimeUnit") in ("ms", "ns") else ["displayTimeUnit is neither ms nor ns"]
    for number, event in enumerate(trace["traceEvents"]):
        found += [f"event {number}: {text}" for text in _event(event)]
    return found + _overlaps(trace["traceEvents"])


def _event(event: dict[str, Any]) -> list[str]:
    kind, found = event.get("ph"), []
    if not isinstance(event.get("name"), str):
        found.append("no name")
    if not isinstance(event.get("pid"), int):
        found.append("no pid")
    if kind in ("X", "M") and not isinstance(event.get("tid"), int):
        found.append("no tid")
    if kind in ("X", "C") and not _time(event.get("ts")):
        found.append("no ts")
    if kind == "X" and not _time(event.get("dur")):
        found.append("no dur")
    if kind == "C" and not all(isinstance(v, int | float) for v in (event.get("args") or {"": None}).values()):
        found.append("a counter whose args are no numbers")
    if kind == "M":
        key, of = _METADATA.get(event.get("name", ""), ("", object))
        if not isinstance(event.get("args", {}).get(key), of) or not key:
            found.append("metadata that no viewer knows")
    return found if kind in ("X", "M", "C") else [f"phase {kind!r}"]


def _time(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def _overlaps(events: list[dict[str, Any]]) -> list[str]:
    """Slices of one thread must nest or follow each other."""
    tracks = defaultdict(list)
    for event in events:
        if event.get("ph") == "X" and event["dur"]:
            tracks[event["pid"], event["tid"]].append((event["ts"], event["dur"], event["name"]))
    found = []
    for slices in tracks.values():
        slices.sort()
        last = 0.0
        for start, duration, name in slices:
            if start < last - 1e-6:
                found.append(f"slice {name!r} at {start} begins before {last}")
            last = max(last, start + duration)
    return found
