"""Convolutions that hold the address generator and its banks to their model."""

from __future__ import annotations

import numpy as np

from simulator.timing.clocked_array import ClockedArray, Gemm
from simulator.timing.clocked_convolution import Convolution, Pool
from support.gemm_cases import Stream, draw_gemm

ENGINES = {
    "conv_2x3_single": ("ws_2x3_single", (2, 1)),
    "conv_3x5": ("ws_3x5", (2, 2)),
    "conv_6x4": ("ws_6x4", (4, 1)),
    "conv_8x8": ("ws_8x8", (2, 4)),
}
"""Array, banks and elements of their words of what is built as RTL."""


def draw_convolution(stream: Stream, array: ClockedArray) -> tuple[Convolution, np.ndarray, Gemm]:
    """Draw sizes, a feature map and the filters' side of the product; a third has zeros woven in."""
    size = (stream.integer(1, 9), stream.integer(1, 9))
    kernel = (stream.integer(1, 4), stream.integer(1, 4))
    channels = stream.integer(1, stream.integer(1, 9))
    padding = tuple(stream.integer(0, side) for side in kernel)
    if stream.integer(0, 2) == 0:
        stride, dilation, insertion = (1, 1), (1, 1), (stream.integer(1, 4), stream.integer(1, 4))
    else:
        insertion = (1, 1)
        stride, dilation = ((stream.integer(1, 3), stream.integer(1, 3)) for _ in range(2))
    out_size = tuple(
        max(1, ((size[i] - 1) * insertion[i] + 1 + padding[i] + 1 - (kernel[i] - 1) * dilation[i] - 1) // stride[i] + 1)
        for i in range(2)
    )
    pool = None
    if stream.integer(0, 1):
        window = stream.integer(2, 3)
        step = stream.integer(1, 3)
        most = window - 1, min(window, step) - 1
        pool = Pool(window, step, *((stream.integer(0, pad), stream.integer(0, pad)) for pad in most))
    convolution = Convolution(size, channels, kernel, out_size, stride, dilation, padding, insertion, pool)
    product = draw_gemm(stream, array, most=20)
    shape = (convolution.k, len(product.bias))
    magnitude = 1 << stream.integer(0, array.weight_bits - 1)
    weights = stream.integers(-magnitude, magnitude - 1, shape)
    magnitude = 1 << stream.integer(0, array.activation_bits - 1)
    feature_map = stream.integers(-magnitude, magnitude - 1, (*size, channels))
    changed = {**vars(product), "a": feature_map[:0], "w": weights, "k_cuts": ()}
    return convolution, feature_map, Gemm(**changed)
