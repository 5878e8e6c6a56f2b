"""Order, flips and class weights: functions of the seed alone, and of the labels."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest

from simulator.errors import InputError
from support.dataset_folders import camvid, labels
from workloads.datasets import open_dataset
from workloads.nets.layers import MEAN_ONLY
from workloads.training.samples import class_weights, count_labels, open_samples

SIZE = (12, 16)


@pytest.fixture
def samples(tmp_path):
    spec = camvid(tmp_path, {"train": [labels(index, (0, 1, 4, 11), (24, 32)) for index in range(7)]})
    return open_samples(open_dataset(spec, "train"), SIZE, 3, MEAN_ONLY)


def test_a_batch_depends_on_seed_and_step_alone(samples):
    for step in (0, 1, 5):
        images, truth = samples.batch(3, step, 3)
        again, truth_again = samples.batch(3, step, 3)
        assert images.dtype == np.int16
        assert images.shape == (3, *SIZE, 3)
        assert truth.shape == (3, *SIZE)
        np.testing.assert_array_equal(images, again)
        np.testing.assert_array_equal(truth, truth_again)
    assert (samples.batch(3, 0, 3)[0] != samples.batch(4, 0, 3)[0]).any()
    assert (samples.batch(3, 0, 3)[0] != samples.batch(3, 2, 3)[0]).any()


def test_an_epoch_visits_each_sample_at_most_once_in_another_order_each_time(samples):
    assert sorted(samples.order(0, 0)) == list(range(7))
    assert samples.order(0, 0) != samples.order(0, 1)
    assert samples.order(0, 0) != samples.order(1, 0)


def test_image_and_labels_are_mirrored_together_about_half_of_the_time(samples):
    turned = 0
    for step in range(20):
        images, truth = samples.batch(1, step, 3)
        epoch, place = divmod(step, 2)
        for index, image, label in zip(samples.order(1, epoch)[3 * place :], images, truth, strict=False):
            turn = int((image != samples.image(index)).any())
            turned += turn
            np.testing.assert_array_equal(image, samples.image(index)[:, :: -1 if turn else 1])
            np.testing.assert_array_equal(label, samples.sample(index)[1][:, :: -1 if turn else 1])
    assert 15 < turned < 45


def test_pixels_lose_the_rounded_mean_of_the_network(samples):
    pixels = samples.sample(2)[0].astype(int)
    np.testing.assert_array_equal(samples.image(2), pixels - [124, 117, 104])


def test_fewer_samples_than_a_batch_are_refused(samples):
    with pytest.raises(InputError, match="7 samples, less than a batch of 8; take --batch 7 or less"):
        open_samples(samples.dataset, SIZE, 8, MEAN_ONLY)


def test_labels_are_counted_without_those_that_are_ignored(samples):
    counts = count_labels(samples)
    truth = np.concatenate([samples.sample(index)[1].reshape(-1) for index in range(7)])
    assert counts == [int((truth == label).sum()) for label in range(11)]
    assert sum(counts) < truth.size


def test_a_split_without_a_labelled_pixel_is_refused(tmp_path):
    spec = camvid(tmp_path, {"train": [labels(0, (11,), (12, 16))]})
    with pytest.raises(InputError, match="no pixel has a class"):
        count_labels(open_samples(open_dataset(spec, "train"), SIZE, 1, MEAN_ONLY))


def test_class_weights_are_those_of_median_frequency_balancing():
    counts = [1000, 4000, 50, 200, 77]
    for index, count in enumerate(counts):
        assert class_weights(counts, "median")[index] == pytest.approx(256 * 200 / count, abs=0.5)
        assert class_weights(counts, "sqrt")[index] == pytest.approx(256 * sqrt(200 / count), abs=1)
    assert class_weights(counts, "none") == ()
    assert class_weights([10, 0, 10**9], "median") == (4095, 4095, 128)
