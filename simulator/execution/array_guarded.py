"""Run a layer in its fold order on guarded tiles, and keep the overflow ledger."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.execution.aligned import aligned_zeros
from simulator.execution.array_image import filled_image
from simulator.execution.array_operands import Operands
from simulator.execution.array_proof import Bounds
from simulator.execution.array_tiles import (
    Tiles,
    by_panel,
    choose_tiles,
    runs_of_k,
    tile_plan,
)
from simulator.execution.array_weights import Weights
from simulator.execution.fused import Fused
from simulator.kernels import guarded_convolve as plan_of
from simulator.kernels.cell_steps import MOST_STEPS
from simulator.kernels.dot_tile import GROUP_BYTES, PAIRS, UNROLLED
from simulator.kernels.guarded_tile import (
    CELLS,
    COUNTED_WORDS,
    FLAGGED_WORDS,
    STICKY_CELLS,
    STICKY_TILE,
    guarded_tile_at,
)
from simulator.kernels.int16_steps import BITS as WORD_BITS
from simulator.kernels.int16_steps import words_hold
from simulator.kernels.isa import InstructionSet
from simulator.kernels.norms import block_norms, segment_norms
from simulator.kernels.packing import pack
from simulator.kernels.requantize_panels import PLAN_LENGTH
from simulator.kernels.spread import MOST_GROUPS
from simulator.kernels.sticky import sticky_shifts
from simulator.kernels.tally import tally_shifts
from simulator.kernels.threads import threads_now
from simulator.kernels.toggles import toggle_shifts
from simulator.kernels.workers import run_on_threads
from simulator.lowering.layer import ConvGeometry, FoldOrder, RegisterSpec
from simulator.numerics.modes import OverflowMode
from simulator.numerics.scalar import needed_bits

_BLOCK = 32
"""Longest block of K with a guard: long enough to pay for it, short enough to be clear of the rails."""
_LONG_BLOCK, _LONG_BITS = 2 * MOST_GROUPS, 22
"""The same in registers of that many bits or more, whose rails are further off."""
_FLAG_BLOCK = 64
"""The same where registers saturate and have flags: a block that is known to be near costs its steps alone."""
_PROVED_BLOCK = 512
"""Longest block without."""
_WEIGHT_BYTES = 1 << 16
"""Weights of a panel that are kept in the cache while pixels pass over them."""
_INT31 = (1 << 31) - 1
_WIDEST = 1 << 30
"""Greatest magnitude of the widest register that lanes hold, 31 bits: what a layer's operands allow holds for all."""


@dataclass(frozen=True, eq=False)
class Guarded:
    """Values and events of a layer."""

    values: NDArray[Any]
    """[pixels, filters]: registers, int32; or what the requantizer made of them."""
    saturations: int | None
    """Outputs that the requantizer clipped; None = `values` are registers."""
    partial_sum_events: int
    accumulator_events: int
    affected_outputs: int
    first_outputs: tuple[int | None, int | None]
    """Lowest flat output with an event in its partial sums, and in its accumulator."""


@dataclass(frozen=True, eq=False)
class _Blocks:
    """K in the device's order, cut where folds and contiguous runs of the image end."""

    pieces: NDArray[np.int64]
    """[blocks]: where each begins in the image, from a pixel on, in numbers."""
    norm_pieces: NDArray[np.int64]
    """[blocks]: where its norm stands, from the pixel's norms on, in numbers."""
    source: NDArray[np.int64]
    """[blocks * pairs * 2]: the k that stands at each position of the packed K; -1 = filled up with 0."""
    pairs: int
    """Pairs of k in a block."""
    fold_blocks: int
    """Blocks of a fold; 1 for output stationary, where every block is a unit of its own."""
    begins: NDArray[np.int64]
    """[segments], as is `lengths`: the kinds of blocks, of which each pixel has a norm."""
    lengths: NDArray[np.int64]


@dataclass(frozen=True)
class _Stepping:
    """How a layer's registers are stepped where its guards leave something open."""

    kernel: str
    """One of `guarded_tile.STEPPINGS`."""
    shifts: tuple[int, int] | None = None
    """Bits by which activations and weights are raised; None = they are not, and single cells are compared."""

    @property
    def layout(self) -> tuple[bool, int]:
        """Of the weights that are stepped: whether one k follows another, not in pairs; bits they are raised."""
        return self.kernel in (FLAGGED_WORDS, COUNTED_WORDS), self.shifts[1] if self.shifts else 0


