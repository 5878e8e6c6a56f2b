"""Operands brought into another order: transposed ends, packed weights, filled-in images, sums of folds, by NumPy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from simulator.kernels.copy_bytes import VECTOR_BYTES
from simulator.kernels.packing import fill_image, pack
from simulator.kernels.swap_ends import swap_ends
from simulator.kernels.wide import SHORT, fold_sums


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.uint64])
@pytest.mark.parametrize(
    "shape", [(8, 5, 16), (1, 1, 1), (3, 70, 130), (17, 2, 35), (8, 65, 3), (64, 9, 66), (2, 3, 0)]
)
def test_ends_are_swapped(shape, dtype):
    rng = np.random.default_rng(sum(shape))
    x = rng.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    guarded = np.full(x.size + 64, 7, dtype)  # nothing is written beyond the end
    out = guarded[: x.size].reshape(shape[::-1])
    swap_ends(x, out)
    np.testing.assert_array_equal(out, x.transpose(2, 1, 0))
    assert (guarded[x.size :] == 7).all()


@pytest.mark.parametrize(
    ("stored_type", "zero"), [("int8", 0), ("int8", 3), ("uint8", 128), ("int16", 0), ("int16", 1)]
)
def test_weights_are_packed(stored_type, zero):
    rng = np.random.default_rng(1)
    packed_type, taken = ("int16", 2) if stored_type == "int16" else ("int8", 4)
    groups, filters, length, channels, panels = 2, 37, 101, 16, 3
    low, high = (-100, 100) if zero != 128 else (28, 228)
    weights = rng.integers(low, high, (groups, filters, length)).astype(stored_type)
    zeros = np.full((groups, filters), zero)
    places = np.concatenate([np.arange(0, 50), [-1, -1], np.arange(50, 101)])  # no group but the first is aligned
    source = np.full(-(-len(places) // (4 * 64)) * 256, -1)
    source[: len(places)] = places
    out = np.zeros((groups * panels, source.size // taken, channels, taken), packed_type)
    pack(weights, zeros, source, panels, out)
    expected = np.zeros((groups, panels * channels, source.size), packed_type)
    is_there = source >= 0
    expected[:, :filters, is_there] = (weights.astype(np.int64) - zeros[:, :, None])[:, :, source[is_there]]
    shape = (groups * panels, channels, source.size // taken, taken)
    np.testing.assert_array_equal(out, expected.reshape(shape).transpose(0, 2, 1, 3))


@pytest.mark.parametrize(("top", "left"), [(0, 0), (2, 1), (-1, -2), (1, -3), (-2, 4), (9, 9)])
@pytest.mark.parametrize(("dtype", "filled"), [(np.int8, np.uint8), (np.uint8, np.uint8), (np.int16, np.int16)])
def test_images_are_filled_in(top, left, dtype, filled):
    rng = np.random.default_rng(2)
    x = rng.integers(0, 100, (2, 5, 6, 3)).astype(dtype)
    image = np.zeros((2, 8, 9, 3), filled)
    span = np.array([1000, -1000])
    fill_image(x, top, left, -7, 99, 0, image, np.zeros(1, np.int64), span)
    expected = np.full(image.shape, 99)
    for row in range(8):
        for column in range(9):
            if 0 <= row - top < 5 and 0 <= column - left < 6:
                expected[:, row, column] = x[:, row - top, column - left].astype(np.int64) + 7
    np.testing.assert_array_equal(image, expected)
    copied = x[:, max(-top, 0) : 8 - top, max(-left, 0) : 9 - left]
    assert span.tolist() == ([copied.min(), copied.max()] if copied.size else [1000, -1000])


@pytest.mark.parametrize("channels", [10, 32, 64, 128])
@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize("streams", [0, 1])
def test_bytes_are_copied_as_vectors(channels, dtype, streams):
    """Lines of whole vectors and others, past the caches or not; every number once at either end of the range."""
    if streams and channels % VECTOR_BYTES:
        return
    least = np.iinfo(dtype).min
    for lowest, highest in itertools.product((least, least + 100), (least + 101, least + 255)):
        x = np.random.default_rng(3).integers(lowest, highest, (1, 3, 9, channels), dtype, endpoint=True)
        x[0, 1, 8, channels - 1], x[0, 2, 0, 0] = lowest, highest
        raw = np.zeros(5 * 11 * channels + 2 * VECTOR_BYTES, np.uint8)
        begin = -raw.ctypes.data % VECTOR_BYTES + (0 if streams else 5)
        image = raw[begin : begin + 5 * 11 * channels].reshape(1, 5, 11, channels)
        span = np.array([1000, -1000])
        fill_image(x, 1, 1, least, 77, streams, image, np.zeros(1, np.int64), span)
        expected = np.full(image.shape, 77, np.uint8)
        expected[:, 1:4, 1:10] = x.astype(np.int64) - least
        np.testing.assert_array_equal(image, expected)
        assert span.tolist() == [lowest, highest]
        assert not raw[:begin].any()
        assert not raw[begin + image.size :].any()


@pytest.mark.parametrize(("dtype", "zero"), [("int8", -128), ("uint8", 255), ("int16", -(1 << 15)), ("int32", 5)])
def test_long_folds_are_summed(dtype, zero):
    limits = np.iinfo(dtype)
    weights = np.full((2, 2 * SHORT + 5), limits.max, dtype)
    weights[1] = np.random.default_rng(3).integers(limits.min, limits.max, weights.shape[1], dtype, endpoint=True)
    zeros, fold = np.full(2, zero), SHORT + 3
    positive, negative = np.empty((2, 2), np.int64), np.empty((2, 2), np.int64)
    fold_sums(weights, zeros, fold, positive, negative)
    parts = [weights[:, begin : begin + fold].astype(np.int64) - zero for begin in (0, fold)]
    np.testing.assert_array_equal(positive, np.stack([np.maximum(part, 0).sum(axis=1) for part in parts], axis=1))
    np.testing.assert_array_equal(negative, np.stack([np.minimum(part, 0).sum(axis=1) for part in parts], axis=1))
