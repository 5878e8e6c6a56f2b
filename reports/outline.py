"""The specification and the energy table of a run as lines to read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def outline(value: Any, depth: int = 0) -> str:
    """Write nested plain data as indented lines, the way its YAML reads."""
    pad = "  " * depth
    if isinstance(value, Mapping):
        items = [(f"{pad}{key}:", item) for key, item in value.items()]
    else:
        items = [(f"{pad}-", item) for item in value]
    lines = []
    for head, item in items:
        nested = isinstance(item, Mapping) or (isinstance(item, list | tuple) and item)
        lines.append(f"{head}\n{outline(item, depth + 1)}" if nested else f"{head} {item}")
    return "\n".join(lines)


def prices(table: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return (action, price, source) of every entry of an energy table."""
    return [
        (action, ", ".join(f"{entry[key]} {key}" for key in entry if key != "source"), str(entry.get("source", "")))
        for action, entry in table.items()
        if isinstance(entry, Mapping)
    ]