@dataclass(frozen=True, eq=False)
class _Packed:
    weights: NDArray[np.int16]
    """[1 or 2, panels of all groups, pairs, channels, 2]: as they are, and as steps want them, where that differs."""
    half_norms: NDArray[np.int32]
    """[panels of all groups, blocks, channels]: halves, rounded up."""


def run_guarded(
    operands: Operands, bounds: Bounds, order: FoldOrder, fused: Fused | None, *, counts: bool = True
) -> Guarded | None:
    """Run a layer, or return None where its operands or registers are too wide for int32 lanes.

    Parameters
    ----------
    operands, bounds, order
        The layer's; `bounds` as `bound_sums` gives them.
    fused
        Its requantizer, used on the way.
    counts
        Whether the number of events is asked for; without, it may be anything above 0 where there are some.

    """
    chosen = choose_tiles(operands, PAIRS)
    if chosen is None or not registers_fit(order, bounds) or _WIDEST + bounds.products > _INT31:
        return None
    operands = _woven(operands)
    geometry, weights = operands.geometry, operands.weights
    image = filled_image(operands, PAIRS).numbers
    inner = order.partial_sum or order.accumulator
    proved = partial_sums_are_safe(order, bounds)
    stepping = _Stepping(CELLS) if proved else _stepping(inner, operands, chosen.isa, counts=counts)
    longest = _PROVED_BLOCK if proved else _longest_block(inner, stepping)
    blocks = _blocks(geometry, image, order, weights, longest)
    packed = _packed(geometry, weights, blocks, chosen, order, longest, stepping.layout)
    norms = _image_norms(image, geometry, blocks)
    if not proved and _WIDEST + 4 * int(norms.max()) * int(packed.half_norms.max()) > _INT31:
        return None
    plan = _plan(operands, image, blocks, order, chosen)
    plan[plan_of.INNER_IS_PROVED] = proved
    shifts = stepping.shifts or (0, 0)
    to_stepped = packed.weights.strides[0] if len(packed.weights) > 1 else 0
    plan[plan_of.TRICKS : plan_of.TRICKS + 4] = stepping.shifts is not None, shifts[0], sum(shifts), to_stepped
    start, start_events = _loaded(operands.start[0], order.accumulator)
    filters = geometry.filters * geometry.groups
    nothing = np.zeros(filters, np.int32)
    constants = (fused.first, fused.second) if fused else (nothing, nothing)
    panels = -(-geometry.filters // chosen.isa.channels)
    per_channel = [by_panel(v, geometry, panels, chosen) for v in (start, start_events, nothing, *constants)]
    out = np.empty((geometry.m, filters), fused.format.dtype if fused else np.int32)
    raw = out.reshape(-1).view(np.uint8)
    if fused:
        plan[:PLAN_LENGTH] = fused.plan(chosen.isa)
    stats = np.zeros((threads_now(), plan_of.STATS_LENGTH), np.int64)
    stats[:, [plan_of.STAT_FIRST_INNER, plan_of.STAT_FIRST_OUTER]] = plan_of.NONE
    two_level = order.partial_sum is not None
    plan[plan_of.IS_TWO_LEVEL] = two_level
    plan[plan_of.TILE] = guarded_tile_at(chosen.isa, two_level=two_level, stepping=stepping.kernel)
    arguments = (
        image.reshape(-1),
        norms.reshape(-1),
        packed.weights,
        packed.half_norms,
        blocks.pieces * image.itemsize,
        blocks.norm_pieces * norms.itemsize,
        plan,
        *per_channel,
        raw,
    )
    run: Any = plan_of.guarded_convolve
    counter = np.zeros(1, np.int64)
    clipped = run_on_threads(lambda thread: int(run(*arguments, stats[thread], counter)))
    return _result(out, clipped if fused else None, stats)


def _result(values: NDArray[Any], saturations: int | None, stats: NDArray[np.int64]) -> Guarded:
    def first(index: int) -> int | None:
        lowest = int(stats[:, index].min())
        return None if lowest == plan_of.NONE else lowest

    return Guarded(
        values=values,
        saturations=saturations,
        partial_sum_events=int(stats[:, plan_of.STAT_INNER_EVENTS].sum()),
        accumulator_events=int(stats[:, plan_of.STAT_OUTER_EVENTS].sum()),
        affected_outputs=int(stats[:, plan_of.STAT_AFFECTED].sum()),
        first_outputs=(first(plan_of.STAT_FIRST_INNER), first(plan_of.STAT_FIRST_OUTER)),
    )


def partial_sums_are_safe(order: FoldOrder, bounds: Bounds) -> bool:
    """Whether a layer has partial sums, and their register holds them all."""
    return order.partial_sum is not None and needed_bits(*bounds.partial_sum) <= order.partial_sum.bits


def registers_fit(order: FoldOrder, bounds: Bounds) -> bool:
    """Whether int32 lanes hold the registers, and partial sums added to accumulators."""
    if order.partial_sum is None or order.accumulator.bits > 31:
        return order.accumulator.bits <= 31
    inner = order.partial_sum
    if partial_sums_are_safe(order, bounds):
        return max(-bounds.partial_sum[0], bounds.partial_sum[1]) + order.accumulator.max + 2 <= _INT31
    return inner.bits <= 31 and inner.max + order.accumulator.max + 2 <= _INT31


def _woven(operands: Operands) -> Operands:
    """Return the operands of a transposed convolution with its zeros woven in: they change nothing but the speed."""
    whole = operands.geometry
    if whole.insertion == (1, 1):
        return operands
    down, across = whole.insertion
    height, width = (whole.in_height - 1) * down + 1, (whole.in_width - 1) * across + 1
    channels = operands.x.shape[-1]
    x = np.full((whole.batch, height, width, channels), operands.x_zero_point, operands.x.dtype)
    x[:, ::down, ::across] = operands.x.reshape(whole.batch, whole.in_height, whole.in_width, channels)
    geometry = replace(whole, in_height=height, in_width=width, insertion=(1, 1), transposed=False)
    return replace(operands, given=x.reshape(-1, channels), geometry=geometry)


def _loaded(start: NDArray[np.int64], register: RegisterSpec) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the accumulators after their start values were loaded, and how many events that was (0 or 1)."""
    events = (start < register.min) | (start > register.max)
    if register.mode is OverflowMode.SATURATE:
        held = np.clip(start, register.min, register.max)
    else:
        spare = np.uint64(64 - register.bits)
        held = (start.astype(np.uint64) << spare).view(np.int64) >> np.int64(spare)
    return held.astype(np.int32), events.astype(np.int32)


# ---------------------------------------------------------------- K


def _blocks(geometry: ConvGeometry, image: NDArray[Any], order: FoldOrder, weights: Weights, longest: int) -> _Blocks:
    key = ("blocks", longest, order.fold_length, geometry.kernel, geometry.dilation, image.shape[2:], geometry.groups)
    if key not in weights.kept:
        weights.kept[key] = _cut_blocks(geometry, image, order.fold_length, longest)
    found: _Blocks = weights.kept[key]
    return found


def _cut_blocks(geometry: ConvGeometry, image: NDArray[Any], fold: int, longest: int) -> _Blocks:
    joined = geometry.channels < _BLOCK
    runs, source = runs_of_k(geometry, image, joined=joined)
    folds = [
        list(_segments(source.shape[1], begin, min(begin + (fold or geometry.k), geometry.k), longest))
        for begin in range(0, geometry.k, fold or geometry.k)
    ]
    kinds: dict[tuple[int, int], int] = {}
    for _, begin, length in (segment for segments in folds for segment in segments):
        kinds.setdefault((begin, length), len(kinds))
    channels = image.shape[3]
    per_round = 2 * UNROLLED
    width = -(-max(length for _, length in kinds) // per_round) * per_round
    fold_blocks = max(len(segments) for segments in folds) if fold else 1
    padded = [segments + [None] * (fold_blocks - len(segments) if fold else 0) for segments in folds]
    flat = [segment for segments in padded for segment in segments]
    pieces, norm_pieces = np.zeros(len(flat), np.int64), np.zeros(len(flat), np.int64)
    positions = np.full((len(flat), width), -1, np.int64)
    null = len(kinds)  # the norm of a block that fills up a fold is 0
    for i, segment in enumerate(flat):
        if segment is None:
            norm_pieces[i] = null
            continue
        run, begin, length = segment
        pieces[i] = runs[run] + begin
        norm_pieces[i] = runs[run] // channels * ((len(kinds) + 1) * geometry.groups) + kinds[begin, length]
        positions[i, :length] = source[run, begin : begin + length]
    begins, lengths = np.array([*kinds, (0, 0)], np.int64).T
    return _Blocks(pieces, norm_pieces, positions.reshape(-1), width // 2, fold_blocks, begins.copy(), lengths.copy())


def _segments(run_length: int, begin: int, end: int, longest: int) -> Iterator[tuple[int, int, int]]:
    """Cut flat k from `begin` to `end` into (run, begin within it, length): no longer than a block, within one run."""
    while begin < end:
        run, within = divmod(begin, run_length)
        length = min(longest, run_length - within, end - begin)
        yield run, within, length
        begin += length


def _stepping(register: RegisterSpec, operands: Operands, isa: InstructionSet, *, counts: bool) -> _Stepping:
    """Return the fastest way to step a register."""
    ranges = operands.x_range, operands.weights.range
    saturates = register.mode is OverflowMode.SATURATE
    if words_hold(register.bits, *ranges) and not counts:
        return _Stepping(FLAGGED_WORDS)
    if words_hold(register.bits, *ranges) and register.bits == WORD_BITS:
        return _Stepping(COUNTED_WORDS)
    sticky = sticky_shifts(register.bits, *ranges)
    if sticky is not None and not counts and isa.has_pair_dot:
        return _Stepping(STICKY_TILE if saturates else STICKY_CELLS, sticky)
    if not saturates:
        return _Stepping(CELLS, toggle_shifts(register.bits, *ranges))
    return _Stepping(CELLS, tally_shifts(register.bits, MOST_STEPS, *ranges) if isa.has_pair_dot else None)


def _longest_block(register: RegisterSpec, stepping: _Stepping) -> int:
    if register.bits >= _LONG_BITS:
        return _LONG_BLOCK
    return _FLAG_BLOCK if stepping.kernel == STICKY_TILE else _BLOCK


def _packed(
    geometry: ConvGeometry,
    weights: Weights,
    blocks: _Blocks,
    tiles: Tiles,
    order: FoldOrder,
    longest: int,
    layout: tuple[bool, int],
) -> _Packed:
    one_by_one, raised = layout
    key = ("guarded", longest, tiles, order.fold_length, geometry.kernel, geometry.dilation, geometry.groups, layout)
    if key not in weights.kept:
        panels = -(-geometry.filters // tiles.isa.channels)
        shape = (geometry.groups * panels, blocks.source.size // 2, tiles.isa.channels, 2)
        both = aligned_zeros((2 if raised or one_by_one else 1, *shape), np.int16)
        packed = both[0]
        stored = weights.stored.reshape(geometry.groups, geometry.filters, geometry.k)
        pack(stored, weights.zero_points.reshape(stored.shape[:2]), blocks.source, panels, packed)
        norms = np.empty((shape[0], len(blocks.pieces), tiles.isa.channels), np.int32)
        block_norms(packed, blocks.pairs, norms)
        if raised:
            np.left_shift(packed, raised, out=both[1])
        elif one_by_one:
            both[1].reshape(*shape[:2], 2, shape[2])[...] = packed.swapaxes(2, 3)
        weights.kept[key] = _Packed(both, (norms + 1) >> 1)
    found: _Packed = weights.kept[key]
    return found


def _image_norms(image: NDArray[Any], geometry: ConvGeometry, blocks: _Blocks) -> NDArray[np.int32]:
    """Norms [pixels of the image, groups, segments]."""
    pixels, channels = image.size // image.shape[3], image.shape[3]
    norms = np.empty((pixels, geometry.groups, len(blocks.begins)), np.int32)
    segment_norms(image.reshape(-1), channels, geometry.channels, blocks.begins, blocks.lengths, norms)
    return norms


# ---------------------------------------------------------------- the plan


def _plan(
    operands: Operands, image: NDArray[Any], blocks: _Blocks, order: FoldOrder, tiles: Tiles
) -> NDArray[np.int64]:
    geometry = operands.geometry
    plan = np.zeros(plan_of.PLAN_LENGTH, np.int64)
    plan[: plan_of.UNITS] = tile_plan(geometry, image, tiles, most_pixels=plan_of.PIXELS)
    segments = len(blocks.begins)
    block_bytes = blocks.pairs * GROUP_BYTES * tiles.isa.channels
    plan[plan_of.UNITS] = len(blocks.pieces) // blocks.fold_blocks
    plan[plan_of.UNIT_BLOCKS] = blocks.fold_blocks
    plan[plan_of.BLOCK_GROUPS] = blocks.pairs
    plan[plan_of.CHUNK_UNITS] = max(1, _WEIGHT_BYTES // (block_bytes * blocks.fold_blocks))
    plan[plan_of.PIXEL_BYTES] = image.shape[3] * image.itemsize
    plan[plan_of.NORM_PIXEL_BYTES] = 4 * segments * geometry.groups
    plan[plan_of.NORM_GROUP_BYTES] = 4 * segments
    inner = order.partial_sum or order.accumulator
    for i, register in enumerate((inner, order.accumulator)):
        at = plan_of.REGISTERS + 3 * i
        plan[at : at + 3] = register.min, register.max, register.mode is OverflowMode.SATURATE
    return plan
