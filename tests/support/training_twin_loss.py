"""Windows, losses and updates of integer training a second time (`training_twin`)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from simulator.graph import training_ops as ops
from support import training_twin as t
from support.training_twin import Big, big, clamp, int32, nearest, over, product, times_power


def _positions(op: Any, size_in: int, size_out: int, axis: int) -> list[tuple[int, int]]:
    """Lower neighbour and weight of the upper one, of each output."""
    found = []
    for o in range(size_out):
        if op.align_corners and size_out > 1:
            numerator, denominator = o * (size_in - 1), size_out - 1
        elif op.half_pixel_centers:
            numerator, denominator = max((2 * o + 1) * size_in - size_out, 0), 2 * size_out
        else:
            numerator, denominator = o * size_in, size_out
        low = numerator // denominator
        weight = nearest((numerator - low * denominator) * 2**op.weight_bits, denominator)
        found.append((low, weight) if low < size_in - 1 else (size_in - 1, 0))
    return found


def _matrix(op: Any, size_in: int, size_out: int, axis: int) -> Big:
    """Interpolation of one axis as a matrix [out, in]."""
    matrix = np.zeros((size_out, size_in), object)
    for o, (low, weight) in enumerate(_positions(op, size_in, size_out, axis)):
        matrix[o, low] += 2**op.weight_bits - weight
        matrix[o, min(low + 1, size_in - 1)] += weight
    return matrix


def bilinear(op: Any, x: Big, s: Any) -> tuple[Any, ...]:
    forward = isinstance(op, ops.BilinearForward)
    target = op.size if forward else op.input_size
    pairs = [(x.shape[i + 1], target[i]) if forward else (target[i], x.shape[i + 1]) for i in (0, 1)]
    rows, columns = (_matrix(op, *pair, axis) for axis, pair in enumerate(pairs))
    if not forward:
        rows, columns = rows.T, columns.T
    down = np.tensordot(rows, x, (1, 1))  # [rows, batch, width, channels]
    both = np.tensordot(columns, down, (1, 2))  # [columns, rows, batch, channels]
    return np.transpose(both, (2, 1, 0, 3)), product(s, (1, -2 * op.weight_bits))


def _windows(op: Any, height: int, width: int, rows: int, columns: int):
    for r in range(rows):
        for c in range(columns):
            for ky in range(op.kernel[0]):
                for kx in range(op.kernel[1]):
                    y, x = r * op.stride[0] - op.padding.top + ky, c * op.stride[1] - op.padding.left + kx
                    if 0 <= y < height and 0 <= x < width:
                        yield r, c, ky * op.kernel[1] + kx, y, x


def max_pool(op: ops.MaxPoolIndexed, x: Big, shape: tuple[int, ...]) -> tuple[Any, ...]:
    out, index = np.full(shape, None, object), np.zeros(shape, object)
    for r, c, position, y, column in _windows(op, x.shape[1], x.shape[2], shape[1], shape[2]):
        for n in range(shape[0]):
            for k in range(shape[3]):
                if out[n, r, c, k] is None or x[n, y, column, k] > out[n, r, c, k]:
                    out[n, r, c, k], index[n, r, c, k] = x[n, y, column, k], position
    return out, index


def max_pool_gradient(op: ops.MaxPoolGradient, error: Big, index: Big) -> tuple[Any, ...]:
    out = np.zeros((error.shape[0], *op.input_size, error.shape[3]), object)
    for r, c, position, y, x in _windows(op, *op.input_size, *error.shape[1:3]):
        out[:, y, x] += np.where(index[:, r, c] == position, error[:, r, c], 0)
    return (out,)


def dropout(op: ops.Dropout, x: Big, s: Any, *key: Any) -> tuple[Any, ...]:
    kept = np.array([d % 2**op.keep_shift == 0 for d in t.draws(x.size)]).reshape(x.shape)
    return np.where(kept, x, 0), product(s, (1, op.keep_shift)), kept.astype(object)


def _table(function: Any) -> list[int]:
    """1025 knots from float64, whose error is far below the half step that rounding leaves."""
    return [math.floor(2.0**30 * function(k / 1024) + 0.5) for k in range(1025)]


_POWERS = _table(lambda f: 2.0**-f)
_LOGARITHMS = _table(lambda f: math.log2(1.0 + f))


def _at(table: list[int], position: int) -> int:
    k, rest = divmod(position, 1024)
    return table[k] + nearest((table[k + 1] - table[k]) * rest, 1024) if rest else table[k]


def _pixel(logits: Any, s: Any, label: int, weight: int) -> tuple[list[int], int]:
    factor = int(s[0]) * round(math.log2(math.e) * 2**30)
    powers = [min(times_power((max(logits) - q) * factor, int(s[1]) - 10), 40 * 2**20) for q in logits]
    exps = [times_power(_at(_POWERS, p % 2**20), -(p // 2**20)) for p in powers]
    total = sum(exps)
    probabilities = [nearest(v * (2**62 // total), 2**44) for v in exps]
    errors = [weight * (p - (2**18 if i == label else 0)) for i, p in enumerate(probabilities)]
    whole = math.floor(math.log2(total))  # exact: the sum has at most 38 bits
    bits = powers[label] * 1024 + (whole - 30) * 2**30 + _at(_LOGARITHMS, total * 2**20 // 2**whole - 2**20)
    loss = nearest(bits * round(math.log(2) * 2**24), 2**38)
    return errors, nearest(weight * loss, 256)


def cross_entropy(op: ops.SoftmaxCrossEntropyGradient, logits: Big, s: Any, labels: Big) -> tuple[Any, ...]:
    rows, targets = logits.reshape(-1, logits.shape[-1]), labels.reshape(-1)
    weights = op.class_weights or (256,) * logits.shape[-1]
    out, sums = np.zeros(rows.shape, object), [0, 0, 0]
    for i, label in enumerate(targets):
        if label != op.ignore:
            out[i], loss = _pixel([int(q) for q in rows[i]], s, int(label), weights[label])
            sums = [sums[0] + loss, sums[1] + weights[label], sums[2] + 1]
    return out.reshape(logits.shape), product((1, -18), t.one_over(max(sums[1], 1))), sums


def squared_error(op: ops.SquaredErrorGradient, logits: Big, s: Any, labels: Big, bits: int) -> tuple[Any, ...]:
    valid = (labels != op.ignore).astype(object)[..., None]
    onehot = (labels[..., None] == np.arange(logits.shape[-1])).astype(object)
    one = over(1, (int(s[0]), int(s[1]) - 8))
    error = (logits * 256 - onehot * one) * valid
    p = max((one + 2 ** (bits + 7)).bit_length() - 18, 0)
    squares = int((times_power(error, -p) ** 2).sum())
    loss = min(times_power(squares * int(s[0]) ** 2, 2 * (int(s[1]) - 8 + p) - 1 + 16), 2**62 - 1)
    count = int(valid.sum())
    return error, product(s, (1, -8), t.one_over(max(count, 1))), [loss, 256 * count, count]


def _step(op: Any, master: Big, move: Any, rate: int) -> Big:
    decay = 0 if op.decay_shift is None else times_power(master, rate - op.decay_shift)
    limit = t.limit_of(op.bits)
    return clamp(master - clamp(move, limit) - decay, limit if op.limit is None else op.limit)


def update(op: ops.Update, master: Big, n: Big, s: Any, lr: Any) -> tuple[Any, ...]:
    move = times_power(n * int(s[0]), int(s[1]) + int(lr[0]) - op.exponent)
    return (_step(op, master, move, int(lr[0])),)


def momentum_update(op: ops.MomentumUpdate, master: Big, velocity: Big, n: Big, s: Any, lr: Any) -> tuple[Any, ...]:
    kept = times_power(velocity * op.momentum, -op.momentum_shift)
    speed = int32(kept + times_power(n * int(s[0]), int(s[1]) - op.velocity_exponent))
    move = times_power(speed, op.velocity_exponent + int(lr[0]) - op.exponent)
    return _step(op, master, move, int(lr[0])), speed


def twin(op: Any, arrays: list[Any], out: Any) -> tuple[Any, ...]:
    """Outputs of any operator; out: its first output as the executor gave it, for its shape and width alone."""
    x = [big(a) for a in arrays]
    bits = [8 * a.itemsize for a in arrays]
    rows = x[0].reshape(-1, x[0].shape[-1])
    match op:
        case ops.ScaleQuantize():
            return t.scale_quantize(op, *x)
        case ops.FixedQuantize():
            return t.fixed_quantize(op, *x)
        case ops.FlagQuantize():
            return t.flag_quantize(op, *x)
        case ops.CombineScales():
            return (product(*x),)
        case ops.AlignedAdd() | ops.AlignedConcat():
            return t.aligned(op, x, bits, 8 * out.itemsize)
        case ops.ReluGradient():
            return (np.where(x[1] > 0, x[0], 0),)
        case ops.BiasChannels():
            top = 2 ** (bits[0] - 1)
            z = x[0] + t._offset(x[2], op.exponent, (int(x[1][0]), int(x[1][1])))
            return (np.minimum(np.maximum(z, -top), top - 1),)
        case ops.ChannelSum():
            return (rows.sum(axis=0),)
        case ops.ChannelExtremes():
            return (np.stack([rows.min(axis=0), rows.max(axis=0)]),)
        case ops.L1Statistics() | ops.L2Statistics():
            return t.statistics(op, *x)
        case ops.NormalizeChannels():
            return t.normalize(op, *x)
        case ops.AffineChannels() | ops.AffineQuantize():
            return t.affine(op, *x)
        case ops.L1NormGradient() | ops.L2NormGradient():
            return t.norm_gradient(op, *x, bits[0])
        case ops.RunningAverage():
            return (int32(x[0] + times_power(x[1] * 2**op.guard_bits - x[0], -op.shift)),)
        case ops.MaxPoolIndexed():
            return max_pool(op, x[0], out.shape)
        case ops.MaxPoolGradient():
            return max_pool_gradient(op, *x)
        case ops.BilinearForward() | ops.BilinearGradient():
            return bilinear(op, *x)
        case ops.MeanForward():
            return x[0].sum(axis=(1, 2), keepdims=True), product(x[1], t.one_over(x[0][0, :, :, 0].size))
        case ops.SumSpatial():
            return (x[0].sum(axis=(1, 2), keepdims=True),)
        case ops.MeanGradient():
            return np.tile(x[0], (1, *op.size, 1)), product(x[1], t.one_over(op.size[0] * op.size[1]))
        case ops.BroadcastSpatial():
            return (np.tile(x[0], (1, *op.size, 1)),)
        case ops.SoftmaxCrossEntropyGradient():
            return cross_entropy(op, *x)
        case ops.SquaredErrorGradient():
            return squared_error(op, *x, bits[0])
        case ops.Dropout():
            return dropout(op, *x)
        case ops.Update():
            return update(op, *x)
        case ops.MomentumUpdate():
            return momentum_update(op, *x)
    raise AssertionError(op)
