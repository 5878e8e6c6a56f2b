"""Sums of squares, at the ends of every format, against NumPy's in int64."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.kernels.norms import pixel_squares


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16])
@pytest.mark.parametrize("zero_point", ["least", "greatest", 0])
@pytest.mark.parametrize(("groups", "channels"), [(1, 9000), (3, 5), (1, 4096)])
def test_squares_of_pixels(dtype, zero_point, groups, channels):
    limits = np.iinfo(dtype)
    zero = {"least": limits.min, "greatest": limits.max}.get(zero_point, 0)
    rng = np.random.default_rng(channels)
    x = rng.integers(limits.min, limits.max, (4, groups * channels), dtype, endpoint=True)
    x[0], x[1] = limits.min, limits.max
    squares = np.empty((4, groups), np.int64)
    pixel_squares(x, zero, groups, squares)
    expected = ((x.astype(np.int64) - zero) ** 2).reshape(4, groups, channels).sum(axis=2)
    np.testing.assert_array_equal(squares, expected)
