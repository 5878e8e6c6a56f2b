"""Holistically-nested edge detection: a trained VGG16 with a head for edges, from the weights in `BITTRUE_ASSETS`.

Xie and Tu, ICCV 2015. Five side outputs of the VGG16 stages, each a 1x1 convolution, are enlarged to the image and
fused by a 1x1 convolution into the logit of an edge. Here the first convolution pads one pixel, not 35, and side
outputs are enlarged by bilinear resizes, not by fixed transposed convolutions that are cropped: another border, the
same inside.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from simulator.graph import ops
from simulator.graph.builder import GraphBuilder
from simulator.graph.ops import Padding
from simulator.numerics.formats import FLOAT32
from workloads.network import ImageInput, Network

_STAGES = (2, 2, 3, 3, 3)
"""Convolutions of each stage."""
_MEAN = (122.67891434, 116.66876762, 104.00698793)
"""Of the training images, red, green, blue."""


def hed(weights: Path, size: tuple[int, int]) -> Network:
    """Return the network, float: an image of (height, width) to `logit` [1, height, width, 1], an edge where above 0.

    Parameters
    ----------
    weights
        `vgg16_hed_fp16.npz`: NAME.w [filters, channels, height, width] for images in blue, green, red, and NAME.b.
    size
        (height, width), multiples of 16.

    """
    with np.load(weights) as file:
        arrays = {name: file[name].astype(np.float32) for name in file.files}
    arrays["conv1_1.w"] = arrays["conv1_1.w"][:, ::-1]
    builder = GraphBuilder("hed")
    x = builder.input("image", (1, *size, 3), FLOAT32)

    def conv(x: str, name: str) -> str:
        filters = builder.constant(
            f"{name}.w", np.ascontiguousarray(arrays[f"{name}.w"].transpose(0, 2, 3, 1)), FLOAT32
        )
        bias = builder.constant(f"{name}.b", arrays[f"{name}.b"], FLOAT32)
        pad = builder.shape(filters)[1] // 2
        return builder.add(ops.Conv2D(padding=Padding(pad, pad, pad, pad)), x, filters, bias, name=name)

    sides = []
    for stage, count in enumerate(_STAGES, 1):
        if stage > 1:
            x = builder.add(ops.MaxPool2D((2, 2), (2, 2)), x, name=f"pool{stage - 1}")
        for index in range(1, count + 1):
            x = builder.add(ops.Relu(), conv(x, f"conv{stage}_{index}"), name=f"relu{stage}_{index}")
        side = conv(x, f"dsn{stage}")
        enlarge = ops.ResizeBilinear(size, half_pixel_centers=True)
        sides.append(side if stage == 1 else builder.add(enlarge, side, name=f"side{stage}"))
    builder.output(conv(builder.add(ops.Concat(3), *sides, name="sides"), "fuse"))
    return Network(builder.build(), image=ImageInput(_MEAN, (1.0, 1.0, 1.0)))
