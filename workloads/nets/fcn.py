"""Fully convolutional networks on VGG16: FCN-32s, FCN-16s, FCN-8s."""

from __future__ import annotations

from pathlib import Path

from simulator.graph import ops
from simulator.graph.ops import Padding
from workloads.nets.layers import MEAN_ONLY, NetBuilder, Size, check_choice, check_classes, image_size, scaled
from workloads.nets.weights import weight_source
from workloads.network import Network

_VGG16 = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))
"""(convolutions, channels) of each stage."""
_CAFFE_CROP = {"32s": 19, "16s": 27, "8s": 31}
"""Rows and columns of the upsampled scores before the first of the image (FCN's published net.py)."""


def fcn_vgg16(
    variant: str = "8s",
    layout: str = "paper",
    size: Size = 512,
    classes: int = 21,
    width: float = 1.0,
    weights: str | Path | None = None,
    seed: int = 0,
) -> Network:
    """Return FCN-VGG16, float, from mean-free image to label map [1, height, width].

    Parameters
    ----------
    variant
        ``"32s"``, ``"16s"`` or ``"8s"``: stride of the finest scores used.
    layout
        ``"paper"``: the integer training paper's: SAME padding, no biases, trained transposed convolutions to the sizes
        of the skipped scores and the image. ``"caffe"``: the reference by Shelhamer, Long and Darrell: first
        convolution padded by 100, biases, scores cropped, fixed bilinear transposed convolutions. ``"compact"``: to be
        trained on few images: as "paper", VGG16 with its biases, fc6 3x3 and fc7 of 512 channels.
    size
        Side of the square image, or (height, width).
    classes
        Number of classes, background included.
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
    name = "fcn_vgg16"
    check_choice(name, "variant", variant, tuple(_CAFFE_CROP))
    check_choice(name, "layout", layout, ("paper", "caffe", "compact"))
    check_classes(name, classes)
    net = NetBuilder(name, image_size(name, size), weight_source(weights, seed))
    if layout == "caffe":
        scores = _caffe(net, variant, classes, width)
    else:
        scores = _paper(net, variant, classes, width, compact=layout == "compact")
    net.labels(scores)
    return net.network(MEAN_ONLY, classes)


def _vgg16(net: NetBuilder, width: float, first_pad: int = 1, *, bias: bool) -> dict[int, str]:
    """Add the convolutions and pools; return the pooled features of each stage, counted from 1."""
    x = net.image
    pools = {}
    for stage, (repeats, channels) in enumerate(_VGG16, 1):
        for index in range(1, repeats + 1):
            pad = first_pad if (stage, index) == (1, 1) else 1
            border = Padding(pad, pad, pad, pad)
            filters = scaled(net.name, channels, width)
            x = net.relu(net.conv(x, f"conv{stage}_{index}", filters, 3, padding=border, bias=bias))
        # Caffe rounds the size of a pool up, which for 2x2 windows at stride 2 is what SAME does.
        x = pools[stage] = net.max_pool(x, f"pool{stage}", 2, 2)
    return pools


def _classifier(net: NetBuilder, x: str, classes: int, width: float, padding: Padding | None, *, bias: bool) -> str:
    filters = scaled(net.name, 4096, width)
    x = net.relu(net.conv(x, "fc6", filters, 7, padding=padding, bias=bias))
    x = net.relu(net.conv(x, "fc7", filters, 1, bias=bias))
    return net.conv(x, "score_fr", classes, 1, bias=bias, role="score")


def _paper(net: NetBuilder, variant: str, classes: int, width: float, *, compact: bool) -> str:
    pools = _vgg16(net, width, bias=compact)
    if compact:
        filters = scaled(net.name, 512, width)
        x = net.relu(net.conv(pools[5], "fc6", filters, 3))
        x = net.conv(net.relu(net.conv(x, "fc7", filters, 1)), "score_fr", classes, 1, role="score")
    else:
        x = _classifier(net, pools[5], classes, width, None, bias=False)
    stride = 32
    for stage, name in ((4, "upscore2"), (3, "upscore4")):
        if stride == int(variant[:-1]):
            break
        x = net.upscore(x, name, 4, 2, net.size(pools[stage]))
        skipped = net.conv(pools[stage], f"score_pool{stage}", classes, 1, role="score")
        x = net.add(x, skipped, f"fuse_pool{stage}")
        stride //= 2
    return net.upscore(x, "upscore32", 2 * stride, stride, net.size(net.image))


def _caffe(net: NetBuilder, variant: str, classes: int, width: float) -> str:
    pools = _vgg16(net, width, 100, bias=True)
    x = _classifier(net, pools[5], classes, width, Padding(), bias=True)
    stride = 32
    for stage, name, offset in ((4, "upscore2", 5), (3, "upscore_pool4", 9)):
        if stride == int(variant[:-1]):
            break
        x = net.upscore(x, name, 4, 2, None)
        skipped = net.conv(pools[stage], f"score_pool{stage}", classes, 1, bias=True, role="score")
        x = net.add(x, _crop(net, skipped, f"score_pool{stage}c", offset, net.size(x)), f"fuse_pool{stage}")
        stride //= 2
    x = net.upscore(x, "upscore" if variant == "32s" else f"upscore{stride}", 2 * stride, stride, None)
    return _crop(net, x, "score", _CAFFE_CROP[variant], net.size(net.image))


def _crop(net: NetBuilder, x: str, name: str, offset: int, size: tuple[int, int]) -> str:
    begin, end = (0, offset, offset, 0), (None, offset + size[0], offset + size[1], None)
    return net.graph.add(ops.Slice(begin, end, (1, 1, 1, 1)), x, name=name)
