"""A data set whose samples are pairs of files: an image, and a mask or what a mask is made from."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from simulator.errors import InputError
from workloads.datasets.dataset import Colour, Sample, SampleError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm")
NO_LABEL = 255
"""Ignore label of data sets that do not say one."""

_LISTED = 3


@dataclass(frozen=True)
class Pair:
    """The files of one sample."""

    name: str
    """Name of the sample."""
    image: Path
    """The image."""
    mask: Path
    """The mask, or the folder that holds the masks of its objects."""


ReadMask = Callable[[Path, tuple[int, int]], NDArray[np.uint8]]
"""Mask file, (height, width) of the image -> labels uint8 [H, W]; raises SampleError."""


@dataclass(frozen=True, eq=False)
class FileDataset:
    """A split that lies in files; implements `Dataset`."""

    name: str
    """Kind of data set."""
    split: str
    """Name of this split."""
    splits: tuple[str, ...]
    """Names of the splits that are there."""
    classes: tuple[str, ...]
    """Name of each class index."""
    palette: tuple[Colour, ...]
    """Colour of each class index."""
    ignore_label: int
    """Label of pixels that do not count."""
    pairs: tuple[Pair, ...]
    """The files, in the order of the samples."""
    read_mask: ReadMask
    """How a mask file becomes labels."""

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each sample, in order."""
        return tuple(pair.name for pair in self.pairs)

    def __len__(self) -> int:
        """Count the samples of this split."""
        return len(self.pairs)

    def sample(self, index: int) -> Sample:
        """Read sample `index`; SampleError where a file cannot be used."""
        if not 0 <= index < len(self.pairs):
            raise IndexError(f"{self.name} {self.split} has {len(self.pairs)} samples; there is no sample {index}")
        pair = self.pairs[index]
        image = read_rgb(pair.image)
        labels = self.read_mask(pair.mask, image.shape[:2])
        if labels.shape != image.shape[:2]:
            raise SampleError(
                pair.mask,
                f"the mask is {_size(labels)} (width x height), its image {pair.image.name} {_size(image)}",
            )
        self._check_range(pair.mask, labels)
        return Sample(image, labels, pair.name)

    def _check_range(self, path: Path, labels: NDArray[np.uint8]) -> None:
        found = np.flatnonzero(np.bincount(labels.ravel(), minlength=256))
        bad = [int(label) for label in found if label >= len(self.classes) and label != self.ignore_label]
        if bad:
            raise SampleError(
                path,
                f"holds label {', '.join(map(str, bad[:_LISTED]))}{' ...' if len(bad) > _LISTED else ''}; labels of "
                f"{self.name} are 0 .. {len(self.classes) - 1}, or {self.ignore_label} for pixels to be ignored",
            )


def _size(pixels: NDArray[Any]) -> str:
    return f"{pixels.shape[1]} x {pixels.shape[0]}"


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """Read an image as RGB uint8 [H, W, 3], as stored: its mask was drawn on it so, whatever EXIF says."""
    return np.asarray(_read(path, lambda file: file.convert("RGB")), np.uint8)


def read_mask(path: Path) -> NDArray[np.uint8]:
    """Read a mask as stored: uint8 [H, W] of grey values or palette indices, or [H, W, 3] of colours."""
    image = _read(path, _loaded)
    if image.mode in ("L", "P", "1"):
        return np.asarray(image).astype(np.uint8, copy=False)
    if image.mode in ("RGB", "RGBA"):
        return np.asarray(image.convert("RGB"), np.uint8)
    raise SampleError(path, f"a mask holds 8 bits a channel, grey, indexed or RGB; this one is {image.mode}")


def read_indices(path: Path) -> NDArray[np.uint8]:
    """Read a mask of one channel, uint8 [H, W]; SampleError on one of colours."""
    stored = read_mask(path)
    if stored.ndim != 2:
        raise SampleError(path, "the mask is to hold one channel (grey or palette indices); this one has colours (RGB)")
    return stored


def read_colours(path: Path) -> NDArray[np.uint8]:
    """Read a mask of colours, uint8 [H, W, 3]; SampleError on one of a single channel."""
    stored = read_mask(path)
    if stored.ndim != 3:
        raise SampleError(path, "the mask is to hold colours (RGB); this one has a single channel")
    return stored


def _loaded(file: Image.Image) -> Image.Image:
    file.load()
    return file.copy()


def _read(path: Path, use: Callable[[Image.Image], Image.Image]) -> Image.Image:
    try:
        with Image.open(path) as file:
            return use(file)
    except FileNotFoundError:
        raise SampleError(path, "no such file") from None
    except UnidentifiedImageError:
        raise SampleError(path, f"not an image that Pillow {PIL.__version__} reads") from None
    except (OSError, ValueError, SyntaxError, EOFError, struct.error, Image.DecompressionBombError) as error:
        raise SampleError(path, f"the image is damaged ({error})") from None


def pair_by_name(kind: str, images: Sequence[Path], masks: dict[str, Path], mask_place: Path) -> tuple[Pair, ...]:
    """Pair images with the masks of the same stem, in the order of the names; InputError naming images without one."""
    missing = [path.name for path in images if path.stem not in masks]
    if missing:
        more = f" and {len(missing) - _LISTED} more" if len(missing) > _LISTED else ""
        raise InputError(f"{kind}: {mask_place} has no mask for {', '.join(missing[:_LISTED])}{more}")
    return tuple(Pair(path.stem, path, masks[path.stem]) for path in sorted(images))


def images_in(kind: str, folder: Path) -> list[Path]:
    """List the images of a folder, sorted by name; InputError where it is missing."""
    try:
        return sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    except FileNotFoundError:
        raise InputError(f"{kind}: there is no folder {folder}") from None
    except NotADirectoryError:
        raise InputError(f"{kind}: {folder} is not a folder") from None


def by_stem(paths: Sequence[Path]) -> dict[str, Path]:
    """Return {name without suffix: path}."""
    return {path.stem: path for path in paths}


def require_split(kind: str, root: Path, split: str, splits: tuple[str, ...]) -> None:
    """Raise InputError where `split` is none of those that are there."""
    if split not in splits:
        there = ", ".join(splits) if splits else "none"
        raise InputError(f"{kind}: {root} has no split {split!r}; it has {there}")


def require_samples(dataset: FileDataset, place: Path) -> FileDataset:
    """Return the data set; InputError where the split is empty or two samples share a name."""
    if not dataset.pairs:
        raise InputError(f"{dataset.name}: split {dataset.split!r} is empty: {place} names no images")
    seen: set[str] = set()
    for pair in dataset.pairs:
        if pair.name in seen:
            raise InputError(f"{dataset.name}: {place} has two samples called {pair.name}: {pair.image}")
        seen.add(pair.name)
    return dataset
