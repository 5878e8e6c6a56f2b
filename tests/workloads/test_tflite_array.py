"""Convolutions and fully connected layers of TFLite files against the reference kernels, in the awkward cases."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.tflite_builder import NONE, RELU, RELU6, RELU_N1_TO_1, SAME, VALID, ModelBuilder, run_reference
from support.tflite_runs import assert_equals_reference, assert_same_bits, load, run_here

pytestmark = pytest.mark.oracle

ACTIVATIONS = [NONE, RELU, RELU6, RELU_N1_TO_1]


def stored(rng, shape, dtype):
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)


def out_size(size, kernel, stride, dilation, scheme):
    span = (kernel - 1) * dilation + 1
    return -(-size // stride) if scheme == SAME else (size - span) // stride + 1


class Case:
    """Tensors of one array operator: activations of `dtype`, weights per channel (int8) or per tensor (uint8)."""

    def __init__(self, dtype="int8", x_zero=-3, w_zero=0, y_zero=5, multiplier=0.004, per_channel=True, seed=0):
        self.rng = np.random.default_rng(seed)
        self.model = ModelBuilder()
        self.dtype, self.x_zero, self.y_zero = dtype, x_zero, y_zero
        self.w_zero, self.per_channel = w_zero, per_channel and dtype == "int8"
        self.x_scale, self.y_scale = 0.05, 0.75
        self.w_scale = multiplier * self.y_scale / self.x_scale

    def scales(self, filters):
        if not self.per_channel:
            return np.float32(self.w_scale)
        return (self.w_scale * np.exp2(self.rng.uniform(-3, 3, filters))).astype(np.float32)

    def tensors(self, x_shape, w_shape, filters, y_shape, axis, bias):
        scale = self.scales(filters)
        x = self.model.tensor("x", x_shape, self.dtype, scale=self.x_scale, zero_point=self.x_zero)
        data = stored(self.rng, w_shape, self.dtype)
        w = self.model.tensor("w", w_shape, self.dtype, scale=scale, zero_point=self.w_zero, axis=axis, data=data)
        y = self.model.tensor("y", y_shape, self.dtype, scale=self.y_scale, zero_point=self.y_zero)
        if not bias:
            return x, [w], y
        values = self.rng.integers(-20000, 20000, filters)
        b = self.model.tensor("b", [filters], "int32", scale=np.float32(self.x_scale) * scale, data=values)
        return x, [w, b], y

    def check(self, x, y, x_shape):
        run = assert_equals_reference(self.model, [x], [y], {"x": stored(self.rng, x_shape, self.dtype)})
        return run["y"]


def conv(case, size=(7, 6), channels=3, filters=5, kernel=(3, 3), stride=(1, 1), dilation=(1, 1), scheme=SAME,
         activation=NONE, bias=True, groups=1, batch=1):  # fmt: skip
    outs = [out_size(n, k, s, d, scheme) for n, k, s, d in zip(size, kernel, stride, dilation, strict=True)]
    x_shape, w_shape = (batch, *size, channels), (filters, *kernel, channels // groups)
    x, rest, y = case.tensors(x_shape, w_shape, filters, (batch, *outs, filters), 0, bias)
    options = {"strideH": stride[0], "strideW": stride[1], "fusedActivationFunction": activation}
    options |= {"dilationHFactor": dilation[0], "dilationWFactor": dilation[1]}
    case.model.op("CONV_2D", [x, *rest], [y], padding=scheme, **options)
    return case.check(x, y, x_shape)


def depthwise(case, size=(7, 6), channels=3, times=1, kernel=(3, 3), stride=(1, 1), dilation=(1, 1), scheme=SAME,
              activation=NONE, bias=True):  # fmt: skip
    outs = [out_size(n, k, s, d, scheme) for n, k, s, d in zip(size, kernel, stride, dilation, strict=True)]
    filters = channels * times
    x_shape, w_shape = (1, *size, channels), (1, *kernel, filters)
    x, rest, y = case.tensors(x_shape, w_shape, filters, (1, *outs, filters), 3, bias)
    options = {"strideH": stride[0], "strideW": stride[1], "fusedActivationFunction": activation}
    options |= {"dilationHFactor": dilation[0], "dilationWFactor": dilation[1], "depthMultiplier": times}
    case.model.op("DEPTHWISE_CONV_2D", [x, *rest], [y], padding=scheme, **options)
    return case.check(x, y, x_shape)


ENDS = [("int8", -128, -128), ("int8", 127, 127), ("uint8", 0, 0), ("uint8", 255, 255), ("uint8", 128, 3)]


@pytest.mark.parametrize(("dtype", "x_zero", "y_zero"), ENDS)
@pytest.mark.parametrize("layer", [conv, depthwise])
def test_zero_points_at_both_ends(layer, dtype, x_zero, y_zero):
    layer(Case(dtype, x_zero=x_zero, y_zero=y_zero, w_zero=120 if dtype == "uint8" else 0))


@pytest.mark.parametrize("multiplier", [3e-8, 1e-5, 0.0312, 0.5, 0.99999, 1.0, 1.7, 60.0])
@pytest.mark.parametrize("layer", [conv, depthwise])
def test_scales_that_shift_right_left_and_not_at_all(layer, multiplier):
    layer(Case(multiplier=multiplier, per_channel=False))
    layer(Case("uint8", x_zero=100, w_zero=131, y_zero=128, multiplier=multiplier))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_fused_activations(activation):
    conv(Case(), activation=activation)
    depthwise(Case("uint8", x_zero=12, w_zero=7, y_zero=60), activation=activation)


def test_saturation_at_both_rails():
    y = conv(Case(multiplier=0.5))
    assert {-128, 127} <= set(y.ravel().tolist())


def asymmetric(code, dtype, shift):
    """One model twice: all stored values and zero points of the uint8 one are 128 above those of the int8 one."""
    rng, model = np.random.default_rng(11), ModelBuilder()
    w_shape = {"CONV_2D": (4, 3, 3, 2), "DEPTHWISE_CONV_2D": (1, 3, 3, 2), "FULLY_CONNECTED": (4, 50)}[code]
    y_shape = {"CONV_2D": (1, 5, 5, 4), "DEPTHWISE_CONV_2D": (1, 5, 5, 2), "FULLY_CONNECTED": (1, 4)}[code]
    data = stored(rng, w_shape, "int8").astype(int) + shift
    x = model.tensor("x", (1, 5, 5, 2), dtype, scale=0.05, zero_point=-40 + shift)
    w = model.tensor("w", w_shape, dtype, scale=0.06, zero_point=-9 + shift, data=data)
    y = model.tensor("y", y_shape, dtype, scale=0.75, zero_point=17 + shift)
    window = {} if code == "FULLY_CONNECTED" else {"padding": SAME, "strideH": 1, "strideW": 1}
    b = model.tensor("b", y_shape[-1:], "int32", scale=np.float32(0.05) * np.float32(0.06), data=range(y_shape[-1]))
    model.op(code, [x, w, b], [y], **window)
    values = (stored(rng, (1, 5, 5, 2), "int8").astype(int) + shift).astype(dtype)
    return model.build([x], [y]), {"x": values}


@pytest.mark.parametrize("code", ["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"])
def test_asymmetric_int8_weights(code):
    # The reference takes asymmetric weights as uint8 only; moved by 128 they are the same numbers.
    here = run_here(*asymmetric(code, "int8", 0)).outputs["y"]
    there = run_reference(*asymmetric(code, "uint8", 128))["y"]
    assert_same_bits("y", here, (there.astype(int) - 128).astype(np.int8))


def test_grouped_convolution():
    conv(Case(), channels=6, filters=4, groups=2)


def test_batches():
    conv(Case(), batch=3)


def test_depthwise_without_bias():
    depthwise(Case(), bias=False, times=3)


def test_convolution_without_bias():
    # The reference insists on a bias; one of zeros is the same convolution.
    def build(bias):
        model, data = ModelBuilder(), stored(np.random.default_rng(1), (4, 3, 3, 2), "int8")
        x = model.tensor("x", (1, 5, 5, 2), "int8", scale=0.05, zero_point=3)
        w = model.tensor("w", data.shape, "int8", scale=0.06, data=data)
        y = model.tensor("y", (1, 5, 5, 4), "int8", scale=0.75, zero_point=17)
        rest = [model.tensor("b", (4,), "int32", scale=0.003, data=[0] * 4)] if bias else [-1]
        model.op("CONV_2D", [x, w, *rest], [y], padding=SAME, strideH=1, strideW=1)
        return model.build([x], [y])

    x = {"x": stored(np.random.default_rng(2), (1, 5, 5, 2), "int8")}
    assert_same_bits("y", run_here(build(bias=False), x).outputs["y"], run_reference(build(bias=True), x)["y"])


GEOMETRY = st.tuples(*[st.tuples(st.integers(1, n), st.integers(1, n)) for n in (9, 4, 3, 3)])


def _fits(size, kernel, dilation):
    """Whether the window lies inside the image, as VALID needs."""
    return all((k - 1) * d + 1 <= n for n, k, d in zip(size, kernel, dilation, strict=True))


@settings(max_examples=40, deadline=None)
@given(GEOMETRY, st.sampled_from([SAME, VALID]), st.integers(1, 5), st.integers(1, 9), st.integers(0, 99))
def test_convolution_of_any_geometry(sizes, scheme, channels, filters, seed):
    size, kernel, stride, dilation = sizes
    scheme = scheme if _fits(size, kernel, dilation) else SAME
    conv(Case(seed=seed), size, channels, filters, kernel, stride, dilation, scheme)


@settings(max_examples=40, deadline=None)
@given(GEOMETRY, st.sampled_from([SAME, VALID]), st.integers(1, 5), st.integers(1, 3), st.integers(0, 99))
def test_depthwise_of_any_geometry(sizes, scheme, channels, times, seed):
    size, kernel, stride, dilation = sizes
    scheme = scheme if _fits(size, kernel, dilation) else SAME
    depthwise(Case(seed=seed), size, channels, times, kernel, stride, dilation, scheme)


def transpose_conv(case, size, channels, filters, kernel, stride, scheme, extra=(0, 0), bias=True):
    if scheme == SAME:
        outs = [n * s - e for n, s, e in zip(size, stride, extra, strict=True)]
    else:
        outs = [(n - 1) * s + k + e for n, s, k, e in zip(size, stride, kernel, extra, strict=True)]
    x_shape, w_shape, y_shape = (1, *size, channels), (filters, *kernel, channels), (1, *outs, filters)
    x, rest, y = case.tensors(x_shape, w_shape, filters, y_shape, 0, bias)
    shape = case.model.constant("shape", y_shape)
    inputs = [shape, rest[0], x, *rest[1:]]
    case.model.op("TRANSPOSE_CONV", inputs, [y], padding=scheme, strideH=stride[0], strideW=stride[1], version=3)
    return case.check(x, y, x_shape)


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(*[st.tuples(st.integers(1, n), st.integers(1, n)) for n in (5, 4, 3)]),
    st.sampled_from([SAME, VALID]),
    st.booleans(),
    st.integers(0, 99),
)
def test_transposed_convolution_of_any_geometry(sizes, scheme, bias, seed):
    size, kernel, stride = sizes
    transpose_conv(Case(seed=seed), size, 3, 2, kernel, stride, scheme, bias=bias)


def test_transposed_convolution_of_odd_output():
    transpose_conv(Case(), (3, 4), 2, 3, (3, 3), (2, 2), SAME, extra=(1, 1))
    transpose_conv(Case("uint8", x_zero=130, w_zero=120, y_zero=99), (3, 4), 2, 3, (3, 3), (2, 2), SAME)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize(("x_shape", "keep"), [((4, 12), False), ((2, 3, 2, 6), False), ((2, 3, 12), True)])
@pytest.mark.parametrize("bias", [True, False])
def test_fully_connected(dtype, x_shape, keep, bias):
    zero = {"x_zero": -128, "y_zero": 127} if dtype == "int8" else {"x_zero": 255, "w_zero": 113, "y_zero": 0}
    case = Case(dtype, per_channel=False, **zero)
    k = x_shape[-1] if keep else 12
    y_shape = (*x_shape[:-1], 7) if keep else (int(np.prod(x_shape)) // k, 7)
    x, rest, y = case.tensors(x_shape, (7, k), 7, y_shape, 0, bias)
    case.model.op("FULLY_CONNECTED", [x, *rest], [y], keepNumDims=keep, fusedActivationFunction=RELU)
    case.check(x, y, x_shape)


def test_fully_connected_per_channel():
    case = Case()
    x, rest, y = case.tensors((2, 12), (7, 12), 7, (2, 7), 0, bias=True)
    case.model.op("FULLY_CONNECTED", [x, *rest], [y])
    case.check(x, y, (2, 12))


def tall(layer, **options):
    return lambda case: layer(case, size=(90, 80), kernel=(1, 1), **options)


def tall_transpose(case):
    transpose_conv(case, (40, 30), 3, 8, (2, 2), (2, 2), SAME)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("multiplier", [2.0**-6, 3 * 2.0**-8, 0.0073, 0.5])
@pytest.mark.parametrize("layer", [tall(conv, filters=8), tall(depthwise, times=3), tall_transpose])
def test_convolutions_round_twice(layer, dtype, per_channel, multiplier):
    # Ties abound at a factor of few bits, and rounding twice makes ties of what are none.
    zero = {} if dtype == "int8" else {"x_zero": 128, "w_zero": 128, "y_zero": 128}
    case = Case(dtype, per_channel=per_channel, multiplier=multiplier, **zero)
    case.x_scale, case.y_scale = 0.5, 2.0
    case.w_scale = multiplier * case.y_scale / case.x_scale
    layer(case)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("multiplier", [2.0**-6, 3 * 2.0**-8, 0.0073, 0.011])
def test_fully_connected_rounds_once(dtype, multiplier):
    # Ties abound at a factor of few bits, and rounding twice makes ties of what are none.
    zero = {} if dtype == "int8" else {"x_zero": 128, "w_zero": 128, "y_zero": 128}
    case = Case(dtype, per_channel=False, multiplier=multiplier, **zero)
    case.x_scale, case.y_scale = 0.5, 2.0
    case.w_scale = multiplier * case.y_scale / case.x_scale
    x, rest, y = case.tensors((3000, 3), (16, 3), 16, (3000, 16), 0, bias=False)
    case.model.op("FULLY_CONNECTED", [x, *rest], [y])
    case.check(x, y, (3000, 3))


def spaced_model(block, pads, crops, size, kernel, depthwise_too):
    """SPACE_TO_BATCH_ND, VALID convolution, BATCH_TO_SPACE_ND, as old converters wrote a dilated convolution."""
    case = Case(seed=3)
    model, channels, filters = case.model, 2, 2
    quant = {"scale": case.x_scale, "zero_point": case.x_zero}
    batch = block[0] * block[1]
    inner = [(n + sum(p)) // b for n, p, b in zip(size, pads, block, strict=True)]
    valid = [n - k + 1 for n, k in zip(inner, kernel, strict=True)]
    outs = [n * b - sum(c) for n, b, c in zip(valid, block, crops, strict=True)]
    image = model.tensor("image", (1, *size, channels), "int8", **quant)
    spread = model.tensor("spread", (batch, *inner, channels), "int8", **quant)
    w_shape = (1, *kernel, filters) if depthwise_too else (filters, *kernel, channels)
    data = stored(case.rng, w_shape, "int8")
    w = model.tensor("w", w_shape, "int8", scale=[0.01, 0.03], axis=3 if depthwise_too else 0, data=data)
    b = model.tensor("b", [filters], "int32", scale=[0.0005, 0.0015], data=[300, -700])
    y_quant = {"scale": case.y_scale, "zero_point": case.y_zero}
    convolved = model.tensor("convolved", (batch, *valid, filters), "int8", **y_quant)
    result = model.tensor("result", (1, *outs, filters), "int8", **y_quant)
    shape = model.constant("block", block)
    model.op("SPACE_TO_BATCH_ND", [image, shape, model.constant("pads", pads)], [spread])
    code = "DEPTHWISE_CONV_2D" if depthwise_too else "CONV_2D"
    model.op(code, [spread, w, b], [convolved], padding=VALID, strideH=1, strideW=1)
    model.op("BATCH_TO_SPACE_ND", [convolved, shape, model.constant("crops", crops)], [result])
    return case, image, spread, result


@pytest.mark.parametrize("depthwise_too", [False, True])
@pytest.mark.parametrize(
    ("block", "pads", "crops", "size"),
    [
        ((2, 2), ((2, 3), (2, 2)), ((0, 1), (0, 0)), (7, 8)),
        ((3, 2), ((0, 0), (0, 1)), ((0, 0), (0, 0)), (12, 7)),
        ((2, 4), ((2, 2), (5, 6)), ((1, 0), (2, 6)), (8, 9)),
    ],
)
def test_dilated_convolution_written_with_batches(block, pads, crops, size, depthwise_too):
    case, image, _, result = spaced_model(block, pads, crops, size, (3, 3), depthwise_too)
    model = case.model.build([image], [result])
    x = {"image": stored(case.rng, (1, *size, 2), "int8")}
    graph = load(model)
    (node,) = graph.nodes
    assert node.op.dilation == block
    assert set(graph.tensors) == {"image", "w", "b", "result"}
    assert "2 inner tensors do not exist: spread, convolved" in graph.notes[0]
    assert_same_bits("result", run_here(model, x).outputs["result"], run_reference(model, x)["result"])


def test_group_that_crops_more_than_it_pads_stays_as_written():
    case, image, _, result = spaced_model((2, 2), ((0, 1), (2, 2)), ((1, 0), (0, 0)), (7, 8), (3, 3), False)
    model = case.model.build([image], [result])
    assert len(load(model).nodes) == 3
    case.model.build([image], [result])
    x = {"image": stored(case.rng, (1, 7, 8, 2), "int8")}
    assert_same_bits("result", run_here(model, x).outputs["result"], run_reference(model, x)["result"])


def test_group_whose_inner_tensor_is_an_output_stays_as_written():
    case, image, spread, result = spaced_model((2, 2), ((2, 3), (2, 2)), ((0, 1), (0, 0)), (7, 8), (3, 3), False)
    graph = load(case.model.build([image], [result, spread]))
    assert len(graph.nodes) == 3
    assert graph.notes == ()
