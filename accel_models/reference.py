"""What a file may say, as a Markdown table, written from the model that reads it."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from types import UnionType
from typing import Any

from annotated_types import Ge, Gt, Le
from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo

from simulator.accelerator.energy import Leakage, Price
from simulator.accelerator.problems import allowed_words
from simulator.accelerator.technology import Component, PowerLaw
from simulator.accelerator.units import parse_bytes, parse_bytes_per_second
from simulator.numerics.formats import IntFormat

_LEAVES = (Price, Leakage, Component, PowerLaw)
"""Groups of energy tables that are written on one line."""
_KINDS = {str: "text", bool: "`true`, `false`", int: "whole number", float: "number"}


def field_table(model: type[BaseModel], leaves: tuple[type[BaseModel], ...] = _LEAVES) -> str:
    """Return a Markdown table of every key of `model`, dotted: what it takes, its default, what it means.

    Keys of a list's groups follow ``[]``, those of groups that the user names follow ``NAME``. Groups of `leaves`
    look the same under every key; their keys are not told again under each.
    """
    lines = ["| key | takes | default | meaning |", "|---|---|---|---|"]
    lines += _rows(model, "", leaves)
    return "\n".join(lines)


def cell(text: str) -> str:
    """Return text as a cell of a Markdown table: one line, bars escaped."""
    return " ".join(text.split()).replace("|", "\\|")


def _rows(model: type[BaseModel], prefix: str, leaves: tuple[type[BaseModel], ...]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        key = prefix + (field.alias or name)
        yield f"| `{key}` | {cell(_takes(field, name))} | {cell(_default(field))} | {cell(field.description or '')} |"
        section, suffix = _section(field.annotation)
        if section is not None and section not in leaves:
            yield from _rows(section, f"{key}{suffix}.", leaves)


def _section(annotation: Any) -> tuple[type[BaseModel] | None, str]:
    """Return the group that a key holds and what stands between the key and those of the group; None: no group."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, ""
    if origin is typing.Annotated:
        return _section(arguments[0])
    if origin in (typing.Union, UnionType):
        return next((found for found in map(_section, arguments) if found[0] is not None), (None, ""))
    if origin in (tuple, list):
        section, suffix = _section(arguments[0])
        return section, f"[]{suffix}"
    if origin is dict:
        section, suffix = _section(arguments[1])
        return section, f".NAME{suffix}"
    return None, ""


def _takes(field: FieldInfo, name: str) -> str:
    parsers = [item.func for item in field.metadata if isinstance(item, BeforeValidator)]
    if parse_bytes in parsers:
        return "size: `256 KiB`, `1.5 MB`, or bytes"
    if parse_bytes_per_second in parsers or name == "bandwidth":
        return "rate: `12.8 GB/s`, or bytes per second"
    return _kind(field.annotation, field.metadata)


def _kind(annotation: Any, metadata: list[Any]) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    words = allowed_words(annotation)
    if words:
        return ", ".join(f"`{word}`" for word in words)
    if origin is typing.Annotated:
        return _kind(arguments[0], list(arguments[1:]))
    if origin in (typing.Union, UnionType):
        return _either([_kind(part, metadata) for part in arguments if part is not type(None)])
    if origin in (tuple, list):
        return f"list; each: {_kind(arguments[0], [])}"
    if origin is dict:
        return f"mapping; each value: {_kind(arguments[1], [])}"
    section, _ = _section(annotation)
    if section is not None:
        return f"`{{{', '.join(section.model_fields)}}}`" if section in _LEAVES else f"group{_short_form(metadata)}"
    return _plain(annotation, metadata)


def _either(kinds: list[str]) -> str:
    if any(kind.startswith("number") for kind in kinds):
        kinds = [kind for kind in kinds if not kind.startswith("whole number")]
    return " or ".join(dict.fromkeys(kinds))


def _short_form(metadata: list[Any]) -> str:
    """Return what may stand in a group's place, found by asking the parsers in front of it."""
    for parser in (item.func for item in metadata if isinstance(item, BeforeValidator)):
        for value in ("x", 1):
            read = parser(value)  # type: ignore[call-arg]
            if isinstance(read, dict):
                return f", or its `{next(iter(read))}` alone"
    return ""


def _plain(annotation: Any, metadata: list[Any]) -> str:
    if annotation is IntFormat:
        return "`int8`, `uint8`, `int16`, `int4` ..."
    if annotation is Any:
        return "any value"
    kind = _KINDS.get(annotation, "number")
    return kind + _bounds(metadata) if kind.endswith("number") else kind


def _bounds(metadata: list[Any]) -> str:
    text = ""
    for bound in metadata:
        for kind, attribute, word in ((Gt, "gt", "above"), (Ge, "ge", "from"), (Le, "le", "to")):
            if isinstance(bound, kind):
                text += f" {word} {getattr(bound, attribute):g}"
    return text


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, BaseModel):
        return "as below"
    if value is None or value == "" or value in ((), {}):
        return ""
    if isinstance(value, tuple):
        return ", ".join(f"`{item}`" for item in value)
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"
