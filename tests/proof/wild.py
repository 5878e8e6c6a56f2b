"""Geometry as wild as the operators allow: what no network has, and what kernels are least ready for.

Padding wider than the filter or the image and on one side alone, or cropping where it may be negative; strides past the
filter, holes of dilation past the image; images of one pixel, row or column; channels around the sizes of vectors,
panels and pieces of K; outputs of a transposed convolution that nothing reaches.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from support.array_twin import Shape

Geometry = tuple[tuple[int, ...], tuple[int, ...], Shape]
"""Shape of x [N, H, W, C], of the weights, and the convolution."""

_EDGES = (1, 4, 8, 16, 32, 48, 64, 96, 128, 192, 256, 320, 384, 512, 576)
"""Numbers of channels that lanes, vectors, panels and pieces of K come out even with."""
_MOST_CHANNELS = 600
_MOST_OUTPUTS = 4000
"""Rows times columns, about: the rest of a large border is more of the same."""


def pick(rng: np.random.Generator, *options: Any) -> Any:
    return options[int(rng.integers(len(options)))]


def near_edge(rng: np.random.Generator, most: int) -> int:
    """A number of channels: just below, at or above where vectors end, or any."""
    near = max(1, pick(rng, *(edge for edge in _EDGES if edge <= most)) + pick(rng, -1, 0, 0, 1))
    return int(pick(rng, near, near, 1 + int(rng.integers(min(most, 9))), 1 + int(rng.integers(most))))


def _channels(rng: np.random.Generator) -> int:
    return near_edge(rng, pick(rng, 16, 64, 160, _MOST_CHANNELS))


def _filters(rng: np.random.Generator) -> int:
    return near_edge(rng, pick(rng, 16, 64, 130, 130))


def _batch(rng: np.random.Generator) -> int:
    return int(pick(rng, 1, 1, 2, 3, 5))


def _convolved_axis(rng: np.random.Generator) -> tuple[int, int, int, int, int, int]:
    """Size, taps, stride, dilation, padding before and after; at least one window."""
    taps, stride = pick(rng, 1, 1, 2, 3, 4, 5, 7, 11), pick(rng, 1, 1, 2, 3, 4, 5, 8, 17)
    dilation = pick(rng, 1, 1, 2, 3, 5, 9)
    span = (taps - 1) * dilation + 1
    size = max(1, pick(rng, 1, 1, 2, 3, span - 1, span, span + 1, *rng.integers(1, 40, 3).tolist()))
    wide = int(rng.integers(30))
    before = max(0, pick(rng, 0, 0, 1, 2, taps, span - 1, span, size, size + span, wide))
    after = pick(rng, 0, 0, before, 1, stride - 1, span - 1, span, size + span, wide, -1, -int(rng.integers(size + 1)))
    return size, taps, stride, dilation, before, max(after, span - size - before)


def _transposed_axis(rng: np.random.Generator) -> tuple[int, int, int, int, int, int]:
    """Size, taps, stride, dilation, crop and outputs."""
    taps, stride = pick(rng, 1, 2, 3, 4, 5, 7), pick(rng, 1, 2, 2, 3, 4, 5, 8)
    dilation = pick(rng, 1, 1, 1, 2, 3, 4)
    size = pick(rng, 1, 1, 2, 3, int(rng.integers(1, 14)))
    span = (taps - 1) * dilation + 1
    full = (size - 1) * stride + span
    crop = min(full - 1, pick(rng, 0, 0, 1, taps // 2, span - 1, full - 1, int(rng.integers(full))))
    rest = full - crop
    outputs = pick(rng, rest, rest, 1, rest + 1, rest + stride - 1, rest + 2 * stride, 1 + int(rng.integers(rest)))
    return size, taps, stride, dilation, crop, outputs


def _convolution(rng: np.random.Generator, groups: int, channels: int, filters: int) -> Geometry:
    """Of so many groups of so many channels and filters."""
    while True:
        down, across = _convolved_axis(rng), _convolved_axis(rng)
        outputs = [
            (axis[0] + axis[4] + axis[5] - (axis[1] - 1) * axis[3] - 1) // axis[2] + 1 for axis in (down, across)
        ]
        if outputs[0] * outputs[1] <= _MOST_OUTPUTS:
            break
    size, kernel, stride, dilation = ((down[i], across[i]) for i in range(4))
    shape = Shape(kernel, stride, dilation, (*down[4:], *across[4:]), groups)
    return (_batch(rng), *size, groups * channels), (groups * filters, *kernel, channels), shape


def wild_convolution(rng: np.random.Generator) -> Geometry:
    return _convolution(rng, 1, _channels(rng), _filters(rng))


def wild_groups(rng: np.random.Generator) -> Geometry:
    groups = int(pick(rng, 2, 3, 5, 8, 16))
    return _convolution(rng, groups, near_edge(rng, 64), near_edge(rng, pick(rng, 8, 64)))


def wild_depthwise(rng: np.random.Generator) -> Geometry:
    return _convolution(rng, max(2, _channels(rng)), 1, int(pick(rng, 1, 1, 2, 3, 4, 7)))


def wild_transposed(rng: np.random.Generator) -> Geometry:
    down, across = _transposed_axis(rng), _transposed_axis(rng)
    size, kernel, stride, dilation, crop, outputs = ((down[i], across[i]) for i in range(6))
    shape = Shape(kernel, stride, dilation, (crop[0], 0, crop[1], 0), 1, True, outputs)
    channels, filters = _channels(rng), _filters(rng)
    return (_batch(rng), *size, channels), (filters, *kernel, channels), shape


def wild_product(rng: np.random.Generator) -> Geometry:
    """A convolution that is hardly more than a product: one tap, one pixel or one line, and strides past all of it."""
    channels, filters = _channels(rng), _filters(rng)
    size = pick(rng, (1, 1), (1, 1), (1, int(rng.integers(1, 40))), (int(rng.integers(1, 40)), 1))
    padding = tuple(pick(rng, 0, 0, 1, 5) for _ in range(4))
    stride = pick(rng, 1, 2, 50), pick(rng, 1, 2, 50)
    return (_batch(rng), *size, channels), (filters, 1, 1, channels), Shape((1, 1), stride, (1, 1), padding)


WILD: tuple[Callable[[np.random.Generator], Geometry], ...] = (
    *(wild_convolution, wild_convolution, wild_product, wild_groups, wild_depthwise, wild_transposed, wild_transposed),
)
