"""Reductions, softmax, concatenation and resizing on the host, bit for bit as the TFLite reference kernels."""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.typing import NDArray

from simulator.execution.host_elementwise import Array, Compute, F, activate
from simulator.graph import ops
from simulator.graph.ops import Op
from simulator.kernels.host_math import libm, sum_in_order
from simulator.lowering.layer import Layer


def _rows(x: Array, axes: tuple[int, ...]) -> Array:
    """Bring the reduced axes to the end, in their order: [outputs, terms]."""
    reduced = sorted({axis % x.ndim for axis in axes})
    kept = [axis for axis in range(x.ndim) if axis not in reduced]
    terms = prod(x.shape[axis] for axis in reduced)
    return np.ascontiguousarray(x.transpose(*kept, *reduced).reshape(-1, terms))


def _float_sums(rows: Array) -> NDArray[np.float32]:
    out = np.empty(rows.shape[0], np.float32)
    sum_in_order(rows, out)
    return out


def _sum(op: ops.Sum, x: list[Array], layer: Layer) -> Array:
    rows = _rows(x[0], op.axes)
    sums: Array = _float_sums(rows) if rows.dtype == np.float32 else rows.sum(axis=1, dtype=rows.dtype)
    return sums.reshape(layer.outputs[0].shape)


def _mean(op: ops.Mean, x: list[Array], layer: Layer) -> Array:
    rows = _rows(x[0], op.axes)
    if rows.dtype == np.float32:
        mean = _float_sums(rows) / F(rows.shape[1])
    else:
        sums = rows.sum(axis=1, dtype=np.int64)
        mean = (np.sign(sums) * (abs(sums) // rows.shape[1])).astype(rows.dtype)  # C++ division drops the fraction
    return mean.reshape(layer.outputs[0].shape)


def _reduce_max(op: ops.ReduceMax, x: list[Array], layer: Layer) -> Array:
    greatest: Array = _rows(x[0], op.axes).max(axis=1)
    return greatest.reshape(layer.outputs[0].shape)


def _arg_max(op: ops.ArgMax, x: list[Array], layer: Layer) -> Array:
    values = x[0]
    if values.dtype == np.float32:
        # Nothing is greater than a NaN, and a NaN is greater than nothing: it wins only in first place.
        first = np.take(values, [0], axis=op.axis)
        values = np.where(np.isnan(values), F(-np.inf), values)
        values = np.where(np.isnan(first), F(0), values)
    index: Array = np.argmax(values, axis=op.axis)
    return index.astype(layer.outputs[0].format.dtype)


def _softmax(op: ops.Softmax, x: list[Array], layer: Layer) -> Array:
    rows = np.ascontiguousarray(x[0].reshape(-1, x[0].shape[-1]))
    powers = libm("exp", (rows - rows.max(axis=1, keepdims=True)) * F(op.beta))
    shares: Array = powers / _float_sums(powers)[:, None]
    return shares.reshape(x[0].shape)


def _concat(op: ops.Concat, x: list[Array], layer: Layer) -> Array:
    joined = np.concatenate(x, axis=op.axis)
    return joined if joined.dtype == np.bool_ else activate(joined, op.activation)


def _scale(size: int, target: int, align_corners: bool) -> np.float32:
    if align_corners and target > 1:
        return F(F(size - 1) / F(target - 1))
    return F(F(size) / F(target))


def _sources(size: int, target: int, op: ops.ResizeBilinear | ops.ResizeNearest) -> Array:
    """Source position of each output row or column (resize_bilinear.h, ComputeInterpolationValues)."""
    scale, index = _scale(size, target, op.align_corners), np.arange(target, dtype=np.float32)
    position: Array = (index + F(0.5)) * scale - F(0.5) if op.half_pixel_centers else index * scale
    return position


def _resize_bilinear(op: ops.ResizeBilinear, x: list[Array], layer: Layer) -> Array:
    image = x[0]
    _, height, width, _ = image.shape
    y, c = _sources(height, op.size[0], op), _sources(width, op.size[1], op)
    y0, c0 = (np.maximum(np.floor(v), 0).astype(np.int64) for v in (y, c))
    y1, c1 = (np.minimum(np.ceil(v), n - 1).astype(np.int64) for v, n in ((y, height), (c, width)))
    down, right = (y - y0.astype(np.float32))[:, None, None], (c - c0.astype(np.float32))[:, None]
    top, bottom = image[:, y0], image[:, y1]
    result = top[:, :, c0] * (F(1) - down) * (F(1) - right)
    result = result + bottom[:, :, c0] * down * (F(1) - right)
    result = result + top[:, :, c1] * (F(1) - down) * right
    result = result + bottom[:, :, c1] * down * right
    return np.asarray(result)


def _nearest(size: int, target: int, op: ops.ResizeNearest) -> Array:
    """Source index of each output row or column (resize_nearest_neighbor.h, GetNearestNeighbor)."""
    offset = F(0.5) if op.half_pixel_centers else F(0)
    position = (np.arange(target, dtype=np.float32) + offset) * _scale(size, target, op.align_corners)
    # roundf goes away from zero at a tie; positions are not negative.
    index = np.floor(position.astype(np.float64) + 0.5) if op.align_corners else np.floor(position)
    return np.minimum(index.astype(np.int64), size - 1)


def _resize_nearest(op: ops.ResizeNearest, x: list[Array], layer: Layer) -> Array:
    _, height, width, _ = x[0].shape
    rows: Array = x[0][:, _nearest(height, op.size[0], op)]
    return rows.take(_nearest(width, op.size[1], op), axis=2)


COMPUTE: dict[type[Op], Compute] = {
    ops.Sum: _sum,
    ops.Mean: _mean,
    ops.ReduceMax: _reduce_max,
    ops.ArgMax: _arg_max,
    ops.Softmax: _softmax,
    ops.Concat: _concat,
    ops.ResizeBilinear: _resize_bilinear,
    ops.ResizeNearest: _resize_nearest,
}
