"""The field tables of docs/accelerators.md, written from the specification itself.

`python -m accel_models.reference docs/accelerators.md` brings the page up to date; a test holds it to it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from annotated_types import Ge, Gt, Le
from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo

from simulator.accelerator.energy import EnergyTable, Leakage, Price
from simulator.accelerator.problems import allowed_words, model_at
from simulator.accelerator.spec import Accelerator
from simulator.accelerator.technology import Component, PowerLaw, Technology
from simulator.accelerator.units import parse_bytes, parse_bytes_per_second
from simulator.numerics.formats import IntFormat

_BEGIN = "<!-- written by `python -m accel_models.reference`: {name} -->"
_END = "<!-- end -->"
_TABLES: dict[str, type[BaseModel]] = {
    "accelerator": Accelerator,
    "technology": Technology,
    "energy table": EnergyTable,
}
_LEAVES = (Price, Leakage, Component, PowerLaw)
"""Groups that look the same under every key: the page tells their keys once."""


def field_table(model: type[BaseModel]) -> str:
    """Return a Markdown table of every key of `model`, dotted: what it takes, its default, what it means."""
    lines = ["| key | takes | default | meaning |", "|---|---|---|---|"]
    lines += _rows(model, "")
    return "\n".join(lines)


def update(page: str) -> str:
    """Return the page with the text between its markers written anew."""
    for name, model in _TABLES.items():
        begin = _BEGIN.format(name=name)
        pattern = re.compile(re.escape(begin) + ".*?" + re.escape(_END), re.DOTALL)
        text = f"{begin}\n\n{field_table(model)}\n\n{_END}"
        page = pattern.sub(lambda _, text=text: text, page)  # type: ignore[misc]
    return page


def _rows(model: type[BaseModel], prefix: str) -> list[str]:
    lines = []
    for name, field in model.model_fields.items():
        key = prefix + name
        meaning = " ".join((field.description or "").split()).replace("|", "\\|")
        lines.append(f"| `{key}` | {_takes(field, name, model)} | {_default(field)} | {meaning} |")
        section = model_at(model, (name,))
        if section in _LEAVES:
            continue
        if section is not None:
            lines += _rows(section, f"{key}.")
    return lines


def _takes(field: FieldInfo, name: str, model: type[BaseModel]) -> str:
    parsers = [item.func for item in field.metadata if isinstance(item, BeforeValidator)]
    words = allowed_words(field.annotation)
    if parse_bytes in parsers:
        return "size: `256 KiB`, `1.5 MB`, or bytes"
    if parse_bytes_per_second in parsers or name == "bandwidth":
        return "rate: `12.8 GB/s`, or bytes per second"
    if words:
        return ", ".join(f"`{word}`" for word in words)
    section = model_at(model, (name,))
    if section is not None and section in _LEAVES:
        return f"`{{{', '.join(section.model_fields)}}}`"
    if section is not None:
        return "group, or the name of its `kind`" if name == "requantizer" else "group"
    if field.annotation is IntFormat:
        return "`int8`, `uint8`, `int16`, `int4` ..."
    return _plain(field)


def _plain(field: FieldInfo) -> str:
    kinds = {str: "text", bool: "`true`, `false`"}
    if field.annotation in kinds:
        return kinds[field.annotation]
    text = "number" if "float" in str(field.annotation) else "whole number"
    for bound in field.metadata:
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
    if value is None or value == "":
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(update(path.read_text(encoding="utf-8")), encoding="utf-8")
