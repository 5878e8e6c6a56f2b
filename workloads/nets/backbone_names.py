"""A ResNet-50 backbone by number, `conv00` to `conv52`, batch norms folded: its arrays under torchvision's names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

BACKBONE_FITS = (
    "a ResNet-50 as Caffe publishes it (stride in the first 1x1 convolution of a stage) fits "
    "deeplabv3_resnet50 with layout='compact', one of half width with width=0.5"
)
"""Where such a file can be used, for messages."""
_FIRST = (1, 11, 24, 43)
"""Number of the first convolution of each stage; that of its shortcut stands before the block's own."""
_BLOCKS = (3, 4, 6, 3)
_VARIANCE = np.float32(1 - 1e-5)
"""With batch norm's epsilon of 1e-5, deviation 1."""


def is_numbered_backbone(arrays: Mapping[str, NDArray[Any]]) -> bool:
    """Whether arrays are those of such a file."""
    return {"conv00.weight", "conv00.bias"} <= set(arrays)


def torchvision_names(arrays: Mapping[str, NDArray[Any]]) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield each array as ``backbone.layer1.0.conv1.weight`` ...; a bias becomes the norm that does nothing else."""
    for layer, norm, number in _places():
        if f"conv{number:02d}.weight" not in arrays or f"conv{number:02d}.bias" not in arrays:
            continue
        bias = arrays[f"conv{number:02d}.bias"].astype(np.float32)
        ones = np.ones_like(bias)
        yield f"{layer}.weight", arrays[f"conv{number:02d}.weight"]
        yield f"{norm}.weight", ones
        yield f"{norm}.bias", bias
        yield f"{norm}.running_mean", np.zeros_like(bias)
        yield f"{norm}.running_var", ones * _VARIANCE


def _places() -> Iterator[tuple[str, str, int]]:
    """Yield convolution, its norm, and its number in the file."""
    yield "backbone.conv1", "backbone.bn1", 0
    for stage, (first, blocks) in enumerate(zip(_FIRST, _BLOCKS, strict=True), 1):
        for block in range(blocks):
            name, number = f"backbone.layer{stage}.{block}", first + 3 * block + (block > 0)
            if block == 0:
                yield f"{name}.downsample.0", f"{name}.downsample.1", number
                number += 1
            for index in range(3):
                yield f"{name}.conv{index + 1}", f"{name}.bn{index + 1}", number + index
