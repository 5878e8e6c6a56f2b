"""Any folder of images and masks, with a table of classes."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InputError
from workloads.datasets.dataset import Colour, SampleError
from workloads.datasets.files import (
    NO_LABEL,
    FileDataset,
    by_stem,
    images_in,
    pair_by_name,
    read_mask,
    require_samples,
    require_split,
)
from workloads.segmentation import voc_palette

_TABLE = "classes.csv"
_WHOLE = "all"
_IGNORE = "ignore"
_COLOURS = ("red", "green", "blue")


@dataclass(frozen=True)
class _Classes:
    names: tuple[str, ...]
    palette: tuple[Colour, ...]
    ignore_label: int
    by_colour: dict[Colour, int] | None
    """Label of each colour of a mask; None where the table has no colours: masks then hold labels."""


@dataclass(frozen=True)
class _Row:
    label: int
    name: str
    colour: Colour | None


def open_folder(root: Path, split: str) -> FileDataset:
    """Open a split of images/SPLIT and masks/SPLIT; without such folders inside, all of images/ is the split ``all``.

    ``classes.csv`` names the classes: columns label and name, labels 0, 1, 2 ... in any order, a row named ``ignore``
    for pixels that do not count (255 without it). With columns red, green, blue, masks in colours are read by them;
    masks of one channel hold labels.

    Raises
    ------
    InputError
        No table, a table that cannot be used, no such split, an empty split, an image without mask.

    """
    classes = _read_table(root / _TABLE)
    if not (root / "images").is_dir():
        raise InputError(f"folder: {root} is to hold images/, masks/ and {_TABLE}")
    splits = tuple(sorted(path.name for path in (root / "images").iterdir() if path.is_dir())) or (_WHOLE,)
    require_split("folder", root, split, splits)
    inside = "" if splits == (_WHOLE,) and not (root / "images" / _WHOLE).is_dir() else split
    images, masks = root / "images" / inside, root / "masks" / inside
    pairs = pair_by_name("folder", images_in("folder", images), by_stem(images_in("folder", masks)), masks)

    def read(path: Path, _: tuple[int, int]) -> NDArray[np.uint8]:
        return _read_mask(path, classes.by_colour)

    names, palette, ignore = classes.names, classes.palette, classes.ignore_label
    return require_samples(FileDataset("folder", split, splits, names, palette, ignore, pairs, read), images)


def _read_table(path: Path) -> _Classes:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True, strict=True)
            header, rows = reader.fieldnames or (), list(reader)
    except FileNotFoundError:
        raise InputError(
            f"folder: there is no {path}; it names the classes: columns label, name[, red, green, blue]"
        ) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"folder: {path} is not a table of text ({error})") from None
    if not {"label", "name"} <= set(header):
        found = ", ".join(header) or "none"
        raise InputError(f"folder: {path} line 1: the columns are {found}, not label, name[, red, green, blue]")
    return _classes_of(path, [_row(path, number, row) for number, row in enumerate(rows, start=2)])


def _classes_of(path: Path, rows: Sequence[_Row]) -> _Classes:
    ignored = next((row for row in rows if row.name == _IGNORE), _Row(NO_LABEL, _IGNORE, None))
    classes = sorted((row for row in rows if row.name != _IGNORE), key=lambda row: row.label)
    labels = [row.label for row in classes]
    if not classes or labels != list(range(len(labels))) or ignored.label in labels:
        raise InputError(f"folder: {path}: labels are to be 0, 1, 2 ... once each, and {_IGNORE} another; not {labels}")
    names = tuple(row.name for row in classes)
    colours = tuple(row.colour for row in classes if row.colour is not None)
    if len(colours) != len(classes):
        return _Classes(names, voc_palette(len(classes)), ignored.label, None)
    by_colour = {colour: label for label, colour in enumerate(colours)}
    if len(by_colour) != len(colours) or ignored.colour in by_colour:
        raise InputError(f"folder: {path}: two classes have one colour")
    if ignored.colour is not None:
        by_colour[ignored.colour] = ignored.label
    return _Classes(names, colours, ignored.label, by_colour)


def _row(path: Path, number: int, row: dict[str, str]) -> _Row:
    try:
        label, name = int(row["label"]), row["name"].strip()
        texts = [row[key] for key in _COLOURS if row.get(key)]
        channels = [int(text) for text in texts]
    except (KeyError, ValueError, TypeError, AttributeError):
        raise InputError(
            f"folder: {path} line {number}: label, name[, red, green, blue] are whole numbers, all but name"
        ) from None
    if not name or not all(0 <= value <= NO_LABEL for value in (label, *channels)) or len(channels) not in (0, 3):
        raise InputError(f"folder: {path} line {number}: a label and a colour are 0 .. 255, and a class has a name")
    return _Row(label, name, (channels[0], channels[1], channels[2]) if channels else None)


def _read_mask(path: Path, by_colour: dict[Colour, int] | None) -> NDArray[np.uint8]:
    stored = read_mask(path)
    if stored.ndim == 2:
        return stored
    if by_colour is None:
        raise SampleError(path, f"the mask holds colours; {_TABLE} is then to have the columns {', '.join(_COLOURS)}")
    pixels = stored.astype(np.int32)
    codes = pixels[:, :, 0] << 16 | pixels[:, :, 1] << 8 | pixels[:, :, 2]
    found, where = np.unique(codes, return_inverse=True)
    known = np.zeros(len(found), np.uint8)
    for index, code in enumerate(found.tolist()):
        colour = (code >> 16, code >> 8 & 255, code & 255)
        if colour not in by_colour:
            raise SampleError(path, f"holds the colour {colour}, which {_TABLE} does not name")
        known[index] = by_colour[colour]
    labels: NDArray[np.uint8] = known[where.reshape(codes.shape)]
    return labels
