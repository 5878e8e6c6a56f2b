"""Depthwise sums by blocks of channels, against an explicit loop."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.execution.array_operands import geometry_vector
from simulator.graph.ops import Padding
from simulator.kernels.depthwise import find_taps, make_depthwise
from simulator.kernels.isa import INSTRUCTION_SETS
from simulator.kernels.requantize_panels import PLAN_LENGTH, RAW
from simulator.lowering.layer import ConvGeometry


@pytest.mark.parametrize("name", ["emulated-avx512vnni", "emulated-avx2"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16])
@pytest.mark.parametrize("filters", [16, 17, 72])
@pytest.mark.parametrize(
    ("stride", "dilation", "pads"), [(1, 1, (1, 1, 1, 1)), (2, 1, (0, 1, 1, 0)), (1, 2, (2, 2, 2, 2))]
)
def test_sums_are_those_of_a_loop(name, dtype, filters, stride, dilation, pads):
    rng = np.random.default_rng(filters)
    limits, zero, (top, bottom, left, right) = np.iinfo(dtype), 5, pads
    x = rng.integers(limits.min, limits.max, (2, 7, 6, filters), dtype, endpoint=True)
    weights = rng.integers(-128, 128, (3, 3, filters)).astype(np.int32)
    start = rng.integers(-1000, 1000, filters).astype(np.int32)
    span = 2 * dilation + 1
    rows, columns = (7 + top + bottom - span) // stride + 1, (6 + left + right - span) // stride + 1
    padded = np.zeros((2, 7 + top + bottom, 6 + left + right, filters), np.int64)
    padded[:, top : top + 7, left : left + 6] = x.astype(np.int64) - zero
    expected = np.zeros((2, rows, columns, filters), np.int64) + start
    for kh in range(3):
        for kw in range(3):
            y, z = kh * dilation, kw * dilation
            seen = padded[:, y : y + (rows - 1) * stride + 1 : stride, z : z + (columns - 1) * stride + 1 : stride]
            expected += seen * weights[kh, kw]
    geometry = ConvGeometry(
        batch=2,
        in_height=7,
        in_width=6,
        out_height=rows,
        out_width=columns,
        channels=1,
        filters=1,
        groups=filters,
        kernel=(3, 3),
        stride=(stride, stride),
        dilation=(dilation, dilation),
        padding=Padding(top, bottom, left, right),
    )
    guarded = np.full((2 * rows * columns + 1, filters), 7, np.int32)  # nothing is written beyond the end
    out = guarded[:-1]
    filled = -(-filters // INSTRUCTION_SETS[name].channels) * INSTRUCTION_SETS[name].channels
    per_channel = np.zeros((3, filled), np.int32)
    per_channel[0, :filters] = start - zero * weights.sum(axis=(0, 1))
    pairs = np.zeros((10, filters), np.int16)
    pairs[:9] = weights.reshape(9, filters)
    plan = np.zeros(PLAN_LENGTH, np.int64)
    assert plan[0] == RAW
    make_depthwise(name)(
        x.reshape(-1, filters),
        np.full(filters, zero, dtype),
        np.ascontiguousarray(pairs.reshape(5, 2, filters).transpose(0, 2, 1)),
        geometry_vector(geometry),
        plan,
        *per_channel,
        out.reshape(-1).view(np.uint8),
        np.zeros(1, np.int64),
    )
    np.testing.assert_array_equal(out, expected.reshape(-1, filters))
    assert (guarded[-1] == 7).all()


@pytest.mark.parametrize("kernel", [(3, 3), (2, 2), (1, 5)])
def test_places_of_taps_lie_within_the_activations_wherever_they_move_along_to(kernel):
    """With the companion of an odd tap: it is read, though its weights are 0."""
    height, width, filters = 5, 40, 16
    x = np.zeros((height * width, filters), np.int8)
    zeros = np.zeros(filters, np.int8)
    rows, columns = height - kernel[0] + 1, width - kernel[1] + 1
    layer = ConvGeometry(1, height, width, rows, columns, 1, 1, groups=filters, kernel=kernel)
    places = np.full(2 * -(-kernel[0] * kernel[1] // 2), zeros.ctypes.data, np.int64)
    assert find_taps(x, zeros, geometry_vector(layer), filters, 0, places)
    furthest = places + (columns - 1) * filters
    assert (places >= x.ctypes.data).all()
    assert (furthest + filters <= x.ctypes.data + x.nbytes).all()
