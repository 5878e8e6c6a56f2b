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

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from simulator.execution.array_guarded import Guarded, partial_sums_are_safe
from simulator.execution.array_operands import Operands
from simulator.execution.array_proof import Bounds
from simulator.execution.array_tiles import Tiles, choose_tiles, chunk_begins, run_tiles
from simulator.execution.array_weights import Weights
from simulator.execution.fused import Fused
from simulator.kernels.dot_tile import BYTES, UNROLLED
from simulator.kernels.norms import interval_squares
from simulator.kernels.threads import threads_now
from simulator.lowering.layer import FoldOrder, RegisterSpec
from simulator.numerics.scalar import needed_bits

_CHUNK_K = (256, 128, 64)
"""Short enough that a running sum stays near where the chunk began, long enough to cost little; first that will do."""
_ROOM = 4
"""Where running sums can leave a chunk's ends by no more than this part of a register's range, the chunk will do."""
_ROUND = 4 * UNROLLED
"""K of one round of the kernel's loop."""
_INT32_MAX = (1 << 31) - 1


@dataclass(frozen=True, eq=False)
class _Chunks:
    """What the weights say of each chunk, int64 [chunks, filters]."""

    positive: NDArray[np.int64]
    """Sum of positive weights."""
    negative: NDArray[np.int64]
    """Sum of negative weights."""
    norms: NDArray[np.int64]
    """Euclidean norm, rounded up."""

    @property
    def whole(self) -> NDArray[np.int64]:
        """Sum of all weights."""
        return self.positive + self.negative


def run_watched(operands: Operands, bounds: Bounds, order: FoldOrder, fused: Fused | None) -> Guarded | None:
    """Run a layer, or return None where that cannot prove it free of events, or did not.

    Parameters
    ----------
    operands, bounds, order
        The layer's.
    fused
        Its requantizer, used on the way.

    """
    tiles = _tiles(operands, bounds, order)
    attempts = list(_attempts(operands, tiles, order)) if tiles else []
    # What proved the layer last time comes first; that saves time, and decides nothing.
    key = ("watched", order.accumulator, order.fold_length)
    begin = min(operands.weights.kept.get(key, 0), max(len(attempts) - 1, 0))
    for number, attempt in enumerate(attempts[begin:], begin):
        found, ends_inside = _watch(operands, attempt, order.accumulator, fused)
        if found is not None:
            operands.weights.kept[key] = number
        if found is not None or not ends_inside:
            return found
    return None


