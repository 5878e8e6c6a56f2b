"""A small DeepLabv3 and a small FCN-8s to be trained: every operator of the large ones, few channels and pixels."""

from __future__ import annotations

from simulator.graph import ops
from simulator.graph.ops import Padding
from workloads.nets.layers import MEAN_ONLY, NetBuilder
from workloads.nets.weights import SeededWeights

CLASSES = 3
DEEPLAB_SIZE, FCN_SIZE = (17, 20), (24, 20)


def small_deeplab():
    """Stem, max pool, a bottleneck with projection and stride, one with dilation, two branches and image pool."""
    net = NetBuilder("small_deeplab", DEEPLAB_SIZE, SeededWeights(1))

    def unit(x, name, filters, kernel=1, **options):
        return net.relu(net.norm(net.conv(x, name, filters, kernel, **options), f"{name}.bn"))

    x = unit(net.image, "stem", 4, 5, stride=2, padding=Padding(2, 2, 2, 2))
    x = net.max_pool(x, "pool", 3, 2, Padding(1, 1, 1, 1))
    y = unit(unit(x, "a1", 4, 1, stride=2, padding=Padding()), "a2", 4, 3)
    y = net.norm(net.conv(y, "a3", 8, 1), "a3.bn")
    shortcut = net.norm(net.conv(x, "a4", 8, 1, stride=2, padding=Padding()), "a4.bn")
    x = net.relu(net.add(y, shortcut, "a.add"))
    y = net.norm(net.conv(x, "b1", 8, 3, dilation=2), "b1.bn")
    x = net.relu(net.add(y, x, "b.add"))
    pooled = net.graph.add(ops.Mean((1, 2), keep_dims=True), x, name="mean")
    pooled = unit(pooled, "c3", 4)
    branches = [
        unit(x, "c1", 4),
        unit(x, "c2", 4, 3, dilation=6),
        net.resize(pooled, "c3.resize", net.size(x), False, True),
    ]
    x = unit(net.graph.add(ops.Concat(3), *branches, name="concat"), "project", 4)
    scores = net.conv(x, "score", CLASSES, 1, bias=True, role="score")
    net.labels(net.resize(scores, "upsampled", DEEPLAB_SIZE, False, True))
    return net.network(MEAN_ONLY, CLASSES)


def small_fcn():
    """Three stages with biases, a classifier with dropout, skips of two stages, three transposed convolutions."""
    net = NetBuilder("small_fcn", FCN_SIZE, SeededWeights(2))
    x, pools = net.image, []
    for stage, filters in enumerate((4, 4, 8)):
        x = net.relu(net.conv(x, f"conv{stage}", filters, 3, bias=True))
        x = net.max_pool(x, f"pool{stage}", 2, 2)
        pools.append(x)
    x = net.relu(net.conv(x, "fc6", 8, 3))
    x = net.conv(x, "score_fr", CLASSES, 1, role="score")
    for stage in (1, 0):
        x = net.upscore(x, f"upscore{stage}", 4, 2, net.size(pools[stage]))
        x = net.add(x, net.conv(pools[stage], f"score_pool{stage}", CLASSES, 1, role="score"), f"fuse{stage}")
    net.labels(net.upscore(x, "upscore_last", 4, 2, FCN_SIZE))
    return net.network(MEAN_ONLY, CLASSES)
