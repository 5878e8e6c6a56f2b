"""Weights of an array layer: as stored, and whatever is derived from them alone, worked out once and kept.

A layer's weights are mostly constants, so a prepared network keeps its `Weights` from run to run.
"""

from __future__ import annotations

from collections.abc import Hashable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.kernels.norms import filter_squares
from simulator.kernels.wide import fold_sums


class Weights:
    """Filters of a layer.

    Parameters
    ----------
    stored
        [filters of all groups, K] as the file holds them, K in flat order; those of a transposed convolution flipped.
    zero_points
        int64 [filters of all groups], to be subtracted.
    source
        The array they come from, kept alive.

    """

    def __init__(
        self, stored: NDArray[Any], zero_points: NDArray[np.int64], source: NDArray[Any] | None = None
    ) -> None:
        self.stored = stored
        self.source = source
        self.zero_points = zero_points
        self.kept: dict[Hashable, Any] = {}
        """Packed forms by what they were packed for."""

    @cached_property
    def centred(self) -> NDArray[np.int32]:
        """[filters, K], zero points subtracted."""
        return np.ascontiguousarray(self.stored.astype(np.int32) - self.zero_points.astype(np.int32)[:, None])

    def filter(self, number: int) -> NDArray[np.int64]:
        """[K]: one filter, zero point subtracted."""
        return np.asarray(self.stored[number].astype(np.int64) - self.zero_points[number])

    @cached_property
    def range(self) -> tuple[int, int]:
        """Least and greatest, zero points subtracted."""
        least = self.stored.min(axis=1).astype(np.int64) - self.zero_points
        greatest = self.stored.max(axis=1).astype(np.int64) - self.zero_points
        return int(least.min()), int(greatest.max())

    @cached_property
    def sums(self) -> NDArray[np.int64]:
        """[filters]: sum over K, zero points subtracted."""
        positive, negative = self.fold_sums(self.stored.shape[1])
        return np.asarray((positive + negative)[:, 0])

    @cached_property
    def greatest_square(self) -> int:
        """Greatest sum of squares of a filter, zero points subtracted."""
        squares = np.empty(len(self.stored), np.int64)
        filter_squares(self.stored, self.zero_points, squares)
        return int(squares.max())

    def fold_sums(self, fold: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the sums of positive and of negative weights of each fold of `fold` k, [filters, folds]."""
        key = ("fold sums", fold)
        if key not in self.kept:
            shape = (len(self.stored), -(-self.stored.shape[1] // fold))
            positive, negative = np.empty(shape, np.int64), np.empty(shape, np.int64)
            fold_sums(self.stored, self.zero_points, fold, positive, negative)
            self.kept[key] = positive, negative
        found: tuple[NDArray[np.int64], NDArray[np.int64]] = self.kept[key]
        return found
