"""Networks built here, run by the simulator: one-layer ones against NumPy, quantized ones against real arithmetic."""

from __future__ import annotations

import numpy as np
import pytest

import bittrue
from simulator.graph import ops
from support import float_twin
from support.accelerators import device
from workloads.images import demo_photo, prepare_image
from workloads.quantization.float_execute import run_float
from workloads.quantization.float_ops import FUNCTIONS

RNG_SEED = 4


def shifted(accumulators, net):
    """Requantized by a shift that rounds ties up."""
    step = int(net.graph.tensors["output" if "conv" not in net.graph.tensors else "conv"].scale)
    return np.clip((accumulators + step // 2) // step, -128, 127)


@pytest.mark.parametrize("bias", [False, True, "matrix"])
def test_gemm_is_a_product_and_a_shift(bias):
    rng = np.random.default_rng(RNG_SEED)
    m, k, n = 5, 70, 9
    x, w = rng.integers(-128, 128, (m, k), np.int8), rng.integers(-128, 128, (k, n), np.int8)
    offset = {False: None, True: rng.integers(-9999, 9999, n), "matrix": rng.integers(-9999, 9999, (m, n))}[bias]
    exact = x.astype(np.int64) @ w + (0 if offset is None else offset)
    raw = bittrue.networks.gemm(m, k, n, out="int32", bias=bias).with_weights(w, offset)
    net = bittrue.networks.gemm(m, k, n, bias=bias).with_weights(w, offset)
    shift = device(arithmetic__requantizer="power_of_two")
    np.testing.assert_array_equal(bittrue.simulate(raw, device(), [x], values_only=True).outputs["output"], exact)
    output = bittrue.simulate(net, shift, [x], values_only=True).outputs["output"]
    np.testing.assert_array_equal(output, shifted(exact, net))
    assert (np.abs(output.astype(int)) < 127).mean() > 0.95
    for kind in ("fixed_point_double", "fixed_point_single", "float32"):
        other = bittrue.simulate(net, device(arithmetic__requantizer=kind), [x], values_only=True).outputs["output"]
        assert np.abs(other.astype(int) - output).max() <= 1


@pytest.mark.parametrize(
    "keywords",
    [
        {"kernel": 3, "padding": 1},
        {"kernel": (1, 3), "stride": (2, 1), "padding": (0, 2), "dilation": (1, 2), "groups": 2, "bias": False},
        {"kernel": 2, "groups": 4, "pool": (3, 2, 1)},
    ],
)
def test_conv2d_is_a_convolution_and_a_shift(keywords):
    rng = np.random.default_rng(RNG_SEED)
    net = bittrue.networks.conv2d(7, 8, 4, 8, **keywords)
    x = rng.integers(-128, 128, (1, 7, 8, 4), np.int8)
    w = rng.integers(-128, 128, net.graph.tensors["weights"].shape, np.int8)
    bias = rng.integers(-9999, 9999, 8) if keywords.get("bias", True) else None
    net = net.with_weights(w, bias)
    conv, *rest = net.graph.nodes
    exact = float_twin.evaluate(conv.op, [x, w, bias], net.graph.tensors[conv.outputs[0]].shape).astype(np.int64)
    expected = shifted(exact, net)
    for node in rest:
        expected = float_twin.evaluate(node.op, [expected], net.graph.tensors[node.outputs[0]].shape)
    run = bittrue.simulate(net, device(arithmetic__requantizer="power_of_two"), [x], values_only=True)
    np.testing.assert_array_equal(run.outputs["output"], expected)


def as_real(tensor, computed):
    if tensor.data is None:
        return np.float32(tensor.scale) * (computed[tensor.name].astype(np.float32) - tensor.zero_point)
    scales = np.asarray(tensor.quant.scale, np.float32).reshape(-1, *[1] * (tensor.data.ndim - 1))
    return tensor.data * scales


@pytest.mark.parametrize(
    ("name", "keywords"),
    [
        ("deeplabv3_resnet50", {"layout": "torchvision", "size": 33}),
        ("deeplabv3_resnet50", {"layout": "paper", "size": (40, 33)}),
        ("fcn_vgg16", {"variant": "8s", "layout": "paper", "size": 48}),
        ("fcn_vgg16", {"variant": "16s", "layout": "caffe", "size": 30}),
        ("unet", {"size": (37, 32)}),
    ],
)
def test_every_layer_of_a_quantized_network_is_within_a_step_of_real_arithmetic(name, keywords):
    """Each layer on the inputs the simulator gave it; TFLite's means and resizes do not round to nearest."""
    net = bittrue.load_network(name, width=0.0625, classes=4, weights="seeded", **keywords)
    quantized = net.quantize(demo_photo())
    inputs = prepare_image(quantized, demo_photo())
    run = bittrue.simulate(quantized, device(), inputs, values_only=True, keep_tensors=True)
    graph = quantized.graph
    for node in graph.nodes:
        tensor = graph.tensors[node.outputs[0]]
        operands = [graph.tensors[source] if source else None for source in node.inputs]
        arrays = [None if operand is None else as_real(operand, run.tensors) for operand in operands]
        real = FUNCTIONS[type(node.op)](node.op, arrays, tensor.shape)
        stored = run.tensors[tensor.name].astype(np.int64)
        if isinstance(node.op, ops.ArgMax):
            np.testing.assert_array_equal(stored, real)
            continue
        expected = np.clip(np.rint(real / tensor.scale) + tensor.zero_point, -128, 127)
        assert np.abs(stored - expected).max() <= 1, node.name
        if not isinstance(node.op, ops.Mean | ops.ResizeBilinear):
            assert (stored != expected).mean() < 0.05, node.name
    assert run.record.parameters == net.parameters
    assert run.record.segmentation.output == "labels"
    if name == "fcn_vgg16":
        floats = run_float(net.graph, prepare_image(net, demo_photo())).outputs["labels"]
        assert (run.outputs["labels"] == floats).mean() > 0.8


def test_a_float_network_is_timed_as_its_integer_outline():
    net = bittrue.load_network("fcn_vgg16", size=64, width=0.125, classes=4)
    run = bittrue.simulate(net, device())
    assert run.record.total_macs == net.macs
    assert run.record.total_cycles > 0
    assert any("without values" in note for note in run.record.notes)
    with pytest.raises(bittrue.BittrueError, match="quantize"):
        bittrue.simulate(net, device(), [np.zeros((1, 64, 64, 3), np.float32)])
