"""DeepLabv3 with a ResNet-50 backbone, in the three layouts that are in use, and one small enough to be trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from simulator.graph import ops
from simulator.graph.ops import Padding
from workloads.nets.layers import (
    IMAGENET,
    MEAN_ONLY,
    SYMMETRIC,
    NetBuilder,
    Size,
    check_choice,
    check_classes,
    image_size,
    scaled,
)
from workloads.nets.preactivation import preactivation_backbone
from workloads.nets.weights import weight_source
from workloads.network import Network

_BLOCKS = (3, 4, 6, 3)
_LAYOUTS = ("torchvision", "deeplab", "paper", "compact")


def deeplabv3_resnet50(
    layout: str = "torchvision",
    size: Size = 513,
    classes: int = 21,
    width: float = 1.0,
    output_stride: int | None = None,
    weights: str | Path | None = None,
    seed: int = 0,
) -> Network:
    """Return DeepLabv3-ResNet50, float, from normalised image to label map [1, height, width].

    Parameters
    ----------
    layout
        ``"torchvision"``: torchvision's model without auxiliary head: output stride 8, rates 12, 24, 36, a 3x3
        convolution before the scores. ``"deeplab"``: Chen et al., "Rethinking atrous convolution" (2017): multi-grid
        1, 2, 4, rates 6, 12, 18 (doubled at output stride 8). ``"paper"``: the integer training paper's: pre-activation
        ResNet v2 without dilation, output stride 16, rates 6, 12, 18, no ReLU in the head, no bias. ``"compact"``: to
        be trained on few images: ResNet v1 as first published (stride in the first 1x1 convolution), its last stage
        left out, rates 6, 12, 18, a head of 96 channels.
    size
        Side of the square image, or (height, width).
    classes
        Number of classes, background included.
    width
        Multiplies every channel count but that of the classes.
    output_stride
        Of the backbone; 16 (default) or 8, a choice in layouts "deeplab" and "compact" only.
    weights
        None = shapes only, ``"seeded"`` = random, or a .npz with one array per constant.
    seed
        Of seeded weights.

    Raises
    ------
    NetworkError
        An option that does not exist, or weights that do not suit.

    """
    name = "deeplabv3_resnet50"
    check_choice(name, "layout", layout, _LAYOUTS)
    strides = {"torchvision": (8,), "deeplab": (16, 8), "paper": (16,), "compact": (16, 8)}[layout]
    stride = output_stride or strides[0]
    check_choice(f"{name} layout {layout}", "output_stride", stride, strides)
    check_classes(name, classes)
    net = NetBuilder(name, image_size(name, size), weight_source(weights, seed))
    head = scaled(name, 256, width)
    if layout == "paper":
        features = preactivation_backbone(net, width)
        scores = _paper_head(net, features, head, classes)
    elif layout == "compact":
        features = _compact_backbone(net, width, stride)
        scores = _head(net, features, scaled(name, 96, width), classes, (6, 12, 18), torchvision=False)
    else:
        features = _backbone(net, width, stride, torchvision=layout == "torchvision")
        rates = (12, 24, 36) if stride == 8 else (6, 12, 18)
        scores = _head(net, features, head, classes, rates, torchvision=layout == "torchvision")
    half_pixel, align_corners = layout in ("torchvision", "compact"), layout == "deeplab"
    net.labels(net.resize(scores, "upsampled", net.size(net.image), align_corners, half_pixel))
    return net.network({"paper": SYMMETRIC, "compact": MEAN_ONLY}.get(layout, IMAGENET), classes)


def _unit(net: NetBuilder, x: str, conv: str, norm: str, filters: int, kernel: int = 1, rate: int = 1) -> str:
    """Convolution with centred padding, batch norm, ReLU."""
    pad = (kernel // 2) * rate
    y = net.conv(x, conv, filters, kernel, dilation=rate, padding=Padding(pad, pad, pad, pad))
    return net.relu(net.norm(y, norm))


def _backbone(net: NetBuilder, width: float, output_stride: int, *, torchvision: bool) -> str:
    """ResNet-50 v1, stride in the 3x3 convolution, later strides turned into dilation."""
    stem = net.conv(net.image, "backbone.conv1", scaled(net.name, 64, width), 7, stride=2, padding=Padding(3, 3, 3, 3))
    x = net.relu(net.norm(stem, "backbone.bn1"))
    x = net.max_pool(x, "backbone.maxpool", 3, 2, Padding(1, 1, 1, 1))
    dilation = 1
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
            name = f"backbone.layer{stage + 1}.{block}"
            x = _bottleneck(net, x, name, inner, outer, stride if block == 0 else 1, rate)
    return x


def _compact_backbone(net: NetBuilder, width: float, output_stride: int) -> str:
    """Three stages of ResNet-50 v1, stride in the first 1x1 convolution; output stride 8 dilates the third by 2."""
    stem = net.conv(
        net.image, "backbone.conv1", scaled(net.name, 64, width * 2), 7, stride=2, padding=Padding(3, 3, 3, 3)
    )
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


def _head(net: NetBuilder, x: str, filters: int, classes: int, rates: Sequence[int], *, torchvision: bool) -> str:
    """Atrous spatial pyramid pooling and scores, named as torchvision names them."""
    aspp = "classifier.0.convs"
    branches = [_unit(net, x, f"{aspp}.0.0", f"{aspp}.0.1", filters)]
    for index, rate in enumerate(rates, 1):
        branches.append(_unit(net, x, f"{aspp}.{index}.0", f"{aspp}.{index}.1", filters, 3, rate))
    pooled = net.graph.add(ops.Mean((1, 2), keep_dims=True), x, name=f"{aspp}.4.0")
    pooled = _unit(net, pooled, f"{aspp}.4.1", f"{aspp}.4.2", filters)
    branches.append(net.resize(pooled, f"{aspp}.4.resize", net.size(x), not torchvision, torchvision))
    joined = net.graph.add(ops.Concat(3), *branches, name="classifier.0.concat")
    y = _unit(net, joined, "classifier.0.project.0", "classifier.0.project.1", filters)
    if torchvision:
        y = _unit(net, y, "classifier.1", "classifier.2", filters, 3)
    return net.conv(y, "classifier.4", classes, 1, bias=True, role="score")


def _paper_head(net: NetBuilder, x: str, filters: int, classes: int) -> str:
    """Pyramid pooling with batch norm but no ReLU, scores without bias."""
    pooled = net.graph.add(ops.Mean((1, 2), keep_dims=True), x, name="aspp.mean")
    pooled = net.norm(net.conv(pooled, "aspp.pool", filters, 1), "aspp.pool.bn")
    branches = [net.norm(net.conv(x, "aspp.1x1", filters, 1), "aspp.1x1.bn")]
    for rate in (6, 12, 18):
        y = net.conv(x, f"aspp.rate{rate}", filters, 3, dilation=rate)
        branches.append(net.norm(y, f"aspp.rate{rate}.bn"))
    branches.append(net.resize(pooled, "aspp.pool.resize", net.size(x), align_corners=False, half_pixel=False))
    joined = net.graph.add(ops.Concat(3), *branches, name="aspp.concat")
    y = net.norm(net.conv(joined, "aspp.project", filters, 1), "aspp.project.bn")
    return net.conv(y, "logits", classes, 1, role="score")
