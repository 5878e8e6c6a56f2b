"""The operators of integer training a second time: NumPy on arrays of Python ints, from their definitions, slowly.

`twin(op, arrays, formats, out_bits, key)` gives the outputs of any of them. Formats are (bits) of the inputs.
"""

from __future__ import annotations

import math
import zlib
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.graph import training_ops as ops
from simulator.numerics.scalar import stochastic_draw
from support.training_runs import CONTEXT, OUTPUT

Big = NDArray[np.object_]


def big(x: Any) -> Big:
    return x.astype(object) if isinstance(x, np.ndarray) else np.array(x, dtype=object)


def nearest(numerator: Any, denominator: Any) -> Any:
    """floor(n / d + 1/2)."""
    return (numerator + numerator + denominator) // (denominator + denominator)


def times_power(x: Any, exponent: int) -> Any:
    """floor(x * 2^exponent + 1/2)."""
    return x * 2**exponent if exponent >= 0 else nearest(x, 2**-exponent)


def clamp(x: Any, limit: int) -> Any:
    return np.minimum(np.maximum(x, -limit), limit)


def rounded_scale(mantissa: int, exponent: int) -> tuple[int, int]:
    while mantissa >= 2**15:
        drop = max(len(bin(mantissa)) - 17, 1)
        mantissa, exponent = nearest(mantissa, 2**drop), exponent + drop
    return mantissa, exponent


def product(*scales: Any) -> tuple[int, int]:
    return reduce(lambda a, b: rounded_scale(a[0] * int(b[0]), a[1] + int(b[1])), scales, (1, 0))


def one_over(count: int) -> tuple[int, int]:
    power = math.frexp(count)[1] - 1  # exact: counts are far below 2^53
    if count == 2**power:
        return 1, -power
    digits = power + 15
    return rounded_scale(nearest(2**digits, count), -digits)


