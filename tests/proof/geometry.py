"""Geometry of layers to judge the array by: convolutions of every family, of the sizes that networks have.

`proof.wild` draws what no network has.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from proof.wild import WILD, Geometry, pick
from support.array_twin import Shape
from support.step_twin import output_size

CHANNELS = (1, 2, 3, 5, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 130)
FILTERS = (1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65)
LENGTHS = (
    1,
    2,
    3,
    5,
    7,
    8,
    9,
    15,
    16,
    17,
    31,
    33,
    63,
    64,
    65,
    127,
    129,
    255,
    256,
    257,
    300,
    511,
    1000,
    1025,
    2049,
    4099,
)
VERY_LONG = (9001, 33_001, 70_001)
"""More additions than a 16-bit counter counts."""
PIXELS = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 257)
MOST_MACS = 24_000_000
"""Of one layer."""
MOST_WILD_MACS = 3_000_000
MOST_VALUES = 1_500_000
"""Of an input or output, about."""


def _image(rng: np.random.Generator, span: tuple[int, int], padding: tuple[int, int]) -> tuple[int, int]:
    """Height and width that hold at least one window."""
    extra = [pick(rng, 0, 1, int(rng.integers(10)), int(rng.integers(60))) for _ in range(2)]
    return max(span[0] - padding[0], 1) + extra[0], max(span[1] - padding[1], 1) + extra[1]


def fully_connected(rng: np.random.Generator) -> Geometry:
    m, k, n = pick(rng, *PIXELS), pick(rng, *LENGTHS), pick(rng, *FILTERS)
    if rng.random() < 0.01:
        m, k, n = pick(rng, 1, 2, 5), pick(rng, *VERY_LONG), pick(rng, 1, 7, 16, 17)
    return (m, 1, 1, k), (n, 1, 1, k), Shape()


def pointwise(rng: np.random.Generator) -> Geometry:
    stride = pick(rng, (1, 1), (1, 1), (2, 1), (3, 2))
    channels, filters = pick(rng, *CHANNELS, *LENGTHS), pick(rng, *FILTERS)
    size = _image(rng, (1, 1), (0, 0))
    return (pick(rng, 1, 1, 2, 3), *size, channels), (filters, 1, 1, channels), Shape(stride=stride)


def convolution(rng: np.random.Generator, groups: int = 1) -> Geometry:
    kernel = pick(rng, (3, 3), (3, 3), (1, 1), (1, 5), (2, 3), (4, 1), (5, 5), (7, 7))
    stride = pick(rng, (1, 1), (1, 1), (2, 2), (2, 1), (1, 3), (4, 4))
    dilation = pick(rng, (1, 1), (1, 1), (2, 2), (1, 3), (3, 2))
    padding = pick(rng, (0, 0, 0, 0), (1, 1, 1, 1), tuple(rng.integers(0, 4, 4).tolist()))
    span = ((kernel[0] - 1) * dilation[0] + 1, (kernel[1] - 1) * dilation[1] + 1)
    size = _image(rng, span, (sum(padding[:2]), sum(padding[2:])))
    channels, filters = pick(rng, *CHANNELS), pick(rng, *FILTERS)
    shape = Shape(kernel, stride, dilation, padding, groups)
    return (pick(rng, 1, 1, 2, 3), *size, channels * groups), (filters * groups, *kernel, channels), shape


def grouped(rng: np.random.Generator) -> Geometry:
    return convolution(rng, pick(rng, 2, 3, 4, 8))


def depthwise(rng: np.random.Generator) -> Geometry:
    groups, multiplier = pick(rng, *CHANNELS[2:]), pick(rng, 1, 1, 1, 2, 3)
    (batch, height, width, _), weights, shape = convolution(rng, groups)
    return (batch, height, width, groups), (groups * multiplier, *weights[1:3], 1), shape


def transposed(rng: np.random.Generator) -> Geometry:
    kernel = pick(rng, (2, 2), (3, 3), (4, 4), (3, 2), (1, 1), (5, 1))
    stride = pick(rng, (2, 2), (1, 1), (2, 3), (3, 1), (4, 4))
    size = tuple(rng.integers(1, 14, 2).tolist())
    full = [(size[i] - 1) * stride[i] + kernel[i] for i in (0, 1)]
    crop = [pick(rng, 0, kernel[i] // 2, int(rng.integers(min(full[i], kernel[i] + 3)))) for i in (0, 1)]
    crop = [min(crop[i], full[i] - 1) for i in (0, 1)]
    output = tuple(max(1, full[i] - crop[i] + pick(rng, 0, 0, -2, 3)) for i in (0, 1))
    shape = Shape(kernel, stride, (1, 1), (crop[0], 0, crop[1], 0), 1, True, output)
    channels, filters = pick(rng, *CHANNELS), pick(rng, *FILTERS)
    return (pick(rng, 1, 1, 2), *size, channels), (filters, *kernel, channels), shape


FAMILIES: tuple[Callable[[np.random.Generator], Geometry], ...] = (
    *(fully_connected, pointwise, convolution, convolution, grouped, depthwise, depthwise, transposed),
)


def _macs(geometry: Geometry) -> int:
    x_shape, w_shape, shape = geometry
    return x_shape[0] * math.prod(output_size(x_shape, shape)) * math.prod(w_shape)


def draw_wild(rng: np.random.Generator, most_macs: int) -> tuple[str, Geometry]:
    """Geometry of a wild family, of at most so many MACs where it can: the more layers the better."""
    family = pick(rng, *WILD)
    most = min(most_macs, MOST_WILD_MACS) * 2.0 ** -rng.uniform(0, 8)
    drawn = [family(rng) for _ in range(4)]
    fitting = [geometry for geometry in drawn if _macs(geometry) <= most]
    return family.__name__, fitting[0] if fitting else min(drawn, key=_macs)


def draw_geometry(rng: np.random.Generator, most_macs: int) -> tuple[str, Geometry]:
    """Geometry of a family, of at most so many MACs where it can; small layers are quick to draw, and say little."""
    family = pick(rng, *FAMILIES)
    most = most_macs * 2.0 ** -rng.uniform(0, 8)
    drawn = [family(rng) for _ in range(6)]
    fitting = [geometry for geometry in drawn if _macs(geometry) <= most]
    chosen = max(fitting, key=_macs) if fitting else min(drawn, key=_macs)
    if fitting and not chosen[2].transposed and rng.random() < 0.7:
        chosen = _heightened(chosen, most)
    return family.__name__, chosen


def _heightened(geometry: Geometry, most: float) -> Geometry:
    """Add rows to an image (or to a fully connected layer's input) up to so many MACs."""
    (batch, height, width, channels), w_shape, shape = geometry
    rows, columns = output_size((batch, height, width, channels), shape)
    values = batch * max(height * width * channels, rows * columns * w_shape[0])
    times = max(1, int(min(most / _macs(geometry), 100, MOST_VALUES / values)))
    if w_shape[1:3] == (1, 1) and height == 1:
        return (batch * times, height, width, channels), w_shape, shape
    span = (shape.kernel[0] - 1) * shape.dilation[0] + 1
    taller = (rows * times - 1) * shape.stride[0] + span - sum(shape.padding[:2])
    return (batch, max(taller, height), width, channels), w_shape, shape
