"""Images in: files to pixels, pixels to a network's input, and back for a preview."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from simulator.errors import InputError
from simulator.graph.graph import Tensor
from simulator.numerics.formats import Float32, IntFormat
from workloads.network import ImageInput, Network

_MODES = {1: "L", 3: "RGB"}
"""Pillow's names of images with so many channels."""


def demo_photo() -> Path:
    """Return the path of a real photograph that every installation has: the portrait that matplotlib ships."""
    return Path(str(files("matplotlib"))) / "mpl-data" / "sample_data" / "grace_hopper.jpg"


def load_image(path: str | Path, size: tuple[int, int] | None = None, channels: int = 3) -> NDArray[np.uint8]:
    """Read an image file, upright as its EXIF orientation says.

    Parameters
    ----------
    path
        Any format that Pillow reads.
    size
        (height, width) to resize to, bilinear; None = as it is.
    channels
        3 = RGB, 1 = grey.

    Returns
    -------
    Pixels, uint8 [height, width, channels].

    Raises
    ------
    InputError
        A file that is missing, or no image, or damaged.

    """
    try:
        with Image.open(path) as file:
            image = ImageOps.exif_transpose(file).convert(_MODES[channels])
            if size is not None and image.size != size[::-1]:
                image = image.resize(size[::-1], Image.Resampling.BILINEAR)
            pixels = np.asarray(image, np.uint8)
    except FileNotFoundError:
        raise InputError(f"image {path}: no such file") from None
    except UnidentifiedImageError:
        raise InputError(f"image {path}: not an image that Pillow {PIL.__version__} reads") from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"image {path}: cannot be read ({error})") from None
    return pixels.reshape(*pixels.shape[:2], channels)


def takes_image(tensors: tuple[Tensor, ...]) -> bool:
    """Whether the inputs are one [1, height, width, 1 or 3], or [1, 1 or 3, height, width], that may be an image."""
    return image_channels(tensors) is not None


def image_channels(tensors: tuple[Tensor, ...]) -> int | None:
    """Return how many channels the only input has where it may be an image, else None."""
    if len(tensors) != 1 or len(tensors[0].shape) != 4 or tensors[0].shape[0] != 1:
        return None
    return next((tensors[0].shape[axis] for axis in (3, 1) if tensors[0].shape[axis] in _MODES), None)


def channels_first(tensor: Tensor) -> bool:
    """Whether an image input is [1, channels, height, width]."""
    return tensor.shape[3] not in _MODES


def image_input(network: Network) -> tuple[Tensor, ImageInput]:
    """Return the network's only input and how pixels become it; InputError where it takes no image."""
    inputs = network.graph.input_tensors
    if network.image is None or not takes_image(inputs):
        shapes = ", ".join(f"{tensor.name} {list(tensor.shape)}" for tensor in inputs)
        raise InputError(f"{network.name} does not take an image but {shapes}; give arrays (.npy, .npz)")
    return inputs[0], network.image


def prepare_image(network: Network, image: str | Path | NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Turn an image into the network's input.

    Parameters
    ----------
    network
        A network that takes one image: a built-in one (normalised and quantized as it asks) or an imported one
        (uint8: pixels as they are, int8: pixels - 128).
    image
        A file, resized to the input; or pixels, uint8 [height, width, channels] of the input's size.

    Returns
    -------
    {input name: array in the input's layout and dtype}.

    Raises
    ------
    InputError
        A network that takes no image or takes float32 of unknown scale, a bad file, pixels of another size or dtype.

    """
    tensor, how = image_input(network)
    height, width, channels = image_shape(tensor)
    if isinstance(image, str | Path):
        pixels = load_image(image, (height, width), channels)
    else:
        pixels = np.asarray(image)
        if pixels.dtype != np.uint8 or pixels.shape != (height, width, channels):
            wanted = [height, width, channels]
            raise InputError(f"{network.name} takes pixels uint8 {wanted}, not {pixels.dtype} {list(pixels.shape)}")
    table = _pixel_table(network.name, tensor, how)
    image = np.take_along_axis(table, pixels.reshape(-1, channels), axis=0).reshape(1, height, width, channels)
    return {tensor.name: np.ascontiguousarray(image.transpose(0, 3, 1, 2)) if channels_first(tensor) else image}


def image_shape(tensor: Tensor) -> tuple[int, int, int]:
    """Return (height, width, channels) of an image input in either layout."""
    if channels_first(tensor):
        return tensor.shape[2], tensor.shape[3], tensor.shape[1]
    return tensor.shape[1], tensor.shape[2], tensor.shape[3]


def input_preview(network: Network, inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.uint8] | None:
    """Return the image that `inputs` holds, uint8 [height, width, 3], or None where there is none."""
    if network.image is None or not takes_image(network.graph.input_tensors):
        return None
    tensor = network.graph.input_tensors[0]
    value = np.asarray(inputs[tensor.name])[0]
    if channels_first(tensor):
        value = value.transpose(1, 2, 0)
    if network.image.mean is not None and network.image.std is not None:
        real = value.astype(np.float64)
        if isinstance(tensor.format, IntFormat):
            real = (real - tensor.zero_point) * tensor.scale
        pixels = real * np.asarray(network.image.std) + np.asarray(network.image.mean)
    elif isinstance(tensor.format, IntFormat) and tensor.format.bits == 8:
        pixels = value.astype(np.float64) - tensor.format.min
    else:
        return None
    rgb = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    return np.repeat(rgb, 3, axis=2) if rgb.shape[2] == 1 else rgb


def _pixel_table(network: str, tensor: Tensor, how: ImageInput) -> NDArray[Any]:
    """Input value of every pixel value, [256, channels]: exact and the same on every machine."""
    channels = image_shape(tensor)[2]
    pixels = np.repeat(np.arange(256, dtype=np.float64)[:, None], channels, axis=1)
    if how.mean is None or how.std is None:
        if not isinstance(tensor.format, IntFormat) or tensor.format.bits != 8:
            raise InputError(
                f"{network}: input {tensor.name} is {tensor.format}, and the file does not say how a pixel becomes it; "
                "give an array (.npy, .npz) instead of an image"
            )
        return np.asarray(pixels + tensor.format.min, tensor.format.dtype)
    real = (pixels - np.asarray(how.mean)) / np.asarray(how.std)
    if isinstance(tensor.format, Float32):
        return np.asarray(real, np.float32)
    if not isinstance(tensor.format, IntFormat):
        raise InputError(f"{network}: input {tensor.name} is {tensor.format}, which holds no image")
    stored = np.rint(real / tensor.scale) + tensor.zero_point
    return np.asarray(np.clip(stored, tensor.format.min, tensor.format.max), tensor.format.dtype)
