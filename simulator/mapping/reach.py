"""Which input positions a tile of outputs touches, along one axis of the image."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from simulator.lowering.layer import ConvGeometry


@dataclass(frozen=True)
class Axis:
    """One axis (rows or columns) of a convolution."""

    out_size: int
    in_size: int
    kernel: int
    stride: int
    dilation: int
    padding: int
    """Zeros before the first position, of the zero-inserted image."""
    insertion: int
    """Spacing of the real positions; the others are inserted zeros."""


def axes(geometry: ConvGeometry) -> tuple[Axis, Axis]:
    """Row axis and column axis of a convolution."""
    g = geometry
    common = list(zip(g.kernel, g.stride, g.dilation, (g.padding.top, g.padding.left), g.insertion, strict=True))
    return Axis(g.out_height, g.in_height, *common[0]), Axis(g.out_width, g.in_width, *common[1])


@dataclass(frozen=True, eq=False)
class Reach:
    """Distinct real positions that each tile of an axis touches: padding and inserted zeros are not among them."""

    positions: NDArray[np.int64]
    """[tiles] number of distinct positions."""
    runs: NDArray[np.int64]
    """[tiles] number of stretches of adjacent positions."""
    fresh_positions: NDArray[np.int64]
    """[tiles] number of distinct positions that the tile before does not touch."""
    fresh_runs: NDArray[np.int64]
    """[tiles] number of stretches of adjacent fresh positions."""
    total: int
    """Sum of `positions`."""
    most: int
    """Greatest of `positions`."""
    fresh_total: int
    """Sum of `fresh_positions`."""


@lru_cache(maxsize=4096)
def reach(axis: Axis, tile: int, first_tap: int, last_tap: int) -> Reach:
    """Positions touched by tiles of `tile` outputs through the taps `first_tap` ... `last_tap` (inclusive)."""
    out = np.arange(axis.out_size)[:, None]
    taps = np.arange(first_tap, last_tap + 1)[None, :]
    place = out * axis.stride - axis.padding + taps * axis.dilation
    real = (place >= 0) & (place % axis.insertion == 0) & (place < axis.in_size * axis.insertion)
    owner = np.broadcast_to(out // tile, place.shape)
    # (tile, position) as one sorted number; one unused position a tile, so that a run ends where its tile does.
    pitch = axis.in_size + 1
    touched = np.unique(owner[real] * pitch + place[real] // axis.insertion)
    fresh = touched[~np.isin(touched - pitch, touched, assume_unique=True)]
    tiles = -(-axis.out_size // tile)
    positions, runs = _count(touched, pitch, tiles)
    fresh_positions, fresh_runs = _count(fresh, pitch, tiles)
    sums = int(positions.sum()), int(positions.max()), int(fresh_positions.sum())
    return Reach(positions, runs, fresh_positions, fresh_runs, *sums)


def _count(touched: NDArray[np.int64], pitch: int, tiles: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions and runs of each tile."""
    owner = touched // pitch
    starts = np.diff(touched, prepend=-2) > 1
    return np.bincount(owner, minlength=tiles), np.bincount(owner[starts], minlength=tiles)
