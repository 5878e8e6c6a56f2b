"""ResNet-50 v2: batch norm and ReLU before each convolution, as TensorFlow's slim library writes it."""

from __future__ import annotations

from simulator.graph.ops import Padding
from workloads.nets.layers import NetBuilder, scaled

_STAGES = ((256, 3, 2), (512, 4, 2), (1024, 6, 1), (2048, 3, 1))
"""(output channels, units, stride of the last unit): output stride 16, no dilation."""


def preactivation_backbone(net: NetBuilder, width: float) -> str:
    """Add the backbone to `net` and return its features, without a final batch norm.

    The stride is in the first 1x1 convolution of a stage's last unit; an identity shortcut is then subsampled.
    """
    x = net.conv(net.image, "conv1", scaled(net.name, 64, width), 7, stride=2)
    x = net.max_pool(x, "pool1", 3, 2)
    for stage, (channels, units, last_stride) in enumerate(_STAGES, 1):
        outer = scaled(net.name, channels, width)
        inner = scaled(net.name, channels // 4, width)
        for unit in range(1, units + 1):
            stride = last_stride if unit == units else 1
            x = _unit(net, x, f"block{stage}.unit{unit}", inner, outer, stride, projected=unit == 1)
    return x


def _unit(net: NetBuilder, x: str, name: str, inner: int, outer: int, stride: int, *, projected: bool) -> str:
    active = net.relu(net.norm(x, f"{name}.preact"))
    if projected:
        shortcut = net.conv(active, f"{name}.shortcut", outer, 1, stride=stride)
    else:
        shortcut = x if stride == 1 else net.max_pool(x, f"{name}.subsample", 1, stride, Padding())
    y = net.conv(active, f"{name}.conv1", inner, 1, stride=stride, padding=Padding())
    y = net.relu(net.norm(y, f"{name}.conv1.bn"))
    y = net.relu(net.norm(net.conv(y, f"{name}.conv2", inner, 3), f"{name}.conv2.bn"))
    return net.add(net.conv(y, f"{name}.conv3", outer, 1, role="branch"), shortcut, f"{name}.add")
