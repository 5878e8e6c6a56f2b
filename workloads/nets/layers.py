"""The vocabulary in which the built-in float networks are written."""

from __future__ import annotations

from dataclasses import replace

from simulator.errors import NetworkError
from simulator.graph import ops
from simulator.graph.builder import GraphBuilder
from simulator.graph.ops import Padding
from simulator.numerics.formats import FLOAT32
from workloads.nets.weights import SeededWeights, WeightSource
from workloads.network import ImageInput, Network
from workloads.segmentation import segmentation_of

IMAGENET = ImageInput(mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))
"""Normalisation of torchvision's models: mean (0.485, 0.456, 0.406) and deviation (0.229, 0.224, 0.225) times 255."""
MEAN_ONLY = ImageInput(mean=(123.68, 116.779, 103.939), std=(1.0, 1.0, 1.0))
"""Normalisation of the VGG networks: the mean of ImageNet, no scaling."""
SYMMETRIC = ImageInput(mean=(127.5, 127.5, 127.5), std=(127.5, 127.5, 127.5))
"""Pixels to -1 .. 1, as TensorFlow's slim models take them."""

Size = int | tuple[int, int]
"""Side of a square image, or (height, width)."""
LARGEST_SIDE = 32_768
"""Of an image: schedules grow with its area, and those of larger ones take all memory."""


def image_size(network: str, size: Size) -> tuple[int, int]:
    """Return (height, width); NetworkError on anything that is no size."""
    pair = (size, size) if isinstance(size, int) else tuple(size)
    if len(pair) != 2 or not all(isinstance(side, int) and 1 <= side <= LARGEST_SIDE for side in pair):
        most = f"a whole number up to {LARGEST_SIDE:,}"
        raise NetworkError(f"{network}: size is {most} or (height, width), not {size!r}")
    return pair[0], pair[1]


def check_choice(network: str, keyword: str, value: object, choices: tuple[object, ...]) -> None:
    """Raise NetworkError where `value` is none of `choices`."""
    if value not in choices:
        raise NetworkError(f"{network}: {keyword} is {' or '.join(map(repr, choices))}, not {value!r}")


def check_classes(network: str, classes: int) -> None:
    """Raise NetworkError where `classes` is no number of classes."""
    if not isinstance(classes, int) or not 2 <= classes <= 1000:
        raise NetworkError(f"{network}: classes is a whole number from 2 to 1000, not {classes!r}")


def scaled(network: str, channels: int, width: float) -> int:
    """Return `channels` times the width multiplier, a multiple of 8 and at least 8."""
    if not 0 < width <= 8:
        raise NetworkError(f"{network}: width is greater than 0 and at most 8, not {width!r}")
    return max(8, round(channels * width / 8) * 8)


