"""Turn fluorescence images of nuclei into what a stained section looks like: the training set of the demo network.

    python examples/nuclei/stain.py nuclei:PATH out/stained [--variants 2] [--seed 0]

Two images lie over each other, stretched along one side: nuclei of tissue are dense and long. A nucleus takes up
haematoxylin as it shone; tissue around it takes up a little; in drawn patches DAB, a brown marker, lies in the
cytoplasm and along the borders between cells. Light passes by the law of Beer and Lambert with the stain vectors of
Ruifrok and Johnston (2001), as scikit-image has them. Nothing of a real section goes into it.
"""

from __future__ import annotations

import argparse
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.color import rgb_from_hed
from skimage.filters import gaussian
from skimage.measure import label
from skimage.segmentation import expand_labels, find_boundaries

from workloads.datasets import Dataset, Sample, open_dataset

Floats = NDArray[np.floating]
Labels = NDArray[np.uint8]
CLASSES = "label,name\n0,background\n1,nucleus\n2,boundary\n"


def field(rng: np.random.Generator, size: tuple[int, ...], sigma: float | tuple[float, float]) -> Floats:
    """Return smooth noise from 0 to 1."""
    noise = gaussian(rng.standard_normal(size), sigma, mode="reflect")
    return np.asarray((noise - noise.min()) / (noise.max() - noise.min()))


def stretched(sample: Sample, rng: np.random.Generator) -> tuple[Floats, Labels]:
    """Return brightness from 0 to 1 and labels of an image: turned, drawn out along one side, cut to its old size."""
    grey = sample.image.mean(axis=2)
    low, high = np.percentile(grey, (1, 99.5))
    bright = np.clip((grey - low) / max(high - low, 1), 0, 1).astype(np.float32)
    height, width = bright.shape
    longer = (width, int(height * rng.uniform(1, 2)))
    start = rng.integers(0, longer[1] - height + 1)
    cut = slice(start, start + height)
    grey = np.asarray(Image.fromarray(bright).resize(longer, Image.Resampling.BILINEAR))[cut]
    labels = np.asarray(Image.fromarray(sample.labels).resize(longer, Image.Resampling.NEAREST))[cut]
    turn = int(rng.integers(0, 4))
    return np.rot90(grey, turn), np.rot90(labels, turn)


def stained(bright: Floats, labels: Labels, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return one stained look of nuclei, uint8 [H, W, 3]."""
    soft = gaussian((labels > 0).astype(float), 0.8)
    size = labels.shape
    tissue = np.clip(2.5 * field(rng, size, 24) - rng.uniform(0.2, 0.9), 0, 1)
    fibres = field(rng, size, (1, 6) if rng.random() < 0.5 else (6, 1))
    haematoxylin = soft * rng.uniform(0.15, 0.7) * (0.5 + 0.5 * bright)
    haematoxylin += tissue * rng.uniform(0.02, 0.15) * (0.3 + fibres)
    cells = expand_labels(label(labels == 1), rng.integers(4, 20))
    brown = np.clip(6 * field(rng, size, 30) - rng.uniform(1, 4.5), 0, 1) * (rng.random() < 0.75)
    membranes = gaussian(find_boundaries(cells).astype(float), rng.uniform(0.7, 2))
    spared = 1 - rng.uniform(0.5, 0.95) * soft
    dab = brown * ((cells > 0) * spared * rng.uniform(0.15, 0.8) * (0.6 + fibres) + membranes * rng.uniform(0.2, 1.2))
    dab += brown * tissue * rng.uniform(0, 0.3) + 0.02 * field(rng, size, 1.5)
    density = gaussian(haematoxylin, 0.6)[..., None] * rgb_from_hed[0] + gaussian(dab, 0.6)[..., None] * rgb_from_hed[2]
    glass = rng.uniform(0.86, 1.0) * (1 - rng.uniform(0, 0.04, 3))
    light = glass * 10.0**-density + rng.normal(0, rng.uniform(0.005, 0.03), (*size, 3))
    return np.asarray(np.clip(255 * light, 0, 255), np.uint8)


def write_split(dataset: Dataset, output: Path, variants: int, seed: int) -> None:
    """Write all samples of a split, in `variants` drawn looks each."""
    for kind in ("images", "masks"):
        (output / kind / dataset.split).mkdir(parents=True, exist_ok=True)
    for index, variant in product(range(len(dataset)), range(variants)):
        rng = np.random.default_rng([seed, index, variant])
        bright, labels = stretched(dataset.sample(index), rng)
        other, over = stretched(dataset.sample(int(rng.integers(len(dataset)))), rng)
        covered = labels == 0
        picture = stained(np.where(covered, other, bright), np.where(covered, over, labels), rng)
        name = f"{dataset.names[index]}-{variant}.png"
        Image.fromarray(picture).save(output / "images" / dataset.split / name)
        Image.fromarray(np.where(covered, over, labels)).save(output / "masks" / dataset.split / name)


def main() -> None:
    """Read the command line and write the data set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("dataset", help="nuclei:PATH")
    parser.add_argument("output", type=Path)
    parser.add_argument("--variants", type=int, default=2, help="stained looks of each training image")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    write_split(open_dataset(given.dataset, "train"), given.output, given.variants, given.seed)
    write_split(open_dataset(given.dataset, "val"), given.output, 1, given.seed + 1)
    (given.output / "classes.csv").write_text(CLASSES)


if __name__ == "__main__":
    main()
