"""Exported .onnx: ONNX Runtime gives the integers of our run with the float32 requantizer, 0 differing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

import bittrue
from simulator.errors import UnsupportedOp
from simulator.graph import ops
from simulator.graph.builder import GraphBuilder
from simulator.numerics.formats import INT8
from simulator.numerics.quant import QuantParams
from support.accelerators import device
from support.exported import concat, conv, max_pool, networks, noise
from workloads.network import Network

runtime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")
pytestmark = [pytest.mark.oracle]


def assert_same_in_onnx_runtime(network: Network, folder) -> None:
    path = network.export(folder / "exported.onnx")
    values = noise(network)
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    there = session.run(None, values)
    here = bittrue.simulate(network, device(arithmetic__requantizer="float32"), values, values_only=True)
    assert [output.name for output in session.get_outputs()] == list(here.outputs)
    for (name, value), expected in zip(here.outputs.items(), there, strict=True):
        assert (value.dtype, value.shape) == (expected.dtype, expected.shape)
        np.testing.assert_array_equal(value, expected, err_msg=name)


@settings(max_examples=40, deadline=None)
@given(network=networks([conv, conv, max_pool, concat]))
def test_drawn_networks(network, tmp_path_factory):
    if any(isinstance(node.op, ops.Add) for node in network.graph.nodes):
        return
    assert_same_in_onnx_runtime(network, tmp_path_factory.mktemp("drawn"))


def test_a_classifier(tmp_path):
    rng = np.random.default_rng(5)
    q = QuantParams.per_tensor
    b = GraphBuilder("classifier")
    x = b.input("image", (1, 9, 8, 3), INT8, q(0.0625, 4))
    w = b.constant("w", rng.integers(-127, 128, (6, 3, 3, 3)).astype(np.int8), INT8, q(0.0078125))
    x = b.add(
        ops.Conv2D(padding=ops.Padding(1, 1, 1, 1), activation=ops.Activation.RELU6), x, w, quant=q(0.05859375, -3)
    )
    x = b.add(ops.Pad(((0, 0), (1, 0), (0, 2), (0, 0)), 7), x)
    x = b.add(ops.Transpose((0, 2, 1, 3)), x)
    x = b.add(ops.Reshape((10, 60)), x)
    v = b.constant("v", rng.integers(-127, 128, (5, 60)).astype(np.int8), INT8, q(0.0078125))
    x = b.add(ops.FullyConnected(), x, v, quant=q(0.25, 1))
    y = b.add(ops.ArgMax(1), x, format="int32")
    assert_same_in_onnx_runtime(Network(b.build([x, y])), tmp_path)


def test_vgg16_quantized_here(tmp_path):
    network = bittrue.load_network("vgg16", weights="seeded", size=224, width=0.0625, classes=7)
    photo = np.random.default_rng(0).integers(0, 256, (224, 224, 3)).astype(np.uint8)
    assert_same_in_onnx_runtime(network.quantize(photo), tmp_path)


def test_what_onnx_runtime_computes_otherwise_is_refused_by_name(tmp_path):
    network = bittrue.load_network("unet", size=32, width=0.125, classes=3, weights="seeded")
    network = network.quantize(np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8))
    with pytest.raises(UnsupportedOp, match=r"\(TransposeConv2D|ResizeBilinear\): ONNX Runtime has no operator"):
        network.export(tmp_path / "u.onnx")
    assert not list(tmp_path.iterdir())
