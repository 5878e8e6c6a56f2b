"""How an image becomes the input of an ONNX network, where the file says so.

ONNX's metadata for images (docs/MetadataProps.md of ONNX) names the range that pixels are taken to.
"""

from __future__ import annotations

from collections.abc import Mapping

from simulator.graph.graph import Graph
from workloads.images import image_channels
from workloads.network import ImageInput

_RANGES = {
    "NominalRange_0_255": (0.0, 1.0),
    "Normalized_0_1": (0.0, 255.0),
    "Normalized_1_1": (127.5, 127.5),
}
"""Image.NominalPixelRange -> what is subtracted from a pixel of 0 to 255, and what it is then divided by."""


def image_properties(image: ImageInput | None, channels: int | None) -> dict[str, str]:
    """Return ONNX's metadata of an image input, for a file that is written."""
    if image is None or channels is None:
        return {}
    known = {values: name for name, values in _RANGES.items()}
    mean, std = image.mean or (), image.std or ()
    stated = set(zip(mean, std, strict=True)) if len(mean) == len(std) else set()
    range_ = known.get(stated.pop()) if len(stated) == 1 else None
    return {
        "Image.BitmapPixelFormat": "Gray8" if channels == 1 else "Rgb8",
        **({"Image.NominalPixelRange": range_} if range_ else {}),
    }


def image_input(graph: Graph, metadata: Mapping[str, str]) -> ImageInput | None:
    """Return how pixels become the only input; None where it takes no image."""
    channels = image_channels(graph.input_tensors)
    if channels is None or metadata.get("Image.BitmapPixelFormat", "Rgb8") not in ("Rgb8", "Gray8"):
        return None
    named = _RANGES.get(metadata.get("Image.NominalPixelRange", ""))
    if named is None:
        return ImageInput()
    return ImageInput(mean=(named[0],) * channels, std=(named[1],) * channels)
