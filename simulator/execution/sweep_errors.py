"""How far an output is from the one it should be: differing values, size of the differences, labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.records.accumulator_sweep import OutputError


def same_bits(a: NDArray[Any], b: NDArray[Any]) -> bool:
    """Whether two arrays have the same dtype, shape and bits (so -0.0 differs from 0.0, and NaN equals itself)."""
    if a is b:
        return True
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    words = f"u{a.itemsize}"
    return np.array_equal(a.view(words), b.view(words))


def output_error(name: str, value: NDArray[Any], reference: NDArray[Any]) -> OutputError:
    """Compare an output with its reference of the same shape; integers of any width exactly, int32 with int64 too."""
    if same_bits(value, reference):
        return OutputError(name, value.size, 0, 0.0, 0.0)
    unequal = value != reference
    if value.dtype.kind == "f":
        unequal &= ~(np.isnan(value) & np.isnan(reference))
    got, expected = value[unequal], reference[unequal]
    if not got.size:
        return OutputError(name, value.size, 0, 0.0, 0.0)
    distances = _distances(got, expected)
    if not np.isfinite(distances).all():
        return OutputError(name, value.size, got.size, None, None)
    return OutputError(name, value.size, got.size, float(distances.max()), float(distances.sum()) / value.size)


def _distances(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    if a.dtype.kind == "f":
        with np.errstate(invalid="ignore", over="ignore"):
            return np.asarray(np.abs(a.astype(np.float64) - b.astype(np.float64)), np.float64)
    a, b = a.astype(np.int64), b.astype(np.int64)
    # The greater minus the smaller modulo 2^64: int64 values may lie further apart than an int64 reaches.
    apart = np.maximum(a, b).view(np.uint64) - np.minimum(a, b).view(np.uint64)
    return np.asarray(apart, np.float64)


def label_disagreement(value: NDArray[Any], reference: NDArray[Any]) -> float | None:
    """Return the share of pixels whose label differs; None where the output is no map of labels or scores.

    Parameters
    ----------
    value, reference
        Labels, [H, W], [N, H, W] or [N, H, W, 1]; or scores [N, H, W, classes], of which the highest wins, the first
        among equals.

    """
    if value.ndim not in (2, 3, 4) or not value.size:
        return None
    if same_bits(value, reference):
        return 0.0
    if value.ndim == 4 and value.shape[3] > 1:
        value, reference = value.argmax(axis=-1), reference.argmax(axis=-1)
    return int(np.count_nonzero(value != reference)) / value.size
