"""Index layout of the geometry vector that convolution kernels take, and the pixels that one output reads."""

from __future__ import annotations

from typing import Any

from simulator.kernels._jit import kernel

IN_HEIGHT = 0
IN_WIDTH = 1
OUT_HEIGHT = 2
OUT_WIDTH = 3
CHANNELS = 4
"""Input channels of one group."""
FILTERS = 5
"""Output channels of one group."""
GROUPS = 6
KERNEL_H = 7
KERNEL_W = 8
STRIDE_H = 9
STRIDE_W = 10
DILATION_H = 11
DILATION_W = 12
PAD_TOP = 13
PAD_LEFT = 14
INSERTION_H = 15
"""Rows from one input row to the next after zeros are woven in; 1 = none."""
INSERTION_W = 16
LENGTH = 17


@kernel(inline=True)
def source_row(geometry: Any, pixel: Any, kh: Any, kw: Any) -> Any:
    """Row of x [batch * height * width, channels] under one filter tap, or -1 where there is padding or a woven zero.

    Parameters
    ----------
    geometry
        int64 [LENGTH].
    pixel
        Flat output pixel (batch, row, column).
    kh, kw
        Filter tap.

    """
    column = pixel % geometry[OUT_WIDTH]
    rest = pixel // geometry[OUT_WIDTH]
    row = rest % geometry[OUT_HEIGHT]
    y = row * geometry[STRIDE_H] + kh * geometry[DILATION_H] - geometry[PAD_TOP]
    x = column * geometry[STRIDE_W] + kw * geometry[DILATION_W] - geometry[PAD_LEFT]
    if y < 0 or x < 0 or y % geometry[INSERTION_H] != 0 or x % geometry[INSERTION_W] != 0:
        return -1
    y //= geometry[INSERTION_H]
    x //= geometry[INSERTION_W]
    if y >= geometry[IN_HEIGHT] or x >= geometry[IN_WIDTH]:
        return -1
    image = rest // geometry[OUT_HEIGHT]
    return (image * geometry[IN_HEIGHT] + y) * geometry[IN_WIDTH] + x


@kernel(inline=True)
def gather_nonzero(x: Any, geometry: Any, pixel: Any, group: Any, values: Any, indices: Any) -> Any:
    """List the operands of one output pixel that are not zero, in rising flat k = (kh, kw, c).

    A zero operand adds zero: it changes no register, causes no event, and is left out.

    Parameters
    ----------
    x
        int32 [batch * height * width, channels of all groups], zero point subtracted.
    geometry
        int64 [LENGTH].
    pixel, group
        Which output pixel, which group of channels.
    values, indices
        int32 [K + 1], written: operand and its k.

    Returns
    -------
    int
        How many were found.

    """
    channels = geometry[CHANNELS]
    first = group * channels
    found = 0
    for kh in range(geometry[KERNEL_H]):
        for kw in range(geometry[KERNEL_W]):
            row = source_row(geometry, pixel, kh, kw)
            if row < 0:
                continue
            k = (kh * geometry[KERNEL_W] + kw) * channels
            for c in range(channels):
                value = x[row, first + c]
                values[found] = value
                indices[found] = k + c
                found += 1 if value != 0 else 0
    return found


@kernel(inline=True)
def gather_row(x: Any, geometry: Any, pixel: Any, group: Any, fill: Any, row_out: Any) -> None:
    """Copy the operands of one output pixel in flat k order (im2col).

    Parameters
    ----------
    x
        [batch * height * width, channels of all groups].
    geometry
        int64 [LENGTH].
    pixel, group
        Which output pixel, which group of channels.
    fill
        What stands for zero.
    row_out
        [K], written.

    """
    channels = geometry[CHANNELS]
    first = group * channels
    k = 0
    for kh in range(geometry[KERNEL_H]):
        for kw in range(geometry[KERNEL_W]):
            row = source_row(geometry, pixel, kh, kw)
            # Loops, not slices: assigning a slice costs seconds of compile time for its error message.
            if row < 0:
                for c in range(channels):
                    row_out[k + c] = fill
            else:
                source = x[row, first : first + channels]
                for c in range(channels):
                    row_out[k + c] = source[c]
            k += channels
