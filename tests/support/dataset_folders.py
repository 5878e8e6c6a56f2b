"""Small data sets of every layout, written to a folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIZE = (6, 8)
"""Height and width of the images."""


def noise(seed: int, size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    """Pixels, uint8 [H, W, 3]."""
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def labels(seed: int, values: Sequence[int], size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    """A label map of these values, uint8 [H, W]."""
    return np.random.default_rng(seed).choice(np.array(values, np.uint8), size)


def write(path: Path, pixels: NDArray[np.uint8], palette: Sequence[int] | None = None) -> None:
    """Write an image; with a palette, one channel becomes indices into it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    if palette is not None:
        image.putpalette(list(palette))
    image.save(path)


def camvid(root: Path, maps: dict[str, Sequence[NDArray[np.uint8]]]) -> str:
    """CamVid layout: {split: label maps}; images are noise of seed 0, 1 ..."""
    for split, masks in maps.items():
        for index, mask in enumerate(masks):
            write(root / split / f"im{index}.png", noise(index, mask.shape))
            write(root / f"{split}annot" / f"im{index}.png", mask)
    return f"camvid:{root}"


def voc(root: Path, names: Sequence[str], split: str = "val", masks: str = "SegmentationClass") -> Path:
    """VOCdevkit layout with palette masks of labels 0, 15 and 255; the folder VOC2012."""
    folder = root / "VOCdevkit" / "VOC2012"
    ramp = [value for index in range(256) for value in (255 - index, index, 7)]
    for index, name in enumerate(names):
        write(folder / "JPEGImages" / f"{name}.jpg", noise(index))
        write(folder / masks / f"{name}.png", labels(index, (0, 15, 255)), ramp)
    (folder / "SegmentationClass").mkdir(exist_ok=True)
    lists = folder / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True, exist_ok=True)
    (lists / f"{split}.txt").write_text("".join(f"{name}\n" for name in names))
    return folder


def ade_full(folder: Path, name: str, numbers: NDArray[np.int64], objects: dict[int, str], encoding: str = "utf-8"):
    """One sample of the full ADE20K: numbers of objects as colours, and the .json that names them."""
    colours = np.stack([numbers // 256 * 10, numbers % 256, numbers * 0], axis=-1).astype(np.uint8)
    write(folder / f"{name}.jpg", noise(1, numbers.shape))
    write(folder / f"{name}_seg.png", colours)
    entries = [{"name_ndx": number, "name": text} for number, text in objects.items()]
    text = json.dumps({"annotation": {"object": entries}}, ensure_ascii=False)
    (folder / f"{name}.json").write_bytes(text.encode(encoding))
