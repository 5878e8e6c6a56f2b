"""Operands brought into the order of the tiles from arrays with channels first and images or filters last, by NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.kernels.turned import fill_turned, fold_sums_turned, pack_turned

SHAPES = [(8, 5, 6, 16), (8, 3, 7, 3), (16, 2, 9, 70), (5, 4, 4, 35), (11, 3, 5, 20), (24, 1, 1, 1), (9, 2, 33, 5)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("top", "left"), [(0, 0), (2, 1), (-1, 0), (1, -3), (-2, 4), (9, 9)])
@pytest.mark.parametrize("rest", [0, 3])
def test_images_are_turned_and_filled_in(shape, top, left, rest):
    rng = np.random.default_rng(sum(shape))
    x = rng.integers(0, 256, shape, np.uint8)
    channels, in_height, in_width, batch = shape
    height, width = max(in_height + top + rest, 1), max(in_width + left + rest, 1)
    guarded = np.full(batch * height * width * channels + 64, 7, np.uint8)  # nothing is written beyond the end
    image = guarded[:-64].reshape(batch, height, width, channels)
    fill_turned(x, top, left, 128, 99, image)
    expected = np.full(image.shape, 99, np.uint8)
    for row in range(height):
        for column in range(width):
            if 0 <= row - top < in_height and 0 <= column - left < in_width:
                expected[:, row, column] = ((x[:, row - top, column - left].astype(int) - 128) % 256).T
    np.testing.assert_array_equal(image, expected)
    assert (guarded[-64:] == 7).all()


@pytest.mark.parametrize(("channels", "taps", "filters"), [(4, 5, 16), (8, 9, 37), (12, 3, 5), (16, 1, 70)])
@pytest.mark.parametrize("lanes", [16, 64])
def test_weights_are_turned_and_packed(channels, taps, filters, lanes):
    weights = np.random.default_rng(filters).integers(-128, 128, (channels, taps, filters)).astype(np.int8)
    length = channels * taps
    source = np.concatenate([np.arange(length - 4, length), [-1] * 8, np.arange(length), [-1] * 4])
    panels = -(-filters // lanes)
    out = np.zeros((panels, source.size // 4, lanes, 4), np.int8)
    pack_turned(weights, source, out)
    flat = np.zeros((panels * lanes, length + 1), np.int8)
    flat[:filters, :length] = weights.transpose(2, 1, 0).reshape(filters, length)
    expected = flat[:, source].reshape(panels, lanes, -1, 4).transpose(0, 2, 1, 3)
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize(("channels", "taps", "filters"), [(8, 50, 16), (3, 31, 5), (5, 100, 33), (1, 700, 2)])
@pytest.mark.parametrize("fold", [1, 7, 64, 300, 10_000])
def test_folds_of_turned_weights_are_summed(channels, taps, filters, fold):
    weights = np.random.default_rng(taps).integers(-128, 128, (channels, taps, filters)).astype(np.int8)
    weights[..., 0], weights[..., 1] = -128, 127  # the greatest sums
    flat = weights.transpose(2, 1, 0).reshape(filters, -1).astype(np.int64)
    begins = range(0, flat.shape[1], fold)
    positive, negative = (np.full((filters, len(begins)), 9) for _ in range(2))
    fold_sums_turned(weights, fold, positive, negative)
    parts = [flat[:, begin : begin + fold] for begin in begins]
    np.testing.assert_array_equal(positive, np.stack([np.maximum(part, 0).sum(axis=1) for part in parts], axis=1))
    np.testing.assert_array_equal(negative, np.stack([np.minimum(part, 0).sum(axis=1) for part in parts], axis=1))
