"""The images that a network is calibrated on, prepared one at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InputError
from workloads.images import image_input, prepare_image
from workloads.network import Images, Network

Inputs = dict[str, NDArray[Any]]

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")


@dataclass(frozen=True, eq=False)
class CalibrationSet:
    """Inputs of a float network, one for each image; files are read when their turn comes, and not kept."""

    network: Network
    items: Sequence[Any]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Inputs]:
        for index, item in enumerate(self.items):
            yield _prepared(self.network, item, index)

    def first(self) -> Inputs:
        """Return the inputs of the first image."""
        return _prepared(self.network, self.items[0], 0)


def calibration_set(network: Network, images: Images) -> CalibrationSet:
    """Return the network's float inputs for every image.

    Parameters
    ----------
    network
        A float network.
    images
        One or several of: a file, a folder (its images, by name, not those of folders in it), pixels uint8 [height,
        width, channels], a float32 array in the layout of the only input, or a dict of arrays by input name. A uint8
        array [n, height, width, channels] is n images.

    Raises
    ------
    InputError
        None at all, or a folder without images; and, when its turn comes, an image that does not suit the network.

    """
    if isinstance(images, str | Path | Mapping) or (isinstance(images, np.ndarray) and not _is_stack(images)):
        images = [images]
    items: list[Any] = []
    for item in images:
        items += _folder(Path(item)) if isinstance(item, str | Path) and Path(item).is_dir() else [item]
    if not items:
        raise InputError(f"{network.name}: calibration needs at least one image")
    return CalibrationSet(network, items)


def _is_stack(images: NDArray[Any]) -> bool:
    return images.dtype == np.uint8 and images.ndim == 4


def _folder(path: Path) -> list[Path]:
    found = sorted(entry for entry in path.iterdir() if entry.suffix.lower() in _SUFFIXES and entry.is_file())
    if not found:
        raise InputError(f"calibration folder {path}: no images in it ({', '.join(_SUFFIXES)})")
    return found


def _prepared(network: Network, item: Any, index: int) -> Inputs:
    if isinstance(item, Mapping):
        return {name: np.asarray(value) for name, value in item.items()}
    if isinstance(item, np.ndarray) and item.dtype.kind == "f":
        tensors = network.graph.input_tensors
        if len(tensors) != 1 or item.shape != tensors[0].shape:
            wanted = ", ".join(f"{tensor.name} {list(tensor.shape)}" for tensor in tensors)
            raise InputError(f"{network.name}: calibration input {index} has shape {list(item.shape)}, not {wanted}")
        return {tensors[0].name: item.astype(np.float32)}
    image_input(network)
    return prepare_image(network, item)
