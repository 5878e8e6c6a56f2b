"""What a kernel takes besides the activations, kept with the weights: the same from run to run for constants."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.execution.array_operands import Operands
from simulator.execution.fused import Fused

Arrays = tuple[NDArray[Any], ...]
"""In the order in which the kernel takes them."""


@dataclass(frozen=True, eq=False)
class _Kept:
    start: NDArray[np.int64]
    """The start values that the arrays were made from, as is `fused`."""
    fused: Fused | None
    arrays: Arrays


def layer_constants(operands: Operands, fused: Fused | None, key: Hashable, make: Callable[[], Arrays]) -> Arrays:
    """Return what `make` made for these weights, start values and requantizer; called anew where any is another.

    Parameters
    ----------
    operands, fused
        The layer's, and its requantizer.
    key
        All else that the arrays depend on.
    make
        Makes them.

    """
    kept = operands.weights.kept
    found = kept.get(key)
    # One entry a key, by identity: a bias or a requantizer that is new in every run must not pile up.
    if found is None or found.start is not operands.start or found.fused is not fused:
        found = kept[key] = _Kept(operands.start, fused, make())
    assert isinstance(found, _Kept)
    return found.arrays


def low_words(values: NDArray[np.int64]) -> NDArray[np.int32]:
    """Low 32 bits: kernels sum exactly modulo 2^32, and the results fit."""
    return values.astype(np.uint64).astype(np.uint32).view(np.int32)