def same_padding(size: tuple[int, int], kernel: int, stride: int, dilation: int = 1) -> Padding:
    """Return TensorFlow's SAME padding: ceil(size / stride) outputs, the odd row or column after the image."""
    totals = [max(0, (-(-side // stride) - 1) * stride + (kernel - 1) * dilation + 1 - side) for side in size]
    top, left = totals[0] // 2, totals[1] // 2
    return Padding(top, totals[0] - top, left, totals[1] - left)


class NetBuilder:
    """Writes a float network; every method returns the name of the tensor it makes."""

    def __init__(self, name: str, size: tuple[int, int], weights: WeightSource | None) -> None:
        self.name = name
        self.graph = GraphBuilder(name)
        self.weights = weights
        self.image = self.graph.input("image", (1, *size, 3), FLOAT32)

    def size(self, x: str) -> tuple[int, int]:
        """Height and width of a tensor."""
        _, height, width, _ = self.graph.shape(x)
        return height, width

    def constant(self, name: str, shape: tuple[int, ...], role: str) -> str:
        """Declare a constant from the network's weight source."""
        if self.weights is None:
            return self.graph.placeholder(name, shape, FLOAT32)
        return self.graph.constant(name, self.weights.take(name, shape, role), FLOAT32)

    def conv(
        self,
        x: str,
        name: str,
        filters: int,
        kernel: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        padding: Padding | None = None,
        groups: int = 1,
        bias: bool = False,
        role: str = "conv",
    ) -> str:
        """Convolution; padding None = SAME."""
        border = same_padding(self.size(x), kernel, stride, dilation) if padding is None else padding
        shape = (filters, kernel, kernel, self.graph.shape(x)[3] // groups)
        weights = self.constant(f"{name}.weight", shape, role)
        offset = self.constant(f"{name}.bias", (filters,), "bias") if bias else None
        op = ops.Conv2D((stride, stride), border, (dilation, dilation), groups)
        return self.graph.add(op, x, weights, offset, name=name)

    def unit(self, x: str, conv: str, norm: str, filters: int, kernel: int = 1, rate: int = 1) -> str:
        """Convolution with centred padding, batch norm, ReLU."""
        pad = (kernel // 2) * rate
        y = self.conv(x, conv, filters, kernel, dilation=rate, padding=Padding(pad, pad, pad, pad))
        return self.relu(self.norm(y, norm))

    def linear(self, x: str, name: str, filters: int, role: str = "conv") -> str:
        """Fully connected layer with bias, of a tensor [1, channels]."""
        weights = self.constant(f"{name}.weight", (filters, self.graph.shape(x)[-1]), role)
        bias = self.constant(f"{name}.bias", (filters,), "bias")
        return self.graph.add(ops.FullyConnected(), x, weights, bias, name=name)

    def mean(self, x: str, name: str) -> str:
        """Mean over height and width: [1, channels]."""
        return self.graph.add(ops.Mean((1, 2)), x, name=name)

    def upscore(self, x: str, name: str, kernel: int, stride: int, size: tuple[int, int] | None) -> str:
        """Transposed convolution of scores: to `size` as the gradient of SAME, or None = the full result."""
        channels = self.graph.shape(x)[3]
        full = tuple((side - 1) * stride + kernel for side in self.size(x))
        border = Padding() if size is None else same_padding(size, kernel, stride)
        weights = self.constant(f"{name}.weight", (channels, kernel, kernel, channels), "bilinear")
        op = ops.TransposeConv2D((stride, stride), size or (full[0], full[1]), border)
        return self.graph.add(op, x, weights, name=name)

    def upsample(self, x: str, name: str, filters: int, stride: int, size: tuple[int, int]) -> str:
        """Transposed convolution whose kernel is its stride, with bias, to `size`."""
        shape = (filters, stride, stride, self.graph.shape(x)[3])
        weights = self.constant(f"{name}.weight", shape, "transposed")
        bias = self.constant(f"{name}.bias", (filters,), "bias")
        op = ops.TransposeConv2D((stride, stride), size, same_padding(size, stride, stride))
        return self.graph.add(op, x, weights, bias, name=name)

    def norm(self, x: str, name: str, gamma: str = "gamma") -> str:
        """Batch norm with running statistics, named as torch names them; `gamma` is the role of its gain."""
        channels = self.graph.shape(x)[3:]
        roles = {"weight": gamma, "bias": "beta", "running_mean": "mean", "running_var": "variance"}
        parameters = [self.constant(f"{name}.{suffix}", channels, role) for suffix, role in roles.items()]
        return self.graph.add(ops.BatchNorm(), x, *parameters, name=name)

    def relu(self, x: str, name: str | None = None) -> str:
        """Rectify; the tensor is called `<x>.relu`."""
        return self.graph.add(ops.Relu(), x, name=name or f"{x}.relu")

    def relu6(self, x: str) -> str:
        """Rectify and clip at 6; the tensor is called `<x>.relu6`."""
        return self.graph.add(ops.Relu6(), x, name=f"{x}.relu6")

    def add(self, a: str, b: str, name: str) -> str:
        """Sum of two equal shapes."""
        return self.graph.add(ops.Add(), a, b, name=name)

    def max_pool(self, x: str, name: str, kernel: int, stride: int, padding: Padding | None = None) -> str:
        """Max pool; padding None = SAME."""
        border = same_padding(self.size(x), kernel, stride) if padding is None else padding
        return self.graph.add(ops.MaxPool2D((kernel, kernel), (stride, stride), border), x, name=name)

    def resize(self, x: str, name: str, size: tuple[int, int], align_corners: bool, half_pixel: bool) -> str:
        """Bilinear resize."""
        return self.graph.add(ops.ResizeBilinear(size, align_corners, half_pixel), x, name=name)

    def labels(self, scores: str, name: str = "labels") -> str:
        """Class with the greatest score, int32 [1, height, width], an output of the network."""
        return self.graph.output(self.graph.add(ops.ArgMax(3), scores, name=name))

    def network(self, image: ImageInput, classes: int) -> Network:
        """Return the segmentation network; NetworkError where the weight file does not suit it."""
        found = self.classifier(image)
        auxiliary = tuple(name for name in found.graph.outputs if name != "labels")
        return replace(found, segmentation=segmentation_of("labels", classes), auxiliary_outputs=auxiliary)

    def classifier(self, image: ImageInput) -> Network:
        """Return the network without segmentation; NetworkError where the weight file does not suit it."""
        notes = () if self.weights is None else self.weights.finish(self.name)
        return Network(self.graph.build(), image=image, notes=notes, seeded=isinstance(self.weights, SeededWeights))
