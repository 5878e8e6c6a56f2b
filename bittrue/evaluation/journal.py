"""The journal of an evaluation: a file with one line for each finished image, so that a stopped one goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from bittrue.evaluation.score import ImageScore, MachineScore
from simulator.errors import RunFolderError
from workloads.metrics import Confusion

JOURNAL = "images.jsonl"
FORMAT = 1


class Journal:
    """Scores of finished images: in memory, and in a folder where one is given.

    A line is appended in one write and synchronised, so a process killed at any moment leaves whole lines and at most
    one torn line at the end, which is cut off when the journal is opened again. Only one process may have it open.
    """

    def __init__(self, folder: Path | None, key: Mapping[str, Any], classes: int, machines: int) -> None:
        self.scores: dict[str, ImageScore] = {}
        self._classes = classes
        self._machines = machines
        self._file: IO[bytes] | None = None
        if folder is not None:
            try:
                self._open(folder, dict(key))
            except BaseException:
                self.close()
                raise

    @property
    def path(self) -> Path | None:
        """The file; None in memory."""
        return None if self._file is None else Path(self._file.name)

    def add(self, score: ImageScore) -> None:
        """Keep the score of an image that is finished."""
        if self._file is not None:
            self._append(_to_json(score))
        self.scores[score.sample] = score

    def close(self) -> None:
        """Close the file and let other processes have it."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self, folder: Path, key: dict[str, Any]) -> None:
        path = folder / JOURNAL
        try:
            if folder.exists() and not path.exists() and any(folder.iterdir()):
                raise RunFolderError(f"{folder} exists and is no evaluation; give another folder with -o")
            folder.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a+b")
            _lock(self._file, folder)
            self._file.seek(0)
            text = self._file.read()
            whole = text[: text.rfind(b"\n") + 1]
            if len(whole) < len(text):
                self._file.truncate(len(whole))
        except OSError as error:
            raise RunFolderError(f"{folder} cannot be written: {error.strerror or error}") from None
        if not whole:
            self._append({"format": FORMAT, "key": key})
            return
        self._read(path, whole.decode().splitlines(), key)

    def _read(self, path: Path, lines: list[str], key: dict[str, Any]) -> None:
        try:
            head = json.loads(lines[0])
            if head["format"] != FORMAT:
                raise RunFolderError(f"{path}: format {head['format']}, this tool reads {FORMAT}; give another folder")
            before = head["key"]
        except (ValueError, KeyError, TypeError) as error:
            raise RunFolderError(f"{path}: its first line is no head of a journal ({error})") from None
        changed = [name for name in key if before.get(name) != key[name]]
        if changed:
            name = changed[0]
            differ = f"{', '.join(changed)} differ ({name} {_short(before.get(name))}, now {_short(key[name])})"
            raise RunFolderError(f"{path.parent} holds another evaluation: {differ}; give another folder with -o")
        for number, line in enumerate(lines[1:], start=2):
            try:
                score = _from_json(json.loads(line), self._classes, self._machines)
            except (ValueError, KeyError, TypeError, IndexError) as error:
                raise RunFolderError(f"{path}: line {number} is damaged ({error}); delete it to do it again") from None
            self.scores[score.sample] = score

    def _append(self, entry: dict[str, Any]) -> None:
        assert self._file is not None
        self._file.write(json.dumps(entry, separators=(",", ":")).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())


def _lock(file: IO[bytes], folder: Path) -> None:
    try:
        import fcntl
    except ImportError:  # Windows: two processes at one folder are the user's to avoid
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RunFolderError(f"{folder} is being written by another process") from None


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _to_json(score: ImageScore) -> dict[str, Any]:
    machines = []
    for machine in score.machines:
        counts = machine.confusion.counts
        cells = [[int(t), int(p), int(counts[t, p])] for t, p in zip(*np.nonzero(counts), strict=True)]
        machines.append({"events": machine.events, "cells": cells})
    return {"sample": score.sample, "machines": machines}


def _from_json(entry: dict[str, Any], classes: int, machines: int) -> ImageScore:
    if len(entry["machines"]) != machines:
        raise ValueError(f"{len(entry['machines'])} machines, not {machines}")
    scores = []
    for machine in entry["machines"]:
        total = Confusion.empty(classes)
        for truth, predicted, count in machine["cells"]:
            total.counts[truth, predicted] = count
        events = machine["events"]
        scores.append(MachineScore(total, None if events is None else int(events)))
    return ImageScore(str(entry["sample"]), tuple(scores))
