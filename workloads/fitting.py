"""Images of any size into an input of one size, and its label map back onto the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from simulator.errors import InputError
from simulator.numerics.formats import IntFormat
from workloads.images import image_input, image_shape
from workloads.network import Network

Fit = Literal["stretch", "pad"]
"""stretch: the image fills the input, its proportions lost. pad: the image keeps them, at its own size where it fits
and otherwise reduced until it does, in the upper left corner; the rest holds the pixel that stands for 0."""

_MIDDLE = 128


@dataclass(frozen=True)
class Placement:
    """Where an image lies in an input."""

    image: tuple[int, int]
    """Height and width of the image."""
    area: tuple[int, int]
    """Height and width that it takes in the input, from the upper left corner."""
    input: tuple[int, int]
    """Height and width of the input."""


def place(image: tuple[int, int], size: tuple[int, int], fit: Fit) -> Placement:
    """Return where an image of (height, width) lies in an input of (height, width); InputError on an unknown fit."""
    if fit not in get_args(Fit):
        raise InputError(f"fit is one of {', '.join(get_args(Fit))}, not {fit!r}")
    if fit == "stretch":
        return Placement(image, size, size)
    scale = min(1.0, size[0] / image[0], size[1] / image[1])
    area = (max(1, round(image[0] * scale)), max(1, round(image[1] * scale)))
    return Placement(image, area, size)


def fit_image(image: NDArray[np.uint8], placement: Placement, fill: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return the pixels of an input.

    Parameters
    ----------
    image
        RGB, uint8 [H, W, 3].
    placement
        From `place`; resizing is Pillow's bilinear filter, the same as that of `bittrue run -i`.
    fill
        Pixel of the rest of the input; its length is that of the input's channels, 3 or 1 (grey).

    Returns
    -------
    uint8 [height, width, channels].

    """
    picture = Image.fromarray(image)
    if len(fill) == 1:
        picture = picture.convert("L")
    if placement.area != placement.image:
        picture = picture.resize(placement.area[::-1], Image.Resampling.BILINEAR)
    pixels = np.asarray(picture, np.uint8).reshape(*placement.area, len(fill))
    if placement.area == placement.input:
        return pixels
    whole = np.empty((*placement.input, len(fill)), np.uint8)
    whole[:] = np.array(fill, np.uint8)
    whole[: placement.area[0], : placement.area[1]] = pixels
    return whole


def labels_on_image(labels: NDArray[Any], placement: Placement) -> NDArray[Any]:
    """Return the label of each pixel of the image, [H, W]: that of the output cell in which the pixel's centre lies.

    Parameters
    ----------
    labels
        Label map of the whole input, [h, w], of any resolution.
    placement
        Where the image lies in the input.

    """
    index = [
        _cells(image, area, whole, cells)
        for image, area, whole, cells in zip(
            placement.image, placement.area, placement.input, labels.shape, strict=True
        )
    ]
    if all(len(cells) == size and cells[-1] == size - 1 for cells, size in zip(index, labels.shape, strict=True)):
        return labels
    return labels[np.ix_(*index)]


def _cells(image: int, area: int, whole: int, cells: int) -> NDArray[np.int64]:
    """Cell of an axis of the output for each pixel of the image: floor((i + 1/2) * area / image * cells / whole)."""
    twice = 2 * np.arange(image, dtype=np.int64) + 1
    return np.minimum(twice * area * cells // (2 * image * whole), cells - 1)


def zero_pixel(network: Network) -> tuple[int, ...]:
    """Return the pixel nearest to the real number 0 of a network's input, one value a channel; middle grey if unknown.

    Raises
    ------
    InputError
        A network that takes no image.

    """
    tensor, how = image_input(network)
    channels = image_shape(tensor)[2]
    if how.mean is not None:
        mean = np.broadcast_to(np.asarray(how.mean), (channels,))
        return tuple(int(value) for value in np.clip(np.rint(mean), 0, 255))
    if isinstance(tensor.format, IntFormat) and tensor.quant is not None:
        return (int(np.clip(tensor.zero_point - tensor.format.min, 0, 255)),) * channels
    return (_MIDDLE,) * channels
