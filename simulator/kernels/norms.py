"""Euclidean norms of blocks of activations and weights, as integers that are no less than the real ones."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from simulator.kernels import geometry as geo
from simulator.kernels._jit import kernel

_BYTES_AT_ONCE = 4096


@kernel(inline=True)
def norm_of(squares: Any) -> Any:
    """Return an integer above the square root of a sum of squares below 2^52 (0 for 0); float64 roots are within 1."""
    return np.int64(np.sqrt(np.float64(squares))) + 1 if squares > 0 else np.int64(0)


@kernel(parallel=True)
def segment_norms(image: Any, pixel_step: Any, group_step: Any, begins: Any, lengths: Any, norms: Any) -> None:
    """Norms of the segments that start at each pixel.

    Parameters
    ----------
    image
        int16, flat; a segment past the end of the last pixels is cut off there.
    pixel_step, group_step
        Numbers from one pixel, and one group of channels, to the next.
    begins, lengths
        int64 [segments], from the group's first channel at the pixel.
    norms
        int32 [pixels, groups, segments], written.

    """
    for index in numba.prange(norms.shape[0]):
        pixel = np.int64(index)  # unsigned in a parallel loop, and unsigned with signed makes float64
        for group in range(norms.shape[1]):
            at = pixel * pixel_step + group * group_step
            for s in range(begins.shape[0]):
                begin = at + begins[s]
                end = min(begin + lengths[s], image.shape[0])
                squares = np.int64(0)
                for i in range(begin, end):
                    value = np.int64(image[i])
                    squares += value * value
                norms[pixel, group, s] = norm_of(squares)


@kernel(parallel=True)
def block_norms(packed: Any, block_pairs: Any, norms: Any) -> None:
    """Norms of the blocks of packed weights.

    Parameters
    ----------
    packed
        int16 [panels, pairs of k, channels, 2].
    block_pairs
        Pairs of k in a block.
    norms
        int32 [panels, blocks, channels], written.

    """
    blocks, channels = norms.shape[1], norms.shape[2]
    for index in numba.prange(norms.shape[0] * blocks):
        task = np.int64(index)  # unsigned in a parallel loop, and unsigned with signed makes float64
        panel = task // blocks
        block = task - panel * blocks
        squares = np.zeros(channels, np.int64)
        for pair in range(block * block_pairs, (block + 1) * block_pairs):
            for c in range(channels):
                first, second = np.int64(packed[panel, pair, c, 0]), np.int64(packed[panel, pair, c, 1])
                squares[c] += first * first + second * second
        for c in range(channels):
            norms[panel, block, c] = norm_of(squares[c])


@kernel(inline=True)
def byte_squares(numbers: Any, zero_point: Any) -> Any:
    """Sum the squares of bytes less their zero point, on int32: it holds the square of 511 more than 4096 times."""
    total = np.int64(0)
    for begin in range(0, numbers.shape[0], _BYTES_AT_ONCE):
        part = numbers[begin : begin + _BYTES_AT_ONCE]
        held = np.int32(0)
        for i in range(part.size):
            value = np.int32(part[i]) - zero_point
            held = np.int32(held + value * value)
        total += np.int64(held)
    return total


@kernel(parallel=True)
def pixel_squares(x: Any, zero_point: Any, groups: Any, squares: Any) -> None:
    """Sum the squares over the channels of each pixel and group.

    Parameters
    ----------
    x
        [pixels, channels of all groups], as stored.
    zero_point
        Subtracted.
    groups
        Groups of channels.
    squares
        int64 [pixels, groups], written.

    """
    channels = x.shape[1] // groups
    for index in numba.prange(x.shape[0]):
        pixel = np.int64(index)  # unsigned in a parallel loop, and unsigned with signed makes float64
        row = x[pixel]
        for group in range(groups):
            numbers = row[group * channels : (group + 1) * channels]
            if x.itemsize == 1:
                squares[pixel, group] = byte_squares(numbers, np.int32(zero_point))
            else:
                total = np.int64(0)
                for number in numbers:
                    value = np.int64(number) - zero_point
                    total += value * value
                squares[pixel, group] = total


@kernel(parallel=True)
def interval_squares(x: Any, zero_point: Any, groups: Any, begins: Any, ends: Any, squares: Any) -> None:
    """Sum the squares over intervals of the channels of each pixel and group.

    Parameters
    ----------
    x
        int8 or uint8 [pixels, channels of all groups], as stored.
    zero_point
        Subtracted.
    groups
        Groups of channels.
    begins, ends
        int64 [intervals], from a group's first channel.
    squares
        int64 [pixels, groups, intervals], written.

    """
    channels = x.shape[1] // groups
    for index in numba.prange(x.shape[0]):
        pixel = np.int64(index)  # unsigned in a parallel loop, and unsigned with signed makes float64
        row = x[pixel]
        for group in range(groups):
            numbers = row[group * channels : (group + 1) * channels]
            for i in range(begins.shape[0]):
                squares[pixel, group, i] = byte_squares(numbers[begins[i] : ends[i]], np.int32(zero_point))


@kernel(parallel=True)
def add_windows(squares: Any, geometry: Any, read: Any) -> None:
    """Sum over what each output pixel reads.

    Parameters
    ----------
    squares
        int64 [pixels, groups].
    geometry
        int64 [geo.LENGTH].
    read
        int64 [output pixels, groups], zeros, written.

    """
    for index in numba.prange(read.shape[0]):
        pixel = np.int64(index)  # unsigned in a parallel loop, and unsigned with signed makes float64
        for kh in range(geometry[geo.KERNEL_H]):
            for kw in range(geometry[geo.KERNEL_W]):
                row = geo.source_row(geometry, pixel, kh, kw)
                if row >= 0:
                    for group in range(read.shape[1]):
                        read[pixel, group] += squares[row, group]


@kernel(parallel=True)
def filter_squares(weights: Any, zero_points: Any, squares: Any) -> None:
    """Sum the squares of each filter.

    Parameters
    ----------
    weights
        [filters, K], as stored.
    zero_points
        int64 [filters], subtracted.
    squares
        int64 [filters], written.

    """
    for index in numba.prange(weights.shape[0]):
        j = np.int64(index)  # unsigned in a parallel loop, and unsigned with signed makes float64
        total = np.int64(0)
        for k in range(weights.shape[1]):
            value = np.int64(weights[j, k]) - zero_points[j]
            total += value * value
        squares[j] = total
