"""How good a segmentation is: confusion counts, summed image by image, and what follows from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InputError


@dataclass(frozen=True, eq=False)
class Confusion:
    """Pixels by true and predicted class; add those of more images with `+`."""

    counts: NDArray[np.int64]
    """int64 [classes, classes]: row = class in the truth, column = class predicted."""

    @classmethod
    def empty(cls, classes: int) -> Confusion:
        """Return the counts of no image."""
        return cls(np.zeros((classes, classes), np.int64))

    def __add__(self, other: Confusion) -> Confusion:
        return Confusion(self.counts + other.counts)

    @property
    def pixels(self) -> int:
        """Pixels that count: all that the truth does not ignore."""
        return int(self.counts.sum())

    @property
    def correct(self) -> int:
        """Pixels whose predicted class is the true one."""
        return int(self.counts.trace())

    @property
    def pixel_accuracy(self) -> float:
        """Share of the pixels that are correct; NaN without pixels."""
        return self.correct / self.pixels if self.pixels else float("nan")

    @property
    def class_iou(self) -> NDArray[np.float64]:
        """Intersection over union of each class over all images: TP / (TP + FP + FN), float64 [classes].

        NaN for a class that is neither in the truth nor predicted (Everingham et al., IJCV 2015, section 3.5).
        """
        hits = np.diagonal(self.counts)
        union = self.counts.sum(axis=0) + self.counts.sum(axis=1) - hits
        iou = np.full(len(hits), np.nan)
        np.divide(hits, union, out=iou, where=union > 0)
        return iou

    @property
    def miou(self) -> float:
        """Mean of class_iou over the classes that have one, of the whole data set, not of images; NaN if none has."""
        iou = self.class_iou
        known = iou[~np.isnan(iou)]
        return float(known.mean()) if known.size else float("nan")


def confusion(truth: NDArray[np.uint8], predicted: NDArray[np.integer], classes: int, ignore_label: int) -> Confusion:
    """Count one image.

    Parameters
    ----------
    truth
        Label of each pixel, 0 .. classes - 1 or `ignore_label`; uint8, any shape.
    predicted
        Class that the network gives, 0 .. classes - 1, also where the truth is ignored; same shape.
    classes
        How many classes there are.
    ignore_label
        Pixels with this truth do not count.

    Raises
    ------
    InputError
        Shapes that differ, or a label or class out of range.

    """
    if truth.shape != predicted.shape:
        raise InputError(f"labels {list(truth.shape)} and predictions {list(predicted.shape)} are of different shapes")
    if predicted.size and not 0 <= int(predicted.min()) <= int(predicted.max()) < classes:
        low, high = predicted.min(), predicted.max()
        raise InputError(f"predictions from {low} to {high}, but there are {classes} classes, 0 .. {classes - 1}")
    # Rows past the last class hold what is ignored, and what must not be.
    rows = 256
    cells = truth.astype(np.int32)
    cells *= classes
    cells += predicted.astype(np.int32, copy=False)
    counts = np.bincount(cells.ravel(), minlength=rows * classes).reshape(rows, classes)
    outside = [int(label) for label in np.flatnonzero(counts.any(axis=1)) if label >= classes and label != ignore_label]
    if outside:
        raise InputError(f"label {outside[0]} in the truth; labels are 0 .. {classes - 1}, or {ignore_label} to ignore")
    counted = counts[:classes].astype(np.int64)
    if 0 <= ignore_label < classes:
        counted[ignore_label] = 0
    return Confusion(counted)
