"""Integer training in plain NumPy, from the formulas of the operators' docstrings: no kernel, spec or graph of ours.

Every number is a Python int (arrays of dtype object, or int64 where a product cannot leave it). A quantized tensor is a
`Q`: integers, scale (mantissa, exponent) and bits of its format.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass
class Q:
    values: np.ndarray
    scale: tuple[int, int]
    bits: int


def whole(array):
    return np.asarray(array).astype(object)


def limit(bits):
    return (1 << (bits - 1)) - 1


def clip(values, bound):
    return np.minimum(np.maximum(values, -bound), bound)


def shifted(values, shift):
    """values / 2^shift, to nearest, a tie up; left where shift is negative."""
    return (values + (1 << (shift - 1))) >> shift if shift > 0 else values << -shift


def divided(numerator, denominator):
    """To nearest, a tie up."""
    return (2 * numerator + denominator) // (2 * denominator)


# ---------------------------------------------------------------- scales


def product(*scales):
    mantissa, exponent = 1, 0
    for m, e in scales:
        mantissa, exponent = mantissa * m, exponent + e
        excess = max(mantissa.bit_length() - 15, 0)
        mantissa, exponent = shifted(mantissa, excess), exponent + excess
        if mantissa == 1 << 15:
            mantissa, exponent = mantissa >> 1, exponent + 1
    return mantissa, exponent


def over(scale, count):
    if count & (count - 1) == 0:
        return product(scale, (1, -(count.bit_length() - 1)))
    places = count.bit_length() + 14
    return product(scale, product((divided(1 << places, count), -places)))


def step_of(greatest, bits, rule):
    greatest = max(int(greatest), 1)
    if rule == "max":
        exponent = greatest.bit_length() - 15
        mantissa = -(-greatest // (1 << exponent)) if exponent > 0 else greatest << -exponent
        if mantissa == 1 << 15:
            mantissa, exponent = 1 << 14, exponent + 1
        return mantissa, exponent - (bits - 1)
    low = greatest.bit_length() - 1
    if rule == "ceil":
        return 1, (low if greatest == 1 << low else low + 1) - (bits - 1)
    return 1, low + (1 if greatest**2 > 2 ** (2 * low + 1) else 0) - (bits - 1)


# ---------------------------------------------------------------- quantizers


def quantize(x, bits, rule, relu=False):
    values = np.maximum(whole(x.values), 0) if relu else whole(x.values)
    step = step_of(np.abs(values).max(), bits, rule)
    mantissa, exponent = step
    up, down = max(-exponent, 0), max(exponent, 0)
    q = divided(values << up, mantissa << down)
    return Q(clip(q, limit(bits)), product(x.scale, step), bits)


def philox(seed, step, tensor, index):
    mask = (1 << 32) - 1
    c = [index & mask, index >> 32 & mask, tensor & mask, step & mask]
    k = [seed & mask, seed >> 32 & mask]
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [b >> 32 ^ c[1] ^ k[0], b & mask, a >> 32 ^ c[3] ^ k[1], a & mask]
        k = [(k[0] + 0x9E3779B9) & mask, (k[1] + 0xBB67AE85) & mask]
    return c[1] << 32 | c[0]


def draws(seed, step, tensor, count):
    return [philox(seed, step, tensor, index) for index in range(count)]


def quantize_stochastic(x, bits, rule, random, keep=True, dropped_exponent=-14):
    """`random`: 64 random bits an element, in flat order."""
    values = whole(x.values)
    step = step_of(np.abs(values).max(), bits, rule)
    mantissa, exponent = step
    result = []
    for value, bits64 in zip(values.reshape(-1), random, strict=True):
        if mantissa == 1:
            part = bits64 & ((1 << exponent) - 1) if exponent > 0 else 0
            result.append((value + part) >> exponent if exponent > 0 else value << -exponent)
            continue
        v, e = (value >> (exponent - 32), 32) if exponent > 32 else (value, exponent)
        low = (bits64 & 0xFFFFFFFF) & ((1 << e) - 1) if e > 0 else 0
        v = (v + low) >> e if e > 0 else v << -e
        result.append((v + (mantissa * (bits64 >> 32) >> 32)) // mantissa)
    q = clip(np.array(result, object).reshape(values.shape), limit(bits))
    return Q(q, product(x.scale, step) if keep else (1, dropped_exponent), bits)


def fixed(x, scale, bits, exponent):
    return clip(shifted(whole(x) * scale[0], exponent - scale[1]), limit(bits))


# ---------------------------------------------------------------- array


def _geometry(op):
    pad = op.padding
    return op.stride, op.dilation, (pad.top, pad.bottom, pad.left, pad.right)


def convolve(x, w, op):
    """x [N, H, W, C], w [F, kh, kw, C] -> exact sums [N, OH, OW, F], int64."""
    (sy, sx), (dy, dx), (top, bottom, left, right) = _geometry(op)
    padded = np.pad(x.astype(np.int64), ((0, 0), (top, bottom), (left, right), (0, 0)))
    kh, kw = w.shape[1:3]
    oh = (padded.shape[1] - (kh - 1) * dy - 1) // sy + 1
    ow = (padded.shape[2] - (kw - 1) * dx - 1) // sx + 1
    out = np.zeros((x.shape[0], oh, ow, w.shape[0]), np.int64)
    for i in range(kh):
        for j in range(kw):
            part = padded[:, i * dy : i * dy + (oh - 1) * sy + 1 : sy, j * dx : j * dx + (ow - 1) * sx + 1 : sx]
            out += part @ w[:, i, j].astype(np.int64).T
    return out


def convolve_back(x, w, e, op):
    """Gradients of the sums: (of x, of w), exact, from the error e of the output."""
    (sy, sx), (dy, dx), (top, bottom, left, right) = _geometry(op)
    padded = np.pad(x.astype(np.int64), ((0, 0), (top, bottom), (left, right), (0, 0)))
    oh, ow = e.shape[1:3]
    e64, w64 = e.astype(np.int64), w.astype(np.int64)
    gx, gw = np.zeros_like(padded), np.zeros(w.shape, np.int64)
    for i in range(w.shape[1]):
        for j in range(w.shape[2]):
            place = np.s_[:, i * dy : i * dy + (oh - 1) * sy + 1 : sy, j * dx : j * dx + (ow - 1) * sx + 1 : sx]
            gx[place] += e64 @ w64[:, i, j]
            gw[:, i, j] = np.tensordot(e64, padded[place], ((0, 1, 2), (0, 1, 2)))
    return gx[:, top : top + x.shape[1], left : left + x.shape[2]], gw


def _full(op, height, width, kh, kw):
    return (height - 1) * op.stride[0] + kh, (width - 1) * op.stride[1] + kw


def transposed(x, w, op):
    """x [N, H, W, C], w [F, kh, kw, C] -> y[i * stride - pad + k] += x[i] w[k]."""
    (sy, sx), (kh, kw) = op.stride, w.shape[1:3]
    rows, columns = _full(op, *x.shape[1:3], kh, kw)
    (height, width), top, left = op.output_size, op.padding.top, op.padding.left
    full = np.zeros((x.shape[0], max(rows, top + height), max(columns, left + width), w.shape[0]), np.int64)
    for i in range(kh):
        for j in range(kw):
            place = np.s_[:, i : i + (x.shape[1] - 1) * sy + 1 : sy, j : j + (x.shape[2] - 1) * sx + 1 : sx]
            full[place] += x.astype(np.int64) @ w[:, i, j].astype(np.int64).T
    return full[:, top : top + height, left : left + width]


def transposed_back(x, w, e, op):
    (sy, sx), (kh, kw) = op.stride, w.shape[1:3]
    rows, columns = _full(op, *x.shape[1:3], kh, kw)
    (height, width), top, left = op.output_size, op.padding.top, op.padding.left
    full = np.zeros((x.shape[0], max(rows, top + height), max(columns, left + width), w.shape[0]), np.int64)
    full[:, top : top + height, left : left + width] = e.astype(np.int64)
    gx, gw = np.zeros(x.shape, np.int64), np.zeros(w.shape, np.int64)
    for i in range(kh):
        for j in range(kw):
            part = full[:, i : i + (x.shape[1] - 1) * sy + 1 : sy, j : j + (x.shape[2] - 1) * sx + 1 : sx]
            gx += part @ w[:, i, j].astype(np.int64)
            gw[:, i, j] = np.tensordot(part, x.astype(np.int64), ((0, 1, 2), (0, 1, 2)))
    return gx, gw


# ---------------------------------------------------------------- sums of different scales


def _common(tensors, terms, bits):
    greatest = max(q.scale[1] + (q.scale[0] - 1).bit_length() + q.bits - 1 for q in tensors)
    room = (terms - 1).bit_length() if terms > 1 else 0
    return max(greatest + room - (bits - 2), min(q.scale[1] for q in tensors))


def _on_grid(q, exponent):
    return shifted(whole(q.values) * q.scale[0], exponent - q.scale[1])


def add(*tensors, bits=32):
    exponent = _common(tensors, len(tensors), bits)
    return Q(sum(_on_grid(q, exponent) for q in tensors), (1, exponent), bits)


def concat(*tensors, bits=32):
    exponent = _common(tensors, 1, bits)
    return Q(np.concatenate([_on_grid(q, exponent) for q in tensors], 3), (1, exponent), bits)


def biased(x, bias, exponent):
    places = exponent - x.scale[1]
    offset = divided(whole(bias) << max(places, 0), x.scale[0] << max(-places, 0))
    return Q(whole(x.values) + offset, x.scale, x.bits)


# ---------------------------------------------------------------- batch norm


def l1_statistics(x, bits, exponent, epsilon):
    """-> mean, deviation, per channel, in steps of 2^exponent."""
    rows = whole(x.values).reshape(-1, x.values.shape[-1])
    count, total = len(rows), rows.sum(axis=0)
    mantissa, power = x.scale
    centre = divided(total, count)
    spread = np.abs(rows - centre).sum(axis=0)

    def mean_of(sums):
        return divided(shifted(sums * mantissa, exponent - 8 - power), count << 8)

    mean = clip(mean_of(total), limit(bits))
    return mean, np.maximum(clip(mean_of(spread) + epsilon, limit(bits)), 1)


def normalize(x, mean, deviation, bits, exponent, rule):
    mantissa, power = x.scale
    values = whole(x.values)
    excess = max(int(np.abs(values).max()).bit_length() - 31, 0)
    values, power = shifted(values, excess), power + excess
    hat = np.empty(values.shape, object)
    for c in range(values.shape[-1]):
        d = int(deviation[c])
        up = 30 - mantissa.bit_length() + d.bit_length()
        multiplier = divided(mantissa << up, d)
        down = min(max(up + exponent - power - 16, 0), 62)
        hat[..., c] = shifted(values[..., c] * multiplier, down) - divided(int(mean[c]) << 16, d)
    return quantize(Q(hat, (1, -16), 64), bits, rule)


def affine(q, gamma, beta, exponent):
    """gamma, beta on the grid 2^exponent."""
    scale = q.scale[0], q.scale[1] + exponent
    places = exponent - scale[1]
    offset = divided(whole(beta) << max(places, 0), scale[0] << max(-places, 0))
    return Q(whole(gamma) * whole(q.values) + offset, scale, 32)


def l1_norm_back(e, q, gamma, deviation, bits, rule, gamma_exponent, exponent):
    """-> dx, dgamma, dbeta as Q."""
    shape = e.values.shape
    errors, hats = (whole(v).reshape(-1, shape[-1]) for v in (e.values, q.values))
    count = len(errors)
    signs = np.sign(hats.astype(np.int64)).astype(object)
    dbeta, dgamma = errors.sum(axis=0), (errors * hats).sum(axis=0)
    mean_e = divided(dbeta << 16, count)
    mean_s = divided(signs.sum(axis=0) << 15, count)
    mean_p = divided(shifted(dgamma * q.scale[0], -q.scale[1] - 16), count)
    taken = mean_e + shifted(((signs << 15) - mean_s) * mean_p, 15)
    gains = divided(whole(gamma) << 30, whole(deviation))
    most = (1 << (e.bits - 1)) + 1
    needed = 0
    for c in range(shape[-1]):
        worst = max(abs(mean_e[c] + shifted(((s << 15) - mean_s[c]) * mean_p[c], 15)) for s in (-1, 0, 1))
        needed = max(needed, abs(gains[c]).bit_length() + (most + (worst >> 16)).bit_length())
    excess = max(needed - 30, 0)
    gains = shifted(gains, excess)
    dx = (gains * errors - shifted(gains * taken, 16)).reshape(shape)
    scale = product(product(e.scale), (1, gamma_exponent - exponent - 30 + excess))
    return quantize(Q(dx, scale, 32), bits, rule), Q(dgamma, product(e.scale, q.scale), 64), Q(dbeta, e.scale, 64)


def running(average, value, shift, guard):
    return average + shifted((whole(value) << guard) - whole(average), shift)


# ---------------------------------------------------------------- windows


def max_pool(x, kernel, stride, pad):
    """-> values, and for each window the (row, column) in the padded image of the first greatest."""
    top, bottom, left, right = pad
    low = -(1 << 60)
    padded = np.pad(x.astype(np.int64), ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=low)
    rows = (padded.shape[1] - kernel) // stride + 1
    columns = (padded.shape[2] - kernel) // stride + 1
    best = np.full((x.shape[0], rows, columns, x.shape[3]), low)
    where = np.zeros((*best.shape, 2), np.int64)
    for i in range(kernel):
        for j in range(kernel):
            part = padded[:, i : i + (rows - 1) * stride + 1 : stride, j : j + (columns - 1) * stride + 1 : stride]
            wins = part > best
            best = np.where(wins, part, best)
            where[wins] = (i, j)
    return best, where


def max_pool_back(e, where, size, stride, pad):
    top, bottom, left, right = pad
    out = np.zeros((e.shape[0], size[0] + top + bottom, size[1] + left + right, e.shape[3]), np.int64)
    for n, r, c, k in np.ndindex(*e.shape):
        i, j = where[n, r, c, k]
        out[n, r * stride + i, c * stride + j, k] += e[n, r, c, k]
    return out[:, top : top + size[0], left : left + size[1]]


def bilinear_matrix(size_in, size_out):
    """Half-pixel centres; integer weights in steps of 2^-8, [out, in]."""
    matrix = np.zeros((size_out, size_in), np.int64)
    for o in range(size_out):
        twice = max((2 * o + 1) * size_in - size_out, 0)  # position * 2 * size_out
        low, rest = divmod(twice, 2 * size_out)
        low = min(low, size_in - 1)
        upper = (512 * rest + 2 * size_out) // (4 * size_out) if low < size_in - 1 else 0
        matrix[o, low] += 256 - upper
        matrix[o, min(low + 1, size_in - 1)] += upper
    return matrix


def bilinear(x, size):
    rows, columns = bilinear_matrix(x.values.shape[1], size[0]), bilinear_matrix(x.values.shape[2], size[1])
    values = np.einsum("oi,nijc,pj->nopc", rows, x.values.astype(np.int64), columns)
    return Q(values, (x.scale[0], x.scale[1] - 16), 32)


def bilinear_back(e, size):
    rows, columns = bilinear_matrix(size[0], e.values.shape[1]), bilinear_matrix(size[1], e.values.shape[2])
    values = np.einsum("oi,nopc,pj->nijc", rows, e.values.astype(np.int64), columns)
    return Q(values, (e.scale[0], e.scale[1] - 16), 32)


# ---------------------------------------------------------------- update


def update(master, step, rate, bits, exponent):
    """One SGD step on the master's grid, learning rate 2^rate."""
    dw = shifted(whole(step.values) * step.scale[0], exponent - step.scale[1] - rate)
    return clip(whole(master) - clip(dw, limit(bits)), limit(bits))
