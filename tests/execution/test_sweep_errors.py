"""Output errors and label disagreement, against figures worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.execution.sweep_errors import label_disagreement, output_error, same_bits


def figures(value, reference):
    error = output_error("y", np.asarray(value), np.asarray(reference))
    return error.values, error.differing, error.max_difference, error.mean_difference


def test_integers():
    assert figures(np.int8([1, -128, 5, 0]), np.int8([1, 127, 2, 0])) == (4, 2, 255.0, 64.5)
    assert figures(np.uint8([0, 255]), np.uint8([255, 255])) == (2, 1, 255.0, 127.5)
    assert figures(np.int64([7, 2**40]), np.int32([7, 0])) == (2, 1, 2.0**40, 2.0**39)
    ends = np.iinfo(np.int64)
    assert figures(np.int64([ends.min]), np.int64([ends.max])) == (1, 1, 2.0**64, 2.0**64)
    assert figures(np.int32([3]), np.int64([3])) == (1, 0, 0.0, 0.0)
    assert figures(np.array([True, False]), np.array([True, True])) == (2, 1, 1.0, 0.5)


def test_floats():
    nan, inf = np.nan, np.inf
    assert figures(np.float32([1.5, -0.5, nan]), np.float32([1.0, -0.5, nan])) == (3, 1, 0.5, 0.5 / 3)
    assert figures(np.float32([0.0, inf]), np.float32([-0.0, inf])) == (2, 0, 0.0, 0.0)
    assert figures(np.float32([1.0, nan]), np.float32([2.0, 1.0])) == (2, 2, None, None)
    assert figures(np.float32([inf]), np.float32([-inf])) == (1, 1, None, None)


def test_the_share_of_differing_values():
    assert output_error("y", np.int8([1, 2, 3, 4]), np.int8([1, 0, 3, 4])).differing_share == 0.25
    assert output_error("y", np.zeros(0, np.int8), np.zeros(0, np.int8)).differing_share == 0.0


def test_labels_of_maps():
    reference = np.uint8([[[1, 2, 3], [4, 5, 6]]])
    assert label_disagreement(reference ^ np.uint8([[[0, 0, 1], [0, 0, 7]]]), reference) == 2 / 6
    assert label_disagreement(reference[..., None] * 0, reference[..., None]) == 1.0
    assert label_disagreement(reference[0], reference[0]) == 0.0


def test_labels_of_scores_go_to_the_first_of_the_highest():
    # Pixels: the same label by another score; a tie that goes to class 0; class 2 instead of 1; the tie kept.
    reference = np.int8([[[[9, 1, 0], [1, 5, 0]], [[0, 5, 4], [3, 3, 3]]]])
    value = np.int8([[[[7, 6, 0], [5, 5, 0]], [[0, 3, 4], [1, 1, 0]]]])
    assert label_disagreement(value, reference) == 2 / 4
    batch = np.concatenate([value, reference]), np.concatenate([reference, reference])
    assert label_disagreement(*batch) == 2 / 8


@pytest.mark.parametrize("shape", [(5,), (1, 2, 3, 4, 5), (0, 2, 2, 3)])
def test_no_labels_where_there_is_no_map(shape):
    assert label_disagreement(np.zeros(shape, np.int8), np.zeros(shape, np.int8)) is None


def test_same_bits_tells_zeros_apart_and_nan_together():
    nan = np.float32([np.nan])
    assert same_bits(nan, nan.copy())
    assert not same_bits(np.float32([0.0]), np.float32([-0.0]))
    assert not same_bits(np.int32([1]), np.int64([1]))
    assert not same_bits(np.zeros((1, 2)), np.zeros((2, 1)))
