"""YAML read with line marks, so that a mistake can be told with its line. Safe: plain data only, no tags, no code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from simulator.errors import SpecError

_LARGEST_BYTES = 1_000_000
_MOST_NODES = 20_000
_TAG = "tag:yaml.org,2002:"

Location = tuple[str, ...]


class _CoreLoader(yaml.SafeLoader):
    """YAML 1.2 core schema: on, off, yes, no stay words and 1e3 is a number, both unlike YAML 1.1."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 -- the base class declares it so


for _name, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0x[0-9a-fA-F]+|0o[0-7]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
):
    _CoreLoader.add_implicit_resolver(_TAG + _name, re.compile(rf"(?:{_pattern})\Z"), _first)


@dataclass(frozen=True)
class Document:
    """A YAML file as plain data, with the line of every key."""

    name: str
    """The file as the user named it."""
    data: dict[str, Any]
    """Mappings, lists, text, numbers, truth values, None."""
    lines: Mapping[Location, int]
    """Line, from 1, of the key at each location."""
    spans: Mapping[Location, tuple[int, int]]
    """Where in the text the value at each location begins and ends, in characters."""
    problems: tuple[tuple[int, str], ...]
    """(line, text) of what the YAML itself allows but a specification does not: duplicate keys and the like."""

    def line(self, location: Location) -> int:
        """Line of the key at `location`, or of the nearest section around it that the file has."""
        for end in range(len(location), 0, -1):
            if location[:end] in self.lines:
                return self.lines[location[:end]]
        return 1


def read_document(path: Path) -> Document:
    """Read a YAML file whose top level is a mapping.

    Raises
    ------
    SpecError
        The file is missing, unreadable, not UTF-8, not YAML, empty, or not a mapping.

    """
    return parse_document(_read_text(path), str(path))


def parse_document(text: str, name: str) -> Document:
    """Parse YAML text; `name` stands for the file in messages. SpecError as `read_document`."""
    try:
        root = yaml.compose(text, Loader=_CoreLoader)
    except yaml.MarkedYAMLError as error:
        raise SpecError(_syntax_error(error, text, name)) from None
    except (yaml.YAMLError, RecursionError) as error:
        raise SpecError(f"{name}: not a YAML text: {str(error).splitlines()[0]}") from None
    if root is None:
        raise SpecError(f"{name}: the file is empty; docs/files tells what belongs in it")
    if not isinstance(root, MappingNode):
        line = root.start_mark.line + 1
        raise SpecError(f"{name}:{line}: a specification is a list of `key: value` lines, not {_describe(root)}")
    builder = _Builder(name)
    data = builder.mapping(root, ())
    return Document(name, data, builder.lines, builder.spans, tuple(builder.problems))


def parse_value(text: str) -> Any:
    """Value of a YAML scalar or mapping in one line, as after ``--set key=``; SpecError where it is not YAML."""
    try:
        document = parse_document(f"value: {text}", "value")
    except SpecError as error:
        reason = str(error).partition(": ")[2].removeprefix("not valid YAML: ")
        raise SpecError(f"{text}: not valid YAML: {reason}") from None
    if document.problems:
        raise SpecError(f"{text}: {document.problems[0][1]}")
    if set(document.data) != {"value"}:
        raise SpecError(f"{text}: write one value, or a mapping in braces such as {{bits: 20, overflow: saturate}}")
    return document.data["value"]


def _read_text(path: Path) -> str:
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise SpecError(f"{path}: {path.stat().st_size} bytes is no hand-written YAML file; is it the right file?")
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SpecError(f"{path}: not a text file in UTF-8 (byte {error.start}); is it the right file?") from None
    except OSError as error:
        raise SpecError(f"{path}: cannot be read: {error.strerror or error}") from None


def _syntax_error(error: yaml.MarkedYAMLError, text: str, name: str) -> str:
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 1
    source = text.splitlines()[line - 1] if 0 < line <= len(text.splitlines()) else ""
    hint = ""
    if "\t" in source[: len(source) - len(source.lstrip())] or "\\t" in str(error.problem):
        hint = "; indent with spaces, not with tabs"
    elif isinstance(error, yaml.composer.ComposerError) and "single document" in str(error.context):
        hint = "; keep one specification to a file"
    context = f" ({error.context})" if error.context else ""
    return f"{name}:{line}: not valid YAML: {error.problem}{context}{hint}"


def _describe(node: Node) -> str:
    return "a list of items" if isinstance(node, SequenceNode) else f"the single value {node.value!r}"


class _Builder:
    """Plain data out of YAML nodes, noting lines and problems on the way."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: dict[Location, int] = {}
        self.spans: dict[Location, tuple[int, int]] = {}
        self.problems: list[tuple[int, str]] = []
        self._nodes = 0

    def mapping(self, node: MappingNode, location: Location) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, ScalarNode):
                self.problems.append((line, f"a key is a word, not {_describe(key_node)}"))
                continue
            key = str(key_node.value)
            here = (*location, key)
            if key in data:
                first = self.lines[here]
                self.problems.append((line, f"{'.'.join(here)}: given twice, first in line {first}; keep one"))
                continue
            self.lines[here] = line
            data[key] = self._value(value_node, here)
        return data

    def _value(self, node: Node, location: Location) -> Any:
        self._nodes += 1
        self.spans[location] = (node.start_mark.index, node.end_mark.index)
        # An alias may stand inside its own anchor, and a few lines of aliases of aliases mean billions of values.
        if self._nodes > _MOST_NODES or len(location) > 20:
            raise SpecError(
                f"{self.name}:{node.start_mark.line + 1}: nested or repeated too deeply for a specification"
            )
        if isinstance(node, MappingNode):
            return self.mapping(node, location)
        if isinstance(node, SequenceNode):
            return [self._value(item, (*location, str(index))) for index, item in enumerate(node.value)]
        return self._scalar(node, location)

    def _scalar(self, node: Node, location: Location) -> Any:
        kind, text = node.tag.removeprefix(_TAG), str(node.value)
        if kind == "str":
            return text
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        try:
            if kind == "int":
                return int(text, 0) if text[:2] in ("0x", "0o") else int(text)
            if kind == "float":
                return float(text.replace(".inf", "inf").replace(".nan", "nan").lower())
        except ValueError:
            self.problems.append((node.start_mark.line + 1, f"{'.'.join(location)}: {text[:40]!r} is not a number"))
            return None
        line = node.start_mark.line + 1
        self.problems.append((line, f"{'.'.join(location)}: the tag {node.tag} is not supported; write a plain value"))
        return None
