"""Prove a layer free of events from what its exact sums were at the ends of chunks of K.

The layer is run as one wide sum, chunk by chunk of K in the device's order, and the least and greatest sums over all
pixels are kept for each chunk and output channel. Within a chunk a running sum moves from where the chunk began by no
less than the sum of its negative products' bounds and by no more than that of its positive ones'. Where those ranges
lie between the rails throughout, no addition was an event, the registers held the exact sums, and so did the run.

Where folds have partial sums that are proved safe, an accumulator moves at their ends alone. With a fold as the chunk
there is nothing to bound: the layer has no event exactly if those sums lie between the rails.
"""

from __future__ import annotations

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
from simulator.kernels.threads import threads_now
from simulator.lowering.layer import FoldOrder
from simulator.numerics.scalar import needed_bits

_CHUNK_K = 256
"""Short enough that a running sum stays near where the chunk began, long enough to cost little."""
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
    if tiles is None:
        return None
    geometry, weights = operands.geometry, operands.weights
    begins = chunk_begins(geometry, tiles)
    chunks = _chunks(weights, begins)
    register = order.accumulator
    rises, falls = _moves(operands, chunks)
    if order.fold_length and np.array_equal(begins, np.arange(0, geometry.k, order.fold_length)):
        rises, falls = np.zeros_like(rises), np.zeros_like(falls)
    elif int((rises - falls).max()) > (register.max - register.min) // 2:
        return None
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
    lows[:-1] += falls
    highs[:-1] += rises
    if lows.min() < register.min or highs.max() > register.max:
        return None
    return Guarded(values, saturations if fused else None, 0, 0, 0, (None, None))


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
    return replace(tiles, chunk_k=_chunk_k(operands, order)) if greatest <= _INT32_MAX else None


def _chunk_k(operands: Operands, order: FoldOrder) -> int:
    """Return a fold, where each lies within the channels under one tap and the kernel can stop at its end."""
    fold = order.fold_length
    folds_are_chunks = fold and operands.geometry.channels % fold == 0 and fold % _ROUND == 0
    return fold if folds_are_chunks else _CHUNK_K


def _chunks(weights: Weights, begins: NDArray[np.int64]) -> _Chunks:
    key = ("chunks", begins.tobytes())
    if key not in weights.kept:
        centred = weights.centred
        positive = np.add.reduceat(np.maximum(centred, 0), begins, axis=1, dtype=np.int64).T
        whole = np.add.reduceat(centred, begins, axis=1, dtype=np.int64).T
        weights.kept[key] = _Chunks(positive, whole - positive)
    found: _Chunks = weights.kept[key]
    return found


def _moves(operands: Operands, chunks: _Chunks) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how far sums may rise and fall within each chunk, [chunks, filters]."""
    least, greatest = operands.x_range
    rises = greatest * chunks.positive + least * chunks.negative
    falls = greatest * chunks.negative + least * chunks.positive
    return rises, falls
