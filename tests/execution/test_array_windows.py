"""The greatest sum of squares that an output reads, against windows written out tap by tap."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.execution.array_operands import Operands
from simulator.execution.array_weights import Weights
from simulator.execution.array_windows import greatest_read
from simulator.lowering.layer import ConvGeometry, Padding
from simulator.numerics.formats import INT8, IntFormat

GEOMETRIES = {
    "1x1": ConvGeometry(2, 3, 4, 3, 4, channels=5, filters=2),
    "strided": ConvGeometry(2, 9, 8, 4, 3, channels=70, filters=2, kernel=(3, 4), stride=(2, 3)),
    "dilated": ConvGeometry(
        1, 7, 6, 7, 6, channels=3, filters=1, groups=2, kernel=(3, 3), dilation=(4, 2), padding=Padding(4, 2, 4, 2)
    ),
    "all taps beyond": ConvGeometry(1, 2, 2, 2, 2, channels=64, filters=1, kernel=(3, 3), dilation=(9, 9),
                                    padding=Padding(9, 9, 9, 9)),
    "one output": ConvGeometry(1, 5, 5, 1, 1, channels=3, filters=1, kernel=(3, 3), padding=Padding(1, 2, 0, 0)),
    "woven": ConvGeometry(
        2, 4, 3, 9, 7, channels=4, filters=3, kernel=(3, 2), padding=Padding(2, 1, 1, 1), insertion=(2, 3)
    ),
}  # fmt: skip


@pytest.mark.parametrize("x_format", [INT8, IntFormat(16)], ids=str)
@pytest.mark.parametrize("name", GEOMETRIES)
def test_greatest_squares_of_what_outputs_read(name, x_format):
    geometry = GEOMETRIES[name]
    rng = np.random.default_rng(len(name))
    shape = geometry.batch, geometry.in_height, geometry.in_width, geometry.groups, geometry.channels
    x = rng.integers(x_format.min, x_format.max, shape, endpoint=True).astype(x_format.dtype)
    weights = Weights(np.ones((geometry.filters * geometry.groups, geometry.k), np.int8), np.zeros(1, np.int64))
    operands = Operands(x.reshape(-1, shape[3] * shape[4]), x_format, 7, weights, np.zeros((1, 1), np.int64), geometry)
    (down, across), (top, left) = geometry.insertion, (geometry.padding.top, geometry.padding.left)
    expected = 0
    for image in range(geometry.batch):
        for row in range(geometry.out_height):
            for column in range(geometry.out_width):
                total = np.zeros(geometry.groups, np.int64)
                for kh, kw in np.ndindex(geometry.kernel):
                    y = row * geometry.stride[0] + kh * geometry.dilation[0] - top
                    z = column * geometry.stride[1] + kw * geometry.dilation[1] - left
                    inside = 0 <= y < shape[1] * down and 0 <= z < shape[2] * across
                    if inside and y % down == 0 and z % across == 0:
                        total += ((x[image, y // down, z // across].astype(np.int64) - 7) ** 2).sum(axis=1)
                expected = max(expected, int(total.max()))
    assert greatest_read(operands) == expected
