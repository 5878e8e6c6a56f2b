"""MobileNetV2."""

from __future__ import annotations

from pathlib import Path

from simulator.graph.ops import Padding
from workloads.nets.layers import IMAGENET, NetBuilder, Size, check_choice, check_classes, image_size, scaled
from workloads.nets.weights import weight_source
from workloads.network import Network

_STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""(expansion, channels, blocks, stride of the first): table 2 of Sandler et al."""


def mobilenet_v2(
    size: Size = 224,
    classes: int = 1000,
    width: float = 1.0,
    output_stride: int = 32,
    weights: str | Path | None = None,
    seed: int = 0,
) -> Network:
    """Return MobileNetV2, float, from normalised image to class scores [1, classes].

    Sandler et al. (2018), named as torchvision names it.

    Parameters
    ----------
    size
        Side of the square image, or (height, width).
    classes
        Number of classes.
    width
        Multiplies every channel count but that of the classes; the last convolution has at least 1280 filters.
    output_stride
        32, 16 or 8: later strides are turned into dilation.
    weights
        None = shapes only, ``"seeded"`` = random, or a file (.pth, .safetensors, .npz).
    seed
        Of seeded weights.

    Raises
    ------
    NetworkError
        An option that does not exist, or weights that do not suit.

    """
    name = "mobilenet_v2"
    check_classes(name, classes)
    check_choice(name, "output_stride", output_stride, (32, 16, 8))
    net = NetBuilder(name, image_size(name, size), weight_source(weights, seed))
    x = _unit(net, net.image, "features.0", _divisible(name, 32, width), 3, stride=2)
    index, reached, dilation = 0, 2, 1
    for expansion, channels, blocks, first in _STAGES:
        for block in range(blocks):
            index += 1
            stride = first if block == 0 else 1
            before = dilation
            if stride > 1 and reached >= output_stride:
                stride, dilation = 1, dilation * stride
            reached *= stride
            filters = _divisible(name, channels, width)
            x = _inverted(net, x, f"features.{index}.conv", expansion, filters, stride, before)
    x = _unit(net, x, "features.18", _divisible(name, 1280, max(1.0, width)), 1)
    net.linear(net.mean(x, "avgpool"), "classifier.1", classes, role="linear")
    return net.classifier(IMAGENET)


def _inverted(net: NetBuilder, x: str, name: str, expansion: int, filters: int, stride: int, dilation: int) -> str:
    """Inverted residual: expand, depthwise 3x3, project without activation."""
    channels = net.graph.shape(x)[3]
    y, part = x, 0
    if expansion > 1:
        y, part = _unit(net, x, f"{name}.0", channels * expansion, 1), 1
    inner = channels * expansion
    y = _unit(net, y, f"{name}.{part}", inner, 3, stride=stride, dilation=dilation, groups=inner)
    y = net.conv(y, f"{name}.{part + 1}", filters, 1)
    joined = stride == 1 and channels == filters
    y = net.norm(y, f"{name}.{part + 2}", "branch_gamma" if joined else "gamma")
    return net.add(x, y, f"{name}.add") if joined else y


def _unit(
    net: NetBuilder, x: str, name: str, filters: int, kernel: int, stride: int = 1, dilation: int = 1, groups: int = 1
) -> str:
    """Convolution with centred padding, batch norm, ReLU6."""
    pad = kernel // 2 * dilation
    border = Padding(pad, pad, pad, pad)
    y = net.conv(x, f"{name}.0", filters, kernel, stride=stride, dilation=dilation, padding=border, groups=groups)
    return net.relu6(net.norm(y, f"{name}.1"))


def _divisible(network: str, channels: int, width: float) -> int:
    """Return the nearest multiple of 8, one more where that is less than 90 % (Sandler et al.'s own rule)."""
    scaled(network, channels, width)  # refuses a width out of range
    nearest = max(8, int(channels * width + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels * width else nearest
