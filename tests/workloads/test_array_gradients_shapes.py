"""Gradients of array layers against their definition, y += x * w, one pair of pixel and tap after another."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from simulator.errors import InputError
from simulator.execution import array_wide
from simulator.graph import ops
from simulator.graph.builder import GraphBuilder
from simulator.graph.graph import Node
from simulator.graph.ops import Padding
from simulator.numerics.formats import INT8, IntFormat
from support.training_runs_of_steps import prepared
from workloads.training.array_gradients import filter_gradient, input_gradient, sum_format

CONVOLUTIONS = [  # kernel, stride, dilation, padding (top, bottom, left, right)
    ((3, 3), (2, 2), (2, 2), (2, 2, 2, 2)),
    ((3, 2), (2, 3), (3, 2), (1, 0, 0, 2)),
    ((2, 3), (4, 1), (2, 5), (0, 1, 5, 4)),
    ((7, 7), (2, 2), (1, 1), (2, 3, 2, 3)),
    ((1, 1), (3, 2), (2, 2), (0, 0, 0, 0)),
    ((2, 2), (2, 2), (1, 1), (0, 0, 0, 0)),
    ((3, 3), (1, 1), (4, 4), (4, 4, 4, 4)),
    ((3, 1), (3, 1), (2, 1), (2, 2, 0, 0)),
    ((3, 3), (2, 2), (1, 1), (1, -2, 1, -3)),
]
TRANSPOSED = [  # kernel, stride, dilation, cropped (top, left), output size
    ((4, 4), (2, 2), (1, 1), (1, 1), (22, 26)),
    ((3, 3), (2, 2), (2, 2), (1, 0), (23, 29)),
    ((2, 3), (3, 2), (1, 3), (0, 2), (33, 27)),
    ((1, 1), (2, 1), (1, 1), (0, 0), (21, 13)),
    ((5, 2), (1, 4), (2, 3), (3, 1), (15, 55)),
]


def pairs(op, image: tuple[int, ...], small: tuple[int, ...], kernel: tuple[int, int]):
    """(tap, pixel of the large image, pixel of the small one) that the layer multiplies."""
    for i, j, r, c in product(*map(range, (*kernel, *small[1:3]))):
        y = r * op.stride[0] - op.padding.top + i * op.dilation[0]
        x = c * op.stride[1] - op.padding.left + j * op.dilation[1]
        if 0 <= y < image[1] and 0 <= x < image[2]:
            yield (i, j), (y, x), (r, c)


def by_definition(op, x, w, e):
    """Gradients of input and filters, int64, of a convolution or a transposed one."""
    x, w, e = (array.astype(np.int64) for array in (x, w, e))
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    forward = isinstance(op, ops.Conv2D)
    image, small = (x, e) if forward else (e, x)
    for (i, j), large, little in pairs(op, image.shape, small.shape, w.shape[1:3]):
        (y, z), (r, c) = (large, little) if forward else (little, large)
        dx[:, y, z] += e[:, r, c] @ w[:, i, j]
        dw[:, i, j] += e[:, r, c].T @ x[:, y, z]
    return dx, dw


def check(op, kernel, bits):
    rng = np.random.default_rng(11)
    x, w = (rng.integers(-127, 128, shape).astype(np.int8) for shape in ((2, 11, 13, 3), (5, *kernel, 3)))
    builder = GraphBuilder("gradients")
    builder.input("x", x.shape, INT8)
    builder.input("w", w.shape, INT8)
    error = builder.shape(builder.add(op, "x", "w", name="y", format=IntFormat(32)))
    most = 2 ** (bits - 1) - 1
    e = rng.integers(-most, most + 1, error).astype(f"int{bits}")
    builder.input("e", e.shape, IntFormat(bits))
    node = Node("y", op, ("x", "w"), ("y",))
    names = input_gradient(builder, node, "w", "e"), filter_gradient(builder, node, "x", "e")
    outputs = prepared(builder.build(names)).run({"x": x, "w": w, "e": e}).outputs
    for name, expected in zip(names, by_definition(op, x, w, e), strict=True):
        np.testing.assert_array_equal(outputs[name], expected)


@pytest.mark.parametrize("filters_apart", [1, 100])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(("kernel", "stride", "dilation", "pad"), CONVOLUTIONS)
def test_of_a_convolution(kernel, stride, dilation, pad, bits, filters_apart, monkeypatch):
    monkeypatch.setattr(array_wide, "_FILTERS_APART", filters_apart)  # phases one by one, or together
    check(ops.Conv2D(stride, Padding(*pad), dilation, raw_accumulator=True), kernel, bits)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(("kernel", "stride", "dilation", "crop", "size"), TRANSPOSED)
def test_of_a_transposed_convolution(kernel, stride, dilation, crop, size, bits):
    border = Padding(crop[0], 0, crop[1], 0)
    check(ops.TransposeConv2D(stride, size, border, dilation=dilation, raw_accumulator=True), kernel, bits)


def raw_sum(values, format):
    builder = GraphBuilder("raw")
    builder.input("x", (1, 1, 1, len(values)), INT8)
    builder.input("w", (1, 1, 1, len(values)), INT8)
    name = builder.add(ops.Conv2D(raw_accumulator=True), "x", "w", name="y", format=format)
    operand = np.array(values, np.int8).reshape(1, 1, 1, -1)
    return prepared(builder.build([name])).run({"x": operand, "w": operand}).outputs[name].item()


def test_a_sum_beyond_the_declared_format_is_refused():
    """-128 twice: 2^15, which int16 would hold as -2^15."""
    format = sum_format(8, 8, 2)
    assert raw_sum([-127, 127], format) == 2 * 127 * 127
    assert raw_sum([-128, 127], format) == 128 * 128 + 127 * 127
    with pytest.raises(InputError, match=r"layer y: its raw sums reach from 32768 to 32768, and y is int16.*int17"):
        raw_sum([-128, -128], format)
    assert raw_sum([-128, -128], IntFormat(17)) == 1 << 15
