"""Float32 convolutions on BLAS, memory-bounded. Float results depend on the BLAS in use in their last bits."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from simulator.graph.ops import Conv2D, TransposeConv2D

Floats = NDArray[np.float32]

_BLOCK_BYTES = 16 << 20
"""Of gathered input at a time, so that no image size exhausts memory."""
_TAP_CHANNELS = 128
"""From so many channels on, convolutions are computed tap by tap."""


def conv2d(op: Conv2D, x: Floats, weights: Floats, out_size: tuple[int, int]) -> Floats:
    """Convolution without bias or activation.

    Parameters
    ----------
    op
        Stride, padding, dilation, groups.
    x
        [batch, height, width, channels].
    weights
        [filters, kernel_h, kernel_w, channels / groups].
    out_size
        (height, width) of the output.

    Returns
    -------
    float32 [batch, *out_size, filters].

    """
    filters, kernel_h, kernel_w, channels = weights.shape
    if (kernel_h, kernel_w) == (1, 1) and op.groups == 1 and not any(vars(op.padding).values()):
        sampled = x[:, :: op.stride[0], :: op.stride[1]][:, : out_size[0], : out_size[1]]
        return np.asarray(
            np.ascontiguousarray(sampled).reshape(-1, channels) @ weights.reshape(filters, channels).T
        ).reshape(x.shape[0], *out_size, filters)
    pad = op.padding
    padded = np.pad(x, ((0, 0), (pad.top, pad.bottom), (pad.left, pad.right), (0, 0)))
    out = np.empty((x.shape[0], *out_size, filters), np.float32)
    if channels == 1 and op.groups > 1:
        _depthwise(op, padded, weights, out)
        return out
    per_group = filters // op.groups
    for group in range(op.groups):
        taken = slice(group * per_group, (group + 1) * per_group)
        source = padded[..., group * channels : (group + 1) * channels]
        method = _by_taps if channels >= _TAP_CHANNELS else _by_columns
        for image in range(x.shape[0]):
            method(op, source[image], weights[taken], out[image][..., taken])
    return out


def _by_columns(op: Conv2D, x: Floats, weights: Floats, out: Floats) -> None:
    """Implicit GEMM of one image: all taps of a few output rows at a time."""
    height, width, filters = out.shape
    matrix = weights.reshape(filters, -1).T
    windows = _windows(op, x, weights, out)
    rows = max(1, _BLOCK_BYTES // (4 * width * matrix.shape[0]))
    for begin in range(0, height, rows):
        columns = np.ascontiguousarray(windows[begin : begin + rows]).reshape(-1, matrix.shape[0])
        out[begin : begin + rows] = (columns @ matrix).reshape(-1, width, filters)


def _by_taps(op: Conv2D, x: Floats, weights: Floats, out: Floats) -> None:
    """Sum over taps of one product each: with many channels that is faster than gathering all taps."""
    height, width, _ = out.shape
    _, kernel_h, kernel_w, channels = weights.shape
    windows = _windows(op, x, weights, out)
    rows = max(1, _BLOCK_BYTES // (4 * width * channels))
    for begin in range(0, height, rows):
        block = out[begin : begin + rows]
        block[...] = 0
        for i in range(kernel_h):
            for j in range(kernel_w):
                tap = np.ascontiguousarray(windows[begin : begin + rows, :, i, j]).reshape(-1, channels)
                block += (tap @ weights[:, i, j].T).reshape(block.shape)


def _windows(op: Conv2D, x: Floats, weights: Floats, out: Floats) -> Floats:
    """View of a padded image as [out_h, out_w, kernel_h, kernel_w, channels]."""
    row, column, channel = x.strides
    steps = (row * op.stride[0], column * op.stride[1], row * op.dilation[0], column * op.dilation[1], channel)
    return as_strided(x, (*out.shape[:2], *weights.shape[1:]), steps, writeable=False)


def _depthwise(op: Conv2D, padded: Floats, weights: Floats, out: Floats) -> None:
    """Every filter reads one channel: tap by tap, no products to batch."""
    filters, kernel_h, kernel_w, _ = weights.shape
    _, height, width, _ = out.shape
    out[:] = 0
    repeats = filters // padded.shape[3]
    for i in range(kernel_h):
        for j in range(kernel_w):
            top, left = i * op.dilation[0], j * op.dilation[1]
            rows = slice(top, top + (height - 1) * op.stride[0] + 1, op.stride[0])
            columns = slice(left, left + (width - 1) * op.stride[1] + 1, op.stride[1])
            tap = padded[:, rows, columns]
            out += (tap if repeats == 1 else np.repeat(tap, repeats, axis=3)) * weights[:, i, j, 0]


def transpose_conv2d(op: TransposeConv2D, x: Floats, weights: Floats) -> Floats:
    """Transposed convolution without bias or activation, float32 [batch, *op.output_size, filters].

    Every input pixel adds its filter, taps `dilation` apart, to the full result at its position times the stride; the
    full result is then cropped. x is [batch, height, width, channels], weights [filters, kernel_h, kernel_w, channels].
    """
    batch, height, width, channels = x.shape
    filters, kernel_h, kernel_w, _ = weights.shape
    stride_h, stride_w = op.stride
    bottom, right = op.padding.top + op.output_size[0], op.padding.left + op.output_size[1]
    down, across = op.dilation
    full_height = max((height - 1) * stride_h + (kernel_h - 1) * down + 1, bottom)
    full_width = max((width - 1) * stride_w + (kernel_w - 1) * across + 1, right)
    full = np.zeros((batch, full_height, full_width, filters), np.float32)
    flat = np.ascontiguousarray(x).reshape(-1, channels)
    for i in range(kernel_h):
        for j in range(kernel_w):
            product = (flat @ weights[:, i, j].T).reshape(batch, height, width, filters)
            top, left = i * down, j * across
            rows = slice(top, top + (height - 1) * stride_h + 1, stride_h)
            full[:, rows, left : left + (width - 1) * stride_w + 1 : stride_w] += product
    return np.ascontiguousarray(full[:, op.padding.top : bottom, op.padding.left : right])
