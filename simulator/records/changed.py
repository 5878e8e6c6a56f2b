"""Copies of records with some fields changed, at a tenth of what `dataclasses.replace` takes: a run makes hundreds."""

from __future__ import annotations

from typing import Any, TypeVar

_R = TypeVar("_R")


def changed(record: _R, **fields: Any) -> _R:
    """Return a copy of a frozen dataclass (without __post_init__) with these fields in place of its own."""
    known = record.__dict__
    declared = type(record).__dataclass_fields__  # type: ignore[attr-defined]
    if not fields.keys() <= declared.keys():
        name = next(name for name in fields if name not in declared)
        raise TypeError(f"{type(record).__name__} has no field {name}")
    if len(known) > len(declared):  # cached properties are found anew: they follow from the fields
        known = {name: known[name] for name in declared}
    new = object.__new__(type(record))
    object.__setattr__(new, "__dict__", known | fields)
    return new
