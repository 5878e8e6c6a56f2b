"""The specification of integer training applied to whole tensors: Python ints, element by element."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

from simulator.graph import training_ops as ops
from simulator.numerics import training_loss as loss
from simulator.numerics import training_norm as norm
from simulator.numerics import training_quant as quant
from simulator.numerics import training_scale as scales
from simulator.numerics import training_update as updates
from simulator.numerics import training_windows as windows
from simulator.numerics.scalar import saturate, stochastic_draw
from support.training_runs import CONTEXT, OUTPUT

_TENSOR = zlib.crc32(f"{OUTPUT}:0".encode())


def draw(index: int) -> int:
    return stochastic_draw(CONTEXT.seed, CONTEXT.step, _TENSOR, index)


def ints(x: Any) -> list[int]:
    return [int(v) for v in np.asarray(x).reshape(-1)]


def columns(x: Any) -> list[list[int]]:
    """Values of each channel."""
    return [ints(c) for c in np.asarray(x).reshape(-1, np.shape(x)[-1]).T]


def shaped(channels: Any, like: Any) -> Any:
    return np.array(channels, object).T.reshape(np.shape(like))


def mapped(function: Any, *arrays: Any) -> Any:
    flat = [
        function(*(int(v) for v in values)) for values in zip(*(np.asarray(a).reshape(-1) for a in arrays), strict=True)
    ]
    return np.array(flat, object).reshape(np.shape(arrays[0]))


def pair(s: Any) -> tuple[int, int]:
    return int(s[0]), int(s[1])


def scale_quantize(op: ops.ScaleQuantize, x: Any, s: Any, *key: Any) -> tuple[Any, ...]:
    options = {"rounding": op.rounding, "random": op.random, "relu": op.relu, "draw": draw}
    dropped = None if op.keep_scale else op.dropped_exponent
    q, result = quant.scale_quantize(ints(x), pair(s), op.bits, op.scale, dropped_exponent=dropped, **options)
    return np.array(q).reshape(x.shape), result


def aligned(op: Any, arrays: list[Any], out: Any) -> tuple[Any, ...]:
    is_sum = isinstance(op, ops.AlignedAdd)
    values, given = arrays[::2], [pair(s) for s in arrays[1::2]]
    bits = [8 * x.itemsize for x in values]
    exponent = scales.common_exponent(given, bits, len(values) if is_sum else 1, 8 * out.itemsize)
    parts = [mapped(lambda v, s=s: scales.align(v, s, exponent), x) for x, s in zip(values, given, strict=True)]
    return (sum(parts) if is_sum else np.concatenate(parts, axis=op.axis)), (1, exponent)


def statistics(op: Any, x: Any, s: Any) -> tuple[Any, ...]:
    function = norm.l1_statistics if isinstance(op, ops.L1Statistics) else norm.l2_statistics
    found = [function(c, pair(s), op.bits, op.exponent, op.epsilon) for c in columns(x)]
    return [f[0] for f in found], [f[1] for f in found], np.array([f[2] for f in found], object).T


def normalize(op: ops.NormalizeChannels, x: Any, s: Any, mean: Any, deviation: Any, ends: Any) -> tuple[Any, ...]:
    shift = norm.input_shift(int(ends[0].min()), int(ends[1].max()))
    each = [
        norm.normalizer(pair(s), m, d, op.exponent, shift) for m, d in zip(ints(mean), ints(deviation), strict=True)
    ]
    hats = [[n.apply(v) for v in c] for n, c in zip(each, columns(x), strict=True)]
    bounds = [[n.apply(v) for v in c] for n, c in zip(each, columns(ends), strict=True)]
    q, step = quant.scale_quantize([v for c in bounds for v in c], (1, 0), op.bits, op.scale)
    limit = scales.symmetric_limit(op.bits)
    result = [[scales.clip(quant.divide_by_step(v, step), limit) for v in c] for c in hats]
    return shaped(result, x), scales.combine(((1, -16), step)), np.array(q, object).reshape(-1, 2).T


def affine(op: Any, q: Any, s: Any, gamma: Any, beta: Any, *ends: Any) -> tuple[Any, ...]:
    wide = norm.affine_scale(pair(s), op.gamma_exponent)
    offsets = [norm.bias_offset(b, op.beta_exponent, wide) for b in ints(beta)]
    z = [[norm.affine(v, g, o) for v in c] for c, g, o in zip(columns(q), ints(gamma), offsets, strict=True)]
    if isinstance(op, ops.AffineChannels):
        return shaped(z, q), wide
    values = ints(shaped(z, q))
    a, result = quant.scale_quantize(values, wide, op.bits, op.scale, relu=op.relu)
    return np.array(a).reshape(q.shape), result


def norm_gradient(op: Any, e: Any, se: Any, q: Any, sq: Any, gamma: Any, deviation: Any) -> tuple[Any, ...]:
    constants = (pair(sq), ints(gamma), ints(deviation), 8 * e.itemsize, isinstance(op, ops.L1NormGradient))
    dx, shift, dgamma, dbeta = norm.norm_gradient(columns(e), columns(q), *constants)
    s = norm.gradient_scale(pair(se), shift, op.gamma_exponent, op.exponent)
    result = shaped(dx, e)
    if op.bits is not None:
        values, s = quant.scale_quantize(ints(result), s, op.bits, op.scale)
        result = np.array(values).reshape(e.shape)
    return result, s, dgamma, scales.combine((pair(se), pair(sq))), dbeta, pair(se)


def max_pool(op: ops.MaxPoolIndexed, x: Any, out: Any) -> tuple[Any, ...]:
    values, index = np.zeros(out.shape, object), np.zeros(out.shape, object)
    for n, r, c, k in np.ndindex(out.shape):
        window = []
        for ky, kx in np.ndindex(*op.kernel):
            y, column = r * op.stride[0] - op.padding.top + ky, c * op.stride[1] - op.padding.left + kx
            inside = 0 <= y < x.shape[1] and 0 <= column < x.shape[2]
            window.append(int(x[n, y, column, k]) if inside else None)
        values[n, r, c, k], index[n, r, c, k] = windows.first_greatest(window)
    return values, index


def bilinear(op: ops.BilinearForward, x: Any, s: Any) -> tuple[Any, ...]:
    options = (op.align_corners, op.half_pixel_centers, op.weight_bits)
    rows, across = (windows.axis_weights(x.shape[i + 1], op.size[i], *options) for i in (0, 1))
    out = np.zeros((x.shape[0], *op.size, x.shape[3]), object)
    for n, r, c, k in np.ndindex(out.shape):
        (y0, y1, wy), (x0, x1, wx) = rows[r], across[c]
        corners = [int(x[n, i, j, k]) for i in (y0, y1) for j in (x0, x1)]
        out[n, r, c, k] = windows.interpolate(corners, wy, wx, op.weight_bits)
    return out, scales.combine((pair(s), (1, -2 * op.weight_bits)))


def cross_entropy(op: ops.SoftmaxCrossEntropyGradient, logits: Any, s: Any, labels: Any) -> tuple[Any, ...]:
    weights = op.class_weights or (256,) * logits.shape[-1]
    errors, sums = [], np.zeros(3, object)
    for row, label in zip(logits.reshape(-1, logits.shape[-1]), ints(labels), strict=True):
        if label == op.ignore:
            errors.append([0] * row.size)
            continue
        error, nll, weight = loss.cross_entropy(ints(row), pair(s), label, weights)
        errors.append(error)
        sums += [nll, weight, 1]
    scale = scales.combine(((1, -loss.PROBABILITY_BITS), scales.reciprocal(max(sums[1], 1))))
    return np.array(errors, object).reshape(logits.shape), scale, sums


def squared_error(op: ops.SquaredErrorGradient, logits: Any, s: Any, labels: Any) -> tuple[Any, ...]:
    one = loss.one_in_steps(pair(s))
    shift = loss.square_shift(one, 8 * logits.itemsize)
    errors, squares, valid = [], 0, 0
    for row, label in zip(logits.reshape(-1, logits.shape[-1]), ints(labels), strict=True):
        error, square = loss.squared_error(ints(row), label, one, shift)
        errors.append([0] * row.size if label == op.ignore else error)
        squares, valid = (squares, valid) if label == op.ignore else (squares + square, valid + 1)
    scale = scales.combine((pair(s), (1, -loss.GUARD_BITS), scales.reciprocal(max(valid, 1))))
    return (
        np.array(errors, object).reshape(logits.shape),
        scale,
        [
            loss.squared_loss(squares, shift, pair(s)),
            valid << loss.WEIGHT_BITS,
            valid,
        ],
    )


def _limit(op: Any) -> int:
    return scales.symmetric_limit(op.bits) if op.limit is None else op.limit


def update(op: ops.Update, master: Any, n: Any, s: Any, lr: Any) -> tuple[Any, ...]:
    constants = (pair(s), int(lr[0]), op.bits, op.exponent, _limit(op), op.decay_shift)
    return (mapped(lambda m, g: updates.update(m, g, *constants), master, n),)


def momentum_update(op: ops.MomentumUpdate, master: Any, v: Any, n: Any, s: Any, lr: Any) -> tuple[Any, ...]:
    constants = (pair(s), op.momentum, op.momentum_shift, op.velocity_exponent)
    speed = mapped(lambda before, g: updates.velocity(before, g, *constants), v, n)
    step = ((1, op.velocity_exponent), int(lr[0]), op.bits, op.exponent, _limit(op), op.decay_shift)
    return mapped(lambda m, g: updates.update(m, g, *step), master, speed), speed


def specification(op: Any, x: list[Any], out: Any) -> tuple[Any, ...] | None:
    """Outputs of an operator by the specification; None where that has nothing beyond plain sums and copies."""
    match op:
        case ops.ScaleQuantize():
            return scale_quantize(op, *x)
        case ops.FixedQuantize():
            return (mapped(lambda v: quant.fixed_quantize(v, pair(x[1]), op.bits, op.exponent), x[0]),)
        case ops.FlagQuantize():
            q, s = quant.flag_quantize(ints(x[0]), pair(x[1]), op.bits, op.scale)
            return np.array(q).reshape(x[0].shape), s
        case ops.CombineScales():
            return (scales.combine(pair(s) for s in x),)
        case ops.AlignedAdd() | ops.AlignedConcat():
            return aligned(op, x, out)
        case ops.BiasChannels():
            offsets = [norm.bias_offset(b, op.exponent, pair(x[1])) for b in ints(x[2])]
            bits = 8 * out.itemsize
            sums = [[saturate(v + o, bits) for v in c] for c, o in zip(columns(x[0]), offsets, strict=True)]
            return (shaped(sums, x[0]),)
        case ops.L1Statistics() | ops.L2Statistics():
            return statistics(op, *x)
        case ops.NormalizeChannels():
            return normalize(op, *x)
        case ops.AffineChannels() | ops.AffineQuantize():
            return affine(op, *x)
        case ops.L1NormGradient() | ops.L2NormGradient():
            return norm_gradient(op, *x)
        case ops.RunningAverage():
            return (mapped(lambda a, v: norm.running_average(a, v, op.shift, op.guard_bits), *x),)
        case ops.MaxPoolIndexed():
            return max_pool(op, x[0], out)
        case ops.BilinearForward():
            return bilinear(op, *x)
        case ops.MeanForward():
            return None
        case ops.SoftmaxCrossEntropyGradient():
            return cross_entropy(op, *x)
        case ops.SquaredErrorGradient():
            return squared_error(op, *x)
        case ops.Dropout():
            kept = np.array([windows.is_kept(draw(i), op.keep_shift) for i in range(x[0].size)]).reshape(x[0].shape)
            return np.where(kept, x[0], 0), scales.combine((pair(x[1]), (1, op.keep_shift))), kept
        case ops.Update():
            return update(op, *x)
        case ops.MomentumUpdate():
            return momentum_update(op, *x)
    return None
