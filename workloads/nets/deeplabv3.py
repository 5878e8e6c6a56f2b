"""DeepLabv3 with a ResNet-50 backbone, in the three layouts that are in use, and one small enough to be trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from simulator.errors import NetworkError
from simulator.graph import ops
from workloads.nets.fcn_resnet import auxiliary_head
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
from workloads.nets.resnet import compact_backbone, resnet50_backbone
from workloads.nets.weights import weight_source
from workloads.network import Network

_LAYOUTS = ("torchvision", "deeplab", "paper", "compact")


def deeplabv3_resnet50(
    layout: str = "torchvision",
    size: Size = 513,
    classes: int = 21,
    width: float = 1.0,
    output_stride: int | None = None,
    aux: bool = False,
    weights: str | Path | None = None,
    seed: int = 0,
) -> Network:
    """Return DeepLabv3-ResNet50, float, from normalised image to label map [1, height, width].

    Parameters
    ----------
    layout
        ``"torchvision"``: torchvision's model: output stride 8, rates 12, 24, 36, a 3x3
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
    aux
        Layout "torchvision" only: the auxiliary head too, its label map as the output ``aux_labels``. `macs` then
        counts it, `parameters` does not.
    weights
        None = shapes only, ``"seeded"`` = random, or a file (.pth, .safetensors, .npz).
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
    if aux and layout != "torchvision":
        raise NetworkError(f"{name}: aux=True, the auxiliary head, is of layout 'torchvision', not {layout!r}")
    net = NetBuilder(name, image_size(name, size), weight_source(weights, seed))
    head = scaled(name, 256, width)
    if layout == "paper":
        features = preactivation_backbone(net, width)
        scores = _paper_head(net, features, head, classes)
    elif layout == "compact":
        features = compact_backbone(net, width, stride)
        scores = _head(net, features, scaled(name, 96, width), classes, (6, 12, 18), torchvision=False)
    else:
        middle, features = resnet50_backbone(net, width, stride, torchvision=layout == "torchvision")
        rates = (12, 24, 36) if stride == 8 else (6, 12, 18)
        scores = _head(net, features, head, classes, rates, torchvision=layout == "torchvision")
    half_pixel, align_corners = layout in ("torchvision", "compact"), layout == "deeplab"
    net.labels(net.resize(scores, "upsampled", net.size(net.image), align_corners, half_pixel))
    if aux:
        auxiliary_head(net, middle, width, classes)
    return net.network({"paper": SYMMETRIC, "compact": MEAN_ONLY}.get(layout, IMAGENET), classes)


def _head(net: NetBuilder, x: str, filters: int, classes: int, rates: Sequence[int], *, torchvision: bool) -> str:
    """Atrous spatial pyramid pooling and scores, named as torchvision names them."""
    aspp = "classifier.0.convs"
    branches = [net.unit(x, f"{aspp}.0.0", f"{aspp}.0.1", filters)]
    for index, rate in enumerate(rates, 1):
        branches.append(net.unit(x, f"{aspp}.{index}.0", f"{aspp}.{index}.1", filters, 3, rate))
    pooled = net.graph.add(ops.Mean((1, 2), keep_dims=True), x, name=f"{aspp}.4.0")
    pooled = net.unit(pooled, f"{aspp}.4.1", f"{aspp}.4.2", filters)
    branches.append(net.resize(pooled, f"{aspp}.4.resize", net.size(x), not torchvision, torchvision))
    joined = net.graph.add(ops.Concat(3), *branches, name="classifier.0.concat")
    y = net.unit(joined, "classifier.0.project.0", "classifier.0.project.1", filters)
    if torchvision:
        y = net.unit(y, "classifier.1", "classifier.2", filters, 3)
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
