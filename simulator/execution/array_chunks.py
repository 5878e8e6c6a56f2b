"""How far the sums of a layer can move within a chunk of K, by its weights and the norms of what its pixels read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.execution.array_operands import Operands
from simulator.kernels.norms import INTERVAL, greatest_squares
from simulator.kernels.threads import threads_now
from simulator.lowering.layer import ConvGeometry


@dataclass(frozen=True, eq=False)
class _Parts:
    """Chunks cut where taps end, each part as the intervals of channels that hold it."""

    firsts: NDArray[np.int64]
    """[parts that differ], as is `lasts`: first interval, and the one after the last."""
    lasts: NDArray[np.int64]
    which: NDArray[np.int64]
    """[parts]: which of those it is."""
    begins: NDArray[np.int64]
    """[chunks]: the first part of each."""


@dataclass(frozen=True, eq=False)
class Chunks:
    """What the weights say of chunks of K, int64 [chunks, filters]."""

    positive: NDArray[np.int64]
    """Sum of positive weights."""
    negative: NDArray[np.int64]
    """Sum of negative weights."""
    norms: NDArray[np.int64]
    """Euclidean norm, rounded up."""
    before: NDArray[np.int64]
    """[chunks + 1, filters]: sum of all weights before each chunk, and of all there are."""
    parts: _Parts

    def moves(self, operands: Operands) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return by how much a sum may rise, and fall, from where each chunk began, [chunks, filters]."""
        least, greatest = operands.x_range
        rises = greatest * self.positive + least * self.negative
        return rises, greatest * self.negative + least * self.positive

    def strays(self, operands: Operands) -> NDArray[np.int64]:
        """Return how far a sum may be from both ends of each chunk, [chunks, filters]: half the product of norms."""
        read = _greatest_norms(operands, self.parts)
        by_group = self.norms.reshape(*read.shape, -1) * read[:, :, None]
        strays: NDArray[np.int64] = (by_group.reshape(self.norms.shape) + 1) // 2
        return strays


def chunks_at(operands: Operands, begins: NDArray[np.int64]) -> Chunks:
    """Return the chunks that begin at some k, kept with the weights."""
    weights = operands.weights
    key = ("chunks", operands.geometry.channels, begins.tobytes())
    if key not in weights.kept:
        centred = weights.centred
        positive = np.add.reduceat(np.maximum(centred, 0), begins, axis=1, dtype=np.int64).T
        whole = np.add.reduceat(centred, begins, axis=1, dtype=np.int64).T
        squares = np.add.reduceat(np.square(centred, dtype=np.int64), begins, axis=1).T
        before = np.concatenate([np.zeros((1, len(centred)), np.int64), np.cumsum(whole, axis=0)])
        parts = _parts(operands.geometry, begins)
        weights.kept[key] = Chunks(positive, whole - positive, roots(squares), before, parts)
    found: Chunks = weights.kept[key]
    return found


def _parts(geometry: ConvGeometry, begins: NDArray[np.int64]) -> _Parts:
    channels = geometry.channels
    cuts = np.union1d(begins, np.arange(0, geometry.k, channels))
    ends = (np.append(cuts[1:], geometry.k) - 1) % channels + 1
    intervals = np.stack([cuts % channels // INTERVAL, -(-ends // INTERVAL)])
    (firsts, lasts), which = np.unique(intervals, axis=1, return_inverse=True)
    found = np.ascontiguousarray(firsts), np.ascontiguousarray(lasts)
    return _Parts(*found, which.reshape(-1), np.searchsorted(cuts, begins))


def _greatest_norms(operands: Operands, parts: _Parts) -> NDArray[np.int64]:
    """Bound the norm of what any pixel reads in each chunk, [chunks, groups].

    The greatest square over the pixels of each part, added up, is no less than that of any pixel's whole.
    """
    squares = operands.squares
    greatest = np.empty((threads_now(), squares.shape[1], len(parts.firsts)), np.int64)
    greatest_squares(squares, parts.firsts, parts.lasts, greatest)
    by_part = greatest.max(axis=0)[:, parts.which]
    return roots(np.add.reduceat(by_part, parts.begins, axis=1).T)


def roots(squares: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return integers no less than the square roots of sums below 2^52; float64 roots are within 1."""
    found: NDArray[np.int64] = np.sqrt(squares.astype(np.float64)).astype(np.int64) + 1
    return found
