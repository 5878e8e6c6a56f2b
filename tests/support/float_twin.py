"""Float operators as their definitions read, for tiny networks: value by value in float64, no NumPy tricks."""

from __future__ import annotations

import itertools
import math

import numpy as np

from simulator.graph import ops

CLAMPS = {"none": (-math.inf, math.inf), "relu": (0, math.inf), "relu6": (0, 6), "relu_n1_to_1": (-1, 1)}


def positions(shape):
    return itertools.product(*(range(size) for size in shape))


def conv2d(op, x, w, bias, shape):
    filters, kh, kw, channels = w.shape
    out = np.zeros(shape)
    for n, i, j, f in positions(shape):
        total = 0.0 if bias is None else float(bias[f])
        group = f // (filters // op.groups)
        for a, b, c in positions((kh, kw, channels)):
            row = i * op.stride[0] + a * op.dilation[0] - op.padding.top
            column = j * op.stride[1] + b * op.dilation[1] - op.padding.left
            if 0 <= row < x.shape[1] and 0 <= column < x.shape[2]:
                total += float(x[n, row, column, group * channels + c]) * float(w[f, a, b, c])
        out[n, i, j, f] = total
    return out


def transpose_conv2d(op, x, w, bias, shape):
    out = np.zeros(shape)
    for n, i, j, c in positions(x.shape):
        for f, a, b in positions(w.shape[:3]):
            row = i * op.stride[0] - op.padding.top + a * op.dilation[0]
            column = j * op.stride[1] - op.padding.left + b * op.dilation[1]
            if 0 <= row < shape[1] and 0 <= column < shape[2]:
                out[n, row, column, f] += float(x[n, i, j, c]) * float(w[f, a, b, c])
    return out if bias is None else out + bias


def fully_connected(x, w, bias, shape):
    rows = x.reshape(-1, w.shape[1])
    out = np.zeros((len(rows), len(w)))
    for m, n in positions(out.shape):
        out[m, n] = sum(float(a) * float(b) for a, b in zip(rows[m], w[n], strict=True))
    return (out if bias is None else out + bias).reshape(shape)


def pool(op, x, shape, choose):
    out = np.zeros(shape)
    for n, i, j, c in positions(shape):
        seen = []
        for a, b in positions(op.kernel):
            row, column = i * op.stride[0] + a - op.padding.top, j * op.stride[1] + b - op.padding.left
            if 0 <= row < x.shape[1] and 0 <= column < x.shape[2]:
                seen.append(float(x[n, row, column, c]))
        out[n, i, j, c] = choose(seen)
    return out


def source(op, index, size_in, size_out):
    if op.align_corners:
        return index * (size_in - 1) / (size_out - 1) if size_out > 1 else 0.0
    if op.half_pixel_centers:
        return max(0.0, (index + 0.5) * size_in / size_out - 0.5)
    return index * size_in / size_out


def resize_bilinear(op, x, shape):
    out = np.zeros(shape)
    for n, i, j, c in positions(shape):
        y, z = source(op, i, x.shape[1], shape[1]), source(op, j, x.shape[2], shape[2])
        top, left = min(int(y), x.shape[1] - 1), min(int(z), x.shape[2] - 1)
        bottom, right = min(top + 1, x.shape[1] - 1), min(left + 1, x.shape[2] - 1)
        upper = float(x[n, top, left, c]) * (1 - (z - left)) + float(x[n, top, right, c]) * (z - left)
        lower = float(x[n, bottom, left, c]) * (1 - (z - left)) + float(x[n, bottom, right, c]) * (z - left)
        out[n, i, j, c] = upper * (1 - (y - top)) + lower * (y - top)
    return out


def softmax(op, x):
    rows = x.reshape(-1, x.shape[-1])
    powers = [[math.exp(op.beta * (float(v) - float(max(row)))) for v in row] for row in rows]
    return np.array([[p / sum(row) for p in row] for row in powers]).reshape(x.shape)


def batch_norm(op, x, gamma, beta, mean, variance):
    out = np.zeros(x.shape)
    for index in positions(x.shape):
        c = index[-1]
        normal = (float(x[index]) - float(mean[c])) / math.sqrt(float(variance[c]) + op.epsilon)
        out[index] = float(gamma[c]) * normal + float(beta[c])
    return out


def evaluate(op, arrays, shape):
    """The operator's output, float64 (integers for ArgMax)."""
    x, second, third = [*arrays, None, None][:3]
    match op:
        case ops.Conv2D():
            out = conv2d(op, x, second, third, shape)
        case ops.TransposeConv2D():
            out = transpose_conv2d(op, x, second, third, shape)
        case ops.FullyConnected():
            out = fully_connected(x, second, third, shape)
        case ops.BatchNorm():
            out = batch_norm(op, *arrays)
        case ops.MaxPool2D():
            out = pool(op, x, shape, max)
        case ops.AveragePool2D():
            out = pool(op, x, shape, lambda seen: sum(seen) / len(seen))
        case ops.ResizeBilinear():
            out = resize_bilinear(op, x, shape)
        case ops.Add():
            out = np.asarray(x, np.float64) + second
        case ops.Sub():
            out = np.asarray(x, np.float64) - second
        case ops.Mul():
            out = np.asarray(x, np.float64) * second
        case ops.Relu():
            out = np.array([max(0.0, float(v)) for v in x.ravel()]).reshape(shape)
        case ops.Relu6():
            out = np.array([min(6.0, max(0.0, float(v))) for v in x.ravel()]).reshape(shape)
        case ops.Logistic():
            out = np.array([1 / (1 + math.exp(-float(v))) for v in x.ravel()]).reshape(shape)
        case ops.HardSwish():
            out = np.array([float(v) * min(6, max(0, float(v) + 3)) / 6 for v in x.ravel()]).reshape(shape)
        case ops.Softmax():
            out = softmax(op, x)
        case ops.Concat():
            out = np.concatenate(arrays, op.axis)
        case ops.Mean():
            out = np.add.reduce(np.asarray(x, np.float64), op.axes).reshape(shape) / (x.size / math.prod(shape))
        case ops.Slice():
            out = x[tuple(slice(*cut) for cut in zip(op.begin, op.end, op.step, strict=True))].reshape(shape)
        case ops.ArgMax():
            moved = np.moveaxis(x, op.axis, -1).reshape(-1, x.shape[op.axis])
            return np.array([list(row).index(max(row)) for row in moved]).reshape(shape)
        case _:
            raise NotImplementedError(op)
    return np.clip(out, *CLAMPS[getattr(op, "activation", "none")])


def run(graph, inputs):
    """Every tensor of a float graph by name."""
    values = {tensor.name: tensor.data for tensor in graph.tensors.values() if tensor.data is not None} | dict(inputs)
    for node in graph.nodes:
        arrays = [values[name] if name else None for name in node.inputs]
        (output,) = node.outputs
        values[output] = evaluate(node.op, arrays, graph.tensors[output].shape)
    return values
