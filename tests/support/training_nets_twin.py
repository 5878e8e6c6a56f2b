"""One training step of the two small networks, written out by hand over `training_step_twin`.

Each layer returns its output and a function from the error of the output to the error of the input; gradients are put
into `grads` on the way. The order of things is the paper's (arXiv 2011.14504, fig. 4 and 5), not that of our graphs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from zlib import crc32

import numpy as np

from support import training_step_twin as t
from support.training_step_loss import cross_entropy
from support.training_step_twin import Q

STATISTICS, GUARD = -12, 12


def layout(stride=1, dilation=1, pad=0):
    pads = pad if isinstance(pad, tuple) else (pad,) * 4
    padding = SimpleNamespace(**dict(zip(("top", "bottom", "left", "right"), pads, strict=True)))
    return SimpleNamespace(stride=(stride,) * 2, dilation=(dilation,) * 2, padding=padding)


def sum_bits(a, b, terms):
    return a + b - 1 + (terms - 1).bit_length()


@dataclass
class Step:
    """A step on a state (master copies, running statistics); fills `grads` and `averages`."""

    state: dict
    seed: int
    number: int
    rule: str = "max"
    e2: int = 16
    keep: bool = True
    drops: tuple = ()
    has_norm: bool = True
    grads: dict = field(default_factory=dict)
    averages: dict = field(default_factory=dict)

    def weights(self, name):
        return t.fixed(self.state[f"{name}.weight"], (1, -23), 8, -7)

    # ---- convolutions: x narrow Q -> sums Q

    def conv(self, name, x, op, forward=t.convolve, backward=t.convolve_back):
        w = self.weights(name)
        w64 = w.astype(np.int64)
        sums = forward(x.values.astype(np.int64), w64, op)
        bits = sum_bits(x.bits, 8, int(np.prod(w.shape[1:])))
        taps = w.shape[1] * w.shape[2]

        def back(e):
            gx, gw = backward(x.values.astype(np.int64), w64, e.values.astype(np.int64), op)
            transposed = forward is t.transposed
            positions = int(np.prod((x if transposed else e).values.shape[:3]))
            self.grads[f"{name}.weight"] = Q(gw, t.product(x.scale, e.scale), sum_bits(x.bits, e.bits, positions))
            return Q(gx, t.product(e.scale, (1, -7)), sum_bits(e.bits, 8, w.shape[0] * taps))

        return Q(sums, t.product(x.scale, (1, -7)), bits), back

    def bias(self, name, x):
        grid = t.fixed(self.state[f"{name}.bias"], (1, -19), 16, -11)

        def note(e):
            self.grads[f"{name}.bias"] = Q(t.whole(e.values).sum(axis=(0, 1, 2)), e.scale, 64)

        return t.biased(x, grid, -11), note

    def narrow(self, e, bits):
        return e if e.bits <= bits else t.quantize(e, bits, self.rule)

    # ---- batch norm: sums Q -> normalised, and its backward from an int8 error

    def norm(self, name, x):
        gamma, beta = (t.fixed(self.state[f"{name}.{part}"], (1, -22), 8, -6) for part in ("weight", "bias"))
        mean, deviation = t.l1_statistics(x, 16, STATISTICS, 4)
        for part, value in (("running_mean", mean), ("running_deviation", deviation)):
            key = f"{name}.{part}"
            self.averages[key] = t.running(self.state[key], value, 4, GUARD)
        q = t.normalize(x, mean, deviation, 16, STATISTICS, self.rule)

        def back(e):
            dx, dgamma, dbeta = t.l1_norm_back(e, q, gamma, deviation, self.e2, self.rule, -6, STATISTICS)
            self.grads[f"{name}.weight"], self.grads[f"{name}.bias"] = dgamma, dbeta
            return dx

        return t.affine(q, gamma, beta, -6), back

    def relu(self, z):
        a = t.quantize(z, 8, self.rule, relu=True)

        def back(e):
            e = self.narrow(e, 8)
            return Q(np.where(a.values > 0, e.values, 0), e.scale, e.bits)

        return a, back

    def unit(self, name, x, op):
        """Convolution, batch norm, ReLU."""
        sums, conv_back = self.conv(name, x, op)
        z, norm_back = self.norm(f"{name}.bn", sums)
        a, relu_back = self.relu(z)
        return a, lambda e: conv_back(norm_back(relu_back(e)))

    def normed(self, name, x, op):
        """Convolution, batch norm."""
        sums, conv_back = self.conv(name, x, op)
        z, norm_back = self.norm(f"{name}.bn", sums)
        return z, lambda e: conv_back(norm_back(self.narrow(e, 8)))

    def max_pool(self, x, kernel, stride, pad):
        values, where = t.max_pool(x.values, kernel, stride, pad)

        def back(e):
            e = self.narrow(e, 8)
            return Q(t.max_pool_back(e.values.astype(np.int64), where, x.values.shape[1:3], stride, pad), e.scale, 32)

        return Q(values, x.scale, x.bits), back

    # ---- end of the step

    def loss(self, scores, labels):
        return cross_entropy(scores, labels, 255, ())

    def updated(self, rate):
        new = dict(self.averages)
        for name, gradient in self.grads.items():
            tensor = crc32(f"{name}.gradient.q:0".encode())
            random = t.draws(self.seed, self.number, tensor, gradient.values.size)
            step = t.quantize_stochastic(gradient, 8, self.rule, random, self.keep)
            is_weight = gradient.values.ndim == 4
            exponent = -23 if is_weight else -22 if self.has_norm and name.endswith((".bn.weight", ".bn.bias")) else -19
            new[name] = t.update(self.state[name], step, rate, 24, exponent)
        return new


def image_of(pixels):
    return Q(pixels, (1, -6), 16)


def deeplab_step(step, pixels, labels, rate):
    """-> new state, (loss, weight, valid)."""
    x0 = t.quantize(image_of(pixels), 8, step.rule)
    x1, back_stem = step.unit("stem", x0, layout(2, 1, 2))
    x2, back_pool = step.max_pool(x1, 3, 2, (1, 1, 1, 1))
    a1, back_a1 = step.unit("a1", x2, layout(2))
    a2, back_a2 = step.unit("a2", a1, layout(1, 1, 1))
    a3, back_a3 = step.normed("a3", a2, layout())
    a4, back_a4 = step.normed("a4", x2, layout(2))
    xa, back_a = step.relu(t.add(a3, a4))
    b1, back_b1 = step.normed("b1", xa, layout(1, 2, 2))
    xb, back_b = step.relu(t.add(b1, xa))
    height, width = xb.values.shape[1:3]
    mean = Q(t.whole(xb.values).sum(axis=(1, 2), keepdims=True), t.over(xb.scale, height * width), 32)
    c3, back_c3 = step.unit("c3", t.quantize(mean, 8, step.rule), layout())
    c1, back_c1 = step.unit("c1", xb, layout())
    c2, back_c2 = step.unit("c2", xb, layout(1, 6, 6))
    spread = Q(np.broadcast_to(c3.values, (*c1.values.shape[:3], 4)), c3.scale, 8)
    joined = t.quantize(t.concat(c1, c2, spread), 8, step.rule)
    xp, back_p = step.unit("project", joined, layout())
    sums, back_score = step.conv("score", xp, layout())
    sums, note_bias = step.bias("score", sums)
    scores = t.quantize(sums, 16, step.rule)
    upsampled = t.quantize(t.bilinear(scores, labels.shape[1:3]), 16, step.rule)
    error, monitor = step.loss(upsampled, labels)

    e = t.bilinear_back(step.narrow(error, 16), scores.values.shape[1:3])
    e = step.narrow(Q(e.values, e.scale, 64), step.e2)
    note_bias(e)
    e = step.narrow(back_p(back_score(e)), 8)
    parts = [Q(e.values[..., i : i + 4], e.scale, e.bits) for i in (0, 4, 8)]
    pooled = Q(t.whole(parts[2].values).sum(axis=(1, 2), keepdims=True), e.scale, 32)
    pooled = step.narrow(back_c3(pooled), 8)
    pooled = Q(np.broadcast_to(pooled.values, xb.values.shape), t.over(pooled.scale, height * width), 8)
    # What is added stands in the order in which it arrives: the last readers of a tensor first.
    e = back_b(t.add(back_c2(parts[1]), back_c1(parts[0]), pooled))
    e = back_a(t.add(e, back_b1(e)))
    by_a4, by_a3 = back_a4(e), back_a1(back_a2(back_a3(e)))
    back_stem(back_pool(t.add(by_a4, by_a3)))
    return step.updated(rate), monitor


def fcn_step(step, pixels, labels, rate):
    """-> new state, (loss, weight, valid)."""
    x, pools, backs = t.quantize(image_of(pixels), 8, step.rule), [], []
    for stage in range(3):
        sums, conv_back = step.conv(f"conv{stage}", x, layout(1, 1, 1))
        sums, note = step.bias(f"conv{stage}", sums)
        a, relu_back = step.relu(sums)
        x, pool_back = step.max_pool(a, 2, 2, _same(a, 2, 2))
        pools.append(x)
        backs.append((conv_back, note, relu_back, pool_back))
    sums, back_fc6 = step.conv("fc6", x, layout(1, 1, 1))
    a, back_relu = step.relu(sums)
    dropped, mask = _dropout(step, a)
    sums, back_fr = step.conv("score_fr", dropped, layout())
    x = t.quantize(sums, 8, step.rule)
    ups = []
    for stage in (1, 0):
        sums, back_up = step.conv(f"upscore{stage}", x, _upscore(pools[stage]), t.transposed, t.transposed_back)
        skipped, back_skip = step.conv(f"score_pool{stage}", pools[stage], layout())
        total = t.add(t.quantize(sums, 8, step.rule), t.quantize(skipped, 8, step.rule))
        x = t.quantize(total, 8, step.rule)
        ups.append((back_up, back_skip))
    sums, back_last = step.conv("upscore_last", x, _upscore(labels[..., None]), t.transposed, t.transposed_back)
    error, monitor = step.loss(t.quantize(sums, 16, step.rule), labels)

    e = back_last(step.narrow(error, step.e2))
    skips = {}
    for stage, (back_up, back_skip) in zip((0, 1), reversed(ups), strict=True):
        # The sum hands its wide error to both; each convolution quantizes it for itself.
        skips[stage] = back_skip(step.narrow(e, 8))
        e = back_up(step.narrow(e, 8))
    e = back_fr(step.narrow(e, 8))
    e = Q(np.where(mask, e.values, 0), t.product(e.scale, (1, 1)), e.bits)
    e = back_fc6(back_relu(e))
    for stage in (2, 1, 0):
        conv_back, note, relu_back, pool_back = backs[stage]
        e = relu_back(pool_back(t.add(skips[stage], e) if stage in skips else e))
        note(e)
        e = conv_back(e)
    return step.updated(rate), monitor


def _same(a, kernel, stride):
    pads = []
    for size in a.values.shape[1:3]:
        total = max(0, (-(-size // stride) - 1) * stride + kernel - size)
        pads += [total // 2, total - total // 2]
    return tuple(pads)


def _upscore(like):
    values = getattr(like, "values", like)
    size = values.shape[1:3]
    op = layout(2, 1, 1)
    totals = [max(0, (-(-side // 2) - 1) * 2 + 4 - side) // 2 for side in size]
    op.padding = SimpleNamespace(top=totals[0], left=totals[1])
    op.output_size = size
    return op


def _dropout(step, a):
    tensor = crc32(b"fc6.relu.dropout:0")
    random = np.array([draw & 1 == 0 for draw in t.draws(step.seed, step.number, tensor, a.values.size)])
    mask = random.reshape(a.values.shape)
    return Q(np.where(mask, a.values, 0), t.product(a.scale, (1, 1)), a.bits), mask
