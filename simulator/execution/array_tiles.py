"""Run a layer without events on the register tiles of an instruction set, requantized on the way where that exists."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.execution.aligned import aligned_zeros
from simulator.execution.array_image import filled_image
from simulator.execution.array_operands import Operands
from simulator.execution.array_tile_run import TileRun
from simulator.execution.array_weights import Weights
from simulator.execution.fused import Fused
from simulator.execution.layer_constants import Arrays, layer_constants, low_words
from simulator.kernels import convolve as plan_of
from simulator.kernels import isa as instruction_sets
from simulator.kernels.dot_tile import BYTES, GROUP_BYTES, PAIRS, UNROLLED, dot_tile_at
from simulator.kernels.heavy_pairs import count_heavy, heavy_share, split_heavy
from simulator.kernels.isa import INSTRUCTION_SETS, TILE_ROWS, InstructionSet
from simulator.kernels.requantize_panels import PLAN_LENGTH, raw_plan
from simulator.kernels.stream_sums import STREAMED
from simulator.kernels.threads import threads_now
from simulator.lowering.layer import ConvGeometry
from simulator.numerics.formats import IntFormat

_TASKS_PER_THREAD = 8
_LEAST_PIXELS = 48
_NEAR_BYTES = 192 << 10
"""Weights that a cache near any core holds."""
STREAMED_BYTES = 16 << 20
"""Raw sums of so many bytes are written past the caches; fewer are sooner read again from these."""
_LIMIT_STEP = 8
_MOST_HEAVY = 0.3
"""Share of vectors with an extra above which pairs of int16 are faster."""
_TAKEN = {BYTES: 4, PAIRS: 2}
"""Numbers of K that a lane takes at once."""
WEIGHT_DTYPES: dict[str, type[Any]] = {BYTES: np.int8, PAIRS: np.int16}


@dataclass(frozen=True)
class Tiles:
    """Which kernel convolves a layer."""

    isa: InstructionSet
    operands: str
    """BYTES or PAIRS."""
    pair_limit: int = 0
    """Greatest sum of two weights of one sign whose products int16 holds, for sets without vpdpbusd; 0 = no limit."""
    chunk_k: int | None = None
    """K of the chunks at whose ends extremes are taken, about; None = as many as the cache holds."""

    @property
    def taken(self) -> int:
        """Numbers of K that a lane takes at once."""
        return _TAKEN[self.operands]

    def fitted(self, filters: int) -> Tiles:
        """Return it with panels as wide as suits some output channels of a group."""
        isa = self.isa.fitted(filters)
        return self if isa is self.isa else replace(self, isa=isa)


def choose_tiles(operands: Operands, operand_kind: str = BYTES) -> Tiles | None:
    """Return the kernel for a layer whose sums fit int32, or None where none takes its operands.

    Parameters
    ----------
    operands
        The layer's.
    operand_kind
        PAIRS to have those although bytes would do.

    """
    isa = INSTRUCTION_SETS.get(instruction_sets.chosen())
    if isa is None or len(operands.start) > 1 or operands.is_depthwise:
        return None
    least, greatest = operands.weights.range
    zero, form = operands.x_zero_point, operands.x_format
    on_bytes = form.bits <= 8 and 0 <= zero - form.min < 256 and least >= -128 and greatest < 128
    if operand_kind == BYTES and on_bytes:
        if isa.has_byte_dot:
            return Tiles(isa, BYTES)
        tiles = Tiles(isa, BYTES, _pair_limit(operands))
        if _share_of_heavy_groups(operands.weights, tiles) <= _MOST_HEAVY:
            return tiles
    int16 = IntFormat(16)
    inside = min(least, form.min - zero) >= int16.min and max(greatest, form.max - zero) <= int16.max
    return Tiles(isa, PAIRS) if inside else None


def surely_on_bytes(operands: Operands) -> bool:
    """Whether a layer's sums, if they fit int32, are taken on tiles of bytes, whatever its numbers are."""
    isa = INSTRUCTION_SETS.get(instruction_sets.chosen())
    if isa is None or not isa.has_byte_dot or operands.geometry.insertion != (1, 1):
        return False
    tiles = choose_tiles(operands)
    return tiles is not None and tiles.operands == BYTES


