"""Nuclei of the 2018 Data Science Bowl (BBBC038): background, inside of a nucleus, and its boundary."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InputError
from workloads.datasets.dataset import SampleError
from workloads.datasets.files import (
    NO_LABEL,
    FileDataset,
    Pair,
    by_stem,
    images_in,
    pair_by_name,
    read_indices,
    require_samples,
    require_split,
)

CLASSES = ("background", "nucleus", "boundary")
PALETTE = ((0, 0, 0), (0, 128, 0), (255, 255, 0))
_SPLITS = ("train", "val")
_VALIDATION_SHARE = 5
"""The last fifth of the samples, sorted by name, is the validation split: the data has no official one."""


def open_nuclei(root: Path, split: str) -> FileDataset:
    """Open a split, train (the first four fifths by name) or val (the last fifth).

    Layouts: images/ and masks/ of labels 0, 1, 2; or stage1_train as published, ID/images/ID.png and ID/masks with one
    mask a nucleus, from which the labels are made (`labels_of_nuclei`).

    Raises
    ------
    InputError
        Another layout, no such split, an empty split, an image without mask.

    """
    require_split("nuclei", root, split, _SPLITS)
    if (root / "images").is_dir():
        masks = by_stem(images_in("nuclei", root / "masks"))
        pairs = pair_by_name("nuclei", images_in("nuclei", root / "images"), masks, root / "masks")
        raw = False
    else:
        pairs, raw = _raw_pairs(root / "stage1_train" if (root / "stage1_train").is_dir() else root), True
    first = len(pairs) - len(pairs) // _VALIDATION_SHARE
    chosen = pairs[first:] if split == "val" else pairs[:first]
    read = _read_nuclei if raw else _read_labels
    return require_samples(FileDataset("nuclei", split, _SPLITS, CLASSES, PALETTE, NO_LABEL, chosen, read), root)


def _raw_pairs(root: Path) -> tuple[Pair, ...]:
    folders = sorted(path for path in root.iterdir() if (path / "images").is_dir())
    if not folders:
        raise InputError(f"nuclei: {root} holds neither images/ and masks/ nor ID/images and ID/masks (stage1_train)")
    pairs = []
    for folder in folders:
        images = images_in("nuclei", folder / "images")
        if len(images) != 1 or not (folder / "masks").is_dir():
            raise InputError(f"nuclei: {folder} is to hold one image in images/ and a folder masks/")
        pairs.append(Pair(folder.name, images[0], folder / "masks"))
    return tuple(pairs)


def _read_labels(path: Path, _: tuple[int, int]) -> NDArray[np.uint8]:
    return read_indices(path)


def _read_nuclei(folder: Path, shape: tuple[int, int]) -> NDArray[np.uint8]:
    nuclei = np.zeros(shape, np.int32)
    for number, path in enumerate(images_in("nuclei", folder), start=1):
        mask = read_indices(path)
        if mask.shape != shape:
            raise SampleError(
                path,
                f"the mask is {mask.shape[1]} x {mask.shape[0]} (width x height), its image {shape[1]} x {shape[0]}",
            )
        nuclei[mask > 0] = number
    return labels_of_nuclei(nuclei)


def labels_of_nuclei(nuclei: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Return labels from a map of nuclei.

    Parameters
    ----------
    nuclei
        [H, W], 0 = background, else the number of a nucleus. Where published masks overlap, the last by name holds.

    Returns
    -------
    uint8 [H, W]: 0 background; 2 boundary, a pixel of a nucleus one of whose eight neighbours belongs to background or
    to another nucleus (outside the image counts as the same); 1 the other pixels of nuclei.

    """
    height, width = nuclei.shape
    padded = np.pad(nuclei, 1, mode="edge")
    boundary = np.zeros(nuclei.shape, bool)
    for dy in range(3):
        for dx in range(3):
            boundary |= padded[dy : dy + height, dx : dx + width] != nuclei
    return np.where(nuclei == 0, 0, np.where(boundary, 2, 1)).astype(np.uint8)
