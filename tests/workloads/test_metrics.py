"""Scores against their definitions, pixel by pixel on Python numbers."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import InputError
from workloads.metrics import Confusion, confusion


def slow_scores(pairs, classes, ignore):
    """Mean IoU, IoU of each class and accuracy of (true, predicted) pairs, as fractions."""
    pairs = [(t, p) for t, p in pairs if t != ignore]
    iou = []
    for c in range(classes):
        both = sum(t == c and p == c for t, p in pairs)
        either = sum(t == c or p == c for t, p in pairs)
        iou.append(Fraction(both, either) if either else None)
    known = [value for value in iou if value is not None]
    mean = sum(known) / len(known) if known else None
    return mean, iou, Fraction(sum(t == p for t, p in pairs), len(pairs)) if pairs else None


@given(st.data(), st.integers(1, 6), st.sampled_from([0, 3, 6, 255]))
def test_scores_are_their_definitions(data, classes, ignore):
    labels = sorted({*range(classes), ignore})
    images = data.draw(st.lists(st.integers(1, 12), min_size=1, max_size=4))
    total, pairs = Confusion.empty(classes), []
    for size in images:
        truth = data.draw(st.lists(st.sampled_from(labels), min_size=size, max_size=size))
        predicted = data.draw(st.lists(st.integers(0, classes - 1), min_size=size, max_size=size))
        total += confusion(np.array(truth, np.uint8), np.array(predicted, np.int64), classes, ignore)
        pairs += zip(truth, predicted, strict=True)
    mean, iou, accuracy = slow_scores(pairs, classes, ignore)
    assert total.pixels == sum(t != ignore for t, _ in pairs)
    for found, expected in zip(total.class_iou, iou, strict=True):
        assert np.isnan(found) if expected is None else found == pytest.approx(float(expected), rel=1e-12)
    for found, expected in ((total.miou, mean), (total.pixel_accuracy, accuracy)):
        assert np.isnan(found) if expected is None else found == pytest.approx(float(expected), rel=1e-12)


def test_the_mean_is_of_the_data_set_not_of_images():
    first = confusion(np.array([0, 0, 0, 1], np.uint8), np.array([0, 0, 0, 0]), 2, 255)
    second = confusion(np.array([1, 1, 1, 1], np.uint8), np.array([1, 1, 1, 1]), 2, 255)
    assert first.miou == (3 / 4 + 0) / 2
    assert (first + second).miou == (3 / 4 + 4 / 5) / 2


def test_many_classes_and_every_dtype_of_predictions():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 256, (40, 50)).astype(np.uint8)
    truth[truth == 254] = 255
    for dtype in (np.uint8, np.int32, np.int64):
        predicted = rng.integers(0, 254, truth.shape).astype(dtype)
        found = confusion(truth, predicted, 254, 255)
        t, p = int(truth[3, 3]), int(predicted[3, 3])
        assert found.counts.shape == (254, 254)
        assert found.counts[t, p] == np.count_nonzero((truth == t) & (predicted == p))
        assert found.pixels == np.count_nonzero(truth != 255)


@pytest.mark.parametrize(
    ("truth", "predicted", "message"),
    [
        ([0, 1], [0], "different shapes"),
        ([0, 1], [0, 2], "from 0 to 2, but there are 2 classes"),
        ([0, 1], [-1, 0], "from -1 to 0"),
        ([0, 2], [0, 1], "label 2 in the truth"),
    ],
)
def test_what_is_out_of_range_is_refused(truth, predicted, message):
    with pytest.raises(InputError, match=message):
        confusion(np.array(truth, np.uint8), np.array(predicted), 2, 255)
