"""The networks that torchvision does not have, as torch functions of their constants by name; no layer of ours.

Each takes an image [1, 3, height, width] and gives the scores that the labels are chosen from.
"""

from __future__ import annotations

import torch
from torch.nn import functional

INF = float("inf")


class Constants:
    """Constants of a network by name, as torch wants them."""

    def __init__(self, arrays):
        self.arrays = arrays

    def __call__(self, name):
        value = torch.from_numpy(self.arrays[name].copy())
        return value.permute(0, 3, 1, 2) if value.ndim == 4 else value

    def conv(self, x, name, *, stride=1, rate=1, pad=None):
        """pad None: SAME as TensorFlow has it."""
        weight, bias = self(f"{name}.weight"), f"{name}.bias"
        x = same(x, weight.shape[2], stride, rate) if pad is None else functional.pad(x, (pad,) * 4)
        return functional.conv2d(x, weight, self(bias) if bias in self.arrays else None, stride, 0, rate)

    def norm(self, x, name):
        parts = ("running_mean", "running_var", "weight", "bias")
        return functional.batch_norm(x, *(self(f"{name}.{part}") for part in parts))

    def unit(self, x, conv, norm, **options):
        return functional.relu(self.norm(self.conv(x, conv, **options), norm))

    def transposed(self, x, name, stride, size=None):
        """size: as the gradient of a SAME convolution of an image of that size; None: all there is."""
        weight = self(f"{name}.weight").permute(1, 0, 2, 3)  # [channels, filters, ...]
        bias = self(f"{name}.bias") if f"{name}.bias" in self.arrays else None
        y = functional.conv_transpose2d(x, weight, bias, stride)
        if size is None:
            return y
        top, left = (max(0, (-(-n // stride) - 1) * stride + weight.shape[2] - n) // 2 for n in size)
        y = functional.pad(y, (0, max(0, left + size[1] - y.shape[3]), 0, max(0, top + size[0] - y.shape[2])))
        return y[:, :, top : top + size[0], left : left + size[1]]


def same(x, kernel, stride, rate=1, value=0.0):
    pads = []
    for n in (x.shape[3], x.shape[2]):
        total = max(0, (-(-n // stride) - 1) * stride + (kernel - 1) * rate + 1 - n)
        pads += [total // 2, total - total // 2]
    return functional.pad(x, pads, value=value)


def resize(x, size, align):
    return functional.interpolate(x, size=tuple(size), mode="bilinear", align_corners=align)


def fcn8s(c, image, layout):
    caffe = layout == "caffe"
    x, pools = image, {}
    for stage, repeats in enumerate((2, 2, 3, 3, 3), 1):
        for index in range(1, repeats + 1):
            x = functional.relu(c.conv(x, f"conv{stage}_{index}", pad=100 if caffe and stage == index == 1 else 1))
        x = pools[stage] = functional.max_pool2d(x, 2, 2, ceil_mode=True)
    x = functional.relu(c.conv(x, "fc6", pad=0 if caffe else None))
    x = c.conv(functional.relu(c.conv(x, "fc7", pad=0)), "score_fr", pad=0)
    for stage, name, offset in ((4, "upscore2", 5), (3, "upscore_pool4" if caffe else "upscore4", 9)):
        skipped = c.conv(pools[stage], f"score_pool{stage}", pad=0)
        x = c.transposed(x, name, 2, None if caffe else skipped.shape[2:])
        if caffe:
            skipped = skipped[:, :, offset : offset + x.shape[2], offset : offset + x.shape[3]]
        x = x + skipped
    if not caffe:
        return c.transposed(x, "upscore32", 8, image.shape[2:])
    x = c.transposed(x, "upscore8", 8)
    return x[:, :, 31 : 31 + image.shape[2], 31 : 31 + image.shape[3]]


def paper_deeplab(c, image, layout):
    x = c.conv(image, "conv1", stride=2)
    x = functional.max_pool2d(same(x, 3, 2, value=-INF), 3, 2)
    for stage, (units, last) in enumerate(((3, 2), (4, 2), (6, 1), (3, 1)), 1):
        for unit in range(1, units + 1):
            name, stride = f"block{stage}.unit{unit}", last if unit == units else 1
            active = functional.relu(c.norm(x, f"{name}.preact"))
            shortcut = c.conv(active, f"{name}.shortcut", pad=0) if unit == 1 else x[:, :, ::stride, ::stride]
            y = c.unit(active, f"{name}.conv1", f"{name}.conv1.bn", stride=stride, pad=0)
            y = c.unit(y, f"{name}.conv2", f"{name}.conv2.bn")
            x = c.conv(y, f"{name}.conv3", pad=0) + shortcut
    size = x.shape[2:]
    pooled = c.norm(c.conv(x.mean((2, 3), keepdim=True), "aspp.pool", pad=0), "aspp.pool.bn")
    parts = [c.norm(c.conv(x, "aspp.1x1", pad=0), "aspp.1x1.bn")]
    parts += [c.norm(c.conv(x, f"aspp.rate{rate}", rate=rate), f"aspp.rate{rate}.bn") for rate in (6, 12, 18)]
    joined = torch.cat([*parts, pooled.expand(-1, -1, *size)], 1)
    scores = c.conv(c.norm(c.conv(joined, "aspp.project", pad=0), "aspp.project.bn"), "logits", pad=0)
    return asymmetric(scores, image.shape[2:])


def asymmetric(x, size):
    """Bilinear: output i lies at i * (input size / output size), as TensorFlow 1 has it."""
    for axis, count in ((2, size[0]), (3, size[1])):
        position = torch.arange(count, dtype=torch.float64) * (x.shape[axis] / count)
        low = position.floor().long()
        high = (low + 1).clamp(max=x.shape[axis] - 1)
        share = (position - low).float().reshape([-1 if a == axis else 1 for a in range(4)])
        x = x.index_select(axis, low) * (1 - share) + x.index_select(axis, high) * share
    return x


def multi_grid_deeplab(c, image, output_stride):
    """DeepLabv3 of Chen et al.: rates 1, 2, 4 times the last stage's, bilinear with aligned corners."""
    x = functional.relu(c.norm(c.conv(image, "backbone.conv1", stride=2, pad=3), "backbone.bn1"))
    x = functional.max_pool2d(x, 3, 2, 1)
    plan = {16: ((1, 1), (2, 1), (2, 1), (1, 2)), 8: ((1, 1), (2, 1), (1, 2), (1, 4))}[output_stride]
    for stage, (blocks, (first, base)) in enumerate(zip((3, 4, 6, 3), plan, strict=True), 1):
        for block in range(blocks):
            name, stride = f"backbone.layer{stage}.{block}", first if block == 0 else 1
            rate = base * (1, 2, 4)[block] if stage == 4 else base
            y = c.unit(x, f"{name}.conv1", f"{name}.bn1", pad=0)
            y = c.unit(y, f"{name}.conv2", f"{name}.bn2", stride=stride, rate=rate, pad=rate)
            y = c.norm(c.conv(y, f"{name}.conv3", pad=0), f"{name}.bn3")
            if block == 0:
                x = c.norm(c.conv(x, f"{name}.downsample.0", stride=stride, pad=0), f"{name}.downsample.1")
            x = functional.relu(x + y)
    head = "classifier.0"
    parts = [c.unit(x, f"{head}.convs.0.0", f"{head}.convs.0.1", pad=0)]
    for index, rate in enumerate((6, 12, 18) if output_stride == 16 else (12, 24, 36), 1):
        parts.append(c.unit(x, f"{head}.convs.{index}.0", f"{head}.convs.{index}.1", rate=rate, pad=rate))
    pooled = c.unit(x.mean((2, 3), keepdim=True), f"{head}.convs.4.1", f"{head}.convs.4.2", pad=0)
    joined = torch.cat([*parts, pooled.expand(-1, -1, *x.shape[2:])], 1)
    y = c.unit(joined, f"{head}.project.0", f"{head}.project.1", pad=0)
    return resize(c.conv(y, "classifier.4", pad=0), image.shape[2:], True)


def unet(c, image, layout):
    def double(x, name):
        for index in (1, 2):
            x = c.unit(x, f"{name}.conv{index}", f"{name}.bn{index}")
        return x

    levels = sum(name.startswith("down") and name.endswith("conv1.weight") for name in c.arrays)
    x, skips = double(image, "down0"), []
    for level in range(1, levels):
        skips.append(x)
        x = double(functional.max_pool2d(x, 2, 2, ceil_mode=True), f"down{level}")
    for level in reversed(range(levels - 1)):
        up = c.transposed(x, f"up{level}.transposed", 2, skips[level].shape[2:])
        x = double(torch.cat([skips[level], up], 1), f"up{level}")
    return c.conv(x, "scores", pad=0)
