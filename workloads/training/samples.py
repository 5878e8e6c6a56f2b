"""Samples of a training run: read once at the size of training, in an order and with flips that a seed decides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import isqrt

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from simulator.errors import InputError
from simulator.numerics.philox import stochastic_draw
from workloads.datasets import Dataset
from workloads.network import ImageInput

_CACHE_BYTES = 1 << 30
"""Of images and labels that are kept; more are read again each time."""
_ORDER, _FLIP = 1, 2
"""Numbers of the two streams of random bits."""
_WEIGHT_ONE = 256
_GREATEST_WEIGHT = 4095


@dataclass(frozen=True, eq=False)
class Samples:
    """Images and labels of one split at one size."""

    dataset: Dataset
    size: tuple[int, int]
    """Height and width: images are resized bilinearly, labels to the nearest."""
    mean: tuple[int, int, int]
    """Subtracted from R, G and B."""
    _kept: dict[int, tuple[NDArray[np.uint8], NDArray[np.uint8]]] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.dataset)

    def sample(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return pixels uint8 [H, W, 3] and labels uint8 [H, W] at the run's size; SampleError as the data set."""
        if index not in self._kept:
            read = self.dataset.sample(index)
            size = self.size[::-1]
            pixels = np.asarray(Image.fromarray(read.image).resize(size, Image.Resampling.BILINEAR), np.uint8)
            labels = np.asarray(Image.fromarray(read.labels).resize(size, Image.Resampling.NEAREST), np.uint8)
            if (len(self._kept) + 1) * (pixels.nbytes + labels.nbytes) > _CACHE_BYTES:
                return pixels, labels
            self._kept[index] = pixels, labels
        return self._kept[index]

    def image(self, index: int) -> NDArray[np.int16]:
        """Return an image as a step takes it: pixels less their mean, int16 [H, W, 3]."""
        return self.sample(index)[0].astype(np.int16) - np.asarray(self.mean, np.int16)

    def batch(self, seed: int, step: int, size: int) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
        """Return images int16 [size, H, W, 3] and labels uint8 [size, H, W] of a step.

        Each epoch visits whole batches of another order; each image is mirrored with probability 1/2. Both depend on
        seed and step alone.
        """
        per_epoch = len(self) // size
        epoch, place = divmod(step, per_epoch)
        chosen = self.order(seed, epoch)[place * size : (place + 1) * size]
        images, labels = [], []
        for position, index in enumerate(chosen):
            turn = -1 if stochastic_draw(seed, step, _FLIP, position) & 1 else 1
            images.append(self.image(index)[:, ::turn])
            labels.append(self.sample(index)[1][:, ::turn])
        return np.stack(images), np.stack(labels)

    def order(self, seed: int, epoch: int) -> list[int]:
        """Return the samples in the order of an epoch: by a random number of each."""
        return sorted(range(len(self)), key=lambda index: (stochastic_draw(seed, epoch, _ORDER, index), index))

    def first_images(self, seed: int, count: int) -> NDArray[np.int16]:
        """Return the first images of epoch 0, to measure the first state on; int16 [n, H, W, 3]."""
        return np.stack([self.image(index) for index in self.order(seed, 0)[:count]])


def open_samples(dataset: Dataset, size: tuple[int, int], batch: int, image: ImageInput | None) -> Samples:
    """Return the samples of a split.

    Raises
    ------
    InputError
        Fewer samples than a batch holds.

    """
    if len(dataset) < batch:
        raise InputError(
            f"{dataset.name} {dataset.split} has {len(dataset)} samples, less than a batch of {batch}; take --batch "
            f"{len(dataset)} or less"
        )
    return Samples(dataset, size, image_mean(image))


def image_mean(image: ImageInput | None) -> tuple[int, int, int]:
    """Return what training subtracts from R, G and B: the network's own mean, rounded; 128 where it has none."""
    mean = (image.mean if image is not None else None) or (128.0, 128.0, 128.0)
    return round(mean[0]), round(mean[1]), round(mean[2])


def count_labels(samples: Samples, on_progress: Callable[[int, int, str], None] | None = None) -> list[int]:
    """Count the pixels of each class in the split."""
    counts = np.zeros(256, np.int64)
    for index in range(len(samples)):
        if on_progress:
            on_progress(index, len(samples), samples.dataset.names[index])
        counts += np.bincount(samples.sample(index)[1].reshape(-1), minlength=256)
    classes, ignore = len(samples.dataset.classes), samples.dataset.ignore_label
    if 0 <= ignore < classes:
        counts[ignore] = 0
    if not counts[:classes].any():
        raise InputError(f"{samples.dataset.name} {samples.dataset.split}: no pixel has a class, all are ignored")
    return [int(count) for count in counts[:classes]]


def class_weights(counts: list[int], rule: str) -> tuple[int, ...]:
    """Return weights of classes in steps of 2^-8 from their pixels, in integers: median frequency balancing.

    `none`: empty; `median`: median / count; `sqrt`: its root. A class without pixels counts as the rarest that has any.
    """
    if rule == "none":
        return ()
    present = sorted(count for count in counts if count)
    median = (present[(len(present) - 1) // 2] + present[len(present) // 2]) // 2
    weights = []
    for count in counts:
        pixels = count or present[0]
        if rule == "median":
            weight = (2 * _WEIGHT_ONE * median + pixels) // (2 * pixels)
        else:
            weight = isqrt(_WEIGHT_ONE**2 * median // pixels)
        weights.append(min(max(weight, 1), _GREATEST_WEIGHT))
    return tuple(weights)
