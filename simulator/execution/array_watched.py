"""Prove a layer free of events from what its exact sums were at the ends of chunks of K.

The layer is run as one wide sum, chunk by chunk of K in the device's order, and the least and greatest sums over all
pixels are kept for each chunk and output channel. Within a chunk a running sum moves from where the chunk began by no
less than the sum of its negative products' bounds and by no more than that of its positive ones'. Where those ranges
lie between the rails throughout, no addition was an event, the registers held the exact sums, and so did the run.

Norms bound it too, and more tightly: let A be the greatest Euclidean norm of what any pixel reads in a chunk, W that of
a channel's weights. Whatever part of the chunk is done, by Cauchy-Schwarz a running sum is within AW / 2 of where the
chunk began or of where it ended (the proof is in `kernels.guarded_tile`).

Where folds have partial sums that are proved safe, an accumulator moves at their ends alone. With a fold as the chunk
there is nothing to bound: the layer has no event exactly if those sums lie between the rails. Longer chunks cost less,
so folds are the chunks only where the norms leave sums too little room.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from simulator.execution.array_chunks import Chunks, chunks_at
from simulator.execution.array_guarded import Guarded, partial_sums_are_safe
from simulator.execution.array_operands import Operands
from simulator.execution.array_proof import Bounds
from simulator.execution.array_tiles import Tiles, choose_tiles, chunk_begins, run_tiles
from simulator.execution.fused import Fused
from simulator.kernels.dot_tile import BYTES, UNROLLED
from simulator.kernels.threads import threads_now
from simulator.lowering.layer import ConvGeometry, FoldOrder, RegisterSpec
from simulator.numerics.scalar import needed_bits

_CHUNK_K = (256, 128, 64)
"""Short enough that a running sum stays near where the chunk began, long enough to cost little; first that will do."""
_ROOM = 4
"""Where running sums can leave a chunk's ends by no more than this part of a register's range, the chunk may do."""
_ROUND = 4 * UNROLLED
"""K of one round of the kernel's loop."""
_INT32_MAX = (1 << 31) - 1


@dataclass(frozen=True, eq=False)
class _Attempt:
    """A layer cut into chunks."""

    tiles: Tiles
    chunks: Chunks
    strays: NDArray[np.int64]
    """[chunks, filters]: how far sums may be from both ends of a chunk."""
    moves: Callable[[], tuple[NDArray[np.int64], NDArray[np.int64]]]
    """Gives how far they may rise and fall from where it began."""
    is_of_folds: bool
    """Whether accumulators move at the ends of chunks alone."""

    @cached_property
    def reach(self) -> NDArray[np.int64]:
        """[chunks, filters]: how far sums may leave the ends of a chunk."""
        rises, falls = self.moves()
        return np.asarray(np.minimum(self.strays, rises - falls))


@dataclass(frozen=True, eq=False)
class _Ends:
    """Least and greatest sums where chunks begin and where the last ends, int64 [chunks + 1, filters]."""

    lows: NDArray[np.int64]
    highs: NDArray[np.int64]

    def are_within(self, register: RegisterSpec) -> bool:
        """Whether all lie between the rails."""
        return bool(self.lows.min() >= register.min and self.highs.max() <= register.max)

    def prove(self, attempt: _Attempt, register: RegisterSpec) -> bool:
        """Whether no running sum can have left the rails, nor any between chunks."""
        # No lower than a chunk's lower end less half its norms, nor than where it began less what it may fall.
        lows = np.minimum(self.lows[:-1], self.lows[1:]) - attempt.strays
        highs = np.maximum(self.highs[:-1], self.highs[1:]) + attempt.strays
        if lows.min() < register.min or highs.max() > register.max:
            rises, falls = attempt.moves()
            lows, highs = np.maximum(lows, self.lows[:-1] + falls), np.minimum(highs, self.highs[:-1] + rises)
        return self.are_within(register) and bool(lows.min() >= register.min and highs.max() <= register.max)

    def leave_room(self, attempt: _Attempt, register: RegisterSpec) -> bool:
        """Whether shorter chunks may prove what these did not: they have these ends too."""
        nearest = attempt.reach.min(axis=0)
        lows, highs = self.lows.min(axis=0) - nearest, self.highs.max(axis=0) + nearest
        return bool(lows.min() >= register.min and highs.max() <= register.max)


def run_watched(operands: Operands, bounds: Bounds, order: FoldOrder, fused: Fused | None) -> Guarded | None:
    """Run a layer, or return None where that cannot prove it free of events, or did not.

    Parameters
    ----------
    operands, bounds, order
        The layer's.
    fused
        Its requantizer, used on the way.

    """
    tiles, register = _tiles(operands, bounds, order), order.accumulator
    cuts = _cuts(operands, tiles, order.fold_length) if tiles else []
    # What proved the layer last time comes first; that saves time, and decides nothing.
    key = ("watched", register, order.fold_length)
    last = min(operands.weights.kept.get(key, -1), len(cuts) - 1)
    ends: _Ends | None = None
    for number, (cut, begins) in enumerate(cuts):
        if number < last:
            continue
        attempt = _attempt(operands, cut, begins, order)
        if number != last and not _may_do(attempt, register, ends):
            continue
        found, ends = _watch(operands, attempt, fused)
        if ends.prove(attempt, register):
            operands.weights.kept[key] = number
            return found
        if not ends.are_within(register) and _are_of_additions(begins, order):
            return None
    return None


