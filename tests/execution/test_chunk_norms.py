"""Norms of what pixels read in chunks of K, against sums over every output's own operands."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.execution import array_watched
from simulator.kernels.norms import interval_squares


@pytest.mark.parametrize("channels", [3, 16, 33])
def test_squares_of_intervals(channels):
    rng = np.random.default_rng(channels)
    x = rng.integers(-128, 128, (7, 2 * channels)).astype(np.int8)
    begins, ends = np.array([0, 1, channels // 2]), np.array([channels, 2, channels])
    found = np.empty((7, 2, 3), np.int64)
    interval_squares(x, -5, 2, begins, ends, found)
    centred = (x.astype(np.int64) + 5).reshape(7, 2, channels)
    for i, (begin, end) in enumerate(zip(begins, ends, strict=True)):
        np.testing.assert_array_equal(found[:, :, i], (centred[:, :, begin:end] ** 2).sum(axis=2))


def test_roots_are_never_below_the_real_ones():
    squares = np.array([0, 1, 2, 3, 4, (1 << 26) ** 2 - 1, (1 << 26) ** 2 - 2], np.int64)
    assert all(
        int(root) ** 2 >= int(square) for root, square in zip(array_watched._roots(squares), squares, strict=True)
    )


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
