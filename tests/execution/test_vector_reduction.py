"""Mean, sum, reduce-max and argmax: the bits of TFLite's reference kernels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import UnsupportedOp
from simulator.graph.ops import ArgMax, Mean, ReduceMax, Sum
from simulator.graph.shapes import infer_shapes
from simulator.lowering.layer import Engine
from support.litert_ops import Spec, assert_same_bits, lower_one, reference_one, simulate_one

pytestmark = pytest.mark.oracle


@st.composite
def _reductions(draw):
    shape = tuple(draw(st.lists(st.integers(1, 7), min_size=1, max_size=4)))
    axes = draw(st.lists(st.integers(-len(shape), len(shape) - 1), min_size=1, max_size=4))
    return shape, tuple(axes)


def _check(op, code, x, out_scale, out_zero, arrays=None):
    (shape,) = infer_shapes(op, [x.shape])
    out = Spec(shape, x.dtype, out_scale, out_zero)
    assert_same_bits(op, code, [x], out, arrays, [list(op.axes)], keepDims=op.keep_dims)


@settings(deadline=None, max_examples=80)
@given(
    _reductions(),
    st.sampled_from([(Mean, "MEAN", "int8"), (Mean, "MEAN", "uint8"), (Mean, "MEAN", "int16"), (Sum, "SUM", "uint8")]),
    st.booleans(),
    st.sampled_from([(0.1, 0.1), (0.1, 0.003), (0.02, 1.3), (1.0, 0.9)]),
    st.sampled_from(["low", "high", "middle", "same"]),
)
def test_mean_and_sum(reduction, kind, keep_dims, scales, zero):
    shape, axes = reduction
    op, code, dtype = kind
    info = np.iinfo(dtype)
    zeros = {"low": (info.min, info.max), "high": (info.max, info.min), "middle": (info.min + 90, info.min + 140)}
    zero_in, zero_out = (0, 0) if dtype == "int16" else zeros.get(zero, (info.min + 7, info.min + 7))
    _check(op(axes, keep_dims), code, Spec(shape, dtype, scales[0], zero_in), scales[1], zero_out)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("keep_dims", [True, False])
@pytest.mark.parametrize("axes", [(1, 2), (2, 1)])
@pytest.mark.parametrize("size", [(1, 1), (7, 7), (16, 16), (33, 65)])
def test_global_mean_of_an_image(dtype, keep_dims, axes, size):
    zero = np.iinfo(dtype).min + 11
    x = Spec((2, *size, 64), dtype, 0.023, zero)
    _check(Mean(axes, keep_dims), "MEAN", x, 0.019, zero + 5)
    _check(Mean(axes, keep_dims), "MEAN", x, 0.023, zero)


@settings(deadline=None, max_examples=30)
@given(_reductions(), st.integers(-128, 127), st.integers(-128, 127))
def test_int8_sum_is_the_uint8_sum_recentred(reduction, zero_in, zero_out):
    """LiteRT 2.3's int8 SUM reads its bytes as uint8; its uint8 kernel is sound, and 128 more is the same number."""
    shape, axes = reduction
    op = Sum(axes)
    (out_shape,) = infer_shapes(op, [shape])
    x = Spec(shape, "uint8", 0.1, zero_in + 128)
    values = x.random(3)
    expected = reference_one(
        "SUM", [x], Spec(out_shape, "uint8", 0.13, zero_out + 128), [values], [list(axes)], keepDims=False
    )
    signed = (values.astype(int) - 128).astype(np.int8)
    actual = simulate_one(op, [Spec(shape, "int8", 0.1, zero_in)], Spec(out_shape, "int8", 0.13, zero_out), [signed])
    np.testing.assert_array_equal(actual + np.int16(128), expected)


@pytest.mark.parametrize("scales", [(3.7, 0.0004), (1e-6, 5.0), (1e-9, 9.0)])
def test_mean_with_far_scales(scales):
    """Left shifts, and right shifts that leave the division no room."""
    _check(Mean((1, 2), True), "MEAN", Spec((1, 20, 30, 16), "int8", scales[0], -3), scales[1], 4)


@settings(deadline=None, max_examples=30)
@given(_reductions(), st.sampled_from(["int8", "uint8", "int16"]), st.booleans())
def test_reduce_max(reduction, dtype, keep_dims):
    shape, axes = reduction
    _check(ReduceMax(axes, keep_dims), "REDUCE_MAX", Spec(shape, dtype, 0.1, 0), 0.1, 0)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(1, 7), min_size=1, max_size=4),
    st.integers(-4, 3),
    st.sampled_from(["int8", "uint8", "float32", "int32"]),
    st.sampled_from(["int32", "int64"]),
    st.integers(0, 99),
)
def test_argmax_gives_the_first_of_equals(shape, axis, dtype, index_type, seed):
    axis = axis % len(shape) - (len(shape) if axis < 0 else 0)
    x = Spec(tuple(shape), dtype, None if dtype in ("float32", "int32") else 0.1)
    data = np.random.default_rng(seed).integers(0, 3, shape).astype(dtype)
    op = ArgMax(axis)
    out = Spec(infer_shapes(op, [x.shape])[0], index_type, None)
    assert_same_bits(op, "ARG_MAX", [x], out, [data], [[axis]], outputType=2 if index_type == "int32" else 4)


def test_argmax_of_a_segmentation_map():
    x = Spec((1, 33, 33, 21), "int8", 0.1, -3)
    assert_same_bits(ArgMax(3), "ARG_MAX", [x], Spec((1, 33, 33), "int32", None), None, [[3]], outputType=2)


def test_engines_and_lane_operations():
    mean = lower_one(Mean((1, 2)), [Spec((1, 4, 5, 6))], [Spec((1, 6))])
    assert (mean.engine, mean.vector_ops) == (Engine.VECTOR, 4 * 5 * 6 + 6)
    index = Spec((1, 4), "int32", None)
    assert lower_one(ArgMax(-1), [Spec((1, 4, 5))], [index]).vector_ops == 20
    assert lower_one(ArgMax(-1), [Spec((1, 4, 5), "float32", None)], [index]).engine == Engine.HOST


def test_refusals():
    with pytest.raises(UnsupportedOp, match="outside rank"):
        lower_one(Mean((4,)), [Spec((1, 4))], [Spec((1,))])
    with pytest.raises(UnsupportedOp, match="does not rescale"):
        lower_one(ReduceMax((1,)), [Spec((1, 4))], [Spec((1,), scale=2.0)])
