"""Quantization: same function before and after folding, errors within a derived bound, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import InputError, NetworkError, UnsupportedOp
from simulator.graph import ops
from simulator.graph.ops import Activation
from simulator.graph.shapes import infer_shapes
from simulator.numerics.formats import INT8, INT32
from support import float_twin
from support.small_nets import Author, small_network
from workloads.images import demo_photo, prepare_image
from workloads.load import load_network
from workloads.network import Network
from workloads.quantization.calibration_set import calibration_set
from workloads.quantization.float_execute import run_float
from workloads.quantization.float_ops import FUNCTIONS
from workloads.quantization.scales import affine_params, filter_params
from workloads.quantization.simplify import simplify


def draw(shape, seed=11):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def draw_pixels(seed=11):
    return np.random.default_rng(seed).integers(0, 256, (6, 7, 3), np.uint8)


def test_simplified_is_the_same_function():
    graph = small_network().graph
    simple = simplify(graph)
    x = draw((1, 6, 7, 3))
    before, after = float_twin.run(graph, {"image": x}), float_twin.run(simple, {"image": x})
    for node in simple.nodes:
        (name,) = node.outputs
        np.testing.assert_allclose(after[name], before[name], rtol=1e-4, atol=1e-4)
    kinds = {node.op.kind for node in simple.nodes}
    assert not kinds & {"BatchNorm", "Relu", "Relu6"}
    assert len(simple.nodes) == len(graph.nodes) - 3 - 4  # 3 of 4 norms folded, the fourth a depthwise; 4 ReLUs fused
    depthwise = next(node for node in simple.nodes if node.name == "preact")
    assert depthwise.op == ops.Conv2D(groups=6, activation=Activation.RELU)


def test_what_others_read_is_not_fused_away():
    net = Author((1, 4, 4, 2))
    y = net.conv(net.x, "conv", 2)
    normed = net.norm(y, "norm")
    net.add(ops.Relu(), normed, name="relu")
    for name in (y, "relu"):
        net.builder.output(name)
    simple = simplify(net.builder.build())
    assert [node.op.kind for node in simple.nodes] == ["Conv2D", "Conv2D"]
    assert simple.nodes[1].op.groups == 2
    assert simple.outputs == (y, "relu")


def dequantized(tensor, stored):
    return tensor.scale * (stored.astype(np.float64) - tensor.zero_point)


def integer_run(graph, inputs, evaluate=float_twin.evaluate):
    """The integer graph with real arithmetic inside each operator and one rounding at its end."""
    values = dict(inputs)
    for node in graph.nodes:
        arrays = [real(graph.tensors[name], values) if name else None for name in node.inputs]
        (name,) = node.outputs
        tensor = graph.tensors[name]
        result = evaluate(node.op, arrays, tensor.shape)
        if tensor.quant is None:
            values[name] = result
            continue
        stored = np.rint(result / tensor.scale) + tensor.zero_point
        values[name] = np.clip(stored, tensor.format.min, tensor.format.max)
    return values


def real(tensor, values):
    if tensor.data is None:
        return dequantized(tensor, values[tensor.name])
    scales = np.asarray(tensor.quant.scale).reshape(-1, *[1] * (tensor.data.ndim - 1))
    return tensor.data * scales


def error_bounds(graph, simple, floats, steps=0.5):
    """Greatest possible error of each tensor, by the rules of interval arithmetic, for values inside the ranges.

    `steps` of a step for every rounding to int8; convolution: input error times |stored weights|, half a weight step
    times |input|, half a bias step; add: sum; pools, means, resizes: convex combinations, or the window's greatest.
    """
    bounds = {name: np.full(graph.tensors[name].shape, graph.tensors[name].scale * steps) for name in graph.inputs}
    for node, before in zip(graph.nodes, simple.nodes, strict=True):
        (name,) = node.outputs
        tensor = graph.tensors[name]
        if tensor.quant is None:
            continue
        op = node.op if isinstance(node.op, ops.MaxPool2D | ops.Concat | ops.Mean | ops.ResizeBilinear) else None
        inner = bounds[node.inputs[0]]
        if isinstance(node.op, ops.Conv2D | ops.TransposeConv2D):
            plain = type(node.op)(**{**vars(node.op), "activation": Activation.NONE})
            weights = graph.tensors[node.inputs[1]]
            half = np.broadcast_to(np.asarray(weights.quant.scale).reshape(-1, 1, 1, 1) / 2, weights.shape)
            bound = float_twin.evaluate(plain, [inner, np.abs(real(weights, {}))], tensor.shape)
            bound = bound + float_twin.evaluate(plain, [np.abs(floats[before.inputs[0]]), half], tensor.shape)
            if len(node.inputs) > 2 and node.inputs[2]:
                bound = bound + np.asarray(graph.tensors[node.inputs[2]].quant.scale) / 2
        elif isinstance(node.op, ops.Add):
            bound = inner + bounds[node.inputs[1]]
        else:
            bound = float_twin.evaluate(op, [bounds[n] for n in node.inputs], tensor.shape)
        exact = isinstance(node.op, ops.MaxPool2D | ops.Concat)
        bounds[name] = bound + (0 if exact else tensor.scale * steps)
    return bounds


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({"scheme": "affine"}, 0.5),
        ({"scheme": "symmetric"}, 0.5),
        ({"scheme": "affine", "weight_scales": "per_tensor"}, 0.5),
        ({"scheme": "power_of_two"}, 1.0),  # the greatest value is clipped by less than a step
        ({"scheme": "power_of_two", "weight_scales": "per_tensor"}, 1.0),
        ({"scheme": "symmetric", "bits": {"*": {"weight_bits": 11, "activation_bits": 11}}}, 0.5),
    ],
)
def test_errors_stay_within_the_derived_bound(options, steps):
    net = small_network()
    pixels = draw_pixels()
    quantized = net.quantize([pixels], **options)
    graph, simple = quantized.graph, simplify(net.graph)
    assert [node.name for node in graph.nodes] == [node.name for node in simple.nodes]

    floats = float_twin.run(simple, prepare_image(net, pixels))
    integers = integer_run(graph, prepare_image(quantized, pixels))
    bounds = error_bounds(graph, simple, floats, steps)
    worst = {}
    for name, bound in bounds.items():
        error = np.abs(dequantized(graph.tensors[name], integers[name]) - floats[name])
        assert (error <= bound + 1e-4).all(), name
        worst[name] = float(error.max() / graph.tensors[name].scale)
    # The bound adds up worst cases; what really comes out is far better, and the labels say so.
    assert worst["big"] < 8
    if options == {"scheme": "affine"}:
        assert (integers["labels"] == floats["labels"]).mean() > 0.9


def test_integer_graph_follows_the_rules_of_the_format():
    net = small_network()
    graph = net.quantize(draw((1, 6, 7, 3))).graph
    tensors = graph.tensors
    for node in graph.nodes:
        shapes = [tensors[name].shape if name else None for name in node.inputs]
        assert infer_shapes(node.op, shapes) == (tensors[node.outputs[0]].shape,)
        if isinstance(node.op, ops.Conv2D | ops.TransposeConv2D):
            x, weights, *bias = graph.tensors_of(node.inputs)
            assert (weights.format, weights.quant.axis, set(weights.quant.zero_point)) == (INT8, 0, {0})
            assert len(weights.quant.scale) == weights.shape[0]
            assert np.abs(weights.data.astype(int)).max() == 127
            if bias and bias[0]:
                assert bias[0].format == INT32
                np.testing.assert_allclose(bias[0].quant.scale, x.scale * np.array(weights.quant.scale))
        if isinstance(node.op, ops.MaxPool2D | ops.ResizeBilinear | ops.Concat):
            assert len({tensors[name].quant for name in (*node.inputs, *node.outputs)}) == 1
    assert tensors["labels"].format == INT32
    assert all(tensor.format in (INT8, INT32) for tensor in tensors.values())


def test_counts_notes_and_readiness():
    net = small_network()
    quantized = net.quantize(draw((1, 6, 7, 3)))
    assert (quantized.macs, quantized.parameters) == (net.macs, net.parameters)
    assert not quantized.is_float
    assert quantized.ready(for_values=True) is quantized
    assert any("calibrated on 1 image" in note for note in quantized.notes)
    outline = net.ready(for_values=False)
    assert not outline.has_weights
    assert [(n.name, n.op) for n in outline.graph.nodes] == [(n.name, n.op) for n in quantized.graph.nodes]
    assert {n: (t.shape, t.format) for n, t in outline.graph.tensors.items()} == {
        n: (t.shape, t.format) for n, t in quantized.graph.tensors.items()
    }


@given(st.floats(-100, 100), st.floats(0, 100))
def test_affine_parameters_hold_zero_and_the_range(low, span):
    params = affine_params(low, low + span)
    scale, zero_point = params.scale[0], params.zero_point[0]
    assert -128 <= zero_point <= 127
    assert scale * (-128 - zero_point) <= min(low, 0) + scale * 0.5001
    assert scale * (127 - zero_point) >= max(low + span, 0) - scale * 0.5001


def test_filters_of_nothing_keep_their_bias():
    weights = np.zeros((3, 1, 1, 4), np.float32)
    weights[1] = 1e-12
    weights[2] = 2.0
    bias = np.array([3.0, -1e4, 0.5], np.float32)
    params = filter_params(weights, bias, 0.01)
    stored = bias / (0.01 * np.array(params.scale))
    assert np.abs(stored).max() < 2**31
    assert params.scale[2] == pytest.approx(2 / 127)


def test_several_images_widen_the_ranges():
    net = small_network()
    images = [draw_pixels(seed) for seed in range(3)]
    graph = net.quantize(images).graph
    assert list(calibration_set(net, np.stack(images)))[2]["image"].shape == (1, 6, 7, 3)
    highest = max(run_float(net.graph, prepare_image(net, image)).outputs["big"].max() for image in images)
    big = graph.tensors["big"]
    assert big.scale * (127 - big.zero_point) >= highest - big.scale


def test_a_seeded_network_agrees_with_its_float_self():
    net = load_network("deeplabv3_resnet50", size=65, width=0.25, classes=4, weights="seeded")
    quantized = net.quantize(demo_photo())
    assert any("seeded" in note for note in quantized.notes)
    assert any("statistics were measured" in note for note in quantized.notes)
    assert quantized.segmentation == net.segmentation

    def fast(op, arrays, shape):
        singles = [None if array is None else array.astype(np.float32) for array in arrays]
        return FUNCTIONS[type(op)](op, singles, shape)

    integers = integer_run(quantized.graph, prepare_image(quantized, demo_photo()), fast)
    floats = run_float(net.graph, prepare_image(net, demo_photo()), measure_norms=True)
    agreement = (integers["labels"] == floats.outputs["labels"]).mean()
    assert len(np.unique(floats.outputs["labels"])) == 4
    assert agreement > 0.9


def test_scales_that_the_format_prescribes():
    net = Author((1, 2, 2, 4))
    y = net.conv(net.x, "conv", 4, 1)
    sigmoid = net.add(ops.Logistic(), y, name="sigmoid")
    net.add(ops.Concat(3), sigmoid, net.add(ops.Softmax(), y, name="softmax"), y, name="joined")
    graph = Network(net.builder.build()).quantize(draw((1, 2, 2, 4))).graph
    for name in ("sigmoid", "softmax"):
        assert (graph.tensors[name].scale, graph.tensors[name].zero_point) == (1 / 256, -128)
    assert graph.tensors["joined"].quant == graph.tensors["conv"].quant != graph.tensors["sigmoid"].quant


@pytest.mark.parametrize(
    ("mistake", "error", "words"),
    [
        (lambda n: n.quantize(demo_photo(), scheme="ternary"), InputError, "'affine'"),
        (lambda n: n.quantize([]), InputError, "at least one image"),
        (lambda n: n.quantize([np.zeros((5, 7, 3), np.uint8)]), InputError, "[6, 7, 3]"),
        (lambda n: n.quantize([np.zeros((1, 5, 7, 3), np.float32)]), InputError, "[1, 6, 7, 3]"),
        (lambda n: n.quantize("nowhere.jpg"), InputError, "nowhere.jpg"),
        (lambda n: n.quantize({"picture": np.zeros((1, 6, 7, 3))}), InputError, "image"),
        (lambda n: n.quantize(demo_photo()).quantize(demo_photo()), NetworkError, "integer already"),
        (lambda n: n.quantize(np.full((1, 6, 7, 3), np.nan, np.float32)), NetworkError, "image"),
    ],
)
def test_mistakes_are_named(mistake, error, words):
    with pytest.raises(error) as caught:
        mistake(small_network())
    assert words in str(caught.value)


def test_unsuitable_networks_are_named():
    with pytest.raises(NetworkError, match="seeded"):
        load_network("fcn_vgg16", size=32, width=0.01).quantize(demo_photo())
    net = Author((1, 4, 4, 2))
    net.add(ops.Unary("sqrt"), net.conv(net.x, "conv", 2), name="root")
    with pytest.raises(UnsupportedOp, match="root"):
        Network(net.builder.build()).ready(for_values=False)
