"""Work and weights of every layer of the published networks, from their tables alone: (macs, weights with bias).

Square images. Sources: the FCN reference's net.py, the integer training paper's networks, torchvision's models.
"""

from __future__ import annotations

VGG = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))
BLOCKS = (3, 4, 6, 3)


class Sizes:
    def __init__(self):
        self.layers = {}

    def conv(self, name, side, channels, filters, kernel, *, stride=1, pad=None, rate=1, bias=False, groups=1):
        """Add a convolution; pad None = SAME. Return the side of its output."""
        out = -(-side // stride) if pad is None else (side + 2 * pad - rate * (kernel - 1) - 1) // stride + 1
        weights = kernel * kernel * (channels // groups) * filters
        self.layers[name] = (out * out * weights, weights + bias * filters)
        return out

    def transposed(self, name, side, channels, kernel):
        weights = kernel * kernel * channels * channels
        self.layers[name] = (side * side * weights, weights)


def fcn(side, classes, variant, *, caffe):
    net, channels, pools = Sizes(), 3, {}
    for stage, (repeats, filters) in enumerate(VGG, 1):
        for index in range(1, repeats + 1):
            pad = 100 if caffe and stage == index == 1 else 1
            side = net.conv(f"conv{stage}_{index}", side, channels, filters, 3, pad=pad, bias=caffe)
            channels = filters
        side = pools[stage] = -(-side // 2)
    side = net.conv("fc6", side, 512, 4096, 7, pad=0 if caffe else 3, bias=caffe)
    net.conv("fc7", side, 4096, 4096, 1, bias=caffe)
    net.conv("score_fr", side, 4096, classes, 1, bias=caffe)
    stride = 32
    names = ("upscore2", "upscore_pool4" if caffe else "upscore4")
    for stage, name, skipped in ((4, names[0], 512), (3, names[1], 256)):
        if stride == int(variant[:-1]):
            break
        net.transposed(name, side, classes, 4)
        net.conv(f"score_pool{stage}", pools[stage], skipped, classes, 1, bias=caffe)
        side = side * 2 + 2 if caffe else pools[stage]
        stride //= 2
    last = ("upscore" if variant == "32s" else f"upscore{stride}") if caffe else "upscore32"
    net.transposed(last, side, classes, 2 * stride)
    return net.layers


def resnet(side, output_stride, prefix=""):
    """ResNet-50 v1's layers and the side of its last map."""
    net = Sizes()
    side = net.conv(f"{prefix}conv1", side, 3, 64, 7, stride=2, pad=3)
    side, channels = (side - 1) // 2 + 1, 64
    for stage, blocks in enumerate(BLOCKS):
        inner = 64 << stage
        for block in range(blocks):
            name = f"{prefix}layer{stage + 1}.{block}"
            stride = 2 if stage and block == 0 and 4 << stage <= output_stride else 1
            before = side
            net.conv(f"{name}.conv1", before, channels, inner, 1)
            side = net.conv(f"{name}.conv2", before, inner, inner, 3, stride=stride, pad=1)
            net.conv(f"{name}.conv3", side, inner, 4 * inner, 1)
            if block == 0:
                net.conv(f"{name}.downsample.0", before, channels, 4 * inner, 1, stride=stride)
            channels = 4 * inner
    return net, side


def deeplab(side, classes, output_stride, *, torchvision, aux=False):
    net, side = resnet(side, output_stride, "backbone.")
    for index, kernel in enumerate((1, 3, 3, 3)):
        net.conv(f"classifier.0.convs.{index}.0", side, 2048, 256, kernel)
    net.conv("classifier.0.convs.4.1", 1, 2048, 256, 1)
    net.conv("classifier.0.project.0", side, 1280, 256, 1)
    if torchvision:
        net.conv("classifier.1", side, 256, 256, 3)
    net.conv("classifier.4", side, 256, classes, 1, bias=True)
    if aux:
        fcn_head(net, "aux_classifier", side, 1024, 256, classes)
    return net.layers


def fcn_head(net, name, side, channels, inner, classes):
    net.conv(f"{name}.0", side, channels, inner, 3)
    net.conv(f"{name}.4", side, inner, classes, 1, bias=True)


def fcn_resnet(side, classes):
    net, side = resnet(side, 8, "backbone.")
    fcn_head(net, "classifier", side, 2048, 512, classes)
    return net.layers


MOBILE = """
224 conv2d     -  32 1 2
112 bottleneck 1  16 1 1
112 bottleneck 6  24 2 2
 56 bottleneck 6  32 3 2
 28 bottleneck 6  64 4 2
 14 bottleneck 6  96 3 1
 14 bottleneck 6 160 3 2
  7 bottleneck 6 320 1 1
  7 conv2d     - 1280 1 1
"""
"""Table 2 of Sandler et al., "MobileNetV2" (2018): side of the input, operator, t, c, n, s."""


def mobilenet_v2():
    """At 224 pixels, width 1. A bottleneck (table 1): 1x1 to t k channels, 3x3 depthwise of stride s, 1x1 to k'."""
    net, channels, block = Sizes(), 3, 0
    for row in MOBILE.split("\n")[1:-1]:
        side, operator, *numbers = row.split()
        side, expansion = int(side), int(numbers[0].replace("-", "0"))
        filters, repeats, stride = map(int, numbers[1:])
        for index in range(repeats):
            name, step = f"features.{block}", stride if index == 0 else 1
            if operator == "conv2d":
                side = net.conv(f"{name}.0", side, channels, filters, 3 if block == 0 else 1, stride=step)
            else:
                inner, part = expansion * channels, 0
                if expansion > 1:
                    net.conv(f"{name}.conv.0.0", side, channels, inner, 1)
                    part = 1
                side = net.conv(f"{name}.conv.{part}.0", side, inner, inner, 3, stride=step, groups=inner)
                net.conv(f"{name}.conv.{part + 1}", side, inner, filters, 1)
            channels, block = filters, block + 1
    net.conv("classifier.1", 1, channels, 1000, 1, bias=True)
    return net.layers


def resnet50(side):
    net, _ = resnet(side, 32)
    net.conv("fc", 1, 2048, 1000, 1, bias=True)
    return net.layers


def paper_deeplab(side, classes):
    net = Sizes()
    side = -(-net.conv("conv1", side, 3, 64, 7, stride=2) // 2)
    channels = 64
    for stage, (outer, units, last) in enumerate(((256, 3, 2), (512, 4, 2), (1024, 6, 1), (2048, 3, 1)), 1):
        for unit in range(1, units + 1):
            name, stride = f"block{stage}.unit{unit}", last if unit == units else 1
            if unit == 1:
                net.conv(f"{name}.shortcut", side, channels, outer, 1)
            side = net.conv(f"{name}.conv1", side, channels, outer // 4, 1, stride=stride)
            net.conv(f"{name}.conv2", side, outer // 4, outer // 4, 3)
            net.conv(f"{name}.conv3", side, outer // 4, outer, 1)
            channels = outer
    net.conv("aspp.pool", 1, 2048, 256, 1)
    net.conv("aspp.1x1", side, 2048, 256, 1)
    for rate in (6, 12, 18):
        net.conv(f"aspp.rate{rate}", side, 2048, 256, 3)
    net.conv("aspp.project", side, 1280, 256, 1)
    net.conv("logits", side, 256, classes, 1)
    return net.layers


def vgg16():
    net, side, channels, index = Sizes(), 224, 3, 0
    for repeats, filters in VGG:
        for _ in range(repeats):
            net.conv(f"features.{index}", side, channels, filters, 3, bias=True)
            channels, index = filters, index + 2
        side, index = side // 2, index + 1
    for name, inputs, filters in (("0", 25088, 4096), ("3", 4096, 4096), ("6", 4096, 1000)):
        net.conv(f"classifier.{name}", 1, inputs, filters, 1, bias=True)
    return net.layers
