"""Tile sizes worth trying. They depend on the layer and the array, never on a memory's size.

A bigger scratchpad then only adds feasible candidates, so the least DRAM traffic can never grow with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from simulator.lowering.layer import ConvGeometry

_PARTS = (1, 2, 3, 4, 6, 8, 11, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 2048)
_STEPS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)


def even_parts(size: int, steps: tuple[int, ...] = _PARTS, unit: int = 1) -> list[int]:
    """Tile sizes that cut `size` into 1, 2, 3 ... near-equal parts, down to single positions, falling.

    All but `size` itself are multiples of `unit`, the next above.
    """
    parts = {-(-size // parts) for parts in steps if parts < size} | {1, size}
    return sorted({min(size, -(-part // unit) * unit) for part in parts}, reverse=True)


def multiples(unit: int, size: int) -> list[int]:
    """Tile sizes that are whole multiples of the array's side, and all of `size`, falling."""
    return sorted({unit * step for step in _STEPS if unit * step < size} | {size}, reverse=True)


def k_sizes(geometry: ConvGeometry, rows: int) -> list[int]:
    """Chunks of K: multiples of array.rows, the nearest to a tap and to a filter row among them; and all of K."""
    sizes = set(multiples(rows, geometry.k))
    for whole in (geometry.channels, geometry.kernel[1] * geometry.channels):
        aligned = whole // rows * rows
        if 0 < aligned < geometry.k:
            sizes.add(aligned)
    return sorted(sizes, reverse=True)


@dataclass(frozen=True, eq=False)
class Candidates:
    """Tiles of pixels, and blocks of (groups, channels, k); every pair of one of each is a candidate."""

    tile_rows: list[int]
    tile_cols: list[int]
    k_sizes: list[int]
    groups: NDArray[np.int64]
    """[blocks] groups of a block."""
    channels: NDArray[np.int64]
    """[blocks] output channels of a block, of each group."""
    k_index: NDArray[np.int64]
    """[blocks] index into `k_sizes`."""


def candidates(geometry: ConvGeometry, rows: int, cols: int, units: tuple[int, int] = (1, 1)) -> Candidates:
    """All tile sizes to try for a layer on an array of rows x cols; those of its tiles are multiples of `units`."""
    ks = k_sizes(geometry, rows)
    channels = multiples(cols, geometry.filters)
    blocks = [(1, n, i) for n, i in product(channels, range(len(ks)))]
    # Several groups share a tile only where each is whole: k and channels uncut.
    whole = ks.index(geometry.k)
    blocks += [(g, geometry.filters, whole) for g in range(2, geometry.groups + 1) if geometry.groups % g == 0]
    table = np.array(blocks, np.int64)
    return Candidates(
        tile_rows=even_parts(geometry.out_height, unit=units[0]),
        tile_cols=even_parts(geometry.out_width, unit=units[1]),
        k_sizes=ks,
        groups=table[:, 0],
        channels=table[:, 1],
        k_index=table[:, 2],
    )
