"""U-Net with batch norm: a small, plain baseline."""

from __future__ import annotations

from pathlib import Path

from simulator.graph import ops
from workloads.nets.layers import SYMMETRIC, NetBuilder, Size, check_classes, image_size, scaled
from workloads.nets.weights import weight_source
from workloads.network import Network

_CHANNELS = (64, 128, 256, 512, 1024)


def unet(
    size: Size = 256,
    classes: int = 21,
    width: float = 0.25,
    weights: str | Path | None = None,
    seed: int = 0,
) -> Network:
    """Return U-Net, float, from image to label map [1, height, width].

    Ronneberger, Fischer, Brox (2015) with SAME padding and a batch norm after each 3x3 convolution: four poolings, 64
    to 1024 channels, transposed 2x2 convolutions and concatenated skips.

    Parameters
    ----------
    size
        Side of the square image, or (height, width).
    classes
        Number of classes, background included.
    width
        Multiplies every channel count but that of the classes; 1 is the published network.
    weights
        None = shapes only, ``"seeded"`` = random, or a file (.pth, .safetensors, .npz).
    seed
        Of seeded weights.

    Raises
    ------
    NetworkError
        An option that does not exist, or weights that do not suit.

    """
    name = "unet"
    check_classes(name, classes)
    net = NetBuilder(name, image_size(name, size), weight_source(weights, seed))
    channels = [scaled(name, count, width) for count in _CHANNELS]
    x = _double(net, net.image, "down0", channels[0])
    skips = []
    for level, count in enumerate(channels[1:], 1):
        skips.append(x)
        x = _double(net, net.max_pool(x, f"pool{level}", 2, 2), f"down{level}", count)
    for level in reversed(range(len(skips))):
        up = net.upsample(x, f"up{level}.transposed", channels[level], 2, net.size(skips[level]))
        joined = net.graph.add(ops.Concat(3), skips[level], up, name=f"up{level}.concat")
        x = _double(net, joined, f"up{level}", channels[level])
    net.labels(net.conv(x, "scores", classes, 1, bias=True, role="score"))
    return net.network(SYMMETRIC, classes)


def _double(net: NetBuilder, x: str, name: str, filters: int) -> str:
    for index in (1, 2):
        x = net.relu(net.norm(net.conv(x, f"{name}.conv{index}", filters, 3), f"{name}.bn{index}"))
    return x
