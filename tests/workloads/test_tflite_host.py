"""float32 and plain-integer post-processing on the host against the reference kernels, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.errors import InputError, NetworkError, UnsupportedOp
from simulator.lowering.layer import Engine
from simulator.lowering.lower import lower
from support.accelerators import reference_device
from support.tflite_builder import NONE, RELU, RELU6, RELU_N1_TO_1, TYPES, ModelBuilder
from support.tflite_runs import assert_equals_reference, assert_same_bits, load, run_here

pytestmark = pytest.mark.oracle

INF, NAN = np.inf, np.nan
EDGES = [0.0, -0.0, 0.5, -0.5, 1.5, 2.5, -2.5, 6.0, -1.0, 3e9, -3e9, 1e20, 3e38, -3e38, 1e-40, INF, -INF, NAN]


def floats(shape, seed=0, scale=5.0):
    """Ordinary values with every awkward one among them."""
    x = (np.random.default_rng(seed).standard_normal(shape) * scale).astype(np.float32)
    count = min(x.size // 2, len(EDGES))
    x.ravel()[:count] = np.roll(np.array(EDGES, np.float32), seed)[:count]
    return x


def ints(shape, dtype="int32", seed=0):
    limits = np.iinfo(dtype)
    x = np.random.default_rng(seed).integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)
    x.ravel()[: x.size // 2] //= 2**20
    return x


def one_input(code, x, shape=None, out=None, constants=(), **options):
    model = ModelBuilder()
    i = model.tensor("x", x.shape, str(x.dtype))
    extra = [model.constant(f"c{n}", c) for n, c in enumerate(constants)]
    y = model.tensor("y", shape or x.shape, out or str(x.dtype))
    model.op(code, [i, *extra], [y], **options)
    return assert_equals_reference(model, [i], [y], {"x": x})["y"]


def two_inputs(code, a, b, **options):
    model = ModelBuilder()
    i, j = model.tensor("a", a.shape, str(a.dtype)), model.tensor("b", b.shape, str(b.dtype))
    y = model.tensor("y", np.broadcast_shapes(a.shape, b.shape), str(a.dtype))
    model.op(code, [i, j], [y], **options)
    return assert_equals_reference(model, [i, j], [y], {"a": a, "b": b})["y"]


@pytest.mark.parametrize("activation", [NONE, RELU, RELU6, RELU_N1_TO_1])
@pytest.mark.parametrize("code", ["ADD", "SUB", "MUL", "DIV"])
@pytest.mark.parametrize("shapes", [((4, 9), (4, 9)), ((2, 3, 4, 5), (4, 1)), ((40,), (1,))])
def test_float_arithmetic(code, activation, shapes):
    two_inputs(code, floats(shapes[0]), floats(shapes[1], 3), fusedActivationFunction=activation)


@pytest.mark.parametrize("activation", [NONE, RELU, RELU6])
@pytest.mark.parametrize("code", ["ADD", "SUB", "MUL", "DIV"])
def test_int32_arithmetic(code, activation):
    b = ints((2, 1, 10), seed=1)
    two_inputs(code, ints((2, 6, 10)), np.where(b == 0, 3, b), fusedActivationFunction=activation)


@pytest.mark.parametrize("code", ["ADD", "SUB", "MUL"])
def test_int64_arithmetic(code):
    two_inputs(code, ints((6, 10), "int64"), ints((6, 10), "int64", 1))


@pytest.mark.parametrize("code", ["MAXIMUM", "MINIMUM"])
def test_extrema(code):
    two_inputs(code, floats((5, 20)), floats((5, 20), 7))
    two_inputs(code, ints((5, 20)), ints((1, 20), seed=7))


def test_floor_division():
    b = floats((5, 20), 7)
    two_inputs("FLOOR_DIV", floats((5, 20)), np.where(b == 0, np.float32(0.25), b))
    b = ints((5, 20), seed=1)
    two_inputs("FLOOR_DIV", ints((5, 20)), np.where(b == 0, -3, b))


@pytest.mark.parametrize("code", ["DIV", "FLOOR_DIV"])
def test_integer_division_by_zero_is_an_input_error(code):
    model = ModelBuilder()
    a, b, y = (model.tensor(name, (3,), "int32") for name in ("a", "b", "y"))
    model.op(code, [a, b], [y])
    data = {"a": np.arange(3, dtype=np.int32), "b": np.array([1, 0, 2], np.int32)}
    with pytest.raises(InputError, match=r"layer y.*by zero"):
        run_here(model.build([a, b], [y]), data)


FUNCTIONS = ["SQRT", "RSQRT", "EXP", "LOG", "ABS", "NEG", "FLOOR", "SQUARE", "SIN", "COS"]
NON_LINEAR = ["TANH", "LOGISTIC", "RELU", "RELU6", "RELU_N1_TO_1", "HARD_SWISH"]


@pytest.mark.parametrize("code", FUNCTIONS + NON_LINEAR)
def test_float_functions(code):
    one_input(code, floats((3000,)))


@pytest.mark.parametrize(
    ("code", "expected"), [("ROUND", [0, 2, 2, 0, -2, -2, 0, -8]), ("CEIL", [1, 2, 3, 0, -1, -2, 1, -7])]
)
def test_rounding_functions(code, expected):
    # BUILTIN_REF registers neither; ROUND is RoundToNearest of TFLite's round.h (ties to even), CEIL is std::ceil.
    model = ModelBuilder()
    x, y = model.tensor("x", (8,), "float32"), model.tensor("y", (8,), "float32")
    model.op(code, [x], [y])
    given = np.array([0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.3, -7.6], np.float32)
    assert run_here(model.build([x], [y]), {"x": given}).outputs["y"].tolist() == expected


@pytest.mark.parametrize("code", ["ABS", "NEG"])
def test_integer_functions(code):
    one_input(code, ints((50,)))


def test_leaky_and_parametric_relu():
    one_input("LEAKY_RELU", floats((60,)), alpha=0.3)
    two_inputs("PRELU", floats((2, 3, 4, 5)), floats((1, 1, 5), 2))


@pytest.mark.parametrize("out", ["int8", "uint8", "int16", "int32", "int64", "bool", "float32"])
@pytest.mark.parametrize("source", ["float32", "int32", "int64", "uint8", "bool"])
def test_cast(source, out):
    x = {"float32": floats((60,), scale=300.0), "bool": np.arange(60) % 3 == 0}.get(source)
    x = ints((60,), source) if x is None and source.endswith(("32", "64")) else x
    x = np.arange(60, dtype=source) * 4 if x is None else x
    one_input("CAST", x, out=out, inDataType=TYPES[source], outDataType=TYPES[out])


@pytest.mark.parametrize("dtype", ["float32", "int32", "int64"])
@pytest.mark.parametrize(
    ("axes", "keep", "shape"), [([1, 2], True, (2, 1, 1, 6)), ([-1], False, (2, 5, 4)), ([0, 3], False, (5, 4))]
)
@pytest.mark.parametrize("code", ["MEAN", "SUM", "REDUCE_MAX"])
def test_reductions(code, axes, keep, shape, dtype):
    x = np.random.default_rng(3).standard_normal((2, 5, 4, 6)).astype(np.float32) * 1e3
    one_input(code, x if dtype == "float32" else ints(x.shape, dtype), shape, constants=[axes], keepDims=keep)


@pytest.mark.parametrize("out", ["int32", "int64"])
@pytest.mark.parametrize("axis", [1, -1])
def test_arg_max_takes_the_first(axis, out):
    x = np.random.default_rng(5).integers(0, 4, (3, 7, 6)).astype(np.float32)
    shape = tuple(n for i, n in enumerate(x.shape) if i != axis % 3)
    for given in (x, x.astype(np.int32)):
        one_input("ARG_MAX", given, shape, out, constants=[axis], outputType=TYPES[out])


@pytest.mark.parametrize("beta", [1.0, 0.3])
def test_softmax(beta):
    x = np.random.default_rng(6).standard_normal((2, 3, 21)).astype(np.float32) * 9
    one_input("SOFTMAX", x, beta=beta)


@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_concatenation(dtype):
    model = ModelBuilder()
    a, b = model.tensor("a", (2, 3), dtype), model.tensor("b", (2, 2), dtype)
    y = model.tensor("y", (2, 5), dtype)
    model.op("CONCATENATION", [a, b], [y], axis=-1)
    make = floats if dtype == "float32" else ints
    assert_equals_reference(model, [a, b], [y], {"a": make((2, 3)), "b": make((2, 2))})


@pytest.mark.parametrize(("corners", "half"), [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("size", [(9, 4), (3, 13), (1, 1)])
@pytest.mark.parametrize("code", ["RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"])
def test_resize(code, size, corners, half):
    x = np.random.default_rng(8).standard_normal((2, 5, 7, 3)).astype(np.float32)
    one_input(code, x, (2, *size, 3), constants=[list(size)], alignCorners=corners, halfPixelCenters=half)


def test_post_processing_runs_on_the_host_and_is_counted_by_element():
    model = ModelBuilder()
    x, y = model.tensor("x", (2, 3), "float32"), model.tensor("y", (2, 3), "float32")
    model.op("SQRT", [x], [y])
    (layer,) = lower(load(model.build([x], [y])), reference_device())
    assert (layer.engine, layer.vector_ops) == (Engine.HOST, 6)


def test_what_the_host_does_not_do_is_refused():
    model = ModelBuilder()
    x, y = model.tensor("x", (2, 3), "int64"), model.tensor("y", (2, 3), "int64")
    model.op("ABS", [x], [y])
    with pytest.raises(UnsupportedOp, match=r"y \(Unary\): abs of int64; the host executes it for float32, int32"):
        lower(load(model.build([x], [y])), reference_device())


def test_operands_of_two_formats_are_an_error():
    model = ModelBuilder()
    x, y = model.tensor("x", (2, 3), "int64"), model.tensor("y", (2,), "int32")
    model.op("SUM", [x, model.constant("axes", [1])], [y])
    with pytest.raises(NetworkError, match="y: Sum on the host needs operands of one format, not int32, int64"):
        lower(load(model.build([x], [y])), reference_device())


def test_comparison_of_bits_can_fail():
    with pytest.raises(AssertionError, match="1 of 2"):
        assert_same_bits("t", np.array([0.0, 1], np.float32), np.array([-0.0, 1], np.float32))