def _pair_limit(operands: Operands) -> int:
    """Greatest sum of a light pair of weights, in steps, so that weights are seldom packed anew; see `heavy_pairs`."""
    greatest = max(operands.x_range[1] + operands.x_zero_point, operands.x_zero_point) - operands.x_format.min
    return min(32767 // max(greatest, 1), 256) // _LIMIT_STEP * _LIMIT_STEP


def _share_of_heavy_groups(weights: Weights, tiles: Tiles) -> float:
    """Share of vectors of groups that would have an extra, from neighbours in flat order: an estimate."""
    key = ("heavy", tiles.pair_limit, tiles.isa.lanes)
    if key not in weights.kept:
        weights.kept[key] = heavy_share(weights.stored, weights.zero_points, tiles.pair_limit, tiles.isa.lanes)
    return float(weights.kept[key])


def run_tiles(
    operands: Operands, tiles: Tiles, fused: Fused | None, extremes: NDArray[np.int32] | None = None
) -> tuple[NDArray[Any], int]:
    """Convolve.

    Parameters
    ----------
    operands
        The layer's.
    tiles
        From `choose_tiles`.
    fused
        Its requantizer; None = the sums themselves, int32.
    extremes
        int32 [threads, 2, chunks, panels of all groups * channels of a panel], brought up to date: least and greatest
        sums of (q - least q) * w at the end of each chunk (see `chunk_begins`), start value excluded.

    Returns
    -------
    output : ndarray
        [pixels, filters of all groups].
    saturations : int
        Outputs that were clipped.

    """
    geometry = operands.geometry
    image = filled_image(operands, tiles.operands, overruns=_overruns(geometry, tiles))
    border = image.filling.border
    key = ("constants", tiles, geometry, border, threads_now())
    constants = layer_constants(operands, fused, key, lambda: _constants(operands, tiles, fused, image.numbers, border))
    run = TileRun(
        kind=tiles.operands,
        constants=constants,
        shape=(geometry.m, operands.filters),
        dtype=np.dtype(fused.format.dtype if fused else np.int32),
    )
    if fused and extremes is None:
        operands.runs.append(run)
    return run.on(image, extremes)


def _constants(operands: Operands, tiles: Tiles, fused: Fused | None, image: NDArray[Any], border: int) -> Arrays:
    geometry, weights = operands.geometry, operands.weights
    packed = _packed(geometry, weights, image, tiles)
    panels = -(-geometry.filters // tiles.isa.channels)
    start = operands.start[0].astype(np.int64)
    if border:
        # The kernel sums (q - least) * w; less border * w, border = zero point - least, it is (q - zero point) * w.
        start = start - border * weights.sums
    nothing = np.zeros(operands.filters, np.int32)
    scales = (fused.first, fused.second) if fused else (nothing, nothing)
    per_channel = [by_panel(values, geometry, panels, tiles) for values in (low_words(start), *scales)]
    plan = _plan(geometry, image, packed, tiles)
    if not border:
        top, left = geometry.padding.top, geometry.padding.left
        inside = top, left, top + geometry.in_height, left + geometry.in_width
        plan[plan_of.ALL_COUNTS] = inside == (0, 0, *image.shape[1:3])
        plan[plan_of.INSIDE : plan_of.INSIDE + 4] = inside
    plan[plan_of.STREAMS] = not fused and _streams(geometry)
    if fused:
        plan[:PLAN_LENGTH] = fused.plan(tiles.isa)
    return (*packed.arrays, plan, *per_channel)


def by_panel(values: NDArray[np.int32], geometry: ConvGeometry, panels: int, tiles: Tiles) -> NDArray[np.int32]:
    """Return constants of the filters in the order of the panels, filled up with 0."""
    padded = np.zeros((geometry.groups, panels * tiles.isa.channels), np.int32)
    padded[:, : geometry.filters] = values.reshape(geometry.groups, geometry.filters)
    return padded.reshape(-1)


# ---------------------------------------------------------------- weights


@dataclass(frozen=True, eq=False)
class _Packed:
    weights: NDArray[Any]
    """[panels of all groups, groups of K, channels, numbers of a group]."""
    pieces: NDArray[np.int64]
    """[pieces of K, PIECE_LENGTH of `kernels.convolve`]."""
    extra_begins: NDArray[np.int64]
    """[panels of all groups, vectors + 1], as the two that follow see `heavy_pairs`; empty where there are none."""
    extra_offsets: NDArray[np.int64]
    extra_weights: NDArray[np.int8]

    @property
    def arrays(self) -> tuple[NDArray[Any], ...]:
        """In the order in which the kernel takes them."""
        return self.weights.view(np.uint8), self.pieces, self.extra_begins, self.extra_offsets, self.extra_weights


def _packed(geometry: ConvGeometry, weights: Weights, image: NDArray[Any], tiles: Tiles) -> _Packed:
    key = (tiles, geometry.kernel, geometry.dilation, image.shape[2:], geometry.groups)
    if key not in weights.kept:
        weights.kept[key] = _pack(geometry, weights, image, tiles)
    found: _Packed = weights.kept[key]
    return found


def _pack(geometry: ConvGeometry, weights: Weights, image: NDArray[Any], tiles: Tiles) -> _Packed:
    runs, source = runs_of_k(geometry, image, joined=True)
    length = source.shape[1]
    cuts, piece = cut_run(length, tiles)
    padded = np.full((len(runs), cuts * piece), -1, np.int64)
    padded[:, :length] = source
    places = np.zeros((len(runs), cuts, plan_of.PIECE_LENGTH), np.int64)
    places[:, :, plan_of.PIECE_OFFSET] = (runs[:, None] + np.arange(cuts) * piece) * image.itemsize
    places[:, :, plan_of.PIECE_ROW :] = _places_of_runs(geometry)[:, None]
    pieces = places.reshape(-1, plan_of.PIECE_LENGTH)
    panels = -(-geometry.filters // tiles.isa.channels)
    shape = (geometry.groups * panels, padded.size // tiles.taken, tiles.isa.channels, tiles.taken)
    packed = aligned_zeros(shape, WEIGHT_DTYPES[tiles.operands])
    weights.pack(geometry.groups, padded.reshape(-1), panels, packed)
    if not tiles.pair_limit:
        return _Packed(packed, pieces, np.empty((0, 0), np.int64), np.empty(0, np.int64), np.empty((0, 0, 0), np.int8))
    groups = pieces[:, plan_of.PIECE_OFFSET, None] + np.arange(0, piece * image.itemsize, GROUP_BYTES)
    return _Packed(packed, pieces, *_extras(packed, groups.reshape(-1), tiles))


def _extras(
    packed: NDArray[np.int8], places: NDArray[np.int64], tiles: Tiles
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int8]]:
    """Take what is too heavy off the packed weights, and return it: first of each vector, offsets, weights."""
    lanes, vectors = tiles.isa.lanes, tiles.isa.vectors
    counts = np.empty((len(packed), vectors), np.int64)
    count_heavy(packed, lanes, tiles.pair_limit, counts)
    bounds = np.concatenate([[0], np.cumsum(counts)])
    begins = np.stack([bounds[i : i + vectors + 1] for i in range(0, counts.size, vectors)])
    offsets, extras = np.empty(bounds[-1], np.int64), aligned_zeros((int(bounds[-1]), lanes, 4), np.int8)
    split_heavy(packed, lanes, tiles.pair_limit, places, begins, offsets, extras)
    return begins, offsets, extras


def cut_run(length: int, tiles: Tiles) -> tuple[int, int]:
    """Return number and length of the pieces of a run of K: short enough for the cache, in whole rounds of the loop."""
    per_round = tiles.taken * UNROLLED
    longest = tiles.isa.weight_bytes // (GROUP_BYTES * tiles.isa.channels) * tiles.taken
    longest = min(longest, tiles.chunk_k or longest)
    piece = -(-length // (-(-length // longest) * per_round)) * per_round
    return -(-length // piece), piece


def runs_of_k(
    geometry: ConvGeometry, image: NDArray[Any], *, joined: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where each contiguous run of K starts in the image (numbers), and the k of what it holds [runs, length].

    A run is the channels under one tap; `joined`, the taps of a filter row are one where nothing lies between them.
    """
    kernel_h, kernel_w = geometry.kernel
    row = image.shape[2] * image.shape[3] * geometry.dilation[0]
    column = image.shape[3] * geometry.dilation[1]
    starts = np.arange(kernel_h)[:, None] * row + np.arange(kernel_w) * column
    k = np.arange(geometry.k).reshape(kernel_h, kernel_w, geometry.channels)
    if joined and _rows_join(geometry):
        return starts[:, 0].astype(np.int64), k.reshape(kernel_h, -1)
    return starts.reshape(-1).astype(np.int64), k.reshape(kernel_h * kernel_w, -1)


def _places_of_runs(geometry: ConvGeometry) -> NDArray[np.int64]:
    """Return row, first and last column of the image under each run of `runs_of_k`, joined, from where outputs read."""
    (kernel_h, kernel_w), (down, across) = geometry.kernel, geometry.dilation
    rows, columns = np.arange(kernel_h) * down, np.arange(kernel_w) * across
    if _rows_join(geometry):
        return np.stack([rows, np.zeros_like(rows), np.full_like(rows, columns[-1])], axis=1)
    return np.stack([np.repeat(rows, kernel_w), *(np.tile(columns, kernel_h),) * 2], axis=1)


def _rows_join(geometry: ConvGeometry) -> bool:
    """Whether nothing lies between the taps of a filter row."""
    return geometry.groups == 1 and (geometry.dilation[1] == 1 or geometry.kernel[1] == 1)


def _run_length(geometry: ConvGeometry) -> int:
    """K of a run of `runs_of_k`, joined."""
    return geometry.channels * (geometry.kernel[1] if _rows_join(geometry) else 1)


def _overruns(geometry: ConvGeometry, tiles: Tiles) -> bool:
    """Whether the last piece of a run of K is filled up, so that it reads past the run."""
    cuts, piece = cut_run(_run_length(geometry), tiles)
    return cuts * piece > _run_length(geometry)


def chunk_begins(geometry: ConvGeometry, tiles: Tiles) -> NDArray[np.int64]:
    """Return the first k of each chunk of `run_tiles`."""
    length = _run_length(geometry)
    cuts, piece = cut_run(length, tiles)
    begins = (np.arange(0, geometry.k, length)[:, None] + np.arange(cuts) * piece).reshape(-1)
    return begins[:: chunk_pieces(piece, tiles)]


def chunk_pieces(piece: int, tiles: Tiles) -> int:
    """Return how many pieces of weights stay in the cache."""
    longest = tiles.isa.weight_bytes // (GROUP_BYTES * tiles.isa.channels) * tiles.taken
    return max(1, (tiles.chunk_k or longest) // piece)


def _streams(geometry: ConvGeometry) -> bool:
    """Whether raw sums are worth writing past the caches, and their rows allow it."""
    filters = geometry.filters * geometry.groups
    return geometry.filters % STREAMED == 0 and 4 * geometry.m * filters >= STREAMED_BYTES


# ---------------------------------------------------------------- the plan


def _plan(geometry: ConvGeometry, image: NDArray[Any], packed: _Packed, tiles: Tiles) -> NDArray[np.int64]:
    plan = tile_plan(geometry, image, tiles)
    pieces = packed.pieces
    groups_of_bytes = packed.weights.shape[1] // len(pieces)
    plan[[plan_of.PIECES, plan_of.PIECE_GROUPS]] = len(pieces), groups_of_bytes
    plan[plan_of.CHUNK_PIECES] = chunk_pieces(groups_of_bytes * tiles.taken, tiles)
    # Everything counts until the caller knows that the border does not.
    plan[plan_of.INSIDE : plan_of.INSIDE + 4] = 0, 0, image.shape[1], image.shape[2]
    plan[plan_of.ALL_COUNTS] = 1
    plan[plan_of.STRIDES : plan_of.STRIDES + 2] = geometry.stride
    plan[plan_of.DOT_TILE] = dot_tile_at(tiles.isa, tiles.operands)
    return plan


def tile_plan(
    geometry: ConvGeometry, image: NDArray[Any], tiles: Tiles, *, most_pixels: int = plan_of.PIXELS
) -> NDArray[np.int64]:
    """Return the plan of a convolution but for its K and its requantizer: shapes, steps through the image, tasks."""
    batch_bytes, row_bytes, column_bytes, _ = image.strides
    panels = -(-geometry.filters // tiles.isa.channels)
    pixels = _task_pixels(geometry, most_pixels)
    blocks, all_panels = -(-geometry.m // pixels), panels * geometry.groups
    shares = min(all_panels, -(-_TASKS_PER_THREAD * threads_now() // blocks))
    plan = np.zeros(plan_of.PLAN_LENGTH, np.int64)
    plan[:PLAN_LENGTH] = raw_plan(tiles.isa)
    plan[plan_of.PIXEL_COUNT] = geometry.m
    plan[[plan_of.OUT_HEIGHT, plan_of.OUT_WIDTH]] = geometry.out_height, geometry.out_width
    plan[plan_of.BATCH_BYTES] = batch_bytes
    plan[plan_of.ROW_BYTES] = row_bytes * geometry.stride[0]
    plan[plan_of.COLUMN_BYTES] = column_bytes * geometry.stride[1]
    plan[plan_of.GROUP_OFFSET_BYTES] = geometry.channels * image.itemsize
    plan[[plan_of.FILTERS, plan_of.GROUPS, plan_of.PANELS]] = geometry.filters, geometry.groups, panels
    plan[plan_of.TASK_PIXELS] = pixels
    plan[plan_of.TASK_PANELS] = -(-all_panels // shares)
    return plan


def _task_pixels(geometry: ConvGeometry, most: int) -> int:
    """Pixels of a task: blocks alike, in whole tiles.

    Large ones, for a block's first tile waits for weights that no cache near the core holds. Where one does, more of
    them than threads, so that each thread reads its own part of the image, and not all of it for some of the panels.
    """
    threads = threads_now()
    if threads > 1 and geometry.k * geometry.filters * geometry.groups <= _NEAR_BYTES:
        most = min(most, max(geometry.m // (_TASKS_PER_THREAD * threads), _LEAST_PIXELS))
    pixels = -(-geometry.m // max(1, -(-geometry.m // most)))
    return max(1, -(-pixels // TILE_ROWS)) * TILE_ROWS
