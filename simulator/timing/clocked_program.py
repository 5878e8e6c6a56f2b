"""A matrix product or a convolution as a program of the system in rtl/system_top.sv: its tile operations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import SpecError
from simulator.kernels.clocked_system import TILE_OP
from simulator.timing.clocked_array import ClockedArray, Gemm, check_gemm
from simulator.timing.clocked_convolution import Pool
from simulator.timing.clocked_dma import ClockedDma
from simulator.timing.clocked_layout import FeatureMap, Layout, Span, Tile, activations_of

MOST_OPS = 63
"""Tile operations of a program."""

_MOST_ADDRESS_BITS = 16
"""Sizes of a job have 16 bits."""


@dataclass(frozen=True)
class ClockedSystem:
    """An array with its DMA, as built: the parameters of rtl/system_top.sv."""

    array: ClockedArray
    dma: ClockedDma
    """Engine and memory."""
    address_bits: int = 10
    """Of every scratchpad: 2^address_bits words in two halves."""
    banks: int = 0
    """Of the activations, a power of two from 2, where it runs convolutions; 0 where it runs products."""
    word_elements: int = 1
    """Of a word of these banks, a power of two."""


@dataclass(frozen=True)
class Tiling:
    """How a product is cut into tile operations, and what stays in its scratchpad from one to the next."""

    pixels: int
    """Output stationary: a multiple of the array's rows, or all. Convolutions: whole rows."""
    n_folds: int
    """Folds of output channels."""
    k_folds: int
    """Folds of the reduction, as long as the array has rows; output stationary, its products. Where one tile operation
    does not hold all of them, nothing stays but the rows of a convolution, if `inputs_stay`."""
    inputs_stay: bool = False
    """Activations are loaded once for all channels, instead of weights once for all pixels."""


@dataclass(frozen=True)
class Program:
    """A product as the system runs it."""

    layout: Layout
    rows: NDArray[np.int64]
    """[ops, len(TILE_OP)]"""
    geometry: Any
    """Of a convolution, record of dtype GEOMETRY; otherwise None."""
    pool: Pool | None = None
    """Of a convolution's outputs."""


def plan(system: ClockedSystem, gemm: Gemm, tiling: Tiling, feature_map: FeatureMap | None = None) -> Program:
    """Return the program of a product.

    Parameters
    ----------
    system, gemm, tiling
        The machine, the product, and how it is cut.
    feature_map
        The product is the convolution of this map.

    Raises
    ------
    InputError, SpecError
        What the array does not take; tiles that do not fit into half a scratchpad; too many tile operations; bursts
        that are no whole number of beats; cuts of K, which the tiling decides.

    """
    _check_product(system, gemm)
    activations = feature_map or activations_of(system.array, gemm, system.dma.bus_bytes)
    layout = Layout.of(system.array, gemm, activations, system.dma.bus_bytes)
    _check_tiling(layout, tiling, feature_map, 1 << system.address_bits)
    tiles = list(_tiles(layout, tiling, stays=tiling.inputs_stay and feature_map is not None))
    if len(tiles) > MOST_OPS:
        raise SpecError(f"{len(tiles)} tile operations, but a program has {MOST_OPS} at most; give larger tiles")
    for tile in tiles:
        _check_room(system, layout, tile)
    ring = _Ring(layout, 1 << system.address_bits)
    neighbours = zip([None, *tiles], tiles, [*tiles[1:], None], strict=False)
    rows = [_row(gemm, layout, ring, three) for three in neighbours]
    numbers = np.array([[row[name] for name in TILE_OP] for row in rows], np.int64)
    if not feature_map:
        return Program(layout, numbers, None)
    geometry = feature_map.convolution.geometry
    geometry["pitch"] = feature_map.pitch
    return Program(layout, numbers, geometry, feature_map.convolution.pool)


def _check_product(system: ClockedSystem, gemm: Gemm) -> None:
    check_gemm(system.array, gemm)
    system.dma.check()
    if not 2 <= system.address_bits <= _MOST_ADDRESS_BITS:
        raise SpecError(f"address_bits: {system.address_bits}, but it must lie in 2 to {_MOST_ADDRESS_BITS}")
    if gemm.k_cuts:
        raise SpecError(f"k_cuts {gemm.k_cuts}: the tiling cuts K, give none")
    if gemm.bias.ndim != 1:
        raise SpecError(f"bias has shape {gemm.bias.shape}: the system loads one for each column, ({gemm.w.shape[1]},)")
    if system.dma.burst_bytes % system.dma.bus_bytes:
        raise SpecError(f"burst_bytes: {system.dma.burst_bytes}, no multiple of bus_bytes, {system.dma.bus_bytes}")


