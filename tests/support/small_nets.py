"""Small float networks with the structures of the built-in ones."""

from __future__ import annotations

import numpy as np

from simulator.graph import ops
from simulator.graph.builder import GraphBuilder
from simulator.graph.ops import Padding
from simulator.numerics.formats import FLOAT32
from workloads.nets.layers import same_padding
from workloads.network import ImageInput, Network


class Author:
    """Writes a small float network with random weights."""

    def __init__(self, shape, seed=11):
        self.rng = np.random.default_rng(seed)
        self.builder = GraphBuilder("small")
        self.x = self.builder.input("image", shape, FLOAT32)

    def constant(self, name, shape, low=None):
        values = self.rng.normal(size=shape) if low is None else self.rng.uniform(low, 2, shape)
        return self.builder.constant(name, values.astype(np.float32))

    def conv(self, x, name, filters, kernel=3, *, bias=False, groups=1, norm=False, **attributes):
        channels = self.builder.shape(x)[3] // groups
        weights = self.constant(f"{name}.w", (filters, kernel, kernel, channels))
        offset = self.constant(f"{name}.b", (filters,)) if bias else None
        padding = same_padding(self.builder.shape(x)[1:3], kernel, 1)
        y = self.builder.add(ops.Conv2D(padding=padding, groups=groups, **attributes), x, weights, offset, name=name)
        return self.norm(y, f"{name}.norm") if norm else y

    def norm(self, x, name, gain=1.0):
        shape = self.builder.shape(x)[-1:]
        gamma = self.builder.constant(f"{name}.g", (gain * self.rng.normal(size=shape)).astype(np.float32))
        parameters = [gamma, *(self.constant(f"{name}.{part}", shape) for part in ("b", "m"))]
        return self.builder.add(ops.BatchNorm(), x, *parameters, self.constant(f"{name}.v", shape, 0.3), name=name)

    def add(self, op, *inputs, name=None):
        return self.builder.add(op, *inputs, name=name)

    def network(self):
        return Network(self.builder.build(), image=ImageInput((100.0,) * 3, (60.0,) * 3))


def small_network():
    """All the structures of the built-in networks in miniature: [1, 6, 7, 3] to labels."""
    net = Author((1, 6, 7, 3))
    stem = net.add(ops.Relu(), net.conv(net.x, "stem", 6, norm=True))
    pooled = net.add(ops.MaxPool2D((2, 2), (2, 2), Padding(0, 0, 0, 1)), stem, name="pool")
    active = net.add(ops.Relu(), net.norm(pooled, "preact"))
    branch = net.conv(net.add(ops.Relu6(), net.conv(active, "b1", 6, groups=6, bias=True, norm=True)), "b2", 6, 1)
    total = net.add(ops.Relu(), net.add(ops.Add(), branch, pooled), name="total")
    mean = net.add(ops.Mean((1, 2), keep_dims=True), total)
    spread = net.add(ops.ResizeBilinear((3, 4), half_pixel_centers=True), net.conv(mean, "pooled", 4, 1, norm=True))
    joined = net.add(ops.Concat(3), total, spread, name="joined")
    scores = net.conv(joined, "score", 5, bias=True)
    weights = net.constant("up.w", (5, 4, 4, 5))
    up = net.add(ops.TransposeConv2D((2, 2), (6, 8), Padding(1, 1, 1, 1)), scores, weights, None, name="up")
    net.builder.output(net.add(ops.ResizeBilinear((9, 9)), up, name="big"))
    net.builder.output(net.add(ops.ArgMax(3), "big", name="labels"))
    return net.network()


def exact_network():
    """The structures whose integer arithmetic is exact up to the rounding of each operator: no means, no resizes."""
    net = Author((1, 6, 7, 3), seed=5)
    stem = net.add(ops.Relu(), net.conv(net.x, "stem", 6, norm=True))
    pooled = net.add(ops.MaxPool2D((2, 2), (2, 2), Padding(0, 0, 0, 1)), stem, name="pool")
    active = net.add(ops.Relu(), net.norm(pooled, "preact"))
    deep = net.add(ops.Relu(), net.conv(active, "b1", 6, groups=6, bias=True, norm=True))
    total = net.add(ops.Relu(), net.add(ops.Add(), net.conv(deep, "b2", 6, 1), pooled, name="sum"))
    side = net.norm(net.conv(total, "side", 4, 1), "side.norm", gain=9.0)
    joined = net.add(ops.Concat(3), total, side, name="joined")
    scores = net.conv(joined, "score", 5, bias=True)
    weights = net.constant("up.w", (5, 4, 4, 5))
    up = net.add(ops.TransposeConv2D((2, 2), (6, 8), Padding(1, 1, 1, 1)), scores, weights, None, name="up")
    net.builder.output(up)
    return net.network()
