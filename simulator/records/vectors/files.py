"""Writing and reading a folder of vectors."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, takewhile
from math import prod
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InputError, RunFolderError
from simulator.records.arrays import read_arrays
from simulator.records.store import staged_folder, write_arrays
from simulator.records.vectors.manifest import MANIFEST, Dtype, Kind, Manifest, Role, TensorFile, read_manifest
from simulator.records.vectors.words import ByteOrder, WordLayout, decode_words, encode_words

Arrays = dict[str, NDArray[Any]]
_SUFFIX = {"raw": ".bin", "memh": ".memh"}


@dataclass(frozen=True)
class VectorFormat:
    """How tensors are written."""

    kind: Kind = "npz"
    byte_order: ByteOrder = "little"
    """raw: of an element's bytes. memh: little = a word's first element in its least significant bits."""
    lanes: int | None = None
    """memh: elements of a word; None = as many as `word_bits` holds, or 1."""
    word_bits: int | None = None
    """memh: width of a word; None = what the lanes take."""

    def __post_init__(self) -> None:
        if self.kind != "memh" and (self.lanes is not None or self.word_bits is not None):
            raise InputError(f"lanes and word_bits are for memh; {self.kind} has no words")

    def layout(self, bits: int) -> WordLayout:
        """Return the layout for elements of `bits` bits; InputError where they do not fit a word."""
        lanes = self.lanes or max(1, (self.word_bits or bits) // bits)
        return WordLayout(bits, lanes, self.word_bits or 0, self.byte_order)


@dataclass(frozen=True, eq=False)
class Vector:
    """A tensor to be written."""

    name: str
    role: Role
    values: NDArray[Any]
    bits: int
    """Width of a value."""
    scale: float | None = None
    zero_point: int | None = None


def write_vectors(folder: Path, vectors: Sequence[Vector], format: VectorFormat, about: Mapping[str, Any]) -> Manifest:
    """Write tensors and their manifest; the folder appears whole or not at all.

    Parameters
    ----------
    folder
        Absent, empty, or a folder of vectors, which is replaced.
    vectors
        What to write.
    format
        How.
    about
        Further fields of the manifest.

    Raises
    ------
    InputError
        Values that do not fit their bits, or words that do not hold them.
    RunFolderError
        `folder` holds something else, or cannot be written.

    """
    names = _file_names([vector.name for vector in vectors], _SUFFIX.get(format.kind, ""))
    entries = [_entry(vector, format, name) for vector, name in zip(vectors, names, strict=True)]
    manifest = Manifest(**about, tensors=tuple(entries))
    with staged_folder(folder, _check_replaceable) as staged:
        if format.kind == "npz":
            for file in dict.fromkeys(entry.file for entry in entries):
                write_arrays(staged / file, {v.name: v.values for v in vectors if _npz_name(v.role) == file})
        else:
            for vector, entry in zip(vectors, entries, strict=True):
                _write(staged / entry.file, vector, entry)
        text = manifest.model_dump_json(indent=1, exclude_none=True)
        (staged / MANIFEST).write_text(f"{text}\n", encoding="utf-8")
    return manifest


def read_vectors(manifest: Path, roles: Sequence[Role] = ("expected",), folder: Path | None = None) -> Arrays:
    """Read the tensors of a manifest by name.

    Parameters
    ----------
    manifest
        Path of manifest.json, or of a JSON file like it.
    roles
        Which tensors.
    folder
        Where the files lie, if not beside the manifest: what a test bench wrote under the same names.

    Raises
    ------
    InputError
        A manifest or file that is missing, cut short, too long, or holds what is no value of its tensor.

    """
    listed = read_manifest(manifest)
    wanted = [entry for entry in listed.tensors if entry.role in roles]
    if not wanted:
        raise InputError(f"manifest {manifest}: no tensor is {' or '.join(roles)}")
    return {entry.name: _read(entry, (folder or manifest.parent) / entry.file) for entry in wanted}


def _entry(vector: Vector, format: VectorFormat, file: str) -> TensorFile:
    words: dict[str, Any] = {}
    if format.kind == "memh":
        layout = format.layout(vector.bits)
        words = {"lanes": layout.lanes, "word_bits": layout.word_bits}
    dtype = vector.values.dtype.name
    if dtype not in get_args(Dtype):
        raise InputError(f"{vector.name} is {dtype}; vectors are {', '.join(get_args(Dtype))}")
    return TensorFile(
        name=vector.name,
        role=vector.role,
        shape=vector.values.shape,
        dtype=dtype,
        bits=vector.bits,
        format=format.kind,
        file=_npz_name(vector.role) if format.kind == "npz" else file,
        byte_order=format.byte_order,
        scale=vector.scale,
        zero_point=vector.zero_point,
        **words,
    )


def _npz_name(role: Role) -> str:
    return {"stimulus": "stimuli.npz", "constant": "constants.npz", "expected": "expected.npz"}[role]


def _file_names(names: Sequence[str], suffix: str) -> list[str]:
    """Return a file name for each tensor: its own, with what file systems dislike replaced, and no two the same."""
    found: list[str] = []
    taken: set[str] = set()
    for name in names:
        stem = re.sub(r"[^A-Za-z0-9_.-]+", "_", name).strip(".")[-80:] or "tensor"
        stems = (stem if number == 0 else f"{stem}_{number}" for number in count())
        used = sum(1 for _ in takewhile(lambda s: s.lower() in taken, stems))
        stem = stem if used == 0 else f"{stem}_{used}"
        taken.add(stem.lower())
        found.append(stem + suffix)
    return found


def _write(path: Path, vector: Vector, entry: TensorFile) -> None:
    if entry.format == "raw":
        ordered = np.ascontiguousarray(vector.values, vector.values.dtype.newbyteorder(entry.byte_order))
        path.write_bytes(ordered.tobytes())
        return
    with path.open("w", encoding="ascii", newline="\n") as file:
        file.writelines(f"{word}\n" for word in encode_words(vector.values, entry.layout(), vector.name))


def _read(entry: TensorFile, path: Path) -> NDArray[Any]:
    try:
        if entry.format == "npz":
            return _read_npz(entry, path)
        if entry.format == "raw":
            return _read_raw(entry, path)
        text = path.read_text(encoding="ascii")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: no $readmemh text: byte {error.start} is not ASCII") from None
    except OSError as error:
        raise InputError(f"{path}: {entry.name} cannot be read: {error.strerror or error}") from None
    values = decode_words(text, entry.layout(), np.dtype(entry.dtype), prod(entry.shape), str(path))
    return values.reshape(entry.shape)


def _read_raw(entry: TensorFile, path: Path) -> NDArray[Any]:
    dtype = np.dtype(entry.dtype)
    data = path.read_bytes()
    wanted = prod(entry.shape) * dtype.itemsize
    if len(data) != wanted:
        raise InputError(
            f"{path}: {len(data)} bytes where {entry.name}, {entry.dtype} {list(entry.shape)}, takes {wanted}"
            f"{': the file is cut short' if len(data) < wanted else ''}"
        )
    ordered = np.frombuffer(data, dtype.newbyteorder(entry.byte_order))
    return ordered.astype(dtype).reshape(entry.shape)


def _read_npz(entry: TensorFile, path: Path) -> NDArray[Any]:
    try:
        arrays = read_arrays(path)
    except ValueError as error:
        raise InputError(f"{path}: not a readable .npz of plain arrays ({error})") from None
    if entry.name not in arrays:
        raise InputError(f"{path}: holds no {entry.name!r}; it has {', '.join(arrays) or 'no array'}")
    values = arrays[entry.name]
    if values.shape != entry.shape or values.dtype != np.dtype(entry.dtype):
        raise InputError(
            f"{path}: {entry.name} is {values.dtype} {list(values.shape)}, the manifest says {entry.dtype} "
            f"{list(entry.shape)}"
        )
    return values


def _check_replaceable(folder: Path) -> None:
    """Raise RunFolderError where `folder` holds anything but vectors."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise RunFolderError(f"{folder} exists and is no folder; give another with -o")
    for stranger in _strangers(folder):
        raise RunFolderError(f"{folder} holds {stranger}, which would be lost; give another folder with -o")


def _strangers(folder: Path) -> Iterator[str]:
    names = sorted(path.name for path in folder.iterdir())
    if not names:
        return
    try:
        listed = read_manifest(folder / MANIFEST)
    except InputError:
        yield names[0]
        return
    known = {MANIFEST, *(entry.file for entry in listed.tensors)}
    yield from (name for name in names if name not in known)
