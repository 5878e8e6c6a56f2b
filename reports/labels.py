"""Label maps as pictures: from a network's output to colours, shares and a PNG."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.image import imsave
from numpy.typing import NDArray

from simulator.errors import InputError
from simulator.records.run import Segmentation

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class ClassShare:
    """One class that a label map holds."""

    index: int
    """Its label."""
    name: str
    """Its name, or `class 7` where the network does not say."""
    colour: Colour
    """RGB 0..255."""
    share: float
    """Pixels with this label, of all pixels."""


def label_map(output: NDArray[Any]) -> NDArray[np.int64]:
    """Return the labels [H, W] of the first image of an output.

    Parameters
    ----------
    output
        Labels, [H, W], [N, H, W] or [N, H, W, 1], whole numbers of any dtype; or scores [N, H, W, classes], of which
        the highest wins, the first among equals.

    Raises
    ------
    InputError
        The output has another shape or holds labels that are no whole numbers.

    """
    if output.ndim == 4 and output.shape[3] > 1:
        return np.asarray(output[0].argmax(axis=-1), dtype=np.int64)
    labels = output[..., 0] if output.ndim == 4 else output
    labels = labels[0] if labels.ndim == 3 and len(labels) else labels
    if labels.ndim != 2 or labels.size == 0:
        raise InputError(
            f"an output of shape {list(output.shape)} is no label map; [N, H, W], [N, H, W, 1] or [N, H, W, classes] is"
        )
    whole = labels.astype(np.int64) if np.isfinite(labels).all() else np.zeros(labels.shape, np.int64)
    if not np.array_equal(whole, labels):
        raise InputError(f"an output of dtype {output.dtype} with values that are no whole numbers is no label map")
    return whole


def resize_nearest(image: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """Resize [H, W, ...] to [height, width, ...]: each pixel takes the one under its centre."""
    rows = (2 * np.arange(height) + 1) * image.shape[0] // (2 * height)
    columns = (2 * np.arange(width) + 1) * image.shape[1] // (2 * width)
    resized: NDArray[Any] = image[rows[:, None], columns[None, :]]
    return resized


def thinned(photo: NDArray[np.uint8], largest: int) -> NDArray[np.uint8]:
    """Shrink a photo [H, W, 3] by a whole factor, averaging, until no side exceeds `largest` pixels."""
    height, width = photo.shape[:2]
    factor = -(-max(height, width) // largest)
    if factor <= 1:
        return photo
    rows, columns = max(height // factor, 1), max(width // factor, 1)
    blocks = photo[: rows * factor, : columns * factor].astype(np.uint32)
    blocks = np.add.reduceat(blocks, np.arange(0, blocks.shape[0], factor), axis=0)
    blocks = np.add.reduceat(blocks, np.arange(0, blocks.shape[1], factor), axis=1)
    area = min(factor, height) * min(factor, width)
    mean: NDArray[np.uint8] = ((blocks + area // 2) // area).astype(np.uint8)
    return mean


def voc_palette(count: int = 256) -> tuple[Colour, ...]:
    """Return the colours of PASCAL VOC, each label's bits dealt out to red, green and blue, from the top bit down.

    Source: `VOClabelcolormap.m` of the VOC development kit.
    """
    return tuple(_voc_colour(label) for label in range(count))


def palette_of(segmentation: Segmentation) -> tuple[Colour, ...]:
    """Return 256 colours: the network's own as far as they go, VOC's from there on."""
    return (*segmentation.palette, *voc_palette()[len(segmentation.palette) :])


def coloured(labels: NDArray[np.int64], palette: Sequence[Colour]) -> NDArray[np.uint8]:
    """Return [H, W, 3], each label in its colour, labels beyond the palette in its colours over again."""
    picture: NDArray[np.uint8] = np.array(palette, dtype=np.uint8)[labels % len(palette)]
    return picture


def classes_present(labels: NDArray[np.int64], segmentation: Segmentation) -> tuple[ClassShare, ...]:
    """Return the classes that the map holds, the largest first."""
    palette, names = palette_of(segmentation), segmentation.class_names
    found, counts = np.unique(labels, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return tuple(
        ClassShare(
            index=int(found[i]),
            name=names[int(found[i])] if 0 <= found[i] < len(names) else f"class {found[i]}",
            colour=palette[int(found[i]) % len(palette)],
            share=int(counts[i]) / labels.size,
        )
        for i in order
    )


def png(image: NDArray[np.uint8]) -> bytes:
    """Encode an RGB image [H, W, 3] as PNG, the same bytes every time."""
    buffer = io.BytesIO()
    imsave(buffer, np.ascontiguousarray(image), format="png", metadata={"Software": None})  # type: ignore[dict-item]
    return buffer.getvalue()


def _voc_colour(label: int) -> Colour:
    red = green = blue = 0
    for bit in range(7, -1, -1):
        red |= (label & 1) << bit
        green |= (label >> 1 & 1) << bit
        blue |= (label >> 2 & 1) << bit
        label >>= 3
    return red, green, blue
