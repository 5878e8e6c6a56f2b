"""CamVid with 11 classes, in the layout of the SegNet tutorial: train/ and trainannot/, val/, test/."""

from __future__ import annotations

from pathlib import Path

from workloads.datasets.files import (
    FileDataset,
    by_stem,
    images_in,
    pair_by_name,
    read_indices,
    require_samples,
    require_split,
)

CLASSES = (
    *("sky", "building", "pole", "road", "pavement", "tree"),
    *("sign symbol", "fence", "car", "pedestrian", "bicyclist"),
)
PALETTE = (
    *((128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222), (128, 128, 0)),
    *((192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192)),
)
VOID = 11
_SPLITS = ("train", "val", "test")


def open_camvid(root: Path, split: str) -> FileDataset:
    """Open a split; label 11 is void. InputError where the layout is another."""
    splits = tuple(name for name in _SPLITS if (root / name).is_dir())
    require_split("camvid", root, split, splits)
    masks = root / f"{split}annot"
    pairs = pair_by_name("camvid", images_in("camvid", root / split), by_stem(images_in("camvid", masks)), masks)
    dataset = FileDataset("camvid", split, splits, CLASSES, PALETTE, VOID, pairs, lambda path, _: read_indices(path))
    return require_samples(dataset, root / split)
