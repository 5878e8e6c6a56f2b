"""ResNet-50 v1, stride in the 3x3 convolution: alone, and as the backbone of segmentation networks."""

from __future__ import annotations

from pathlib import Path

from simulator.graph.ops import Padding
from workloads.nets.layers import IMAGENET, NetBuilder, Size, check_classes, image_size, scaled
from workloads.nets.weights import weight_source
from workloads.network import Network

_BLOCKS = (3, 4, 6, 3)


def resnet50(
    size: Size = 224,
    classes: int = 1000,
    width: float = 1.0,
    weights: str | Path | None = None,
    seed: int = 0,
) -> Network:
    """Return ResNet-50, float, from normalised image to class scores [1, classes].

    He et al. (2015) with the stride in the 3x3 convolution, named as torchvision names it.

    Parameters
    ----------
    size
        Side of the square image, or (height, width).
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
    name = "resnet50"
    check_classes(name, classes)
    net = NetBuilder(name, image_size(name, size), weight_source(weights, seed))
    x = net.mean(resnet50_backbone(net, width, prefix="")[1], "avgpool")
    net.linear(x, "fc", classes, role="linear")
    return net.classifier(IMAGENET)


def resnet50_backbone(
    net: NetBuilder, width: float, output_stride: int = 32, *, torchvision: bool = True, prefix: str = "backbone."
) -> tuple[str, str]:
    """Add the backbone, later strides turned into dilation; return the features of the last two stages."""
    border = Padding(3, 3, 3, 3)
    stem = net.conv(net.image, f"{prefix}conv1", scaled(net.name, 64, width), 7, stride=2, padding=border)
    x = net.relu(net.norm(stem, f"{prefix}bn1"))
    x = net.max_pool(x, f"{prefix}maxpool", 3, 2, Padding(1, 1, 1, 1))
    dilation = 1
    stages = []
    for stage, blocks in enumerate(_BLOCKS):
        before = dilation
        stride = 1 if stage == 0 else 2
        if stage and 4 << stage > output_stride:
            stride, dilation = 1, dilation * 2
        for block in range(blocks):
            # torchvision: a stage's first block keeps the dilation of the stage before it. DeepLab: the last stage is
            # multi-grid.
            if torchvision:
                rate = before if block == 0 else dilation
            else:
                rate = dilation * ((1, 2, 4)[block] if stage == 3 and dilation > 1 else 1)
            inner = scaled(net.name, 64 << stage, width)
            outer = scaled(net.name, 256 << stage, width)
            name = f"{prefix}layer{stage + 1}.{block}"
            x = _bottleneck(net, x, name, inner, outer, stride if block == 0 else 1, rate)
        stages.append(x)
    return stages[2], stages[3]


def compact_backbone(net: NetBuilder, width: float, output_stride: int) -> str:
    """Add three stages with the stride in the first 1x1 convolution, as first published; return their features.

    The stem has its 64 channels at width 1/2. Output stride 8 turns the third stage's stride into dilation.
    """
    border = Padding(3, 3, 3, 3)
    stem = net.conv(net.image, "backbone.conv1", scaled(net.name, 64, width * 2), 7, stride=2, padding=border)
    x = net.relu(net.norm(stem, "backbone.bn1"))
    x = net.max_pool(x, "backbone.maxpool", 3, 2, Padding(1, 1, 1, 1))
    for stage, blocks in enumerate(_BLOCKS[:3]):
        dilated = 4 << stage > output_stride
        for block in range(blocks):
            stride = 2 if stage and block == 0 and not dilated else 1
            inner, outer = scaled(net.name, 64 << stage, width), scaled(net.name, 256 << stage, width)
            name = f"backbone.layer{stage + 1}.{block}"
            x = _bottleneck(net, x, name, inner, outer, stride, 2 if dilated else 1, stride_first=True)
    return x


def _bottleneck(
    net: NetBuilder, x: str, name: str, inner: int, outer: int, stride: int, rate: int, *, stride_first: bool = False
) -> str:
    first, second = (stride, 1) if stride_first else (1, stride)
    y = net.conv(x, f"{name}.conv1", inner, 1, stride=first, padding=Padding())
    y = net.relu(net.norm(y, f"{name}.bn1"))
    border = Padding(rate, rate, rate, rate)
    y = net.conv(y, f"{name}.conv2", inner, 3, stride=second, dilation=rate, padding=border)
    y = net.relu(net.norm(y, f"{name}.bn2"))
    y = net.norm(net.conv(y, f"{name}.conv3", outer, 1), f"{name}.bn3", "branch_gamma")
    if name.endswith(".0"):
        shortcut = net.conv(x, f"{name}.downsample.0", outer, 1, stride=stride, padding=Padding())
        x = net.norm(shortcut, f"{name}.downsample.1")
    return net.relu(net.add(y, x, f"{name}.add"))
