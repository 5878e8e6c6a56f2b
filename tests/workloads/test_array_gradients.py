"""Gradients of array layers against their definition, bit by bit."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.graph import ops
from simulator.graph.builder import GraphBuilder
from simulator.graph.graph import Node
from simulator.graph.ops import Padding
from simulator.numerics.formats import INT8, IntFormat
from support import training_step_twin as twin
from support.training_runs_of_steps import prepared
from workloads.training.array_gradients import filter_gradient, input_gradient, sum_format


def _padding(pad):
    return Padding(*(pad if isinstance(pad, tuple) else (pad,) * 4))


CONVOLUTIONS = [  # kernel, stride, dilation, padding (top, bottom, left, right)
    (3, 1, 1, 1),
    (3, 2, 1, 1),
    (3, 2, 1, (0, 1, 0, 1)),
    (1, 2, 1, 0),
    (1, 1, 1, 0),
    (7, 2, 1, 3),
    (3, 1, 2, 2),
    (3, 1, 6, 6),
]


@pytest.mark.parametrize("error_bits", [8, 16])
@pytest.mark.parametrize(("kernel", "stride", "dilation", "pad"), CONVOLUTIONS)
def test_convolution(kernel, stride, dilation, pad, error_bits):
    op = ops.Conv2D((stride,) * 2, _padding(pad), (dilation,) * 2, raw_accumulator=True)
    _check(op, (6, kernel, kernel, 5), error_bits)


@pytest.mark.parametrize(
    ("kernel", "stride", "size", "pad"), [(4, 2, (22, 26), 1), (2, 2, (21, 26), 0), (5, 3, (31, 38), 1)]
)
def test_transposed_convolution(kernel, stride, size, pad):
    op = ops.TransposeConv2D((stride,) * 2, size, Padding(pad, 0, pad, 0), raw_accumulator=True)
    _check(op, (6, kernel, kernel, 5), 16)


@pytest.mark.parametrize("most", [127, 32767])
def test_sums_of_more_than_32_bits(most):
    """Filter gradients over many pixels with errors at their rail: several parts of rows, each within 32 bits."""
    rng = np.random.default_rng(3)
    op = ops.Conv2D((2, 2), Padding(1, 2, 1, 2), raw_accumulator=True)
    x = rng.choice(np.array([-127, 127], np.int8), (2, 41, 37, 3))
    e = np.full((2, 21, 19, 5), most, np.int16)
    e[..., 0] = 32767
    e[:, ::2, :, 1] = -most
    x[..., 0], x[:, ::3, :, 1] = 127, -127
    builder = GraphBuilder("wide")
    for name, values, format in (("x", x, INT8), ("e", e, IntFormat(16))):
        builder.input(name, values.shape, format)
    builder.input("w", (5, 4, 4, 3), INT8)
    gradient = filter_gradient(builder, Node("y", op, ("x", "w"), ("y",)), "x", "e")
    inputs = {"x": x, "e": e, "w": np.zeros((5, 4, 4, 3), np.int8)}
    found = prepared(builder.build([gradient])).run(inputs).outputs[gradient]
    wanted = twin.convolve_back(x, inputs["w"], e, op)[1]
    assert np.abs(wanted).max() >= 1 << 31
    np.testing.assert_array_equal(found, wanted)


def _check(op, weights_shape, error_bits):
    rng = np.random.default_rng(7)
    x, w = (rng.integers(-127, 128, shape).astype(np.int8) for shape in ((2, 11, 13, 5), weights_shape))
    builder = GraphBuilder("gradients")
    builder.input("x", x.shape, INT8)
    builder.input("w", w.shape, INT8)
    y = builder.add(op, "x", "w", name="y", format=IntFormat(32))
    most = 2 ** (error_bits - 1) - 1
    e = rng.integers(-most, most + 1, builder.shape(y)).astype(f"int{error_bits}")
    builder.input("e", e.shape, IntFormat(error_bits))
    node = Node("y", op, ("x", "w"), ("y",))
    dx, dw = input_gradient(builder, node, "w", "e"), filter_gradient(builder, node, "x", "e")
    outputs = prepared(builder.build([y, dx, dw])).run({"x": x, "w": w, "e": e}).outputs
    if isinstance(op, ops.Conv2D):
        wanted = (twin.convolve(x, w, op), *twin.convolve_back(x, w, e, op))
    else:
        wanted = (twin.transposed(x, w, op), *twin.transposed_back(x, w, e, op))
    for name, expected in zip((y, dx, dw), wanted, strict=True):
        np.testing.assert_array_equal(outputs[name], expected)


def test_the_format_of_sums_holds_the_greatest_of_symmetric_operands():
    for bits, reduction in ((8, 1), (8, 4608), (16, 86400), (16, 1 << 21)):
        greatest = 127 * (2 ** (bits - 1) - 1) * reduction
        format = sum_format(8, bits, reduction)
        assert greatest <= format.max
        assert greatest > format.max // 4
