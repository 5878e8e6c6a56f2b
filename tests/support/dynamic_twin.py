"""Inference with scales of the tensor at hand, the two small networks written out by hand over `training_step_twin`.

Parameters are brought onto their grids here, from the float network; nothing of `workloads.quantization` is used.
"""

from __future__ import annotations

import math

import numpy as np

from support import training_step_twin as t
from support.training_nets_twin import layout, sum_bits
from support.training_step_twin import Q


def exponent_over(values, bits, least=-99):
    """Of the coarsest grid of `bits` bits whose range, a power of two not below 2^least, holds the values."""
    power = least
    while 2.0**power < np.abs(values).max():
        power += 1
    return power - (bits - 1)


def stored(values, exponent, bits, least=None):
    whole = np.array([math.floor(v * 2.0**-exponent + 0.5) for v in values.reshape(-1)], object)
    most = (1 << (bits - 1)) - 1
    return np.minimum(np.maximum(whole, -most if least is None else least), most).reshape(values.shape)


class Inference:
    """A float network's constants, its measured statistics, and the rule of the scales."""

    def __init__(self, network, statistics, rule="round", shifted=True):
        self.constants = {name: tensor.data for name, tensor in network.graph.tensors.items()}
        self.statistics, self.rule, self.shifted = statistics, rule, shifted
        self.nodes = {node.name: node for node in network.graph.nodes}

    def real(self, name):
        return np.asarray(self.statistics.get(name, self.constants[name]), np.float64)

    def conv(self, name, x, op, forward=t.convolve):
        w = self.real(self.nodes[name].inputs[1])
        exponent = exponent_over(w, 8) if self.shifted else -7
        q = stored(w, exponent, 8)
        sums = forward(x.values.astype(np.int64), q.astype(np.int64), op)
        result = Q(sums, t.product(x.scale, (1, exponent)), sum_bits(x.bits, 8, int(np.prod(w.shape[1:]))))
        names = [*self.nodes[name].inputs, ""]
        if not names[2]:
            return result
        bias = self.real(names[2])
        step = exponent_over(bias, 16)
        return t.biased(Q(result.values, result.scale, max(result.bits + 1, 32)), stored(bias, step, 16), step)

    def norm(self, name, x):
        node = self.nodes[name]
        gamma, beta, mean, variance = (self.real(constant) for constant in node.inputs[1:])
        deviation = np.sqrt(variance + node.op.epsilon)
        grid = exponent_over(np.concatenate([mean, deviation]), 16, least=1)
        centre, spread = stored(mean, grid, 16), stored(deviation, grid, 16, least=1)
        q = t.normalize(x, centre, spread, 16, grid, self.rule)
        steps = exponent_over(gamma, 8, least=1), exponent_over(beta, 8, least=1)
        scale = q.scale[0], q.scale[1] + steps[0]
        places = steps[1] - scale[1]
        offset = t.divided(stored(beta, steps[1], 8) << max(places, 0), scale[0] << max(-places, 0))
        return Q(stored(gamma, steps[0], 8) * t.whole(q.values) + offset, scale, 32)

    def quantize(self, x, bits=8):
        return t.quantize(x, bits, self.rule)

    def relu(self, x):
        return t.quantize(x, 8, self.rule, relu=True)

    def unit(self, name, x, op):
        return self.relu(self.norm(f"{name}.bn", self.conv(name, x, op)))


def deeplab(net, x, size):
    """Return scores of the small DeepLabv3, 16 bits."""
    x = net.unit("stem", x, layout(2, 1, 2))
    values, _ = t.max_pool(x.values, 3, 2, (1, 1, 1, 1))
    x = Q(values, x.scale, 8)
    deep = net.unit("a2", net.unit("a1", x, layout(2)), layout(1, 1, 1))
    deep = net.norm("a3.bn", net.conv("a3", deep, layout()))
    x = net.relu(t.add(deep, net.norm("a4.bn", net.conv("a4", x, layout(2)))))
    x = net.relu(t.add(net.norm("b1.bn", net.conv("b1", x, layout(1, 2, 2))), x))
    height, width = x.values.shape[1:3]
    mean = Q(t.whole(x.values).sum(axis=(1, 2), keepdims=True), t.over(x.scale, height * width), 32)
    pooled = net.unit("c3", net.quantize(mean), layout())
    spread = Q(np.broadcast_to(pooled.values, (1, height, width, 4)), pooled.scale, 8)
    joined = t.concat(net.unit("c1", x, layout()), net.unit("c2", x, layout(1, 6, 6)), spread)
    x = net.unit("project", net.quantize(joined), layout())
    scores = net.quantize(net.conv("score", x, layout()), 16)
    return net.quantize(t.bilinear(scores, size), 16)


def fcn(net, x, size):
    """Return scores of the small FCN-8s, 16 bits."""
    pools = []
    for stage in range(3):
        a = net.relu(net.conv(f"conv{stage}", x, layout(1, 1, 1)))
        values, _ = t.max_pool(a.values, 2, 2, (0, a.values.shape[1] % 2, 0, a.values.shape[2] % 2))
        x = Q(values, a.scale, 8)
        pools.append(x)
    a = net.relu(net.conv("fc6", x, layout(1, 1, 1)))
    x = net.quantize(net.conv("score_fr", a, layout()))
    for stage in (1, 0):
        up = net.quantize(net.conv(f"upscore{stage}", x, _upscore(pools[stage].values.shape[1:3]), t.transposed))
        skip = net.quantize(net.conv(f"score_pool{stage}", pools[stage], layout()))
        x = net.quantize(t.add(up, skip))
    return net.quantize(net.conv("upscore_last", x, _upscore(size), t.transposed), 16)


def _upscore(size):
    op = layout(2, 1, 1)
    op.padding.top, op.padding.left = (max(0, (-(-side // 2) - 1) * 2 + 4 - side) // 2 for side in size)
    op.output_size = size
    return op
