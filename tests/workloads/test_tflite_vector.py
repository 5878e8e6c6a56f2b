"""Quantized vector operators of TFLite files, from import to values, against the reference kernels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.tflite_builder import NONE, RELU, RELU6, RELU_N1_TO_1, SAME, TYPES, VALID, ModelBuilder
from support.tflite_runs import assert_equals_reference

pytestmark = pytest.mark.oracle

FORMATS = ["int8", "uint8"]
ZERO_POINTS = {"int8": (-128, -5, 127), "uint8": (0, 131, 255)}


def every_value(shape, dtype, seed=0):
    """Random values, with both ends of the range among them."""
    limits = np.iinfo(dtype)
    x = np.random.default_rng(seed).integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)
    x.ravel()[:2] = limits.min, limits.max
    return x


def one(code, shape, dtype, y_shape=None, y_dtype=None, x_quant=(0.04, 0), y_quant=(0.05, 0), constants=(), **options):
    """One operator on x; quantization as (scale, index into ZERO_POINTS)."""
    model = ModelBuilder()
    y_dtype = y_dtype or dtype
    x = model.tensor("x", shape, dtype, scale=x_quant[0], zero_point=ZERO_POINTS[dtype][x_quant[1]])
    rest = [model.constant(f"c{i}", c) for i, c in enumerate(constants)]
    y_kind = {"scale": y_quant[0], "zero_point": ZERO_POINTS[y_dtype][y_quant[1]]} if y_dtype in FORMATS else {}
    y = model.tensor("y", y_shape or shape, y_dtype, **y_kind)
    model.op(code, [x, *rest], [y], **options)
    return assert_equals_reference(model, [x], [y], {"x": every_value(shape, dtype)})["y"]


def two(code, shapes, dtype, scales=(0.04, 0.11, 0.09), zeros=(0, 1, 2), **options):
    model = ModelBuilder()
    points = [ZERO_POINTS[dtype][i] for i in zeros]
    y_shape = np.broadcast_shapes(*shapes)
    rows = zip("aby", (*shapes, y_shape), scales, points, strict=True)
    a, b, y = (model.tensor(n, shape, dtype, scale=s, zero_point=z) for n, shape, s, z in rows)
    model.op(code, [a, b], [y], **options)
    values = {"a": every_value(shapes[0], dtype), "b": every_value(shapes[1], dtype, 1)}
    assert_equals_reference(model, [a, b], [y], values)


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("activation", [NONE, RELU, RELU6, RELU_N1_TO_1])
@pytest.mark.parametrize("code", ["ADD", "SUB", "MUL"])
def test_arithmetic(code, activation, dtype):
    two(code, [(2, 5, 6, 3), (2, 5, 6, 3)], dtype, fusedActivationFunction=activation)
    two(code, [(2, 5, 6, 3), (1, 1, 1, 3)], dtype, (0.5, 0.001, 0.02), (2, 2, 0), fusedActivationFunction=activation)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(["ADD", "SUB", "MUL"]), st.data())
def test_arithmetic_of_any_scales_and_broadcast(code, data):
    full = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    shapes = [tuple(1 if data.draw(st.booleans()) else n for n in full) for _ in "ab"]
    if any(np.prod(shape) < 2 for shape in shapes):
        return
    scales = tuple(2.0 ** data.draw(st.floats(-8, 3)) for _ in "aby")
    two(code, shapes, "int8", scales, tuple(data.draw(st.integers(0, 2)) for _ in "aby"))


@pytest.mark.parametrize("dtype", FORMATS)
def test_concatenation_with_rescale(dtype):
    model = ModelBuilder()
    scales = [0.05, 0.03, 0.05] if dtype == "uint8" else [0.05] * 3
    parts = [
        model.tensor(f"x{i}", (1, 2, 3, i + 1), dtype, scale=s, zero_point=ZERO_POINTS[dtype][1])
        for i, s in enumerate(scales)
    ]
    y = model.tensor("y", (1, 2, 3, 6), dtype, scale=0.05, zero_point=ZERO_POINTS[dtype][1])
    model.op("CONCATENATION", parts, [y], axis=3)
    values = {f"x{i}": every_value((1, 2, 3, i + 1), dtype, i) for i in range(3)}
    assert_equals_reference(model, parts, [y], values)


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("activation", [NONE, RELU, RELU6])
@pytest.mark.parametrize("code", ["AVERAGE_POOL_2D", "MAX_POOL_2D"])
def test_pools(code, activation, dtype):
    for scheme, height, width in ((SAME, 3, 4), (VALID, 2, 3)):
        options = {"filterHeight": 3, "filterWidth": 2, "strideH": 2, "strideW": 2, "padding": scheme}
        shape = (2, height, width, 3)
        options["fusedActivationFunction"] = activation
        one(code, (2, 6, 7, 3), dtype, shape, x_quant=(0.05, 1), y_quant=(0.05, 1), **options)


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize(("axes", "shape"), [([1, 2], (2, 1, 1, 5)), ([3], (2, 4, 3, 1)), ([0, -1], (1, 4, 3, 1))])
@pytest.mark.parametrize("y_quant", [(0.04, 0), (0.013, 1)])
def test_mean(dtype, axes, shape, y_quant):
    one("MEAN", (2, 4, 3, 5), dtype, shape, y_quant=y_quant, constants=[axes], keepDims=True)


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize(("corners", "half"), [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("code", ["RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"])
def test_resize(code, corners, half, dtype):
    for size in ((9, 4), (3, 13), (1, 1), (10, 14)):
        one(code, (2, 5, 7, 3), dtype, (2, *size, 3), x_quant=(0.04, 1), y_quant=(0.04, 1), constants=[list(size)],
            alignCorners=corners, halfPixelCenters=half)  # fmt: skip


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("code", ["RELU", "RELU6", "RELU_N1_TO_1", "LEAKY_RELU", "HARD_SWISH"])
def test_rectifiers(code, dtype):
    for quants in ([(0.04, 1), (0.04, 1)], [(0.3, 0), (0.07, 2)]):
        options = {"alpha": 0.3} if code == "LEAKY_RELU" else {}
        if code == "RELU_N1_TO_1" and quants[0] != quants[1]:
            continue  # the reference clamps without rescaling: it needs equal scales
        one(code, (3, 300), dtype, x_quant=quants[0], y_quant=quants[1], **options)


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("scale", [0.002, 0.06, 0.7])
def test_saturating_functions(dtype, scale):
    one("LOGISTIC", (3, 300), dtype, x_quant=(scale, 1), y_quant=(1 / 256, 0))
    middle = {"int8": 0, "uint8": 128}[dtype]
    model = ModelBuilder()
    x = model.tensor("x", (3, 300), dtype, scale=scale, zero_point=ZERO_POINTS[dtype][1])
    y = model.tensor("y", (3, 300), dtype, scale=1 / 128, zero_point=middle)
    model.op("TANH", [x], [y])
    assert_equals_reference(model, [x], [y], {"x": every_value((3, 300), dtype)})


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize(("scale", "beta"), [(0.003, 1.0), (0.09, 1.0), (0.8, 0.5)])
def test_softmax(dtype, scale, beta):
    one("SOFTMAX", (4, 5, 21), dtype, x_quant=(scale, 1), y_quant=(1 / 256, 0), beta=beta)


def test_parametric_relu():
    model = ModelBuilder()
    x = model.tensor("x", (2, 4, 5, 6), "int8", scale=0.05, zero_point=-10)
    data = every_value((1, 1, 6), "int8", 3)
    alpha = model.tensor("alpha", (1, 1, 6), "int8", scale=0.02, zero_point=7, data=data)
    y = model.tensor("y", (2, 4, 5, 6), "int8", scale=0.08, zero_point=20)
    model.op("PRELU", [x, alpha], [y])
    assert_equals_reference(model, [x], [y], {"x": every_value((2, 4, 5, 6), "int8")})


@pytest.mark.parametrize("y_dtype", FORMATS)
@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("y_scale", [0.0013, 0.04, 0.9])
def test_requantize(dtype, y_dtype, y_scale):
    one("QUANTIZE", (3, 300), dtype, y_dtype=y_dtype, x_quant=(0.04, 2), y_quant=(y_scale, 1))


@pytest.mark.parametrize("dtype", FORMATS)
def test_quantize_and_dequantize(dtype):
    one("DEQUANTIZE", (3, 300), dtype, y_dtype="float32", x_quant=(0.0373, 1))
    model = ModelBuilder()
    x = model.tensor("x", (400,), "float32")
    y = model.tensor("y", (400,), dtype, scale=0.05, zero_point=ZERO_POINTS[dtype][1])
    model.op("QUANTIZE", [x], [y])
    values = (np.random.default_rng(4).standard_normal(400) * 4).astype(np.float32)
    values[:50] = (np.arange(50) * 0.05 + 0.025).astype(np.float32)
    assert_equals_reference(model, [x], [y], {"x": values})


@pytest.mark.parametrize("dtype", FORMATS)
def test_arg_max_and_cast(dtype):
    one("ARG_MAX", (2, 3, 4, 21), dtype, (2, 3, 4), "int32", constants=[[3]], outputType=TYPES["int32"])
    one("ARG_MAX", (2, 3, 4, 21), dtype, (2, 4, 21), "int64", constants=[[1]], outputType=TYPES["int64"])
    one("CAST", (3, 30), dtype, y_dtype="float32", inDataType=TYPES[dtype], outDataType=TYPES["float32"])


def test_integer_part_and_post_processing_in_one_network():
    """Per-pixel shares as a file computes them: dequantize, sum, divide, pack, cast."""
    model = ModelBuilder()
    x = model.tensor("x", (1, 3, 4, 5), "int8", scale=0.1, zero_point=-128)
    names = [("real", (1, 3, 4, 5)), ("total", (1, 3, 4, 1)), ("share", (1, 3, 4, 5)), ("percent", (1, 3, 4, 5))]
    real, total, share, percent = (model.tensor(name, shape, "float32") for name, shape in names)
    whole, pair = model.tensor("whole", (1, 3, 4, 5), "int32"), model.tensor("pair", (2, 1, 3, 4, 5), "int32")
    model.op("DEQUANTIZE", [x], [real])
    model.op("SUM", [real, model.constant("axes", [3])], [total], keepDims=True)
    model.op("DIV", [real, total], [share])
    model.op("MUL", [share, model.constant("hundred", 100.0, "float32")], [percent])
    model.op("CAST", [percent], [whole], inDataType=TYPES["float32"], outDataType=TYPES["int32"])
    model.op("PACK", [whole, whole], [pair], axis=0, valuesCount=2)
    assert_equals_reference(model, [x], [pair, share], {"x": every_value((1, 3, 4, 5), "int8")})
