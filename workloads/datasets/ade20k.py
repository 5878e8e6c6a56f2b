"""ADE20K: the SceneParsing challenge (150 classes), and the full data set reduced to the same classes.

The challenge's masks number the classes 1..150 and give 0 to everything else; labels here are 0..149, and everything
else is ignored, as the challenge's own evaluation does.
"""

from __future__ import annotations

import csv
import json
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InputError
from workloads.datasets.dataset import Colour, SampleError
from workloads.datasets.files import (
    NO_LABEL,
    FileDataset,
    Pair,
    by_stem,
    images_in,
    pair_by_name,
    read_colours,
    read_indices,
    require_samples,
    require_split,
)

_FOLDER = {"train": "training", "val": "validation"}
_PREFIX = {"train": "ADE_train_", "val": "ADE_val_"}
_MASK_END = "_seg.png"


@cache
def _classes() -> tuple[tuple[str, Colour], ...]:
    """Name with all its synonyms and colour of each class: objectInfo150 and color150 of CSAILVision/sceneparsing."""
    with (files("workloads.datasets") / "ade20k_classes.csv").open(encoding="utf-8") as table:
        return tuple(
            (row["name"], (int(row["red"]), int(row["green"]), int(row["blue"]))) for row in csv.DictReader(table)
        )


def open_ade20k(root: Path, split: str) -> FileDataset:
    """Open a split, train or val.

    Layouts: the challenge's images/ and annotations/, with training/ and validation/ inside or flat with names that
    begin with ADE_train_ or ADE_val_; or the full data set of 2021 (any depth of folders): image, NAME_seg.png whose
    colours number the objects (R // 10 * 256 + G), and NAME.json that names them. An object belongs to the class whose
    full name (all synonyms) it bears; other objects are ignored.

    Raises
    ------
    InputError
        Another layout, no such split, an empty split, an image without mask.

    """
    if (root / "annotations").is_dir():
        return _open_challenge(root, split)
    masks = sorted(root.rglob(f"ADE_*{_MASK_END}"))
    if not masks:
        raise InputError(
            f"ade20k: {root} holds neither images/ and annotations/ (challenge) nor ADE_*{_MASK_END} (full data set)"
        )
    splits = tuple(key for key, prefix in _PREFIX.items() if any(path.name.startswith(prefix) for path in masks))
    require_split("ade20k", root, split, splits)
    pairs = tuple(_full_pair(mask) for mask in masks if mask.name.startswith(_PREFIX[split]))
    return _dataset(split, splits, pairs, root, full=True)


def _open_challenge(root: Path, split: str) -> FileDataset:
    folders = {key: name for key, name in _FOLDER.items() if (root / "images" / name).is_dir()}
    if folders:
        require_split("ade20k", root, split, tuple(folders))
        place = root / "annotations" / folders[split]
        images = images_in("ade20k", root / "images" / folders[split])
        splits = tuple(folders)
    else:
        place = root / "annotations"
        found = images_in("ade20k", root / "images")
        splits = tuple(key for key, prefix in _PREFIX.items() if any(path.name.startswith(prefix) for path in found))
        require_split("ade20k", root, split, splits)
        images = [path for path in found if path.name.startswith(_PREFIX[split])]
    pairs = pair_by_name("ade20k", images, by_stem(images_in("ade20k", place)), place)
    return _dataset(split, splits, pairs, place, full=False)


def _dataset(split: str, splits: tuple[str, ...], pairs: tuple[Pair, ...], place: Path, *, full: bool) -> FileDataset:
    names = tuple(name.split(",")[0] for name, _ in _classes())
    palette = tuple(colour for _, colour in _classes())
    read = _read_full if full else _read_challenge
    dataset = FileDataset("ade20k", split, splits, names, palette, NO_LABEL, pairs, read)
    return require_samples(dataset, place)


def _full_pair(mask: Path) -> Pair:
    name = mask.name.removesuffix(_MASK_END)
    image = mask.with_name(f"{name}.jpg")
    for path in (image, mask.with_name(f"{name}.json")):
        if not path.is_file():
            raise InputError(f"ade20k: {mask} has no {path.name} beside it (the full data set of 2021 has both)")
    return Pair(name, image, mask)


def _read_challenge(path: Path, _: tuple[int, int]) -> NDArray[np.uint8]:
    stored = read_indices(path)
    if stored.size and stored.max() > len(_classes()):
        raise SampleError(path, f"holds label {stored.max()}; the challenge's masks hold 0 (ignored) .. 150")
    return stored - np.uint8(1)  # 0 wraps to 255, which is ignored


def _read_full(path: Path, _: tuple[int, int]) -> NDArray[np.uint8]:
    colours = read_colours(path).astype(np.int64)
    numbers = colours[:, :, 0] // 10 * 256 + colours[:, :, 1]
    table = _object_labels(path.with_name(path.name.replace(_MASK_END, ".json")))
    found, where = np.unique(numbers, return_inverse=True)
    strangers = [int(number) for number in found if number and int(number) not in table]
    if strangers:
        raise SampleError(path, f"holds object {strangers[0]}, which its .json does not name")
    known = np.array([table[int(number)] if number else NO_LABEL for number in found], np.uint8)
    labels: NDArray[np.uint8] = known[where.reshape(numbers.shape)]
    return labels


def _object_labels(path: Path) -> dict[int, int]:
    """Label of each object number that a .json names; some of these files are not UTF-8."""
    index = {name: label for label, (name, _) in enumerate(_classes())}
    try:
        text = path.read_bytes()
        try:
            content = json.loads(text)
        except UnicodeDecodeError:
            content = json.loads(text.decode("latin-1"))
        return {
            int(entry["name_ndx"]): index.get(entry["name"].strip(), NO_LABEL)
            for entry in content["annotation"]["object"]
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SampleError(path, f"not a description of the full ADE20K ({type(error).__name__}: {error})") from None
