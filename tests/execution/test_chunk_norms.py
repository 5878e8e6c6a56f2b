"""Norms of what pixels read in chunks of K, against sums over every output's own operands."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from simulator.execution.array_chunks import chunks_at, roots
from simulator.execution.array_operands import Operands
from simulator.execution.array_weights import Weights
from simulator.kernels.norms import INTERVAL
from simulator.lowering.layer import ConvGeometry, Padding
from simulator.numerics.formats import INT8

GEOMETRY = ConvGeometry(
    batch=2, in_height=5, in_width=6, out_height=5, out_width=6, channels=0, filters=4, groups=2, kernel=(3, 3),
    padding=Padding(1, 1, 1, 1),
)  # fmt: skip


@pytest.mark.parametrize("channels", [3, INTERVAL, 40, 3 * INTERVAL])
@pytest.mark.parametrize("length", [7, 24, INTERVAL, 100])
def test_strays_are_at_least_half_the_product_of_the_norms_of_any_output(channels, length):
    """And no more than that of any pixel where a chunk is of whole intervals."""
    rng = np.random.default_rng(channels)
    geometry = replace(GEOMETRY, channels=channels)
    x = rng.integers(-128, 128, (2 * 5 * 6, 2 * channels)).astype(np.int8)
    stored = rng.integers(-128, 128, (8, geometry.k)).astype(np.int8)
    operands = Operands(x, INT8, 5, Weights(stored, np.zeros(8, np.int64)), np.zeros((1, 8), np.int64), geometry)
    begins = np.arange(0, geometry.k, length)
    strays = chunks_at(operands, begins).strays(operands)
    padded = np.pad((x.astype(np.int64) - 5).reshape(2, 5, 6, 2, channels), ((0, 0), (1, 1), (1, 1), (0, 0), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))  # [2, 5, 6, 2, channels, 3, 3]
    read = np.moveaxis(windows, 4, 6).reshape(-1, 2, geometry.k)
    norms = [np.sqrt(np.add.reduceat(v.astype(np.float64) ** 2, begins, axis=-1)) for v in (read, stored)]
    half = norms[0].max(axis=0)[np.repeat([0, 1], 4)].T * norms[1].T / 2
    assert (strays >= half - 1e-6).all()
    if channels % INTERVAL == 0 and length == INTERVAL:
        pixels = np.linalg.norm((x.astype(np.float64) - 5).reshape(60, 2, -1, INTERVAL), axis=3).max(axis=0)
        most = (np.tile(pixels, 9)[np.repeat([0, 1], 4)].T + 1) * (norms[1].T + 1) / 2  # roots are rounded up
        assert (strays <= most + 1).all()


def test_moves_are_those_of_the_worst_activations_of_the_range():
    """Each number at the end of the range that moves the sum the most: no sum of the chunk goes further."""
    rng = np.random.default_rng(2)
    x = rng.integers(-20, 101, (4, 20)).astype(np.int8)
    x[0, :2] = -20, 100
    stored = rng.integers(-128, 128, (3, 20)).astype(np.int8)
    geometry = ConvGeometry(1, 2, 2, 2, 2, channels=20, filters=3)
    operands = Operands(x, INT8, 5, Weights(stored, np.zeros(3, np.int64)), np.zeros((1, 3), np.int64), geometry)
    rises, falls = chunks_at(operands, np.array([0, 7])).moves(operands)
    products = np.stack([stored.astype(np.int64) * end for end in (-25, 95)])
    for chunk, of_chunk in enumerate((slice(0, 7), slice(7, 20))):
        np.testing.assert_array_equal(rises[chunk], products[..., of_chunk].max(axis=0).sum(axis=1))
        np.testing.assert_array_equal(falls[chunk], products[..., of_chunk].min(axis=0).sum(axis=1))


def test_roots_are_never_below_the_real_ones():
    squares = np.array([0, 1, 2, 3, 4, (1 << 26) ** 2 - 1, (1 << 26) ** 2 - 2], np.int64)
    assert all(int(root) ** 2 >= int(square) for root, square in zip(roots(squares), squares, strict=True))


def test_within_a_chunk_sums_stray_from_both_ends_by_no_more_than_half_the_product_of_norms():
    """Over random and extreme vectors; equality is reached where both halves are alike."""
    rng = np.random.default_rng(1)
    worst = 0.0
    for _ in range(500):
        a = rng.integers(-255, 256, 32) * rng.choice([0, 1], 32)
        w = a // 2 * rng.choice([1, -1]) if rng.random() < 0.5 else rng.integers(-128, 128, 32)
        if rng.random() < 0.3:
            w = np.concatenate([w[:16], -w[:16]])
            a = np.concatenate([a[:16], a[:16]])
        sums = np.concatenate([[0], np.cumsum(a * w)])
        low, high = min(sums[0], sums[-1]), max(sums[0], sums[-1])
        half = np.linalg.norm(a) * np.linalg.norm(w) / 2
        assert low - half <= sums.min() + 1e-6
        assert sums.max() - 1e-6 <= high + half
        worst = max(worst, (max(sums.max() - high, low - sums.min()) / half) if half else 0)
    assert worst > 0.95
