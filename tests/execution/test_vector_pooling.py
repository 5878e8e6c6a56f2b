"""Max and average pooling: the bits of TFLite's reference kernels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import UnsupportedOp
from simulator.graph.ops import Activation, AveragePool2D, MaxPool2D, Padding
from simulator.graph.shapes import infer_shapes
from support.litert_ops import Spec, assert_same_bits, lower_one, simulate_one
from support.tflite_builder import NONE, RELU, RELU6, RELU_N1_TO_1, SAME, VALID

POOLS = [(MaxPool2D, "MAX_POOL_2D"), (AveragePool2D, "AVERAGE_POOL_2D")]
FUSED = [
    (Activation.NONE, NONE),
    (Activation.RELU, RELU),
    (Activation.RELU6, RELU6),
    (Activation.RELU_N1_TO_1, RELU_N1_TO_1),
]


def _same_padding(sizes, kernel, stride):
    before_after = []
    for size, k, s in zip(sizes, kernel, stride, strict=True):
        total = max((-(-size // s) - 1) * s + k - size, 0)
        before_after += [total // 2, total - total // 2]
    return Padding(*before_after)


@pytest.mark.oracle
@settings(deadline=None, max_examples=60)
@given(
    pool=st.sampled_from(POOLS),
    dtype=st.sampled_from(["int8", "uint8", "int16"]),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9), st.integers(1, 5)),
    kernel=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    stride=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    same=st.booleans(),
    fused=st.sampled_from(FUSED),
    zero=st.integers(0, 2),
)
def test_windows(pool, dtype, shape, kernel, stride, same, fused, zero):
    op, code = pool
    if not same:
        kernel = (min(kernel[0], shape[1]), min(kernel[1], shape[2]))
    padding = _same_padding(shape[1:3], kernel, stride) if same else Padding()
    info = np.iinfo(dtype)
    zero_point = 0 if dtype == "int16" else (info.min, info.max, info.min + 100)[zero]
    x = Spec(shape, dtype, 0.05, zero_point)
    node = op(kernel, stride, padding, fused[0])
    out = Spec(infer_shapes(node, [shape])[0], dtype, 0.05, zero_point)
    assert_same_bits(
        node,
        code,
        [x],
        out,
        padding=SAME if same else VALID,
        filterHeight=kernel[0],
        filterWidth=kernel[1],
        strideH=stride[0],
        strideW=stride[1],
        fusedActivationFunction=fused[1],
    )


@pytest.mark.oracle
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_every_sum_of_three_values_rounds_away_from_zero(dtype):
    """A window of 4 columns over a sweep of values: every remainder of the division, of both signs."""
    values = np.arange(256).astype(np.uint8).view(dtype)
    x = np.stack([np.roll(values, shift) for shift in (0, 1, 3, 70)], axis=0).reshape(1, 1, 4, 256)
    spec = Spec(x.shape, dtype)
    for kernel in (2, 3, 4):
        node = AveragePool2D((1, kernel), (1, 1))
        out = Spec((1, 1, 5 - kernel, 256), dtype)
        options = {"filterHeight": 1, "filterWidth": kernel, "strideH": 1, "strideW": 1, "padding": VALID}
        assert_same_bits(node, "AVERAGE_POOL_2D", [spec], out, [x], **options)


def test_asymmetric_padding_belongs_to_no_window():
    """Padding that TFLite cannot write (ONNX can): right and bottom only, against a plain loop."""
    x = Spec((1, 3, 4, 2)).random(1)
    padding = Padding(top=0, bottom=1, left=1, right=1)
    node = AveragePool2D((2, 3), (1, 2), padding)
    out = simulate_one(node, [Spec(x.shape)], Spec((1, 3, 2, 2)), [x])
    for row in range(3):
        for column in range(2):
            window = x[0, row : row + 2, max(2 * column - 1, 0) : 2 * column + 2].reshape(-1, 2).astype(float)
            exact = window.sum(0) / len(window)
            expected = np.sign(exact) * np.floor(np.abs(exact) + 0.5)
            np.testing.assert_array_equal(out[0, row, column], expected)


def test_lane_operations_are_output_times_window():
    layer = lower_one(MaxPool2D((3, 2), (2, 2)), [Spec((2, 7, 6, 5))], [Spec((2, 3, 3, 5))])
    assert layer.vector_ops == 2 * 3 * 3 * 5 * 6


@pytest.mark.parametrize(
    ("op", "out", "reason"),
    [
        (AveragePool2D((2, 2), (1, 1), Padding(top=2)), Spec((1, 5, 3, 1)), "in the padding"),
        (AveragePool2D((2, 2), (4, 1), Padding(bottom=4)), Spec((1, 2, 3, 1)), "in the padding"),
        (MaxPool2D((2, 2), (1, 1)), Spec((1, 3, 3, 1), scale=0.3), "does not rescale"),
        (MaxPool2D((2, 2), (1, 1)), Spec((1, 3, 3, 1), zero_point=1), "does not rescale"),
    ],
)
def test_refusals(op, out, reason):
    with pytest.raises(UnsupportedOp, match=reason):
        lower_one(op, [Spec((1, 4, 4, 1))], [out])
