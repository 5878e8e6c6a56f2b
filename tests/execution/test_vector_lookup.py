"""One-operand functions: every stored value, over scales and zero points, against TFLite's reference kernels."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.errors import UnsupportedOp
from simulator.graph.ops import HardSwish, LeakyRelu, Logistic, Relu, Relu6, ReluN1To1, Tanh
from support.litert_ops import Spec, assert_same_bits, lower_one

pytestmark = pytest.mark.oracle

EIGHT_BITS = ["int8", "uint8"]
ZERO_POINTS = [(0, 255), (255, 0), (128, 100), (100, 128), (7, 7)]
"""Of input and output, above the least value of the format."""


def _every_value(dtype):
    info = np.iinfo(dtype)
    return np.arange(info.min, info.max + 1).astype(dtype)


def _check(op, code, dtype, scales, zero_points=(0, 0), **options):
    values = _every_value(dtype)
    low = np.iinfo(dtype).min if dtype != "int16" else 0
    x = Spec(values.shape, dtype, scales[0], low + zero_points[0])
    out = Spec(values.shape, dtype, scales[1], low + zero_points[1])
    assert_same_bits(op, code, [x], out, [values], **options)


@pytest.mark.parametrize("dtype", EIGHT_BITS)
@pytest.mark.parametrize(("op", "code"), [(Relu(), "RELU"), (Relu6(), "RELU6"), (ReluN1To1(), "RELU_N1_TO_1")])
def test_relu(op, code, dtype):
    for scales in [(0.1, 0.1), (0.1, 0.023), (0.04, 1.7), (1.0, 0.9), (3.0, 1e-4)]:
        for zero_points in ZERO_POINTS:
            _check(op, code, dtype, scales, zero_points)


@pytest.mark.parametrize("dtype", EIGHT_BITS)
@pytest.mark.parametrize("alpha", [0.01, 0.3, 1.5, -0.7, 0.0])
def test_leaky_relu(dtype, alpha):
    for scales in [(0.1, 0.1), (0.1, 0.023), (0.04, 1.7), (1.0, 0.3)]:
        for zero_points in ZERO_POINTS:
            _check(LeakyRelu(float(np.float32(alpha))), "LEAKY_RELU", dtype, scales, zero_points, alpha=alpha)


@pytest.mark.parametrize("scales", [(1e-4, 1e-4), (1e-3, 3e-4), (1e-4, 0.02)])
def test_16_bits(scales):
    _check(LeakyRelu(float(np.float32(0.2))), "LEAKY_RELU", "int16", scales, alpha=0.2)
    _check(Relu(), "RELU", "int16", scales)
    _check(Relu6(), "RELU6", "int16", scales)


@pytest.mark.parametrize("dtype", EIGHT_BITS)
@pytest.mark.parametrize("scale", np.geomspace(1e-3, 5.0, 40).tolist())
def test_logistic(dtype, scale):
    for zero_in in (0, 255, 131):
        for zero_out in (0, 40):
            _check(Logistic(), "LOGISTIC", dtype, (scale, 1 / 256), (zero_in, zero_out))


@pytest.mark.parametrize("dtype", EIGHT_BITS)
@pytest.mark.parametrize("scale", np.geomspace(1e-3, 5.0, 40).tolist())
def test_tanh(dtype, scale):
    for zero_in, zero_out, out_scale in [(0, 128, 1 / 128), (255, 128, 1 / 128), (131, 90, 0.01), (128, 0, 0.003)]:
        _check(Tanh(), "TANH", dtype, (scale, out_scale), (zero_in, zero_out))


@pytest.mark.parametrize("dtype", EIGHT_BITS)
@pytest.mark.parametrize("scale", [1e-5, 0.003, 0.0117, 0.0235, 0.031, 0.0469, 0.0471, 0.2, 1.0, 30.0])
def test_hard_swish(dtype, scale):
    for ratio in (0.02, 0.4, 0.7, 1.0, 9.0, 5000.0):
        for zero_points in ZERO_POINTS:
            _check(HardSwish(), "HARD_SWISH", dtype, (scale, scale * ratio), zero_points)


def test_one_look_up_per_element():
    assert lower_one(Relu(), [Spec((2, 3, 4))], [Spec((2, 3, 4))]).vector_ops == 24


@pytest.mark.parametrize(
    ("op", "x", "out", "reason"),
    [
        (Logistic(), Spec((4,)), Spec((4,), scale=0.1), "1/256"),
        (Logistic(), Spec((4,), "int16"), Spec((4,), "int16"), "8 bits"),
        (HardSwish(), Spec((4,)), Spec((4,), scale=0.001), "finer than"),
        (Relu(), Spec((4,)), Spec((4,), "uint8"), "formats"),
        (Relu(), Spec((4,)), Spec((4,), scale=1e-12), "2\\^31"),
    ],
)
def test_refusals(op, x, out, reason):
    with pytest.raises(UnsupportedOp, match=reason):
        lower_one(op, [x], [out])
