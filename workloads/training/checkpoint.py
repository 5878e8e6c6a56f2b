"""Checkpoints: all that training needs to go on, in one .npz of arrays, written whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InputError
from simulator.records.arrays import read_arrays
from simulator.records.store import write_arrays

_FORMAT = 1
_PATTERN = "checkpoint-*.npz"
_KEPT = 2
"""The newest, and the one before it in case a disk damages the newest."""
_ABOUT = "about"
"""Name of the array that says what the run is."""


class CheckpointError(InputError):
    """A checkpoint that is missing, damaged, or of another run; names the file."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Training after a number of steps."""

    step: int
    """Steps that are done."""
    about: Mapping[str, Any]
    """What the run is: network, configuration, data, seed. Plain values; neither times nor paths."""
    state: dict[str, NDArray[Any]]
    """Inputs of the next step by name."""


def checkpoint_path(folder: Path, step: int) -> Path:
    """Return where the checkpoint after `step` steps lies."""
    return folder / f"checkpoint-{step:08d}.npz"


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint beside the last ones, then remove all but the newest two.

    Raises
    ------
    CheckpointError
        The disk is full or the folder cannot be written; the earlier checkpoints are as they were.

    """
    path = checkpoint_path(folder, checkpoint.step)
    about = json.dumps({"format": _FORMAT, "step": checkpoint.step, **checkpoint.about}, sort_keys=True)
    arrays: dict[str, NDArray[Any]] = {_ABOUT: np.frombuffer(about.encode(), np.uint8), **checkpoint.state}
    try:
        handle, name = tempfile.mkstemp(prefix=".checkpoint-", suffix=".tmp", dir=folder)
        os.close(handle)
        staged = Path(name)
        try:
            write_arrays(staged, arrays)
            _flush(staged)
            staged.chmod(0o666 & ~_umask())
            staged.replace(path)
        finally:
            staged.unlink(missing_ok=True)
    except OSError as error:
        last = newest(folder)
        kept = f"; {last.name} is kept" if last is not None and last != path else ""
        raise CheckpointError(f"{path} cannot be written: {error.strerror or error}{kept}") from None
    for old in sorted(folder.glob(_PATTERN))[:-_KEPT]:
        old.unlink(missing_ok=True)
    return path


def newest(folder: Path) -> Path | None:
    """Return the newest checkpoint of a folder, None where there is none."""
    return max(folder.glob(_PATTERN), default=None)


def is_checkpoint(path: Path) -> bool:
    """Whether a file looks like a checkpoint, from the names of its arrays."""
    try:
        with zipfile.ZipFile(path) as archive:
            return f"{_ABOUT}.npy" in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint; CheckpointError where it is missing or damaged, naming the one before it."""
    try:
        arrays = read_arrays(path)
        about = json.loads(arrays.pop(_ABOUT).tobytes())
        step, version = about.pop("step"), about.pop("format")
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such checkpoint") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        others = sorted(other.name for other in path.parent.glob(_PATTERN) if other != path)
        hint = f"; take it away to go on from {others[-1]}" if others else ""
        raise CheckpointError(f"{path}: the checkpoint is damaged ({error}){hint}") from None
    if version != _FORMAT:
        raise CheckpointError(f"{path}: a checkpoint of format {version}; this version reads {_FORMAT}")
    return Checkpoint(step, about, arrays)


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
