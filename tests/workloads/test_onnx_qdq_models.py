"""QDQ models: each operator on ONNX Runtime's own quantized inputs, as DESIGN's rule says."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs onnx: pip install 'bittrue[onnx]'")
pytest.importorskip("onnxruntime", reason="needs onnxruntime: pip install 'bittrue[oracle]'")

import onnx

import bittrue
from simulator.errors import UnsupportedOp
from simulator.graph import ops
from simulator.graph.ops import Activation
from support import onnx_nets
from support.onnx_models import by_onnxruntime, by_us, load, model, node
from support.onnx_qdq import judge

pytestmark = pytest.mark.oracle


def transposed_fcn():
    return onnx_nets.fcn_like(transposed=True)


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("make", [onnx_nets.deeplab_like, onnx_nets.fcn_like, transposed_fcn, onnx_nets.classifier])
def test_networks_that_onnxruntime_quantized(make, signed):
    proto, feeds = make()
    quantized = onnx_nets.quantized(proto, feeds, "QDQ", signed)
    network = load(quantized)
    assert not network.is_float, [n.name for n in network.graph.nodes]
    verdict = judge(quantized, network, feeds)
    assert verdict.wrong == []
    assert verdict.operators >= 5
    # Resizes by 2 and 4 make many exact ties, which float32 sums miss either way.
    assert verdict.differing <= verdict.values // 50
    (ours,), (theirs,) = by_us(network, feeds), by_onnxruntime(quantized, feeds)
    assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
    step = np.unique(np.abs(np.diff(np.unique(theirs)))).min()
    assert np.abs(ours - theirs).max() <= 3 * step


def chain(*middle, zero=5, bias=True, opset=17):
    """x (int8) -> DequantizeLinear -> Conv -> `middle` -> QuantizeLinear, its parameters and an input."""
    rng = np.random.default_rng(1)
    feeds = {"x": rng.integers(-128, 128, (1, 4, 7, 6)).astype(np.int8)}
    constants = {
        "sx": np.float32(0.05), "zx": np.int8(-3), "sy": np.float32(0.04), "zy": np.int8(zero),
        "w": rng.integers(-127, 128, (5, 4, 3, 3)).astype(np.int8),
        "sw": rng.uniform(0.002, 0.004, 5).astype(np.float32), "zw": np.zeros(5, np.int8),
        "b": (rng.standard_normal(5) * 0.3).astype(np.float32), "six": np.float32(6), "none": np.float32(0),
    }  # fmt: skip
    nodes = [
        node("DequantizeLinear", ["x", "sx", "zx"], "xf"),
        node("DequantizeLinear", ["w", "sw", "zw"], "wf", axis=0),
        node("Conv", ["xf", "wf", *(["b"] if bias else [])], "c", pads=[1, 1, 1, 1]),
        *middle,
        node("QuantizeLinear", [middle[-1].output[0] if middle else "c", "sy", "zy"], "y"),
    ]
    return model(nodes, feeds, constants, {"y": np.int8}, opset), feeds


@pytest.mark.parametrize(
    ("middle", "activation"),
    [
        ((), Activation.NONE),
        ((node("Relu", ["c"], "r"),), Activation.RELU),
        ((node("Clip", ["c", "none", "six"], "r"),), Activation.RELU6),
    ],
)
def test_an_activation_is_fused(middle, activation):
    proto, feeds = chain(*middle)
    network = load(proto)
    (convolution,) = [n for n in network.graph.nodes if isinstance(n.op, ops.Conv2D)]
    assert convolution.op.activation is activation
    assert judge(proto, network, feeds).wrong == []
    (ours,), (theirs,) = by_us(network, feeds), by_onnxruntime(proto, feeds)
    assert np.abs(ours.astype(int) - theirs).max() <= 1


def test_accumulators_that_are_not_quantized_are_dequantized():
    proto, feeds = chain()
    del proto.graph.node[-1], proto.graph.output[:]
    proto.graph.output.append(onnx.helper.make_tensor_value_info("c", onnx.TensorProto.FLOAT, [1, 5, 7, 6]))
    network = load(proto)
    kinds = [n.op.kind for n in network.graph.nodes if not isinstance(n.op, ops.Transpose | ops.Reshape)]
    assert kinds == ["Conv2D", "Dequantize"]
    (ours,), (theirs,) = by_us(network, feeds), by_onnxruntime(proto, feeds)
    # The bias is rounded to units of the accumulator.
    np.testing.assert_allclose(ours, theirs, atol=2e-4, rtol=1e-4)


def test_weights_kept_in_float_are_quantized_at_import():
    proto, feeds = chain()
    weights = next(t for t in proto.graph.initializer if t.name == "w")
    stored = onnx.numpy_helper.to_array(weights)
    scale = next(onnx.numpy_helper.to_array(t) for t in proto.graph.initializer if t.name == "sw")
    weights.CopyFrom(onnx.numpy_helper.from_array((stored * scale.reshape(-1, 1, 1, 1)).astype(np.float32), "w"))
    proto.graph.node.insert(0, node("QuantizeLinear", ["w", "sw", "zw"], "wq", axis=0))
    proto.graph.node[2].input[0] = "wq"
    network = load(proto)
    np.testing.assert_array_equal(by_us(network, feeds)[0], by_us(load(chain()[0]), feeds)[0])
    constants = [t.data for t in network.graph.tensors.values() if t.data is not None and t.data.ndim == 4]
    np.testing.assert_array_equal(constants[0].transpose(0, 3, 1, 2), stored)


def test_a_batch_norm_between_is_the_hosts():
    proto, feeds = chain(
        node("BatchNormalization", ["c", "gamma", "beta", "beta", "gamma"], "n"), node("Relu", ["n"], "r")
    )
    for name, value in (("gamma", [0.5, 1, -1, 2, 1.5]), ("beta", [0.1, 0, -0.2, 0.3, 0])):
        values = np.abs(np.array(value, np.float32)) if name == "gamma" else np.array(value, np.float32)
        proto.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
    network = load(proto)
    (ours,), (theirs,) = by_us(network, feeds), by_onnxruntime(proto, feeds)
    apart = np.abs(ours.astype(int) - theirs)
    assert apart.max() <= 1
    assert (apart > 0).mean() < 0.01  # the bias is rounded to units of the accumulator


def test_a_convolution_that_stays_in_float_is_refused():
    proto, _ = chain()
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.ones((5, 4, 3, 3), np.float32), "real"))
    proto.graph.node[2].input[1] = "real"
    with pytest.raises(UnsupportedOp, match=r"Conv_c \(Conv2D\): in float32, in a network with quantized operators"):
        load(proto)


def test_a_saved_network_gives_the_same_bits(tmp_path):
    proto, feeds = onnx_nets.deeplab_like()
    network = load(onnx_nets.quantized(proto, feeds, "QDQ"))
    again = bittrue.load_network(network.save(tmp_path / "saved.npz"))
    np.testing.assert_array_equal(by_us(again, feeds)[0], by_us(network, feeds)[0])
