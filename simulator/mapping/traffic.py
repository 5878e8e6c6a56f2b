"""Sizes and traffic of candidate tiles, whole tables at a time.

Everything along rows and columns is separable: the bytes that all tiles load are a sum over row tiles times a sum over
column tiles, times channels. P = pixel tiles (row size x column size), K = chunk sizes, B = blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.mapping.array_cycles import READ_CYCLES, fold_slot
from simulator.mapping.candidates import Candidates
from simulator.mapping.chunks import TapBox, chunks
from simulator.mapping.reach import Axis, axes, reach
from simulator.mapping.work import ArrayWork, Device
from simulator.numerics.modes import Dataflow

Table = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class InputTable:
    """Input elements of one group, over one image, by pixel tile [P] and by chunk size [P, K]."""

    tile_sum: Table
    """[P] all tiles' elements, all K, without the rows that the tile above has loaded."""
    tile_max: Table
    """[P] largest tile's elements, all K."""
    chunk_sum: Table
    """[P, K] all tiles' and all chunks' elements."""
    chunk_max: Table
    """[P, K] elements of the largest tile and chunk."""
    whole: int
    """Elements of the image that any output touches."""


def input_table(work: ArrayWork, cand: Candidates) -> InputTable:
    """Tabulate the input elements of every pixel tile and chunk size."""
    geometry = work.geometry
    row_axis, col_axis = axes(geometry)
    full = TapBox(0, geometry.kernel[0] - 1, 0, geometry.kernel[1] - 1, geometry.channels)
    box_sum, box_max = _over_tiles(row_axis, col_axis, cand, full, ring=True)
    chunk_sum, chunk_max = [], []
    for size in cand.k_sizes:
        cut = chunks(geometry.kernel, geometry.channels, size)
        total = np.zeros_like(box_sum)
        largest = np.zeros_like(box_max)
        for box, count in zip(cut.boxes, cut.count, strict=True):
            one_sum, one_max = _over_tiles(row_axis, col_axis, cand, box, ring=False)
            total += one_sum * count
            largest = np.maximum(largest, one_max)
        chunk_sum.append(total)
        chunk_max.append(largest)
    rows = reach(row_axis, row_axis.out_size, full.first_kh, full.last_kh).total
    cols = reach(col_axis, col_axis.out_size, full.first_kw, full.last_kw).total
    return InputTable(
        tile_sum=box_sum.ravel(),
        tile_max=box_max.ravel(),
        chunk_sum=np.stack([t.ravel() for t in chunk_sum], axis=1),
        chunk_max=np.stack([t.ravel() for t in chunk_max], axis=1),
        whole=rows * cols * geometry.channels,
    )


def _over_tiles(row_axis: Axis, col_axis: Axis, cand: Candidates, box: TapBox, *, ring: bool) -> tuple[Table, Table]:
    high = _reaches(row_axis, tuple(cand.tile_rows), box.first_kh, box.last_kh)
    wide = _reaches(col_axis, tuple(cand.tile_cols), box.first_kw, box.last_kw)
    sums = np.multiply.outer(high.fresh if ring else high.total, wide.total) * box.channels
    return sums, np.multiply.outer(high.most, wide.most) * box.channels


class _Reaches(NamedTuple):
    """Sums of `Reach` of several tile sizes, [sizes]."""

    total: Table
    most: Table
    fresh: Table


@lru_cache(maxsize=1 << 12)
def _reaches(axis: Axis, tiles: tuple[int, ...], first_tap: int, last_tap: int) -> _Reaches:
    """Tabulate one axis: boxes of taps, and layers that differ along the other axis or in channels, share it."""
    found = [reach(axis, tile, first_tap, last_tap) for tile in tiles]
    table = np.array([(r.total, r.most, r.fresh_total) for r in found], np.int64)
    return _Reaches(*table.T)


@dataclass(frozen=True, eq=False)
class PixelTable:
    """Pixel tiles of one image: sizes and what the array's cycles need of them."""

    count: Table
    """[P] tiles."""
    largest: Table
    """[P] pixels of the largest tile."""
    pixel_sum: Table
    """[P] pixels of all tiles."""
    slot_sum: Table
    """[P] sum over tiles of max(pixels, R), or what a further fold costs."""
    block_sum: Table
    """[P] sum over tiles of ceil(pixels / R)."""


def pixel_table(work: ArrayWork, cand: Candidates, device: Device) -> PixelTable:
    """Tabulate the pixel tiles; an edge tile is smaller, so up to four sizes occur."""
    height, width = work.geometry.out_height, work.geometry.out_width
    th = np.repeat(np.array(cand.tile_rows, np.int64), len(cand.tile_cols))
    tw = np.tile(np.array(cand.tile_cols, np.int64), len(cand.tile_rows))
    corners = []
    for rows, many_rows in ((th, height // th), (height % th, (height % th > 0).astype(np.int64))):
        for cols, many_cols in ((tw, width // tw), (width % tw, (width % tw > 0).astype(np.int64))):
            corners.append((rows * cols, many_rows * many_cols))
    zero = np.zeros_like(th)
    return PixelTable(
        count=sum((n for _, n in corners), zero),
        largest=th * tw,
        pixel_sum=sum((m * n for m, n in corners), zero),
        slot_sum=sum((np.asarray(fold_slot(m, device)) * n for m, n in corners), zero),
        block_sum=sum((-(-m // device.rows) * n for m, n in corners), zero),
    )


def compute_cycles(work: ArrayWork, cand: Candidates, pixels: PixelTable, device: Device) -> Table:
    """Compute cycles of the whole layer, [P, B]: `array_cycles.tile_op_cycles` summed over all tile ops."""
    g = work.geometry
    k_size = np.array(cand.k_sizes, np.int64)[cand.k_index]
    k_trips = -(-g.k // k_size)
    outer = (g.groups // cand.groups) * -(-g.filters // cand.channels)
    overhead = READ_CYCLES + 2 * device.rows + device.cols
    if device.dataflow is Dataflow.WEIGHT_STATIONARY:
        folds = g.groups * -(-g.filters // device.cols) * -(-g.k // device.rows)
        ops = outer * k_trips
        fill = pixels.pixel_sum[:, None] + pixels.count[:, None] * (overhead + 2)
        return g.batch * ((folds - ops) * pixels.slot_sum[:, None] + ops * fill)
    last = g.k - (k_trips - 1) * k_size
    steady = (k_trips - 1) * np.maximum(k_size, device.rows) + np.maximum(last, device.rows)
    blocks = g.groups * -(-g.filters // device.cols) * pixels.block_sum[:, None] - outer * pixels.count[:, None]
    each = outer * (g.k + k_trips * (overhead + 1) + (k_trips - 1) * device.rows)
    return np.asarray(g.batch * (blocks * steady + each * pixels.count[:, None]), np.int64)
