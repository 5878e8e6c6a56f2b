"""Put new values into a golden's text: all else, comments and order of keys included, stays byte for byte."""

from __future__ import annotations

import copy
import json
import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from accel_models.yaml_document import Document, parse_document
from bittrue.golden.result import Change, CheckResult
from simulator.errors import BittrueError, SpecError
from simulator.records.store import write_arrays


def write_update(result: CheckResult) -> None:
    """Write the changes of a check: the .npz of expected tensors, then the golden, each whole or not at all.

    Raises
    ------
    SpecError
        The golden was edited since it was read, or is written so that one of its values cannot be replaced alone.
    OSError
        A file that cannot be written.

    """
    file = result.file
    changes = [change for case in result.cases for change in case.changes]
    raw = file.path.read_bytes()
    if raw.decode("utf-8-sig") != file.text:
        raise SpecError(f"{file.path} was changed while it was being checked; nothing is written, check it again")
    text = rewrite(file.document, file.text, changes)
    written: dict[Path, Path] = {}
    try:
        for case in result.cases:
            if case.outputs is not None:
                if case.outputs.path in written:
                    raise SpecError(
                        f"{file.path}: two cases keep their outputs in {case.outputs.path}; nothing is written"
                    )
                written[case.outputs.path] = draft = _draft(case.outputs.path)
                write_arrays(draft, case.outputs.arrays)
        if text != file.text:
            mark = b"\xef\xbb\xbf" if raw.startswith(b"\xef\xbb\xbf") else b""
            written[file.path] = draft = _draft(file.path)
            draft.write_bytes(mark + text.encode("utf-8"))
        for path, draft in written.items():
            if path.exists():
                draft.chmod(path.stat().st_mode & 0o777)
            draft.replace(path)
    finally:
        for draft in written.values():
            draft.unlink(missing_ok=True)


def _draft(path: Path) -> Path:
    """Return a file of our own beside `path`, with the rights that a new file gets."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    mask = os.umask(0)
    os.umask(mask)
    os.fchmod(handle, 0o666 & ~mask)
    os.close(handle)
    return Path(name)


def rewrite(document: Document, text: str, changes: Sequence[Change]) -> str:
    """Return `text`, which `document` was parsed from, with new values.

    Raises
    ------
    SpecError
        Replacing the values would change something else too: an anchor that several keys share.

    """
    wanted = copy.deepcopy(document.data)
    for change in changes:
        node = wanted
        for key in change.location[:-1]:
            node = node[key]
        node[change.location[-1]] = change.new
    for block in (True, False):
        edited = _edited(document, text, changes, block)
        try:
            if parse_document(edited, document.name).data == wanted:
                return edited
        except BittrueError:
            continue
    raise SpecError(
        f"{document.name}: its values cannot be replaced one by one (an anchor that keys share?); nothing is written, "
        f"edit it by hand: {'; '.join(map(str, changes))}"
    )


def _edited(document: Document, text: str, changes: Sequence[Change], block: bool) -> str:
    spans = [(*document.spans[change.location], change.new) for change in changes]
    for begin, end, new in sorted(spans, key=lambda span: span[0], reverse=True):
        if isinstance(new, dict) and block:
            text = _with_block(text, begin, end, new)
            continue
        empty = begin == end
        after = text[end + 1 :] if empty and text[end : end + 2] in (" ,", " }") else text[end:]
        text = text[:begin] + (" " if empty else "") + _scalar(new) + after
    return text


def _with_block(text: str, begin: int, end: int, entries: dict[str, Any]) -> str:
    """Put `key: value` lines below the key whose value lies at `begin`; a comment stays beside the key."""
    line = text[text.rfind("\n", 0, begin) + 1 : begin]
    stop = text.find("\n", end)
    stop = len(text) if stop < 0 else stop
    newline = "\r\n" if text[:stop].endswith("\r") else "\n"
    stop -= len(newline) - 1
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    lines = "".join(f"{newline}{indent}{_scalar(key)}: {_scalar(value)}" for key, value in entries.items())
    return (text[:begin] + text[end:stop]).rstrip(" ") + lines + text[stop:]


def _scalar(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_scalar(key)}: {_scalar(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, str):
        plain = re.fullmatch(r"[A-Za-z][\w./:-]*\w", value, re.ASCII)
        return (
            value if plain and value.lower() not in ("null", "true", "false") else json.dumps(value, ensure_ascii=False)
        )
    return repr(value)
