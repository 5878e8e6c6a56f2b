"""VGG16, as torchvision has it: biases, no batch norm."""

from __future__ import annotations

from pathlib import Path

from simulator.errors import NetworkError
from simulator.graph import ops
from simulator.graph.ops import Padding
from workloads.nets.layers import IMAGENET, NetBuilder, Size, check_classes, image_size, scaled
from workloads.nets.weights import weight_source
from workloads.network import Network

_STAGES = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))
_POOLED = 7
"""Side to which the features are averaged before the classifier."""


def vgg16(
    size: Size = 224,
    classes: int = 1000,
    width: float = 1.0,
    weights: str | Path | None = None,
    seed: int = 0,
) -> Network:
    """Return VGG16, float, from normalised image to class scores [1, classes].

    Simonyan and Zisserman (2014), named as torchvision names it; the first product of the classifier is a 7x7
    convolution.

    Parameters
    ----------
    size
        Side of the square image, or (height, width); a 32nd of each side, rounded down, is 1 or a multiple of 7.
    classes
        Number of classes.
    width
        Multiplies every channel count but that of the classes.
    weights
        None = shapes only, ``"seeded"`` = random, or a file (.pth, .safetensors, .npz).
    seed
        Of seeded weights.

    Raises
    ------
    NetworkError
        An option that does not exist, or weights that do not suit.

    """
    name = "vgg16"
    check_classes(name, classes)
    sides = image_size(name, size)
    if any(side // 32 != 1 and (side < 32 or side // 32 % _POOLED) for side in sides):
        raise NetworkError(f"{name}: a 32nd of each side is 1 or a multiple of {_POOLED}, as of 224; not {size!r}")
    net = NetBuilder(name, sides, weight_source(weights, seed))
    x, index = net.image, 0
    for stage, (repeats, channels) in enumerate(_STAGES, 1):
        for _ in range(repeats):
            border = Padding(1, 1, 1, 1)
            x = net.conv(x, f"features.{index}", scaled(name, channels, width), 3, padding=border, bias=True)
            x = net.relu(x)
            index += 2
        x = net.max_pool(x, f"pool{stage}", 2, 2, Padding())
        index += 1
    x = _pooled(net, x)
    hidden = scaled(name, 4096, width)
    x = net.relu(net.conv(x, "classifier.0", hidden, _POOLED, padding=Padding(), bias=True))
    x = net.graph.add(ops.Reshape((1, hidden)), x, name="flat")
    x = net.relu(net.linear(x, "classifier.3", hidden))
    net.linear(x, "classifier.6", classes, role="linear")
    return net.classifier(IMAGENET)


def _pooled(net: NetBuilder, x: str) -> str:
    """Adaptive average pool to 7x7: means of equal windows, or a single row or column repeated."""
    height, width = net.size(x)
    window = max(1, height // _POOLED), max(1, width // _POOLED)
    if window != (1, 1):
        x = net.graph.add(ops.AveragePool2D(window, window), x, name="avgpool")
    if net.size(x) != (_POOLED, _POOLED):
        x = net.graph.add(ops.ResizeNearest((_POOLED, _POOLED)), x, name="avgpool.repeated")
    return x
