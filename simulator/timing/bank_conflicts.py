"""Cycles in which pixels of a weight-stationary array wait for banks of the input scratchpad, tile op by tile op.

As in rtl/im2col_feed.sv: the array's rows read their elements at once, a bank gives a word a cycle to all who want
something of it, and the pixel is held until all have theirs. Elements lie row by row, column by column, channels
fastest, each row of the map from bank 0 on (decision 0036). Pixels whose elements lie in the same places of the banks
wait equally long, so patterns are counted, not pixels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.kernels.bank_conflicts import add_waits
from simulator.lowering.layer import ConvGeometry
from simulator.mapping.chunks import TapBox, chunks
from simulator.mapping.reach import Axis, axes
from simulator.mapping.schedule import LayerMapping, LayerSchedule, Residency
from simulator.mapping.work import Device

Ints = NDArray[np.int64]
Banks = tuple[int, int]
"""Banks of the input scratchpad, and elements of a word."""


def conflict_cycles(layer: LayerSchedule, banks: Banks, device: Device) -> Ints:
    """Cycles of each tile op, int64 [tile ops], that come to its closed form.

    Parameters
    ----------
    layer
        On the array; grouped and depthwise convolutions, and schedules made by hand, are not counted, 0.
    banks
        Of the input scratchpad, and elements of a word.
    device
        Weight stationary.

    """
    ops, work, mapping = layer.ops, layer.work, layer.mapping
    if work is None or mapping is None or work.geometry.groups > 1 or not len(ops):
        return np.zeros(len(ops), np.int64)
    (row_tiles, row_of), (col_tiles, col_of) = _tiles(ops, "row"), _tiles(ops, "col")
    waits = _waits(work.geometry, mapping, (row_tiles, col_tiles), banks, device.rows)
    column_folds = -(-ops["channels"].astype(np.int64) // device.cols)
    return np.asarray(column_folds * waits[ops["k"] // mapping.k, row_of, col_of], np.int64)


def _waits(g: ConvGeometry, mapping: LayerMapping, tiles: tuple[Ints, Ints], banks: Banks, rows: int) -> Ints:
    """Tabulate the waits of one fold of channels, by chunk of K, tile of rows and tile of columns."""
    row_axis, col_axis = axes(g)
    patterns, pattern_of = np.unique(_positions(row_axis) >= 0, axis=0, return_inverse=True)
    heights = _counts(pattern_of.reshape(-1), tiles[0], len(patterns))
    cut = chunks(g.kernel, g.channels, mapping.k)
    layouts: dict[TapBox | None, tuple[Ints, Ints]] = {}
    waits = np.zeros((len(cut.start), *map(len, tiles)), np.int64)
    for chunk, begin in enumerate(cut.start.tolist()):
        # What lies in the scratchpad: the box of the chunk, or all taps.
        box = cut.boxes[cut.box_of[chunk]] if mapping.input_residency is Residency.CHUNK else None
        if box not in layouts:
            whole = mapping.input_residency is Residency.LAYER
            layouts[box] = _columns(col_axis, box, box.channels if box else g.channels, whole, tiles[1], banks[1])
        places, widths = layouts[box]
        first = begin % g.channels if box and box.channels < g.channels else 0
        span, each = (begin, begin + int(cut.length[chunk])), np.zeros((len(patterns), len(places)), np.int64)
        add_waits(span, rows, g.channels, first, banks, patterns, places, each)
        waits[chunk] = heights @ each @ widths.T
    return waits


def _tiles(ops: NDArray[Any], axis: str) -> tuple[Ints, Ints]:
    """Distinct (first, size) of tiles along an axis, [tiles, 2], and which each tile op is of."""
    found, of = np.unique(np.stack([ops[axis], ops[f"{axis}s"]], 1).astype(np.int64), axis=0, return_inverse=True)
    return found, of.reshape(-1)


def _positions(axis: Axis) -> Ints:
    """Position that each output meets through each tap, [outputs, taps]; -1 where that is padding or a woven zero."""
    place = np.arange(axis.out_size)[:, None] * axis.stride + np.arange(axis.kernel) * axis.dilation - axis.padding
    real = (place >= 0) & (place % axis.insertion == 0) & (place < axis.in_size * axis.insertion)
    return np.where(real, place // axis.insertion, -1)


def _counts(pattern_of: Ints, tiles: Ints, patterns: int) -> Ints:
    """How often each pattern occurs in each tile, [tiles, patterns]."""
    return np.stack([np.bincount(pattern_of[first : first + size], minlength=patterns) for first, size in tiles])


def _columns(
    axis: Axis, box: TapBox | None, channels: int, whole: bool, tiles: Ints, word_elements: int
) -> tuple[Ints, Ints]:
    """Patterns of columns as `add_waits` takes them, and how often each occurs in each tile, [tiles, patterns].

    A column whose elements lie some words further on in every row of the map meets other banks, each as often.

    Parameters
    ----------
    axis
        Of the columns.
    box
        Of the taps that lie in the scratchpad; None = all.
    channels
        That lie there for each pixel.
    whole
        The whole input lies there, not what a tile reads of it.
    tiles
        First column and columns of each.
    word_elements
        Elements of a word.

    """
    positions = _positions(axis)
    if box is not None:
        positions[:, : box.first_kw], positions[:, box.last_kw + 1 :] = -1, -1
    beyond = axis.in_size
    parts = []
    for first, size in tiles:
        there = positions[first : first + size]
        # What has all columns of outputs lies there with whole rows, as in rtl/system_top.sv.
        begin = 0 if whole or size == axis.out_size else np.where(there < 0, beyond, there).min()
        element = (there - begin) * channels
        least = np.where(there < 0, beyond * channels, element).min(axis=1, keepdims=True)
        parts.append(np.where(there < 0, -1, element - least // word_elements * word_elements))
    places, of = np.unique(np.concatenate(parts), axis=0, return_inverse=True)
    ends = np.cumsum(tiles[:, 1])
    return places, _counts(of.reshape(-1), np.stack([ends - tiles[:, 1], tiles[:, 1]], 1), len(places))