def _watch(
    operands: Operands, attempt: _Attempt, register: RegisterSpec, fused: Fused | None
) -> tuple[Guarded | None, bool]:
    """Return the layer if its chunks prove it, and whether the sums of all outputs lie between the rails at the end."""
    geometry, tiles, chunks = operands.geometry, attempt.tiles, attempt.chunks
    panels = -(-geometry.filters // tiles.isa.channels)
    shape = (threads_now(), 2, len(chunks.whole), geometry.groups * panels * tiles.isa.channels)
    extremes = np.empty(shape, np.int32)
    extremes[:, 0], extremes[:, 1] = _INT32_MAX, -_INT32_MAX - 1
    values, saturations = run_tiles(operands, tiles, fused, extremes)
    ends = extremes.reshape(*shape[:3], geometry.groups, -1)[..., : geometry.filters].reshape(*shape[:3], -1)
    # Sums at the beginning of the first chunk, and at the end of each; kernels sum (q - least) * w.
    zeros = np.zeros((1, operands.filters), np.int64)
    lows = np.concatenate([zeros, ends[:, 0].min(axis=0)])
    highs = np.concatenate([zeros, ends[:, 1].max(axis=0)])
    before = np.concatenate([zeros, np.cumsum(chunks.whole, axis=0)])
    start = operands.start[0] - (operands.x_zero_point - operands.x_format.min) * before
    lows, highs = lows + start, highs + start
    if lows[-1].min() < register.min or highs[-1].max() > register.max:
        return None, False
    # Within a chunk: no lower than where it began less what it may fall, nor than the lower end less half its norms.
    rises, falls, strays = attempt.moves
    lows[:-1] = np.maximum(lows[:-1] + falls, np.minimum(lows[:-1], lows[1:]) - strays)
    highs[:-1] = np.minimum(highs[:-1] + rises, np.maximum(highs[:-1], highs[1:]) + strays)
    if lows.min() < register.min or highs.max() > register.max:
        return None, True
    return Guarded(values, saturations if fused else None, 0, 0, 0, (None, None)), True


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


_Moves = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
"""[chunks, filters] each: how far sums may rise and fall within a chunk; how far stray from both its ends."""


@dataclass(frozen=True, eq=False)
class _Attempt:
    """A layer cut into chunks."""

    tiles: Tiles
    chunks: _Chunks
    moves: _Moves


def _attempts(operands: Operands, tiles: Tiles, order: FoldOrder) -> Iterator[_Attempt]:
    """Yield the longest chunks within which sums stay near enough the ends; then the folds, or the shortest chunks."""
    geometry, register = operands.geometry, order.accumulator
    possible = [replace(tiles, chunk_k=chunk_k) for chunk_k in _CHUNK_K]
    all_begins = [chunk_begins(geometry, chosen) for chosen in possible]
    read = _Read(operands, np.concatenate(all_begins))
    tried = last = None
    for chosen, begins in zip(possible, all_begins, strict=True):
        chunks = _chunks(operands.weights, begins)
        moves = _moves(operands, chunks, begins, read)
        if int(np.minimum(moves[0] - moves[1], moves[2]).max()) <= (register.max - register.min) // _ROOM:
            last = _Attempt(chosen, chunks, moves)
            if tried is None:
                tried = last
                yield tried
    folds = _folds(operands, tiles, order)
    if folds is not None:
        yield folds
    elif last is not None and last is not tried and len(last.chunks.whole) > len(tried.chunks.whole if tried else ()):
        yield last


def _folds(operands: Operands, tiles: Tiles, order: FoldOrder) -> _Attempt | None:
    """Return the folds as chunks, where each lies in the channels under one tap and the kernel can stop at its end."""
    geometry, fold = operands.geometry, order.fold_length
    if not fold or geometry.channels % fold or fold % _ROUND:
        return None
    chosen = replace(tiles, chunk_k=fold)
    begins = chunk_begins(geometry, chosen)
    if not np.array_equal(begins, np.arange(0, geometry.k, fold)):
        return None
    chunks = _chunks(operands.weights, begins)
    nothing = np.zeros_like(chunks.positive)
    return _Attempt(chosen, chunks, (nothing, nothing, nothing))


def _chunks(weights: Weights, begins: NDArray[np.int64]) -> _Chunks:
    key = ("chunks", begins.tobytes())
    if key not in weights.kept:
        centred = weights.centred
        positive = np.add.reduceat(np.maximum(centred, 0), begins, axis=1, dtype=np.int64).T
        whole = np.add.reduceat(centred, begins, axis=1, dtype=np.int64).T
        squares = np.add.reduceat(np.square(centred, dtype=np.int64), begins, axis=1).T
        weights.kept[key] = _Chunks(positive, whole - positive, _roots(squares))
    found: _Chunks = weights.kept[key]
    return found


def _moves(operands: Operands, chunks: _Chunks, begins: NDArray[np.int64], read: _Read) -> _Moves:
    least, greatest = operands.x_range
    rises = greatest * chunks.positive + least * chunks.negative
    falls = greatest * chunks.negative + least * chunks.positive
    products = chunks.norms * np.repeat(read.norms(begins), operands.geometry.filters, axis=1)
    return rises, falls, (products + 1) // 2


class _Read:
    """What pixels hold between some channels, as running sums of squares."""

    def __init__(self, operands: Operands, begins: NDArray[np.int64]) -> None:
        """Sum up to the channels under all of `begins`."""
        self._k, self._channels = operands.geometry.k, operands.geometry.channels
        self._places = np.union1d(begins % self._channels, [0, self._channels])
        groups = operands.geometry.groups
        squares = np.empty((len(operands.x), groups, len(self._places) - 1), np.int64)
        arguments = (operands.x, operands.x_zero_point, groups, self._places[:-1], self._places[1:])
        interval_squares(*arguments, squares)
        self._sums = np.zeros((*squares.shape[:2], len(self._places)), np.int64)
        np.cumsum(squares, axis=2, out=self._sums[:, :, 1:])

    def norms(self, begins: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return bounds of the norm of what any pixel reads in each chunk, [chunks, groups].

        A chunk is cut where taps end. The greatest square over the pixels of each part, added up, is no less than that
        of any pixel's whole.
        """
        cuts = np.union1d(begins, np.arange(0, self._k, self._channels))
        ends = (np.append(cuts[1:], self._k) - 1) % self._channels + 1
        parts, which = np.unique(np.stack([cuts % self._channels, ends]), axis=1, return_inverse=True)
        first, last = np.searchsorted(self._places, parts)
        greatest = (self._sums[:, :, last] - self._sums[:, :, first]).max(axis=0)[:, which.reshape(-1)]
        return _roots(np.add.reduceat(greatest, np.searchsorted(cuts, begins), axis=1).T)


def _roots(squares: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return integers no less than the square roots of sums below 2^52; float64 roots are within 1."""
    roots: NDArray[np.int64] = np.sqrt(squares.astype(np.float64)).astype(np.int64) + 1
    return roots