def _may_do(attempt: _Attempt, register: RegisterSpec, ends: _Ends | None) -> bool:
    """Whether a cut is worth a run: from the ends of a longer one that did not prove the layer, if there was one."""
    if attempt.is_of_folds:
        return True
    if ends is not None:
        return ends.leave_room(attempt, register)
    return int(attempt.reach.max()) <= (register.max - register.min) // _ROOM


def _are_of_additions(begins: NDArray[np.int64], order: FoldOrder) -> bool:
    """Whether an accumulator held each of these sums, had no event come before: folds do not straddle them."""
    return not (begins % (order.fold_length or 1)).any()


def _watch(operands: Operands, attempt: _Attempt, fused: Fused | None) -> tuple[Guarded, _Ends]:
    """Return the layer as it is if it has no event, and its sums at the ends of chunks."""
    geometry, tiles, chunks = operands.geometry, attempt.tiles, attempt.chunks
    panels = -(-geometry.filters // tiles.isa.channels)
    shape = (threads_now(), 2, len(chunks.norms), geometry.groups * panels * tiles.isa.channels)
    extremes = np.empty(shape, np.int32)
    extremes[:, 0], extremes[:, 1] = _INT32_MAX, -_INT32_MAX - 1
    values, saturations = run_tiles(operands, tiles, fused, extremes)
    ends = extremes.reshape(*shape[:3], geometry.groups, -1)[..., : geometry.filters].reshape(*shape[:3], -1)
    # Kernels sum (q - least) * w. Pixels to which neither of two chunks adds are not in the extremes between them.
    start = operands.start[0] - (operands.x_zero_point - operands.x_format.min) * chunks.before
    lows, highs = start.copy(), start
    lows[1:] += ends[:, 0].min(axis=0)
    highs[1:] += ends[:, 1].max(axis=0)
    return Guarded(values, saturations if fused else None, 0, 0, 0, (None, None)), _Ends(lows, highs)


def _tiles(operands: Operands, bounds: Bounds, order: FoldOrder) -> Tiles | None:
    """Return the kernel for layers whose partial sums are safe, and whose sums int32 holds at the end of each chunk."""
    if order.partial_sum is not None and not partial_sums_are_safe(order, bounds):
        return None
    if needed_bits(*bounds.accumulator) > 32 or operands.geometry.insertion != (1, 1):
        return None
    tiles = choose_tiles(operands)
    # Where pairs of weights are split their rest is added last, out of order.
    if tiles is None or tiles.operands != BYTES or tiles.pair_limit:
        return None
    positive, negative = operands.weights.fold_sums(operands.geometry.k)
    greatest = (operands.x_format.max - operands.x_format.min) * max(int(positive.max()), -int(negative.min()))
    return tiles if greatest <= _INT32_MAX else None


_Cut = tuple[Tiles, NDArray[np.int64]]
"""A kernel that ends chunks at some K, and where the chunks begin."""


def _cuts(operands: Operands, tiles: Tiles, fold: int) -> list[_Cut]:
    """Return the cuts to be tried, the longest first; the last is that of the folds, where they can be chunks."""
    kept, key = operands.weights.kept, ("cuts", tiles, operands.geometry, fold)
    if key not in kept:
        kept[key] = _find_cuts(operands.geometry, tiles, fold)
    found: list[_Cut] = kept[key]
    return found


def _find_cuts(geometry: ConvGeometry, tiles: Tiles, fold: int) -> list[_Cut]:
    def cut(chunk_k: int) -> _Cut:
        chosen = replace(tiles, chunk_k=chunk_k)
        return chosen, chunk_begins(geometry, chosen)

    # Folds can be chunks where each lies in the channels under one tap and the kernel can stop at its end.
    if fold and geometry.channels % fold == 0 and fold % _ROUND == 0:
        folds = cut(fold)
        if _are_folds(folds[1], geometry, fold):
            return [*(cut(chunk_k) for chunk_k in _CHUNK_K if chunk_k > fold), folds]
    return [cut(chunk_k) for chunk_k in _CHUNK_K]


def _are_folds(begins: NDArray[np.int64], geometry: ConvGeometry, fold: int) -> bool:
    return bool(fold) and np.array_equal(begins, np.arange(0, geometry.k, fold))


def _attempt(operands: Operands, cut: Tiles, begins: NDArray[np.int64], order: FoldOrder) -> _Attempt:
    chunks = chunks_at(operands, begins)
    if _are_folds(begins, operands.geometry, order.fold_length):
        nothing = np.zeros_like(chunks.norms)
        return _Attempt(cut, chunks, nothing, lambda: (nothing, nothing), is_of_folds=True)
    return _Attempt(cut, chunks, chunks.strays(operands), lambda: chunks.moves(operands), is_of_folds=False)
