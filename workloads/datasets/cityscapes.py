"""Cityscapes: leftImg8bit/SPLIT/CITY and gtFine/SPLIT/CITY; labelIds become the 19 training classes."""

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
    read_indices,
    require_samples,
    require_split,
)

_CLASSES = (
    (7, "road", (128, 64, 128)),
    (8, "sidewalk", (244, 35, 232)),
    (11, "building", (70, 70, 70)),
    (12, "wall", (102, 102, 156)),
    (13, "fence", (190, 153, 153)),
    (17, "pole", (153, 153, 153)),
    (19, "traffic light", (250, 170, 30)),
    (20, "traffic sign", (220, 220, 0)),
    (21, "vegetation", (107, 142, 35)),
    (22, "terrain", (152, 251, 152)),
    (23, "sky", (70, 130, 180)),
    (24, "person", (220, 20, 60)),
    (25, "rider", (255, 0, 0)),
    (26, "car", (0, 0, 142)),
    (27, "truck", (0, 0, 70)),
    (28, "bus", (0, 60, 100)),
    (31, "train", (0, 80, 100)),
    (32, "motorcycle", (0, 0, 230)),
    (33, "bicycle", (119, 11, 32)),
)
"""labelId, name and colour in the order of the train ids: cityscapesscripts/helpers/labels.py."""
_MOST_LABEL_ID = 33
_LICENSE_PLATE = 255
"""labelId -1 of license plates, as some exports store it in 8 bits."""
_IMAGE_END, _MASK_END = "_leftImg8bit.png", "_gtFine_labelIds.png"
_SPLITS = ("train", "val", "test")


def open_cityscapes(root: Path, split: str) -> FileDataset:
    """Open a split; InputError where the layout is another. The public test masks hold no classes."""
    images = root / "leftImg8bit"
    if not images.is_dir() or not (root / "gtFine").is_dir():
        raise InputError(f"cityscapes: {root} is to hold leftImg8bit/ and gtFine/")
    splits = tuple(name for name in _SPLITS if (images / name).is_dir())
    require_split("cityscapes", root, split, splits)
    pairs = tuple(_pair(root / "gtFine" / split, path) for path in sorted((images / split).glob(f"*/*{_IMAGE_END}")))
    names = tuple(name for _, name, _ in _CLASSES)
    palette = tuple(colour for _, _, colour in _CLASSES)
    dataset = FileDataset("cityscapes", split, splits, names, palette, NO_LABEL, pairs, _read_mask)
    return require_samples(dataset, images / split)


def _pair(masks: Path, image: Path) -> Pair:
    name = image.name.removesuffix(_IMAGE_END)
    mask = masks / image.parent.name / f"{name}{_MASK_END}"
    if not mask.is_file():
        raise InputError(f"cityscapes: there is no mask {mask} for {image.name}")
    return Pair(name, image, mask)


def _read_mask(path: Path, _: tuple[int, int]) -> NDArray[np.uint8]:
    stored = read_indices(path)
    bad = stored[(stored > _MOST_LABEL_ID) & (stored != _LICENSE_PLATE)]
    if bad.size:
        raise SampleError(path, f"holds labelId {bad.flat[0]}; labelIds are 0 .. {_MOST_LABEL_ID}")
    table = np.full(256, NO_LABEL, np.uint8)
    for train_id, (label_id, _name, _colour) in enumerate(_CLASSES):
        table[label_id] = train_id
    return table[stored]
