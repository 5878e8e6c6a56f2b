"""The run folder: run.json, layers.csv and arrays, deterministic, written whole or not at all."""

from __future__ import annotations

import csv
import io
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import RunFolderError
from simulator.records.arrays import read_arrays
from simulator.records.channel_ledger import ChannelLedger, ledger_arrays
from simulator.records.layer import LayerRecord
from simulator.records.run import RunRecord
from simulator.records.serialize import record_from_json, record_to_json

_ZIP_DATE = (1980, 1, 1, 0, 0, 0)
"""Fixed time stamp: same arrays, same bytes."""

_FILES = frozenset(
    {
        *("run.json", "layers.csv", "trace.json.gz", "report.html"),
        *("outputs.npz", "tensors.npz", "preview.npz", "ledger.npz", "command.json"),
    }
)
"""All that a run writes. A folder that holds anything else is somebody's work and is never replaced."""


@dataclass(frozen=True, eq=False)
class StoredRun:
    """What a run folder holds."""

    record: RunRecord
    outputs: dict[str, NDArray[Any]]
    """Empty for timing only."""
    preview: NDArray[np.uint8] | None
    """The input image, uint8 [height, width, 3], or None."""


def layer_columns(layer: LayerRecord) -> dict[str, Any]:
    """Return one row of layers.csv: every field of the record, energy and overflow flattened with their prefix."""
    row: dict[str, Any] = {}
    for name, value in asdict(layer).items():
        if name == "energy":
            row["energy_pj"] = layer.energy_pj
            row |= {f"energy.{key}": cost for key, cost in value.items()}
        elif name == "activity":
            row |= {f"activity.{key}": count for key, count in (value or {}).items()}
        elif name == "overflow":
            row |= _overflow_columns(layer)
        elif name == "core_compute_cycles":
            row |= {name: " ".join(map(str, value))} if value else {}
        elif isinstance(value, tuple):
            row[name] = "x".join(map(str, value))
        else:
            row[name] = value
    return row


def _overflow_columns(layer: LayerRecord) -> dict[str, Any]:
    if layer.overflow is None:
        return {}
    columns = asdict(layer.overflow)
    first = columns.pop("first_event")
    columns["outputs_by_needed_bits"] = " ".join(map(str, columns["outputs_by_needed_bits"]))
    columns["headroom_bits"] = layer.overflow.headroom_bits
    for index, part in enumerate(("output", "k", "register")):
        columns[f"first_event.{part}"] = None if first is None else first[index]
    return {f"overflow.{key}": value for key, value in columns.items()}


@contextmanager
def staged_folder(directory: Path, check: Callable[[Path], None] | None = None) -> Iterator[Path]:
    """Give a folder to write into; it takes the place of `directory` when the body succeeds, and vanishes if it fails.

    Parameters
    ----------
    directory
        Where the folder shall be.
    check
        Raises where `directory` must not be replaced; None = `check_replaceable`, that of run folders.

    Raises
    ------
    RunFolderError
        `directory` exists and is no run folder, or its parent cannot be written.

    """
    (check or check_replaceable)(directory)
    # A link to a run folder stays a link, and "." gets a name and a parent.
    directory = directory.resolve()
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
    except OSError as error:
        raise RunFolderError(f"{directory} cannot be written: {error.strerror}") from None
    try:
        staging.chmod(0o777 & ~_umask())
        yield staging
        _replace(directory, staging)
    except OSError as error:
        raise RunFolderError(f"{directory} cannot be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def check_replaceable(directory: Path) -> None:
    """Raise RunFolderError where a run must not be saved, so that nobody computes for nothing."""
    if reason := _obstacle(directory):
        raise RunFolderError(f"{directory} {reason}; give another folder with -o")


def _obstacle(directory: Path) -> str | None:
    """Return why `directory` must not be replaced; None where it is absent, empty or a run folder and nothing else."""
    try:
        if not directory.exists():
            return _unwritable(directory)
        if not directory.is_dir():
            return "exists and is not a run folder"
        if directory.resolve().is_mount():
            return "is a mount point, which cannot be replaced whole"
        names = sorted(path.name for path in directory.iterdir())
        if names and not _is_run_record(directory / "run.json"):
            return "exists and is not a run folder"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    strange = [name for name in names if name not in _FILES]
    if strange:
        return f"holds {strange[0]}, which no run writes and which would be lost"
    return _unwritable(directory)


def _unwritable(directory: Path) -> str | None:
    """Return why no folder can be put in the place of `directory`, judged by the nearest parent that exists."""
    parent = next(folder for folder in directory.resolve().parents if folder.exists())
    if not parent.is_dir():
        return f"cannot be written: {parent} is a file"
    return None if os.access(parent, os.W_OK | os.X_OK) else f"cannot be written: no permission to write in {parent}"


def _is_run_record(path: Path) -> bool:
    """Tell a run's run.json, damaged or not, from somebody else's file of that name."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return b'"schema_version"' in file.read(64)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _replace(directory: Path, staging: Path) -> None:
    if not directory.exists():
        staging.rename(directory)
        return
    # Two renames: at any moment one of the two complete folders is there.
    old = Path(tempfile.mkdtemp(prefix=f".{directory.name}-old-", dir=directory.parent))
    try:
        directory.rename(old / directory.name)
        try:
            staging.rename(directory)
        except OSError:
            (old / directory.name).rename(directory)
            raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def write_record(
    folder: Path,
    record: RunRecord,
    outputs: Mapping[str, NDArray[Any]],
    tensors: Mapping[str, NDArray[Any]] | None = None,
    preview: NDArray[np.uint8] | None = None,
    channels: Sequence[ChannelLedger | None] = (),
) -> None:
    """Write run.json and layers.csv, and outputs, tensors, preview and ledger .npz where there are such arrays."""
    (folder / "run.json").write_text(record_to_json(record), encoding="utf-8")
    (folder / "layers.csv").write_text(layers_csv(record), encoding="utf-8")
    if record.mode != "timing":
        write_arrays(folder / "outputs.npz", outputs)
    if tensors is not None:
        write_arrays(folder / "tensors.npz", tensors)
    if preview is not None:
        write_arrays(folder / "preview.npz", {"preview": preview})
    if channels:
        write_arrays(folder / "ledger.npz", ledger_arrays(channels))


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write a compressed .npz that NumPy reads, with the same bytes for the same arrays."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.ascontiguousarray(array).reshape(array.shape), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", _ZIP_DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, buffer.getvalue())


def read_run(directory: Path) -> StoredRun:
    """Read a run folder; RunFolderError where it is missing or damaged."""
    path = directory / "run.json"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RunFolderError(f"{directory} is not a run folder: cannot read {path.name} ({error})") from None
    record = record_from_json(text, str(path))
    outputs = _read_arrays(directory / "outputs.npz")
    return StoredRun(record, outputs, _read_arrays(directory / "preview.npz").get("preview"))


def _read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    if not path.exists():
        return {}
    try:
        return read_arrays(path)
    except (OSError, ValueError) as error:
        raise RunFolderError(f"{path}: damaged ({error})") from None


def layers_csv(record: RunRecord) -> str:
    """Return layers.csv: one row a layer, with the columns of `layer_columns`."""
    rows = [layer_columns(layer) for layer in record.layers]
    names = list(dict.fromkeys(name for row in rows for name in row))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()
