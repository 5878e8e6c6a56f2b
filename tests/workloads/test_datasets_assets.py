"""The real data sets: counts and labels that their own papers and files state."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from workloads.datasets import open_dataset
from workloads.datasets.ade20k import _object_labels

pytestmark = pytest.mark.assets


@pytest.fixture(scope="module")
def folder(assets):
    return assets.parent / "datasets"


def test_sizes_and_splits(folder):
    camvid = [len(open_dataset(f"camvid:{folder}/camvid_360x480", split=split)) for split in ("train", "val", "test")]
    assert camvid == [367, 101, 233]
    assert [len(open_dataset(f"voc:{folder}/voc2012_subset", split=split)) for split in ("train", "val")] == [140, 80]
    assert len(open_dataset(f"nuclei:{folder}/dsb2018_nuclei_256")) == 334 // 5


def test_names_and_colours_of_ade20k(folder):
    lines = (folder / "ade20k_samples/challenge/objectInfo150.txt").read_text().splitlines()[1:]
    dataset = open_dataset(f"ade20k:{folder}/ade20k_samples/challenge")
    assert list(dataset.classes) == [line.split("\t")[-1].split(",")[0].strip() for line in lines]
    assert len(set(dataset.classes)) == 150
    assert dataset.ignore_label not in range(150)


def test_colours_of_voc_are_those_of_its_files(folder):
    dataset = open_dataset(f"voc:{folder}/voc2012_subset")
    with Image.open(dataset.pairs[0].mask) as mask:
        stored = np.array(mask.getpalette()).reshape(-1, 3)[:21]
    np.testing.assert_array_equal(dataset.palette, stored)


def test_every_voc_image_of_the_subset_shows_a_person(folder):
    dataset = open_dataset(f"voc:{folder}/voc2012_subset")
    found = [np.unique(dataset.sample(index).labels) for index in range(0, 80, 8)]
    assert all(dataset.classes.index("person") in labels for labels in found)


def test_full_ade20k_agrees_with_the_challenge(folder):
    """One training image is there both ways: what its objects are called decides what the challenge called them."""
    samples = folder / "ade20k_samples"
    raw = np.asarray(Image.open(samples / "ADE_train_00000970_raw.png")).astype(int)
    challenge = np.asarray(Image.open(samples / "ADE_train_00000970_challenge.png"))
    rows = np.arange(challenge.shape[0]) * raw.shape[0] // challenge.shape[0]
    columns = np.arange(challenge.shape[1]) * raw.shape[1] // challenge.shape[1]
    numbers = (raw[:, :, 0] // 10 * 256 + raw[:, :, 1])[np.ix_(rows, columns)]
    names: dict[int, int] = {}
    for path in (samples / "full_2021_17_01").glob("*.json"):
        names |= _object_labels(path)
    shared = [number for number in np.unique(numbers) if names.get(int(number), 255) != 255]
    assert len(shared) == 2, "building and tree"
    for number in shared:
        there = challenge[numbers == number].astype(int) - 1
        assert np.mean(there == names[int(number)]) > 0.99, "but for the rim, where the two were resized differently"
