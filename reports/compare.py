"""Two runs beside each other: where their values part, and what each layer costs more or less."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import RunFolderError
from simulator.records.arrays import read_arrays
from simulator.records.layer import LayerRecord
from simulator.records.run import RunRecord
from simulator.records.store import read_run
from simulator.records.vectors.files import read_vectors

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class TensorDifference:
    """A tensor that differs."""

    name: str
    reason: str
    """Empty, or why values could not be compared: missing, another shape, another dtype."""
    differing: int = 0
    """Values that differ by more than the tolerance."""
    elements: int = 0
    coordinates: tuple[int, ...] = ()
    """Of the first of them, in the order of memory."""
    first: float | int = 0
    """Its value in the first run."""
    second: float | int = 0
    """Its value in the second run."""
    greatest: float | int = 0
    """Greatest absolute difference of two numbers."""


@dataclass(frozen=True)
class LayerDifference:
    """Cost of a layer in both runs; None where a run has no such layer."""

    name: str
    cycles: tuple[int | None, int | None]
    energy_pj: tuple[float | None, float | None]
    events: tuple[int | None, int | None]
    """Overflow events."""

    @property
    def cycles_more(self) -> int:
        """Cycles of the second run less those of the first."""
        return (self.cycles[1] or 0) - (self.cycles[0] or 0)

    @property
    def energy_more_pj(self) -> float:
        """Energy of the second run less that of the first, picojoules."""
        return (self.energy_pj[1] or 0.0) - (self.energy_pj[0] or 0.0)


@dataclass(frozen=True)
class Comparison:
    """What differs between two runs."""

    compared: str
    """What the values are: every tensor, the outputs, or nothing."""
    tensors: int
    """Tensors compared."""
    differences: tuple[TensorDifference, ...]
    """Tensors that differ, in the order of the network."""
    layers: tuple[LayerDifference, ...]
    """Layers that differ in anything, by the size of the change in cycles, then energy; the greatest first."""
    totals: Mapping[str, tuple[float, float]]
    """total_cycles, total_energy_pj, dram_bytes and overflow_events of both runs, where both know them."""

    def more_percent(self, name: str) -> float:
        """Return by how many per cent a total of the second run exceeds that of the first; inf from nothing."""
        first, second = self.totals[name]
        if first == second:
            return 0.0
        return 100 * (second - first) / first if first else float("inf")


def compare_runs(first: Path, second: Path, tolerance: float = 0) -> Comparison:
    """Compare two saved runs, or a saved run with reference outputs.

    Parameters
    ----------
    first, second
        Run folders; the second may be a .npz of arrays by tensor name, or the manifest.json of vectors. Or the
        manifest.json of vectors, and a folder with what a test bench wrote under the same file names.
    tolerance
        Absolute difference of values that counts as equal.

    Raises
    ------
    RunFolderError
        A folder or file that cannot be read, or two runs that have nothing in common to compare.
    InputError
        Vectors that cannot be read.

    """
    if first.suffix == ".json" and not first.is_dir():
        found = _with_results(first, second, tolerance)
        return Comparison("expected vectors", len(found), tuple(d for d in found if d is not None), (), {})
    record = read_run(first).record
    if second.suffix in (".npz", ".json") and second.is_file():
        found, what = _with_reference(first, second, tolerance)
        return Comparison(what, len(found), tuple(d for d in found if d is not None), (), {})
    other = read_run(second).record
    found, what = _values(first, second, tolerance)
    if not found and "values" in (record.mode, other.mode):
        raise RunFolderError(f"{first} and {second} have nothing in common: one has values, the other has time")
    return Comparison(
        what,
        len(found),
        tuple(difference for difference in found if difference is not None),
        _layers(record, other),
        _totals(record, other),
    )


def _values(first: Path, second: Path, tolerance: float) -> tuple[list[TensorDifference | None], str]:
    for file, what in (("tensors.npz", "every tensor"), ("outputs.npz", "the outputs")):
        paths = first / file, second / file
        if all(path.is_file() for path in paths):
            a, b = (_read(path) for path in paths)
            names = list(dict.fromkeys((*a, *b)))
            return [compare_tensor(name, a.get(name), b.get(name), tolerance) for name in names], what
    return [], "nothing"


def _with_reference(first: Path, reference: Path, tolerance: float) -> tuple[list[TensorDifference | None], str]:
    """Hold a run to reference arrays: only what the file has is compared."""
    wanted = read_reference(reference)
    known: dict[str, NDArray[Any]] = {}
    for file in ("outputs.npz", "tensors.npz"):
        if (first / file).is_file():
            known |= _read(first / file)
    if not known:
        raise RunFolderError(f"{first} holds no values: it was run for timing only")
    found = [compare_tensor(name, known.get(name), value, tolerance) for name, value in wanted.items()]
    return found, "reference arrays"


def _with_results(manifest: Path, results: Path, tolerance: float) -> list[TensorDifference | None]:
    """Hold what a test bench wrote to the expected tensors of a manifest."""
    expected = read_vectors(manifest)
    if not results.is_dir():
        raise RunFolderError(f"{results}: to {manifest} belongs a folder with files of the same names")
    written = read_vectors(manifest, folder=results)
    return [compare_tensor(name, value, written[name], tolerance) for name, value in expected.items()]


def read_reference(path: Path) -> Arrays:
    """Read reference outputs by tensor name: a .npz, or the expected tensors of a manifest.json.

    Raises
    ------
    RunFolderError, InputError
        A file that is missing or damaged.

    """
    return read_vectors(path) if path.suffix == ".json" else _read(path)


def _read(path: Path) -> Arrays:
    try:
        return read_arrays(path)
    except (OSError, ValueError) as error:
        raise RunFolderError(f"{path}: damaged ({error})") from None


def compare_tensor(
    name: str, a: NDArray[Any] | None, b: NDArray[Any] | None, tolerance: float
) -> TensorDifference | None:
    """Return how two tensors differ by more than `tolerance`; None where they do not. Integers are held by value."""
    if a is None or b is None:
        return TensorDifference(name, f"missing in the {'first' if a is None else 'second'}")
    if a.shape != b.shape:
        return TensorDifference(name, f"shape {list(a.shape)} against {list(b.shape)}")
    if a.dtype.kind != b.dtype.kind and "f" in (a.dtype.kind, b.dtype.kind):
        return TensorDifference(name, f"dtype {a.dtype} against {b.dtype}")
    floating = a.dtype.kind == "f"
    apart = np.abs(a.astype(np.float64) - b) if floating else _apart(a, b)
    # NaN is equal to NaN: both runs came to no number.
    wrong = (apart > tolerance) | (np.isnan(a) != np.isnan(b)) if floating else apart > tolerance
    if not wrong.any():
        return None
    place = np.unravel_index(int(np.argmax(wrong)), a.shape)
    greatest = float(np.nan_to_num(apart, nan=0.0, posinf=np.inf).max()) if floating else int(apart.max())
    coordinates = tuple(int(index) for index in place)
    return TensorDifference(name, "", int(wrong.sum()), a.size, coordinates, a[place].item(), b[place].item(), greatest)


def _apart(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.int64]:
    """Absolute difference of integers, also of 64 bits: what does not fit is held at the greatest int64."""
    high, low = np.maximum(a, b).astype(np.int64), np.minimum(a, b).astype(np.int64)
    apart = high - low
    return np.where(apart < 0, np.iinfo(np.int64).max, apart)


def _layers(first: RunRecord, second: RunRecord) -> tuple[LayerDifference, ...]:
    timed = "values" not in (first.mode, second.mode)
    counted = "timing" not in (first.mode, second.mode)
    a, b = ({layer.name: layer for layer in record.layers} for record in (first, second))
    found = [_layer(name, a.get(name), b.get(name), timed, counted) for name in dict.fromkeys((*a, *b))]
    changed = [d for d in found if len({*d.cycles}) > 1 or len({*d.energy_pj}) > 1 or len({*d.events}) > 1]
    return tuple(sorted(changed, key=lambda d: (-abs(d.cycles_more), -abs(d.energy_more_pj))))


def _layer(name: str, a: LayerRecord | None, b: LayerRecord | None, timed: bool, counted: bool) -> LayerDifference:
    both = (a, b)
    events = [layer.overflow.events if counted and layer and layer.overflow else None for layer in both]
    return LayerDifference(
        name,
        (a.total_cycles if timed and a else None, b.total_cycles if timed and b else None),
        (a.energy_pj if timed and a else None, b.energy_pj if timed and b else None),
        (events[0], events[1]),
    )


def _totals(first: RunRecord, second: RunRecord) -> dict[str, tuple[float, float]]:
    names: list[str] = []
    if "values" not in (first.mode, second.mode):
        names += ["total_cycles", "total_energy_pj", "dram_bytes"]
    if "timing" not in (first.mode, second.mode):
        names += ["overflow_events"] * (None not in (first.overflow_events, second.overflow_events))
    return {name: (getattr(first, name), getattr(second, name)) for name in names}