def grid(most: int, bits: int, rule: str) -> tuple[int, int]:
    """Step for magnitudes up to `most`, by its definition."""
    most = max(most, 1)
    if rule == "max":
        exponent = most.bit_length() - 15
        mantissa = math.ceil(most / 2**exponent) if exponent <= 0 else -(-most // 2**exponent)
        if mantissa == 2**15:
            mantissa, exponent = 2**14, exponent + 1
        return mantissa, exponent - bits + 1
    power = 0
    if rule == "round":
        while 2 * most**2 > 4 ** (power + 1):  # most > 2^(power + 1/2)
            power += 1
    else:
        while 2**power < most:
            power += 1
    return 1, power - bits + 1


def over(x: Any, step: tuple[int, int]) -> Any:
    """floor(x / step + 1/2)."""
    m, e = step
    return nearest(x, m * 2**e) if e >= 0 else nearest(x * 2**-e, m)


def draws(size: int) -> Big:
    tensor = zlib.crc32(f"{OUTPUT}:0".encode())
    return big([stochastic_draw(CONTEXT.seed, CONTEXT.step, tensor, i) for i in range(size)])


def limit_of(bits: int) -> int:
    return 2 ** (bits - 1) - 1


def _random(x: Big, op: ops.ScaleQuantize, step: tuple[int, int]) -> Big:
    flat = x.reshape(-1)
    m, e = step
    if op.random == "fraction":
        if e <= 0:
            return x * 2**-e
        low = flat % 2**e
        half = e // 2
        up = (low // 2 ** (e - half) > low % 2**half).astype(object)
        return (flat // 2**e + up).reshape(x.shape)
    draw = draws(flat.size)
    if m == 1:
        return ((flat + draw % 2**e) // 2**e if e > 0 else flat * 2**-e).reshape(x.shape)
    if e > 32:
        flat, e = flat // 2 ** (e - 32), 32
    whole = (flat + draw % 2**32 % 2**e) // 2**e if e > 0 else flat * 2**-e
    return ((whole + m * (draw // 2**32) // 2**32) // m).reshape(x.shape)


def scale_quantize(op: ops.ScaleQuantize, x: Big, s: Any, *key: Any) -> tuple[Any, ...]:
    x = np.maximum(x, 0) if op.relu else x
    step = grid(int(np.abs(x).max()), op.bits, op.scale)
    q = over(x, step) if op.rounding == "ties_pos" else _random(x, op, step)
    return clamp(q, limit_of(op.bits)), product(s, step) if op.keep_scale else (1, op.dropped_exponent)


def fixed_quantize(op: ops.FixedQuantize, x: Big, s: Any) -> tuple[Any, ...]:
    return (clamp(times_power(x * int(s[0]), int(s[1]) - op.exponent), limit_of(op.bits)),)


def flag_quantize(op: ops.FlagQuantize, x: Big, s: Any) -> tuple[Any, ...]:
    _, e = grid(int(np.abs(x).max()), op.bits, op.scale)
    large = np.abs(x) >= 2**e if e >= 0 else x != 0
    coarse = clamp(over(x, (1, e)), limit_of(op.bits)) * 2 ** (op.bits - 1)
    fine = over(x, (1, e - op.bits + 1))
    return np.where(large, coarse, fine), product(s, (1, e - op.bits + 1))


def _common(scales: list[Any], bits: list[int], terms: int, out_bits: int) -> int:
    tops = [int(e) + math.ceil(math.log2(int(m))) + b - 1 for (m, e), b in zip(scales, bits, strict=True)]
    return max(max(tops) + math.ceil(math.log2(terms)) - out_bits + 2, min(int(e) for _, e in scales))


def aligned(op: Any, arrays: list[Big], bits: list[int], out_bits: int) -> tuple[Any, ...]:
    is_sum = isinstance(op, ops.AlignedAdd)
    values, scales = arrays[::2], arrays[1::2]
    e = _common(scales, bits[::2], len(values) if is_sum else 1, out_bits)
    parts = [times_power(x * int(s[0]), int(s[1]) - e) for x, s in zip(values, scales, strict=True)]
    return (sum(parts) if is_sum else np.concatenate(parts, axis=op.axis)), (1, e)


def _offset(bias: Big, exponent: int, s: tuple[int, int]) -> Big:
    shift = exponent - s[1]
    return clamp(nearest(bias * 2 ** max(shift, 0), s[0] * 2 ** min(max(-shift, 0), 45)), 2**40)


def int32(x: Any) -> Any:
    return np.minimum(np.maximum(x, -(2**31)), 2**31 - 1)


def statistics(op: Any, x: Big, s: Any) -> tuple[Any, ...]:
    rows = x.reshape(-1, x.shape[-1])
    n, (m, e) = len(rows), (int(s[0]), int(s[1]))
    total = rows.sum(axis=0)
    c = nearest(total, n)
    fine = op.exponent - 8
    mean = clamp(nearest(times_power(total * m, e - fine), n * 256), limit_of(op.bits))
    ends = np.stack([rows.min(axis=0), rows.max(axis=0)])
    if isinstance(op, ops.L1Statistics):
        size = nearest(times_power(np.abs(rows - c).sum(axis=0) * m, e - fine), n * 256)
    else:
        size = np.empty(x.shape[-1], object)
        for i in range(x.shape[-1]):
            d = rows[:, i] - c[i]
            p = max(int(np.abs(ends[:, i] - c[i]).max()).bit_length() - 20, 0)
            root = math.isqrt(int((times_power(d, -p) ** 2).sum()) * 2**22 // n)
            size[i] = times_power(root * m, e + p - 11 - op.exponent)
    return mean, np.maximum(clamp(size + op.epsilon, limit_of(op.bits)), 1), ends


def normalize(op: ops.NormalizeChannels, x: Big, s: Any, mean: Big, deviation: Big, ends: Big) -> tuple[Any, ...]:
    p = max(int(np.abs(ends).max()).bit_length() - 31, 0)
    m, e = int(s[0]), int(s[1]) + p

    def hat(v: Any, c: int) -> Any:
        up = 30 - m.bit_length() + int(deviation[c]).bit_length()
        factor = nearest(m * 2**up, int(deviation[c]))
        shift = min(max(up + op.exponent - e - 16, 0), 62)
        return times_power(times_power(v, -p) * factor, -shift) - nearest(int(mean[c]) * 2**16, int(deviation[c]))

    rows = x.reshape(-1, x.shape[-1])
    channels = range(rows.shape[1])
    hats = np.stack([hat(rows[:, c], c) for c in channels], axis=1)
    bounds = np.stack([hat(ends[:, c], c) for c in channels], axis=1)
    step = grid(int(np.abs(bounds).max()), op.bits, op.scale)
    q, end = (clamp(over(v, step), limit_of(op.bits)) for v in (hats, bounds))
    return q.reshape(x.shape), product((1, -16), step), end


def affine(op: Any, q: Big, s: Any, gamma: Big, beta: Big, *ends: Big) -> tuple[Any, ...]:
    wide = int(s[0]), int(s[1]) + op.gamma_exponent
    z = int32(gamma * q + _offset(beta, op.beta_exponent, wide))
    if isinstance(op, ops.AffineChannels):
        return z, wide
    z = np.maximum(z, 0) if op.relu else z
    step = grid(int(np.abs(z).max()), op.bits, op.scale)
    return clamp(over(z, step), limit_of(op.bits)), product(wide, step)


def norm_gradient(
    op: Any, error: Big, se: Any, hat: Big, sh: Any, gamma: Big, deviation: Big, bits: int
) -> tuple[Any, ...]:
    e, q = (v.reshape(-1, v.shape[-1]) for v in (error, hat))
    n, is_l1 = len(e), isinstance(op, ops.L1NormGradient)
    sign = np.sign(q.astype(np.int64)).astype(object)
    sums = e.sum(axis=0), sign.sum(axis=0), (e * q).sum(axis=0)
    me, ms = nearest(sums[0] * 2**16, n), nearest(sums[1] * 2**15, n)
    mx = clamp(nearest(times_power(sums[2] * int(sh[0]), int(sh[1]) + 16), n), 2**44)
    slope = clamp(times_power(mx * int(sh[0]), int(sh[1]) + 15), 2**44)
    if is_l1:
        taken = me + times_power((sign * 2**15 - ms) * mx, -15)
        most = np.max([np.abs(me + times_power((i * 2**15 - ms) * mx, -15)) for i in (-1, 0, 1)], axis=0)
    else:
        taken = me + times_power(slope * q, -15)
        most = np.abs(me) + np.abs(slope) + 1
    gain = nearest(gamma * 2**30, deviation)
    tops = [
        abs(int(g)).bit_length() + (2 ** (bits - 1) + 1 + int(u) // 2**16).bit_length()
        for g, u in zip(gain, most, strict=True)
    ]
    shift = max(max(tops) - 30, 0)
    gain = times_power(gain, -shift)
    dx = gain * e - times_power(gain * taken, -16)
    s = product(se, (1, op.gamma_exponent - op.exponent - 30 + shift))
    if op.bits is not None:
        step = grid(int(np.abs(dx).max()), op.bits, op.scale)
        dx, s = clamp(over(dx, step), limit_of(op.bits)), product(s, step)
    return dx.reshape(error.shape), s, sums[2], product(se, sh), sums[0], (int(se[0]), int(se[1]))
