"""What is wrong with a specification, in words that say what to write instead."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

_BOUNDS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}
_INTEGER = ("int_parsing", "int_type", "int_from_float", "int_parsing_size")
_NUMBER = ("float_parsing", "float_type", "finite_number")
_MAPPING = ("model_type", "dataclass_type", "model_attributes_type")


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, and where."""

    location: tuple[str, ...]
    """Keys from the top of the specification; empty = the whole of it."""
    text: str
    """What is wrong, and what would work."""

    @property
    def key(self) -> str:
        """Dotted key, e.g. array.rows; empty for the whole specification."""
        return ".".join(self.location)

    def __str__(self) -> str:
        return f"{self.key}: {self.text}" if self.location else self.text


def problems(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """Every problem of a failed validation of `model`, in the order of its fields."""
    return [_problem(detail, model) for detail in error.errors()]


def nearest(word: str, known: list[str]) -> str:
    """Return ``, did you mean ...?`` for a misspelt word, or nothing where no known word is near."""
    folded = {name.lower(): name for name in known}
    close = get_close_matches(word.lower(), list(folded), n=1, cutoff=0.6)
    return f", did you mean {folded[close[0]]}?" if close else ""


def model_at(model: type[BaseModel], location: tuple[str, ...]) -> type[BaseModel] | None:
    """Return the model that describes the section at `location`; None where that is a single value."""
    keys = iter(location)
    for key in keys:
        field = model.model_fields.get(key)
        annotation = None if field is None else field.annotation
        found = _model_in(annotation)
        if found is None and typing.get_origin(annotation) is dict and next(keys, None) is not None:
            found = _model_in(typing.get_args(annotation)[1])  # sections by names of the user's own
        if found is None:
            return None
        model = found
    return model


def _problem(detail: ErrorDetails, model: type[BaseModel]) -> Problem:
    location = tuple(str(key) for key in detail["loc"])
    kind, value = detail["type"], detail["input"]
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        return Problem(location, _unknown_key(location, model))
    if kind == "missing":
        return Problem(location, f"missing{_hint(location, model)}")
    if value is None:
        return Problem(location, f"has no value{_hint(location, model)}")
    if kind == "value_error" and isinstance(value, dict):
        key, colon, text = str(detail["ctx"]["error"]).partition(": ")
        if colon and key in value:  # a rule of the whole section that speaks of one of its keys
            return Problem((*location, key), text)
    return Problem(location, _bad_value(kind, value, detail, model_at(model, location)))


def _bad_value(kind: str, value: Any, detail: ErrorDetails, section: type[BaseModel] | None) -> str:
    context = detail.get("ctx", {})
    if kind == "value_error":
        text = str(context["error"])
        return text if isinstance(value, dict) or str(value).lower() in text.lower() else f"{value!r}: {text}"
    if kind in ("enum", "literal_error"):
        allowed = [word.strip("'") for word in context["expected"].replace(" or ", ", ").split(", ")]
        return f"{value!r} is not one of {', '.join(allowed)}{nearest(str(value), allowed)}"
    if kind in _BOUNDS:
        bound, words = _BOUNDS[kind]
        return f"{value!r} is out of range: {words} {context[bound]:g}"
    if kind in _INTEGER or kind in _NUMBER:
        unit = "; the unit is part of the key" if re.match(r"\s*[0-9.]+\s*[A-Za-z]", str(value)) else ""
        return f"{value!r} is not a {'whole' if kind in _INTEGER else 'finite'} number{unit}"
    if kind.startswith("bool"):
        return f"{value!r} is neither true nor false"
    if kind.startswith("string"):
        return f"{value!r} is not text; put it in quotes if it is meant as text"
    if kind == "dataclass_type" and context["class_name"] == "IntFormat":
        return f"{value!r} is not an integer format; write int8, uint8, int16, int4 ..."
    if kind in _MAPPING:
        keys = f"with the keys {', '.join(section.model_fields)}" if section else "of its keys"
        return f"{value!r} is a single value where a group {keys} is expected"
    return f"{detail['msg']} (got {value!r})"


def _unknown_key(location: tuple[str, ...], model: type[BaseModel]) -> str:
    section = model_at(model, location[:-1])
    if section is None:
        return "unknown key"
    known = list(section.model_fields)
    hint = nearest(location[-1], known)
    if hint:
        return f"unknown key{hint}"
    elsewhere = [key for key in dotted_keys(model) if key.rpartition(".")[2] == location[-1]]
    if elsewhere:
        return f"unknown key here; it belongs to {' or '.join(elsewhere)}"
    return f"unknown key; there are {', '.join(known)}"


def dotted_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Yield every key of `model` and of its sections, dotted, a section before what it holds."""
    for name, field in model.model_fields.items():
        yield prefix + name
        section = _model_in(field.annotation)
        if section is not None:
            yield from dotted_keys(section, f"{prefix}{name}.")


def _hint(location: tuple[str, ...], model: type[BaseModel]) -> str:
    section = model_at(model, location[:-1])
    field = section.model_fields.get(location[-1]) if section and location else None
    if field is None:
        return ""
    inner = _model_in(field.annotation)
    if inner is not None:
        return f"; it holds {', '.join(inner.model_fields)}"
    choices = allowed_words(field.annotation)
    if choices:
        return f"; one of {', '.join(choices)}"
    text = " ".join((field.description or "").split()).rstrip(".")
    return f" ({text})" if text else ""


def allowed_words(annotation: Any) -> list[str]:
    """Words that an enumeration or literal type accepts; empty for any other type."""
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return [str(member.value) for member in annotation]
    if typing.get_origin(annotation) is typing.Literal:
        return [str(word) for word in typing.get_args(annotation)]
    if _is_union(annotation):
        return [word for part in typing.get_args(annotation) for word in allowed_words(part)]
    return []


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if _is_union(annotation):
        return next(filter(None, (_model_in(part) for part in typing.get_args(annotation))), None)
    return None


def _is_union(annotation: Any) -> bool:
    return typing.get_origin(annotation) in (typing.Union, types.UnionType)
