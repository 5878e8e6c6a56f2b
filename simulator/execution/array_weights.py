"""Weights of an array layer: as stored, and whatever is derived from them alone, worked out once and kept.

A layer's weights are mostly constants, so a prepared network keeps its `Weights` from run to run.
"""

from __future__ import annotations

from collections.abc import Hashable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.execution.turned import in_order, source_of
from simulator.kernels.dot_tile import GROUP_BYTES
from simulator.kernels.extremes import extremes
from simulator.kernels.norms import filter_squares
from simulator.kernels.packing import pack
from simulator.kernels.turned import fold_sums_turned, pack_turned
from simulator.kernels.wide import fold_sums

_Sums = tuple[NDArray[np.int64], NDArray[np.int64]]


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
        self._given = stored
        self.source = source
        self.zero_points = zero_points
        self._fold_sums: dict[int, _Sums] = {}
        self.kept: dict[Hashable, Any] = {}
        """Packed forms by what they were packed for."""

    @property
    def length(self) -> int:
        """K."""
        return int(self._given[0].size)

    @property
    def stored(self) -> NDArray[Any]:
        """[filters of all groups, K]."""
        return self._given

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
        # Those of any folds will do, and the bounds have mostly asked for some.
        positive, negative = next(iter(self._fold_sums.values()), None) or self.fold_sums(self.length)
        return np.asarray((positive + negative).sum(axis=1))

    @cached_property
    def greatest_square(self) -> int:
        """Greatest sum of squares of a filter, zero points subtracted."""
        squares = np.empty(len(self.stored), np.int64)
        filter_squares(self.stored, self.zero_points, squares)
        return int(squares.max())

    def fold_sums(self, fold: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the sums of positive and of negative weights of each fold of `fold` k, [filters, folds]."""
        if fold not in self._fold_sums:
            shape = (len(self.zero_points), -(-self.length // fold))
            sums = np.empty(shape, np.int64), np.empty(shape, np.int64)
            self._sum_folds(fold, *sums)
            self._fold_sums[fold] = sums
        return self._fold_sums[fold]

    def _sum_folds(self, fold: int, positive: NDArray[np.int64], negative: NDArray[np.int64]) -> None:
        fold_sums(self.stored, self.zero_points, fold, positive, negative)

    def pack(self, groups: int, source: NDArray[np.int64], panels: int, out: NDArray[Any]) -> None:
        """Bring the weights into the order of a register tile: see `kernels.packing.pack_weights`."""
        stored = self.stored.reshape(groups, -1, self.length)
        pack(stored, self.zero_points.reshape(groups, -1), source, panels, out)


class TurnedWeights(Weights):
    """Filters without zero points that lie in memory with channels first and filters last.

    Parameters
    ----------
    view
        [filters, kernel height, kernel width, channels]: a view of such an array (see `turned`).
    zero_points
        int64 [filters], zeros.

    """

    def __init__(self, view: NDArray[Any], zero_points: NDArray[np.int64]) -> None:
        super().__init__(view, zero_points, view)
        source = source_of(view)
        assert source is not None
        self._channels_first = source.reshape(len(source), -1, source.shape[-1])
        self._are_bytes = source.dtype == np.int8

    @cached_property
    def stored(self) -> NDArray[Any]:
        """[filters, K]."""
        return in_order(self._given).reshape(len(self._given), -1)

    @cached_property
    def range(self) -> tuple[int, int]:
        """Least and greatest."""
        least, greatest = extremes(self._channels_first.reshape(-1))
        return int(least), int(greatest)

    def _sum_folds(self, fold: int, positive: NDArray[np.int64], negative: NDArray[np.int64]) -> None:
        if self._are_bytes:
            fold_sums_turned(self._channels_first, fold, positive, negative)
        else:
            super()._sum_folds(fold, positive, negative)

    def pack(self, groups: int, source: NDArray[np.int64], panels: int, out: NDArray[Any]) -> None:
        """Bring the weights into the order of a register tile."""
        if self._are_bytes and out.dtype == np.int8 and len(self._channels_first) % GROUP_BYTES == 0:
            pack_turned(self._channels_first, source, out)
        else:
            super().pack(groups, source, panels, out)
