"""Euclidean norms of blocks of activations and weights, as integers that are no less than the real ones."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from simulator.kernels._jit import kernel

INTERVAL = 64
"""Channels whose squares are summed: so many that LLVM makes a loop over vectors of them."""


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


@kernel(parallel=True)
def interval_squares(x: Any, zero_point: Any, groups: Any, squares: Any) -> None:
    """Sum the squares over intervals of INTERVAL channels of each pixel and group; a group's last may be shorter.

    Parameters
    ----------
    x
        [pixels, channels of all groups], as stored.
    zero_point
        Subtracted; within [-255, 255] where `squares` are int32.
    groups
        Groups of channels.
    squares
        [pixels, groups, intervals], written: int32 for an `x` of bytes, or int64.

    """
    channels = x.shape[1] // groups
    whole = channels // INTERVAL
    for index in numba.prange(x.shape[0]):
        pixel = np.int64(index)  # unsigned in a parallel loop, and unsigned with signed makes float64
        for group in range(groups):
            numbers = x[pixel, group * channels : (group + 1) * channels]
            if squares.itemsize == 4:
                for i in range(whole):
                    part = numbers[i * INTERVAL : (i + 1) * INTERVAL]
                    squares[pixel, group, i] = byte_squares(part, INTERVAL, np.int16(zero_point))
                if whole < squares.shape[2]:
                    part = numbers[whole * INTERVAL :]
                    squares[pixel, group, whole] = byte_squares(part, part.size, np.int16(zero_point))
            else:
                for i in range(squares.shape[2]):
                    total = np.int64(0)
                    for number in numbers[i * INTERVAL : (i + 1) * INTERVAL]:
                        value = np.int64(number) - zero_point
                        total += value * value
                    squares[pixel, group, i] = total


@kernel(inline=True)
def byte_squares(numbers: Any, count: Any, zero_point: Any) -> Any:
    """Sum the squares of bytes less a zero point, two a lane at once (vpmaddwd): each difference is int16."""
    total = np.int32(0)
    for i in range(count):
        value = np.int32(np.int16(np.int16(numbers[i]) - zero_point))
        total = np.int32(total + np.int32(value * value))
    return total


@kernel(parallel=True)
def greatest_squares(squares: Any, firsts: Any, lasts: Any, greatest: Any) -> None:
    """Find the greatest sums over runs of intervals of any pixel.

    Parameters
    ----------
    squares
        [pixels, groups, intervals], of `interval_squares`.
    firsts, lasts
        int64 [runs]: the first interval of each, and the one after its last.
    greatest
        int64 [shares of the pixels, groups, runs], written.

    """
    pixels, shares = squares.shape[0], greatest.shape[0]
    for index in numba.prange(shares):
        share = np.int64(index)  # unsigned in a parallel loop, and unsigned with signed makes float64
        for group in range(squares.shape[1]):
            found = greatest[share, group]
            found[:] = 0
            for pixel in range(share * pixels // shares, (share + 1) * pixels // shares):
                row = squares[pixel, group]
                for run in range(firsts.shape[0]):
                    total = np.int64(0)
                    for i in range(firsts[run], lasts[run]):
                        total += row[i]
                    found[run] = max(found[run], total)


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
