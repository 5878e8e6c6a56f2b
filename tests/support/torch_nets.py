"""The built-in networks written in torch.nn, under torchvision's names; torchvision itself is not needed."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn
from torch.nn import functional


class Bottleneck(nn.Module):
    def __init__(self, channels, inner, stride, dilation, first):
        super().__init__()
        outer = inner * 4
        self.conv1 = nn.Conv2d(channels, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, dilation, dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, outer, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outer)
        if first:
            self.downsample = nn.Sequential(nn.Conv2d(channels, outer, 1, stride, bias=False), nn.BatchNorm2d(outer))
        self.first = first

    def forward(self, x):
        y = functional.relu(self.bn1(self.conv1(x)))
        y = functional.relu(self.bn2(self.conv2(y)))
        return functional.relu(self.bn3(self.conv3(y)) + (self.downsample(x) if self.first else x))


class ResNet50(nn.Module):
    """dilated: output stride 8, as under the segmentation heads; classes None: no `fc`."""

    def __init__(self, base, dilated=False, classes=None):
        super().__init__()
        self.conv1 = nn.Conv2d(3, base, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(base)
        channels = base
        strides = (1, 2, 1, 1) if dilated else (1, 2, 2, 2)
        dilations = ((1, 1), (1, 1), (1, 2), (2, 4)) if dilated else ((1, 1),) * 4
        for stage, blocks in enumerate((3, 4, 6, 3)):
            layers = []
            for block in range(blocks):
                stride, rate = (strides[stage] if block == 0 else 1), dilations[stage][block > 0]
                layers.append(Bottleneck(channels, base << stage, stride, rate, block == 0))
                channels = (base << stage) * 4
            self.add_module(f"layer{stage + 1}", nn.Sequential(*layers))
        self.fc = nn.Linear(channels, classes) if classes else None

    def stages(self, x):
        x = functional.max_pool2d(functional.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        third = self.layer3(self.layer2(self.layer1(x)))
        return third, self.layer4(third)

    def forward(self, x):
        return self.fc(self.stages(x)[1].mean((2, 3)))


def fcn_head(channels, inner, classes):
    return nn.Sequential(
        nn.Conv2d(channels, inner, 3, padding=1, bias=False),
        *(nn.BatchNorm2d(inner), nn.ReLU(), nn.Dropout(0.1), nn.Conv2d(inner, classes, 1)),
    )


class Aspp(nn.Module):
    def __init__(self, channels, filters):
        super().__init__()

        def unit(source, kernel, rate):
            pad = rate if kernel == 3 else 0
            conv = nn.Conv2d(source, filters, kernel, padding=pad, dilation=rate, bias=False)
            return [conv, nn.BatchNorm2d(filters), nn.ReLU()]

        branches = [nn.Sequential(*unit(channels, 1, 1))]
        branches += [nn.Sequential(*unit(channels, 3, rate)) for rate in (12, 24, 36)]
        branches.append(nn.Sequential(nn.AdaptiveAvgPool2d(1), *unit(channels, 1, 1)))
        self.convs = nn.ModuleList(branches)
        self.project = nn.Sequential(*unit(5 * filters, 1, 1))

    def forward(self, x):
        parts = [branch(x) for branch in self.convs]
        parts[-1] = functional.interpolate(parts[-1], size=x.shape[2:], mode="bilinear", align_corners=False)
        return self.project(torch.cat(parts, 1))


class Segmentation(nn.Module):
    def __init__(self, base, classes, head):
        super().__init__()
        self.backbone = ResNet50(base, dilated=True)
        channels, filters = base * 32, base * 4
        if head == "deeplab":
            unit = [nn.Conv2d(filters, filters, 3, padding=1, bias=False), nn.BatchNorm2d(filters), nn.ReLU()]
            self.classifier = nn.Sequential(Aspp(channels, filters), *unit, nn.Conv2d(filters, classes, 1))
        else:
            self.classifier = fcn_head(channels, base * 8, classes)
        self.aux_classifier = fcn_head(base * 16, base * 4, classes)

    def forward(self, x):
        third, fourth = self.backbone.stages(x)
        scores = self.classifier(fourth), self.aux_classifier(third)
        return [functional.interpolate(y, size=x.shape[2:], mode="bilinear", align_corners=False) for y in scores]


class Vgg16(nn.Module):
    def __init__(self, base, hidden, classes):
        super().__init__()
        layers, channels = [], 3
        for repeats, times in ((2, 1), (2, 2), (3, 4), (3, 8), (3, 8)):
            for _ in range(repeats):
                layers += [nn.Conv2d(channels, base * times, 3, padding=1), nn.ReLU()]
                channels = base * times
            layers.append(nn.MaxPool2d(2, 2))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            OrderedDict({"0": nn.Linear(channels * 49, hidden), "3": nn.Linear(hidden, hidden)}),
        )
        self.classifier.add_module("6", nn.Linear(hidden, classes))

    def forward(self, x):
        x = functional.adaptive_avg_pool2d(self.features(x), 7).flatten(1)
        for name, layer in self.classifier.named_children():
            x = layer(x) if name == "6" else functional.relu(layer(x))
        return x


class InvertedResidual(nn.Module):
    def __init__(self, channels, filters, stride, expansion, dilation):
        super().__init__()
        inner = channels * expansion
        depthwise = {"stride": stride, "padding": dilation, "dilation": dilation, "groups": inner}
        layers = [conv_bn_relu6(channels, inner, 1)] if expansion != 1 else []
        layers += [conv_bn_relu6(inner, inner, 3, **depthwise)]
        layers += [nn.Conv2d(inner, filters, 1, bias=False), nn.BatchNorm2d(filters)]
        self.conv = nn.Sequential(*layers)
        self.residual = stride == 1 and channels == filters

    def forward(self, x):
        return x + self.conv(x) if self.residual else self.conv(x)


def conv_bn_relu6(channels, filters, kernel, **options):
    conv = nn.Conv2d(channels, filters, kernel, bias=False, **options)
    return nn.Sequential(conv, nn.BatchNorm2d(filters), nn.ReLU6())


class MobileNetV2(nn.Module):
    """Table 2 of Sandler et al. from its rows (t, c, n, s)."""

    def __init__(self, rows, stem, last, classes):
        super().__init__()
        layers, channels = [conv_bn_relu6(3, stem, 3, stride=2, padding=1)], stem
        for expansion, filters, repeats, stride in rows:
            for block in range(repeats):
                layers.append(InvertedResidual(channels, filters, stride if block == 0 else 1, expansion, 1))
                channels = filters
        self.features = nn.Sequential(*layers, conv_bn_relu6(channels, last, 1))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(last, classes))

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


def randomised(model, seed):
    """Give every parameter and running statistic a random value that keeps activations near 1."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        noise = torch.randn(value.shape, generator=generator)
        if value.ndim > 1:
            value.copy_(noise * (2 / value[0].numel()) ** 0.5)
        elif name.endswith("running_var"):
            value.copy_(noise.abs() * 0.5 + 0.7)
        elif name.endswith(".weight"):
            value.copy_(noise * 0.1 + 0.6)
        else:
            value.copy_(noise * 0.1)
    return model.eval()
