"""What a tile op of an array layer stores: its outputs, or the windows that a pool on the store path completes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.mapping.schedule import LayerMapping
from simulator.mapping.store_pool import pooled_cols, pooled_rows
from simulator.mapping.work import ArrayWork, Part

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class StoredBox:
    """Box of the stored image of each tile op; arrays are [tile ops]."""

    row: Ints
    rows: Ints
    col: Ints
    cols: Ints
    height: int
    """Of the whole image."""
    width: int

    @classmethod
    def together(cls, boxes: Sequence[StoredBox]) -> StoredBox:
        """Return those of one core's tile ops after another's."""
        if len(boxes) == 1:
            return boxes[0]
        row, rows, col, cols = (
            np.concatenate([getattr(box, name) for box in boxes]) for name in ("row", "rows", "col", "cols")
        )
        return cls(row, rows, col, cols, boxes[0].height, boxes[0].width)


def stored_box(ops: NDArray[Any], work: ArrayWork, mapping: LayerMapping, part: Part) -> StoredBox:
    """Return where the outputs of each tile op (dtype TILE_OP) of a part of a layer are stored."""
    row, rows, col, cols = (ops[name].astype(np.int64) for name in ("row", "rows", "col", "cols"))
    g, pool = work.geometry, work.pool
    if pool is None:
        return StoredBox(row, rows, col, cols, g.out_height, g.out_width)
    own = pool.of_rows(part.row, part.rows)
    high, wide = pooled_rows(own, part.of(g), mapping.rows), pooled_cols(pool, g, mapping.cols)
    row, col = (row - part.row) // mapping.rows, col // mapping.cols
    first = pool.first_window(part.row) + high.first[row]
    return StoredBox(first, high.completed[row], wide.first[col], wide.completed[col], *pool.out)


def stored_bytes(ops: NDArray[Any], work: ArrayWork, mapping: LayerMapping, part: Part) -> tuple[Ints, Ints]:
    """Bytes and stretches of DRAM that the outputs of each tile op are."""
    box = stored_box(ops, work, mapping, part)
    channels = ops["channels"].astype(np.int64) * ops["groups"]
    all_channels = work.geometry.filters * work.geometry.groups
    whole_pixels, whole_rows = channels == all_channels, box.cols == box.width
    if work.output_place is not None:
        whole_pixels &= work.output_place.run > all_channels
        whole_rows &= work.output_place.run > all_channels * box.width
    pixels = box.rows * box.cols
    segments = np.where(whole_pixels, np.where(whole_rows, 1, box.rows), pixels * channel_runs(ops, work))
    return -(-pixels * channels * work.output_bits // 8), segments


def channel_runs(ops: NDArray[Any], work: ArrayWork) -> Ints:
    """Stretches that the output channels of each tile op are: of several groups one each, where a core has a part."""
    return np.where(ops["channels"] == work.geometry.filters, 1, ops["groups"].astype(np.int64))
