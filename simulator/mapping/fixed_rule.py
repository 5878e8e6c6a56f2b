"""A tiler without a search, as simple devices have it: the same few steps for every layer."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from simulator.mapping.candidates import even_parts, k_sizes, multiples
from simulator.mapping.chunks import TapBox, chunks
from simulator.mapping.reach import axes, reach
from simulator.mapping.schedule import LayerMapping, LoopOrder, Residency
from simulator.mapping.work import ArrayWork, Device

_Tile = tuple[int, int, int, int, int]
"""Rows, columns, channels, k, groups of a tile: a plain tuple, as dozens are tried for every layer."""


_MOST_RULINGS = 64
"""Kept of a layer, the last ones made."""
_UNBOUNDED = 1 << 63
"""Bytes that no memory has."""


class _Needs(NamedTuple):
    """What one tile takes of each memory."""

    accumulators: int
    weight_bytes: int
    input_bytes: int


def fixed_rule(work: ArrayWork, device: Device) -> LayerMapping | None:
    """Map one array layer by rule, or return None where not even one output pixel fits.

    Beginning with one row of outputs for one column block of the array: the widest stretch of the row and then the
    longest chunk of K that fit; then as many output channels, then groups, then output rows as fit beside that. Inputs
    stay for all output channels of a tile where K is uncut; weights stay for the layer where all of them fit, and are
    loaded again for every tile where not. Sizes are those that the search tries, so it never moves more bytes.
    """
    sizes = _sizes(work, device.rows, device.cols)
    room = _Needs(
        device.accumulator_half_bytes // device.accumulator_element_bytes,
        device.weight_half_bytes,
        device.input_half_bytes,
    )
    for ruling in sizes.rulings:
        if ruling.holds(room):
            return ruling.mapping
    trials = _Trials(sizes, room)
    tile = _rule(trials, work, min(device.cols, work.geometry.filters))
    mapping = None if tile is None else _mapping(tile, work)
    sizes.rulings.append(_Ruling(_Needs(*trials.least), _Needs(*trials.below), mapping))
    return mapping


def _rule(trials: _Trials, work: ArrayWork, narrowest: int) -> _Tile | None:
    g, sizes = work.geometry, trials.sizes
    start = trials.first((1, cols, narrowest, k, 1) for cols in sizes.cols for k in sizes.ks)
    if start is None:
        return None
    _, cols, channels, k, groups = start
    wide = trials.first((1, cols, n, k, 1) for n in sizes.channels if n >= narrowest)
    channels = wide[2] if wide else channels
    if k == g.k and channels == g.filters:
        shared = trials.first((1, cols, channels, k, n) for n in range(g.groups, 0, -1) if g.groups % n == 0)
        groups = shared[4] if shared else groups
    tall = trials.first((rows, cols, channels, k, groups) for rows in sizes.rows)
    return tall or (1, cols, channels, k, groups)


def _mapping(tile: _Tile, work: ArrayWork) -> LayerMapping:
    g = work.geometry
    _, _, channels, k, _ = tile
    whole_k = k == g.k
    whole_weights = whole_k and channels == g.filters
    return LayerMapping(
        *tile,
        order=LoopOrder.INPUTS_RESIDENT,
        input_residency=Residency.TILE if whole_k else Residency.CHUNK,
        weight_residency=Residency.LAYER if whole_weights else Residency.CHUNK,
        extent=(g.groups, g.batch, g.out_height, g.out_width, g.filters, g.k),
    )


@lru_cache(maxsize=1024)
def _sizes(work: ArrayWork, rows: int, cols: int) -> _Sizes:
    return _Sizes(work, rows, cols)


class _Sizes:
    """Tile sizes to try for a layer on an array of rows x cols, and what each needs, worked out at its first trial.

    No memory's size is part of it: devices that differ in memories alone share it, and what was ruled for them.
    """

    def __init__(self, work: ArrayWork, rows: int, cols: int) -> None:
        g = work.geometry
        self.rows, self.cols = even_parts(g.out_height), even_parts(g.out_width)
        self.channels, self.ks = multiples(cols, g.filters), k_sizes(g, rows)
        self._work = work
        self._needs: dict[_Tile, _Needs] = {}
        self.rulings: deque[_Ruling] = deque(maxlen=_MOST_RULINGS)

    def needs(self, tile: _Tile) -> _Needs:
        """Return what a tile takes of each memory."""
        found = self._needs.get(tile)
        if found is None:
            found = self._needs[tile] = _needs(tile, self._work)
        return found


class _Ruling(NamedTuple):
    """A mapping, and memories for which the rule tries the same tiles with the same success, so that it ends there."""

    least: _Needs
    """The most that a tile took which fitted."""
    below: _Needs
    """Each tile that did not fit took as much as this of one memory, or more."""
    mapping: LayerMapping | None

    def holds(self, room: _Needs) -> bool:
        (least_0, least_1, least_2), (below_0, below_1, below_2), _ = self
        return least_0 <= room[0] < below_0 and least_1 <= room[1] < below_1 and least_2 <= room[2] < below_2


class _Trials:
    """Tiles tried for one room, and how far it might be another without a different outcome of any trial."""

    def __init__(self, sizes: _Sizes, room: _Needs) -> None:
        self.sizes, self._room = sizes, room
        self.least, self.below = [0, 0, 0], [_UNBOUNDED] * 3

    def first(self, tiles: Iterable[_Tile]) -> _Tile | None:
        """Return the first of `tiles` that fits."""
        for tile in tiles:
            needs = self.sizes.needs(tile)
            short = next((i for i in range(3) if needs[i] > self._room[i]), None)
            if short is None:
                self.least = [max(pair) for pair in zip(self.least, needs, strict=True)]
                return tile
            self.below[short] = min(self.below[short], needs[short])
        return None


def _needs(tile: _Tile, work: ArrayWork) -> _Needs:
    g = work.geometry
    tile_rows, tile_cols, channels, k, groups = tile
    filters = groups * channels
    weight_bits = filters * (k * work.weight_bits + work.weight_bias_bits)
    whole = TapBox(0, g.kernel[0] - 1, 0, g.kernel[1] - 1, g.channels)
    boxes = (whole,) if k == g.k else chunks(g.kernel, g.channels, k).boxes
    row_axis, col_axis = axes(g)
    elements = 0
    for box in boxes:
        rows = reach(row_axis, tile_rows, box.first_kh, box.last_kh).most
        cols = reach(col_axis, tile_cols, box.first_kw, box.last_kw).most
        elements = max(elements, rows * cols * box.channels)
    input_bytes = -(-elements * groups * work.input_bits // 8)
    return _Needs(tile_rows * tile_cols * filters, -(-weight_bits // 8), input_bytes)
