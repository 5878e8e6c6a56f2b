"""Add, sub, mul, maximum, minimum and prelu on quantized tensors: the bits of TFLite's reference kernels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes

from simulator.errors import UnsupportedOp
from simulator.execution.broadcast import broadcast_rows
from simulator.graph.ops import Activation, Add, Maximum, Minimum, Mul, PRelu, Sub
from support.litert_ops import Spec, assert_same_bits, lower_one
from support.tflite_builder import NONE, RELU, RELU6, RELU_N1_TO_1

pytestmark = pytest.mark.oracle

FUSED = {
    Activation.NONE: NONE,
    Activation.RELU: RELU,
    Activation.RELU6: RELU6,
    Activation.RELU_N1_TO_1: RELU_N1_TO_1,
}
ALL_PAIRS = (256, 256)
"""Every value of an 8-bit a against every value of b."""


def _all_pairs(dtype: str) -> list[np.ndarray]:
    info = np.iinfo(dtype)
    values = np.arange(info.min, info.max + 1).astype(dtype)
    return [np.repeat(values, 256).reshape(ALL_PAIRS), np.tile(values, 256).reshape(ALL_PAIRS)]


def _ends(dtype: str) -> tuple[int, int]:
    return (np.iinfo(dtype).min, np.iinfo(dtype).max)


SCALES = [(0.5, 0.5, 1.0), (0.1, 0.0007, 0.03), (0.02, 1.7, 0.9), (1.0, 0.3, 20.0), (0.004, 0.003, 0.0051)]


@pytest.mark.parametrize("scales", SCALES)
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize(("op", "code"), [(Add, "ADD"), (Sub, "SUB"), (Mul, "MUL")])
def test_every_pair_of_8_bit_values(op, code, dtype, scales):
    low, high = _ends(dtype)
    middle = (low + high) // 2 + 3
    for index, zero_points in enumerate([(low, high, middle), (high, middle, low), (middle, low, high)]):
        activation = list(FUSED)[(index + len(code)) % 4]
        specs = [Spec(ALL_PAIRS, dtype, scales[i], zero_points[i]) for i in range(3)]
        assert_same_bits(
            op(activation), code, specs[:2], specs[2], _all_pairs(dtype), fusedActivationFunction=FUSED[activation]
        )


@pytest.mark.parametrize("scales", [(0.5, 0.3, 0.0007), (3.0, 2.0, 0.05)])
def test_multiplier_above_one_shifts_left(scales):
    specs = [Spec(ALL_PAIRS, "int8", scales[i], zero) for i, zero in enumerate((5, -7, 11))]
    assert_same_bits(Mul(), "MUL", specs[:2], specs[2], _all_pairs("int8"))


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("scales", [(0.5, 0.01, 0.4), (0.02, 0.9, 0.005), (3.0, 0.002, 7.0)])
def test_prelu_on_every_pair(dtype, scales):
    low, high = _ends(dtype)
    for zero_points in [(low, high, low + 9), (high - 100, low + 90, high), (low + 60, low + 128, low + 128)]:
        specs = [Spec(ALL_PAIRS, dtype, scales[i], zero_points[i]) for i in range(3)]
        assert_same_bits(PRelu(), "PRELU", specs[:2], specs[2], _all_pairs(dtype))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
@pytest.mark.parametrize(("op", "code"), [(Maximum, "MAXIMUM"), (Minimum, "MINIMUM")])
def test_extremes(op, code, dtype):
    spec = Spec((3, 5, 7), dtype, 0.3, 0)
    assert_same_bits(op(), code, [spec, spec], spec)


@pytest.mark.parametrize(("op", "code"), [(Add, "ADD"), (Sub, "SUB"), (Mul, "MUL")])
@pytest.mark.parametrize("scales", [(3e-4, 1e-4, 4e-4), (1e-3, 2e-5, 7e-4)])
def test_16_bits(op, code, scales):
    specs = [Spec((7, 1000), "int16", scale) for scale in scales]
    if code == "MUL":
        specs[2] = Spec((7, 1000), "int16", 0.003)
    options = {} if code == "MUL" else {"potScaleInt16": False}
    assert_same_bits(op(), code, specs[:2], specs[2], **options)


@settings(deadline=None, max_examples=30)
@given(mutually_broadcastable_shapes(num_shapes=2, min_dims=1, max_dims=4, max_side=5), st.sampled_from("ASMX"))
def test_broadcasting(shapes, which):
    op, code = {"A": (Add, "ADD"), "S": (Sub, "SUB"), "M": (Mul, "MUL"), "X": (Maximum, "MAXIMUM")}[which]
    a, b = shapes.input_shapes
    if which == "X":
        specs = [Spec(a), Spec(b), Spec(shapes.result_shape)]
    else:
        specs = [
            Spec(a, scale=0.1, zero_point=4),
            Spec(b, scale=0.3, zero_point=-9),
            Spec(shapes.result_shape, scale=0.5),
        ]
    assert_same_bits(op(), code, specs[:2], specs[2])


@settings(deadline=None, max_examples=100)
@given(mutually_broadcastable_shapes(num_shapes=2, min_dims=0, max_dims=5, max_side=40))
def test_rows_index_what_numpy_broadcasts(shapes):
    (a, b), out = shapes.input_shapes, shapes.result_shape
    rows, steps, (count, length) = broadcast_rows(a, b, out)
    for shape, start, step in zip((a, b), rows.T, steps, strict=True):
        flat = np.arange(np.prod(shape, dtype=int)).reshape(shape)
        indices = start[:, None] + np.arange(length)[None, :] * step
        assert indices.shape == (count, length)
        np.testing.assert_array_equal(indices.reshape(out), np.broadcast_to(flat, out))


def test_prelu_with_one_slope_per_channel():
    x, alpha, out = (
        Spec((2, 5, 3, 6), scale=0.1),
        Spec((1, 1, 6), scale=0.01, zero_point=3),
        Spec((2, 5, 3, 6), scale=0.09),
    )
    assert_same_bits(PRelu(), "PRELU", [x, alpha], out)


def test_lane_operations_are_counted_per_output_element():
    a, b = Spec((4, 1, 3)), Spec((5, 1))
    out = Spec((4, 5, 3), scale=2.0)
    assert lower_one(Add(), [a, b], [out]).vector_ops == 3 * 60
    assert lower_one(Mul(), [a, b], [out]).vector_ops == 2 * 60


@pytest.mark.parametrize(
    ("op", "specs", "reason"),
    [
        (Add(), [Spec((4,)), Spec((4,), "uint8"), Spec((4,))], "formats"),
        (Add(), [Spec((4,), "int16")] * 3, "power-of-two"),
        (Mul(), [Spec((4,), "int16", 0.1, 3)] * 3, "zero point 0"),
        (Add(), [Spec((4,)), Spec((4,)), Spec((4,), scale=None)], "without scale"),
        (Sub(), [Spec((4,)), Spec((4,)), Spec((4,), scale=1e-7)], "finer than"),
        (Maximum(), [Spec((4,)), Spec((4,), scale=2.0), Spec((4,))], "does not rescale"),
        (Mul(), [Spec((4,)), Spec((4,)), Spec((4,), scale=1e-10)], "2\\^31"),
    ],
)
def test_what_the_reference_cannot_do_is_refused(op, specs, reason):
    with pytest.raises(UnsupportedOp, match=reason):
        lower_one(op, specs[:2], specs[2:])
