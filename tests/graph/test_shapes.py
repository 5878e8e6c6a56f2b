"""Shape rules against NumPy, and against counting window positions one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import NetworkError
from simulator.graph import ops
from simulator.graph.ops import Padding
from simulator.graph.shapes import infer_shapes

small = st.integers(1, 9)
pads = st.integers(0, 3)


def positions(size, before, after, kernel, stride, dilation):
    """Windows that lie inside the padded line, counted."""
    starts = range(-before, size + after, stride)
    return sum(start + (kernel - 1) * dilation < size + after for start in starts)


@given(small, small, small, small, st.integers(1, 3), st.integers(1, 3), pads, pads, pads, pads)
def test_convolution_counts_its_windows(height, width, kh, kw, stride, dilation, top, bottom, left, right):
    op = ops.Conv2D((stride, 1), Padding(top, bottom, left, right), (dilation, 1))
    expected = (
        positions(height, top, bottom, kh, stride, dilation),
        positions(width, left, right, kw, 1, 1),
    )
    if 0 in expected:
        with pytest.raises(NetworkError, match="Conv2D"):
            infer_shapes(op, [(2, height, width, 3), (5, kh, kw, 3)])
    else:
        assert infer_shapes(op, [(2, height, width, 3), (5, kh, kw, 3), (5,)]) == ((2, *expected, 5),)


@given(small, small, small, st.integers(1, 3), pads, pads)
def test_pool_counts_its_windows(height, width, kernel, stride, before, after):
    op = ops.MaxPool2D((kernel, kernel), (stride, stride), Padding(before, after, before, after))
    expected = tuple(positions(size, before, after, kernel, stride, 1) for size in (height, width))
    if max(before, after) >= kernel:
        with pytest.raises(NetworkError, match="without a pixel"):
            infer_shapes(op, [(1, height, width, 4)])
    elif 0 not in expected:
        assert infer_shapes(op, [(1, height, width, 4)]) == ((1, *expected, 4),)


X = np.arange(2 * 4 * 6 * 8).reshape(2, 4, 6, 8)


@pytest.mark.parametrize(
    ("op", "result"),
    [
        (ops.Mean((1, 2), keep_dims=True), X.mean((1, 2), keepdims=True)),
        (ops.Sum((-1,)), X.sum(-1)),
        (ops.ArgMax(-1), X.argmax(-1)),
        (ops.Pad(((0, 0), (1, 2), (0, 3), (0, 0)), 0), np.pad(X, ((0, 0), (1, 2), (0, 3), (0, 0)))),
        (ops.MirrorPad(((0, 0), (3, 2), (0, 5), (0, 0)), "reflect"), np.pad(X, ((0, 0), (3, 2), (0, 5), (0, 0)))),
        (ops.Reshape((8, -1)), X.reshape(8, -1)),
        (ops.Slice((0, -3, None, 5), (None, None, 4, 0), (1, 1, 2, -2)), X[0:, -3:, None:4:2, 5:0:-2]),
        (ops.Slice((1, 0, 0, 2), (2, 4, 6, 3), (1, 1, 1, 1), squeeze=(0, 3)), X[1, :, :, 2]),
        (ops.Tile((1, 2, 3, 1)), np.tile(X, (1, 2, 3, 1))),
        (ops.Transpose((3, 0, 2, 1)), X.transpose(3, 0, 2, 1)),
        (ops.SpaceToDepth(2), X.reshape(2, 2, 2, 3, 2, 8).transpose(0, 1, 3, 2, 4, 5).reshape(2, 2, 3, 32)),
        (ops.DepthToSpace(2), X.reshape(2, 4, 6, 2, 2, 2).transpose(0, 1, 3, 2, 4, 5).reshape(2, 8, 12, 2)),
        (ops.SpaceToBatch((2, 3), ((0, 0), (0, 0))), np.zeros((12, 2, 2, 8))),
        (ops.SpaceToBatch((2, 4), ((1, 1), (0, 2))), np.zeros((16, 3, 2, 8))),
        (ops.BatchToSpace((2, 1), ((1, 0), (0, 2))), np.zeros((1, 7, 4, 8))),
        (ops.ResizeBilinear((9, 5)), np.zeros((2, 9, 5, 8))),
        (ops.Relu(), X),
        (ops.Softmax(), X),
    ],
    ids=lambda value: value.kind if isinstance(value, ops.Op) else "",
)
def test_one_operand_shapes_are_those_of_numpy(op, result):
    assert infer_shapes(op, [X.shape]) == (result.shape,)


def test_many_operand_shapes_are_those_of_numpy():
    a, b = np.zeros((2, 3, 4)), np.zeros((2, 5, 4))
    assert infer_shapes(ops.Concat(-2), [a.shape, b.shape]) == (np.concatenate((a, b), 1).shape,)
    assert infer_shapes(ops.Pack(-1), [a.shape, a.shape]) == (np.stack((a, a), -1).shape,)
    assert infer_shapes(ops.Unpack(1), [a.shape]) == ((2, 4),) * 3
    parts = tuple(part.shape for part in np.split(b, [1, 3], axis=1))
    assert infer_shapes(ops.Split(1, (1, 2, 2)), [b.shape]) == parts
    assert infer_shapes(ops.Add(), [(2, 3, 4), (3, 1)]) == ((a + np.zeros((3, 1))).shape,)
    assert infer_shapes(ops.Gather(1), [a.shape, (7, 2)]) == (a[:, np.zeros((7, 2), int)].shape,)
    assert infer_shapes(ops.GatherNd(), [a.shape, (6, 2)]) == (a[np.zeros(6, int), np.zeros(6, int)].shape,)


def test_products():
    assert infer_shapes(ops.FullyConnected(), [(2, 3, 4), (5, 12)]) == ((2, 5),)
    assert infer_shapes(ops.FullyConnected(keep_dims=True), [(2, 3, 4), (5, 4), (5,)]) == ((2, 3, 5),)
    assert infer_shapes(ops.FullyConnected(), [(2, 4), (5, 4), (2, 5)]) == ((2, 5),)
    transposed = ops.TransposeConv2D((2, 2), (33, 33), Padding(1, 2, 1, 2))
    assert infer_shapes(transposed, [(1, 17, 17, 6), (21, 4, 4, 6)]) == ((1, 33, 33, 21),)


@pytest.mark.parametrize(
    ("op", "shapes", "words"),
    [
        (ops.Conv2D(), [(1, 8, 8, 4), (8, 3, 3, 3)], "4 input channels"),
        (ops.Conv2D(groups=3), [(1, 8, 8, 6), (8, 3, 3, 2)], "group"),
        (ops.Conv2D(), [(1, 8, 8, 4), (8, 3, 3, 4), (7,)], "bias"),
        (ops.Conv2D(), [(8, 8, 4), (8, 3, 3, 4)], "rank 3"),
        (ops.FullyConnected(), [(2, 5), (3, 4)], "k = 4"),
        (ops.Add(), [(2, 3), (4,)], "broadcast"),
        (ops.Concat(0), [(2, 3), (2, 4)], "axis 0"),
        (ops.ArgMax(4), [(2, 3)], "rank 2"),
        (ops.Reshape((5,)), [(2, 3)], "6 values"),
        (ops.Slice((3,), (2,), (1,)), [(4,)], "empty"),
        (ops.BatchNorm(), [(1, 2, 2, 4), (4,), (4,), (3,), (4,)], "gamma"),
        (ops.MirrorPad(((4, 0),), "reflect"), [(4,)], "wider"),
        (ops.Add(), [(2, 3), None], "2 inputs"),
    ],
)
def test_unsuitable_shapes_are_named(op, shapes, words):
    with pytest.raises(NetworkError) as error:
        infer_shapes(op, shapes)
    assert op.kind in str(error.value)
    assert str(shapes[0]) in str(error.value)
    assert words in str(error.value)


def test_every_operator_has_a_rule():
    for op_type in vars(ops).values():
        if isinstance(op_type, type) and issubclass(op_type, ops.Op) and op_type not in (ops.Op, ops.Rescaling):
            with pytest.raises(NetworkError) as error:
                infer_shapes(object.__new__(op_type), [])
            assert "no shape rule" not in str(error.value)