def _check_tiling(layout: Layout, tiling: Tiling, feature_map: FeatureMap | None, lines: int) -> None:
    if min(tiling.pixels, tiling.n_folds, tiling.k_folds) < 1:
        raise SpecError(f"{tiling}: no size can be below 1")
    unit = layout.activations.unit
    if feature_map and feature_map.convolution.pool and layout.n_folds * unit > lines:
        raise SpecError(f"lines of {layout.n_folds * unit} words are pooled, but {lines} can wait; give fewer filters")
    if tiling.pixels < layout.pixels and tiling.pixels % unit:
        what = "outputs of a row" if feature_map else "rows of the array"
        raise SpecError(f"{tiling}: pixels must be a multiple of the {unit} {what}, or all of them")


def _check_room(system: ClockedSystem, layout: Layout, tile: Tile) -> None:
    half = 1 << (system.address_bits - 1)
    begin, end = layout.activations.stored(tile.pixels)
    if begin == end:
        raise SpecError(f"no window of the pool ends in the pixels {tile.pixels}; give tiles of more rows")
    results = (tile.n_folds[1] - tile.n_folds[0]) * (tile.pixels[1] - tile.pixels[0])
    if results > 2 * half:
        raise SpecError(f"{results} accumulators in a tile, but there are {2 * half}; give smaller tiles")
    for name, descriptor in layout.tile(tile).items():
        descriptor.check(name)
        words = descriptor.segments * descriptor.segment_bytes // layout.word(name).bytes
        if words > half:
            what = "outputs" if name == "store" else f"{name}s"
            raise SpecError(f"{words} words of {what} in a tile, but half a scratchpad has {half}; give smaller tiles")


def _tiles(layout: Layout, tiling: Tiling, stays: bool) -> Iterator[Tile]:
    """In order: what stays is outermost, K innermost. `stays`: activations do, for all of K."""

    def spans(size: int, step: int) -> list[Span]:
        return [(begin, min(begin + step, size)) for begin in range(0, size, step)]

    pixels, n_folds = spans(layout.pixels, tiling.pixels), spans(layout.n_folds, tiling.n_folds)
    pairs = (
        [(m, n) for m in pixels for n in n_folds] if tiling.inputs_stay else [(m, n) for n in n_folds for m in pixels]
    )
    for m, n in pairs:
        for k in spans(layout.k_folds, tiling.k_folds):
            yield Tile(m, n, k, (0, layout.k_folds) if stays else k)


class _Ring:
    """The input scratchpad: each tile lies behind the one before, around the end; two of them are there at a time."""

    def __init__(self, layout: Layout, size: int) -> None:
        self._layout, self._size = layout, size
        self._next = self._base = 0
        self._tile: Tile | None = None

    def take(self, tile: Tile) -> tuple[Tile | None, dict[str, int]]:
        """Make room for what a tile loads: return the one before, which may leave some, and the ring's fields."""
        before, self._tile = self._tile, tile
        # A new pass over the pixels begins anew, and so does another part of K.
        if before and (before.pixels[1], before.input_folds) != (tile.pixels[0], tile.input_folds):
            before = None
        word, activations = self._layout.activations.word, self._layout.activations
        loaded = activations.tile(tile, before)
        address = self._next
        self._base = (address - activations.kept_words(tile, before)) % self._size
        self._next = (address + loaded.segments * loaded.segment_bytes // word.bytes) % self._size
        return before, {"input_address": address, "input_base": self._base}

    def stay(self) -> dict[str, int]:
        """Fields of a tile that loads nothing into the ring."""
        return {"input_address": self._next, "input_base": self._base}


def _row(gemm: Gemm, layout: Layout, ring: _Ring, neighbours: tuple[Tile | None, Tile, Tile | None]) -> dict[str, int]:
    """Fields of a tile operation between its neighbours."""
    before, tile, after = neighbours
    (m, m_end), (n, n_end), (k, k_end) = tile.pixels, tile.n_folds, tile.k_folds

    def inputs_change(one: Tile | None, other: Tile | None) -> bool:
        return one is None or other is None or one.inputs != other.inputs

    def weights_change(one: Tile | None, other: Tile | None) -> bool:
        return one is None or other is None or one.weights != other.weights

    takes_input, takes_weight = inputs_change(before, tile), weights_change(before, tile)
    finishes = k_end == layout.k_folds
    found, places = ring.take(tile) if takes_input else (None, ring.stay())
    array = layout.array
    columns = (gemm.w.shape[1] - 1) % array.cols + 1 if n_end == layout.n_folds else array.cols
    row = {
        **{"load_first": 0 if takes_input else 1, "load_last": 2 if takes_weight else 0},
        **{"load_takes_input": takes_input, "load_takes_weight": takes_weight},
        **{"takes_weight": takes_weight, "takes_result": k == 0},
        **{"gives_input": inputs_change(tile, after), "gives_weight": weights_change(tile, after)},
        **{"finishes": finishes, "continues": k > 0, "stores": finishes},
        **{"pixels": m_end - m, "k_folds": k_end - k, "n_folds": n_end - n, "last_columns": columns},
        **layout.activations.fields(tile),
        **places,
    }
    for name, descriptor in layout.tile(tile, found).items():
        row |= {f"{name}_{field}": value for field, value in vars(descriptor).items()}
    return row
