"""What a file of another format carries of a network beside its graph: how an image becomes the input, class names."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Any

from simulator.errors import NetworkError
from simulator.graph.graph import Graph
from simulator.records.run import Segmentation
from workloads.images import image_channels
from workloads.network import ImageInput, Network

KEY = "bittrue.network"
"""Name of the entry: in ONNX one of `metadata_props`, in TFLite one of `Model.metadata`."""
Description = tuple[ImageInput | None, Segmentation | None]


def written(network: Network) -> str:
    """Return the description of a network as JSON; the same network gives the same text."""
    parts = {"image": network.image, "segmentation": network.segmentation}
    return json.dumps({name: None if part is None else asdict(part) for name, part in parts.items()})


def read(text: str, graph: Graph) -> Description:
    """Return what `written` wrote, for the graph that was read beside it.

    Raises
    ------
    NetworkError
        The text is damaged, or is of another graph.

    """
    try:
        entries = json.loads(text)
        return _image(entries["image"], graph), _segmentation(entries["segmentation"], graph)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise NetworkError(
            f"its entry {KEY} is damaged ({type(error).__name__}: {error}); take it out, or export the network again"
        ) from None


def _image(entry: dict[str, Any] | None, graph: Graph) -> ImageInput | None:
    if entry is None:
        return None
    channels = image_channels(graph.input_tensors)
    mean, std = (None if entry[key] is None else tuple(float(value) for value in entry[key]) for key in ("mean", "std"))
    if mean is None or std is None:
        return ImageInput()
    fits = channels is not None and len(mean) in (1, channels) and len(std) in (1, channels)
    if not (fits and all(map(math.isfinite, mean)) and all(0 < value < math.inf for value in std)):
        raise ValueError(f"mean {mean} and std {std} of {channels} channels")
    return ImageInput(mean, std)


def _segmentation(entry: dict[str, Any] | None, graph: Graph) -> Segmentation | None:
    if entry is None:
        return None
    output, names = entry["output"], tuple(map(str, entry["class_names"]))
    palette = tuple((int(red), int(green), int(blue)) for red, green, blue in entry["palette"])
    if output not in graph.outputs:
        raise ValueError(f"{output!r} is no output")
    if not all(0 <= value < 256 for colour in palette for value in colour):
        raise ValueError("a colour outside 0 to 255")
    return Segmentation(output, names, palette)
