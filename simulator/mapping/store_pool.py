"""A pool on the store path: which of its results each tile of a convolution completes, and what waits in between.

Tiles pass down strips of columns (`simulator.mapping.tiles`). A window is complete with the last of its rows and
columns, and stored with the tile that computes it; one that lies in several tiles waits in the pool buffer, as one
partial result. Every tile completes at least one window, so that every tile stores and gives its accumulators back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod

import numpy as np
from numpy.typing import NDArray

from simulator.lowering.layer import ConvGeometry

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class StorePool:
    """A pool that the store of a layer on the array does; pairs are (rows, columns)."""

    size: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    """Above and at the left."""
    out: tuple[int, int]
    average: bool

    def waiting_bits(self, output_bits: int) -> int:
        """Bits of a partial result: the greatest value so far, or the sum."""
        return output_bits + (prod(self.size) - 1).bit_length() if self.average else output_bits

    def first_window(self, row: int) -> int:
        """Return the first window that begins at `row` or below it; the number of windows where none does."""
        return min(self.out[0], -(-(row + self.padding[0]) // self.stride[0])) if row > 0 else 0

    def of_rows(self, row: int, rows: int) -> StorePool:
        """Return the pool of some rows of the image that cut no window (`window_rows`), with the windows in them.

        Padding is below 0 where its first window begins later.
        """
        first = self.first_window(row)
        padding = self.padding[0] + row - first * self.stride[0]
        windows = self.first_window(row + rows) - first
        return replace(self, padding=(padding, self.padding[1]), out=(windows, self.out[1]))


@dataclass(frozen=True, eq=False)
class PooledAxis:
    """Windows along one axis of an image that is cut into tiles."""

    completed: Ints
    """[tiles] windows that end in the tile."""
    first: Ints
    """[tiles] the first of them."""
    most_touched: int
    """Most windows that have a position in one tile."""
    most_waiting: int
    """Most windows that have begun before a tile and end in it or later."""


@lru_cache(maxsize=4096)
def pooled_axis(positions: int, size: int, stride: int, padding: int, out: int, tile: int) -> PooledAxis:
    """Windows of `size` at every `stride` of `positions`, the first begun `padding` before them, by tiles of `tile`."""
    begin = np.maximum(np.arange(out) * stride - padding, 0) // tile
    last = np.minimum(np.arange(out) * stride - padding + size, positions) - 1
    end = last // tile
    tiles = -(-positions // tile)
    completed = np.bincount(end, minlength=tiles)
    touched = np.cumsum(np.bincount(begin, minlength=tiles)) - (np.cumsum(completed) - completed)
    waiting = touched - np.bincount(begin, minlength=tiles)
    return PooledAxis(completed, np.cumsum(completed) - completed, int(touched.max()), int(waiting.max()))


def window_rows(pool: StorePool, height: int) -> Ints:
    """Rows at which an image can be cut so that each part begins with a window and cuts none; 0 and `height` too."""
    begin = np.arange(pool.out[0]) * pool.stride[0] - pool.padding[0]
    end = np.minimum(begin + pool.size[0], height)
    free = begin[1:][end[:-1] <= begin[1:]]
    return np.concatenate(([0], free, [height]))


def pooled_rows(pool: StorePool, geometry: ConvGeometry, tile: int) -> PooledAxis:
    """Windows along the rows, by tiles of `tile` rows."""
    return pooled_axis(geometry.out_height, pool.size[0], pool.stride[0], pool.padding[0], pool.out[0], tile)


def pooled_cols(pool: StorePool, geometry: ConvGeometry, tile: int) -> PooledAxis:
    """Windows along the columns, by tiles of `tile` columns."""
    return pooled_axis(geometry.out_width, pool.size[1], pool.stride[1], pool.padding[1], pool.out[1], tile)


def waiting_windows(pool: StorePool, rows: PooledAxis, cols: PooledAxis) -> int | None:
    """Windows of a channel that wait between tiles, at most; None where some tile completes none.

    Those that a border of rows cuts, along one strip; and those that a border of columns cuts, along the whole height.
    """
    if not (rows.completed.all() and cols.completed.all()):
        return None
    return rows.most_waiting * cols.most_touched + cols.most_waiting * pool.out[0]
