"""The stained training set of the demo: deterministic, labels kept, nuclei blue on a lighter ground."""

from __future__ import annotations

from pathlib import Path
from runpy import run_path

import numpy as np
import pytest
from PIL import Image

import bittrue
from workloads.datasets import Sample

pytest.importorskip("skimage")

STAIN = run_path(str(Path(__file__).parents[2] / "examples" / "nuclei" / "stain.py"))


class Discs:
    """Bright discs on black, as nuclei fluoresce; class 2 around class 1."""

    split, names = "train", ("a", "b")

    def __len__(self):
        return len(self.names)

    def sample(self, index):
        y, x = np.mgrid[:64, :64]
        distance = np.min([np.hypot(y - cy, x - cx) for cy, cx in ((16, 20), (40, 44), (30 + 9 * index, 12))], axis=0)
        labels = ((distance < 7).astype(np.uint8)) + (distance < 7) * (distance > 5)
        return Sample(np.repeat((200 * (distance < 7)).astype(np.uint8)[..., None], 3, 2), labels.astype(np.uint8), "x")


def test_it_writes_a_folder_data_set_whose_nuclei_are_darker_and_blue(tmp_path):
    STAIN["write_split"](Discs(), tmp_path, 2, seed=4)
    (tmp_path / "classes.csv").write_text(STAIN["CLASSES"])
    dataset = bittrue.open_dataset(f"folder:{tmp_path}", split="train")
    assert len(dataset) == 4
    for index in range(4):
        sample = dataset.sample(index)
        assert sample.image.shape == (64, 64, 3)
        assert set(np.unique(sample.labels)) == {0, 1, 2}
        red = sample.image[..., 0].astype(float)
        blue = sample.image[..., 2].astype(float)
        nucleus, ground = sample.labels == 1, sample.labels == 0
        assert red[nucleus].mean() < red[ground].mean() - 10
        assert (blue - red)[nucleus].mean() > (blue - red)[ground].mean()


def test_the_same_seed_stains_alike_and_another_does_not(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        STAIN["write_split"](Discs(), tmp_path / name, 1, seed)
    pictures = [np.asarray(Image.open(tmp_path / name / "images" / "train" / "a-0.png")) for name in "abc"]
    np.testing.assert_array_equal(pictures[0], pictures[1])
    assert (pictures[0] != pictures[2]).any()
