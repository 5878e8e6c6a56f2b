"""QONNX's Quant operators against a plain NumPy evaluation of the network as the specification states it."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs onnx: pip install 'bittrue[onnx]'")
pytest.importorskip("onnxruntime", reason="needs onnxruntime: pip install 'bittrue[oracle]'")

import onnx

from simulator.errors import UnsupportedOp
from simulator.graph import ops
from simulator.numerics.formats import IntFormat
from support.onnx_models import by_us, load, model, node

pytestmark = pytest.mark.oracle


def quant(x, scale, zero, bits, *, signed=1, narrow=0, mode=np.rint):
    """Quant of qonnx's docs/qonnx-custom-ops/quant_op.md, in float64."""
    low = -(2 ** (bits - 1)) + (1 if narrow else 0) if signed else 0
    high = 2 ** (bits - 1) - 1 if signed else 2**bits - 1 - (1 if narrow else 0)
    return (np.clip(mode(np.clip(x / scale + zero, low, high)), low, high) - zero) * scale


def convolved(x, w):
    """A 3x3 convolution with padding 1, in float64."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))
    return np.einsum("nchwij,fcij->nfhw", windows, w)


def network(domain, weight_bits, activation_bits, **weight_attributes):
    rng = np.random.default_rng(4)
    feeds = {"x": rng.standard_normal((1, 3, 6, 5)).astype(np.float32)}
    constants = {
        "w": (rng.standard_normal((4, 3, 3, 3)) * 0.3).astype(np.float32),
        "sw": (rng.uniform(0.02, 0.08, (4, 1, 1, 1))).astype(np.float32),
        "sx": np.float32(0.03125), "sy": np.float32(0.0625), "zero": np.float32(0),
        "wb": np.float32(weight_bits), "xb": np.float32(8), "yb": np.float32(activation_bits),
    }  # fmt: skip
    nodes = [
        node("Quant", ["x", "sx", "zero", "xb"], "xq", domain, signed=1, narrow=0, rounding_mode="ROUND"),
        node("Quant", ["w", "sw", "zero", "wb"], "wq", domain, **({"signed": 1, "narrow": 1} | weight_attributes)),
        node("Conv", ["xq", "wq"], "c", pads=[1, 1, 1, 1]),
        node("Relu", ["c"], "r"),
        node("Quant", ["r", "sy", "zero", "yb"], "y", domain, signed=0, narrow=0),
    ]
    proto = model(nodes, feeds, constants, {"y": np.float32})
    proto.opset_import.append(onnx.helper.make_opsetid(domain, 1))
    return proto, feeds, constants


@pytest.mark.parametrize("domain", ["onnx.brevitas", "qonnx.custom_op.general"])
@pytest.mark.parametrize(("weight_bits", "activation_bits"), [(8, 8), (4, 4), (2, 6), (6, 3)])
def test_a_quantized_convolution(domain, weight_bits, activation_bits):
    proto, feeds, c = network(domain, weight_bits, activation_bits)
    net = load(proto)
    (conv,) = [n for n in net.graph.nodes if isinstance(n.op, ops.Conv2D)]
    assert net.graph.tensors[conv.inputs[1]].format == IntFormat(weight_bits)
    assert net.graph.tensors[conv.outputs[0]].format == IntFormat(activation_bits, signed=False)
    (ours,) = by_us(net, feeds)
    x = quant(feeds["x"].astype(np.float64), 0.03125, 0, 8)
    w = quant(c["w"].astype(np.float64), c["sw"].astype(np.float64), 0, weight_bits, narrow=1)
    wanted = quant(np.maximum(convolved(x, w), 0), 0.0625, 0, activation_bits, signed=0)
    np.testing.assert_allclose(ours, wanted, atol=1e-6)


@pytest.mark.parametrize(("mode", "function"), [("FLOOR", np.floor), ("CEIL", np.ceil), ("ROUND_TO_ZERO", np.trunc)])
def test_weights_are_rounded_as_stated(mode, function):
    proto, _, c = network("onnx.brevitas", 4, 8, rounding_mode=mode)
    graph = load(proto).graph
    (conv,) = [n for n in graph.nodes if isinstance(n.op, ops.Conv2D)]
    stored = graph.tensors[conv.inputs[1]].data.transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(stored, np.clip(function(c["w"] / c["sw"]), -7, 7))


def test_what_is_not_read_is_refused():
    proto, _, _ = network("onnx.brevitas", 8, 8)
    next(a for a in proto.graph.node[-1].attribute if a.name == "narrow").i = 1
    with pytest.raises(UnsupportedOp, match=r"Quant_y \(onnx\.brevitas\.Quant\): attribute narrow = 1"):
        load(proto)
    proto, _, _ = network("onnx.brevitas", 2.5, 8)
    with pytest.raises(UnsupportedOp, match=r"Quant_wq .*bit width 2\.5"):
        load(proto)
