"""Sums of squares, at the ends of every format, against NumPy's in int64."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.kernels.norms import INTERVAL, greatest_squares, interval_squares


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16])
@pytest.mark.parametrize("zero_point", ["least", "greatest", 0])
@pytest.mark.parametrize(("groups", "channels"), [(1, 9001), (3, 5), (1, 4096), (2, INTERVAL + 1)])
def test_squares_of_intervals_and_the_greatest_of_their_sums(dtype, zero_point, groups, channels):
    limits = np.iinfo(dtype)
    zero = {"least": limits.min, "greatest": limits.max}.get(zero_point, 0)
    rng = np.random.default_rng(channels)
    x = rng.integers(limits.min, limits.max, (4, groups * channels), dtype, endpoint=True)
    x[0], x[1] = limits.min, limits.max
    begins = np.arange(0, channels, INTERVAL)
    expected = np.add.reduceat(((x.astype(np.int64) - zero) ** 2).reshape(4, groups, channels), begins, axis=2)
    for square in (np.int32, np.int64) if x.itemsize == 1 else (np.int64,):
        squares = np.empty(expected.shape, square)
        interval_squares(x, zero, groups, squares)
        np.testing.assert_array_equal(squares, expected)
    firsts, lasts = np.array([0, 0]), np.array([len(begins), 1])
    greatest = np.empty((3, groups, 2), np.int64)
    greatest_squares(squares, firsts, lasts, greatest)
    sums = np.stack([expected.sum(axis=2), expected[:, :, 0]], axis=2)
    np.testing.assert_array_equal(greatest.max(axis=0), sums.max(axis=0))
