"""QOperator models: 0 values differ from ONNX Runtime's on a device with the float32 requantizer."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs onnx: pip install 'bittrue[onnx]'")
pytest.importorskip("onnxruntime", reason="needs onnxruntime: pip install 'bittrue[oracle]'")

from simulator.errors import UnsupportedOp
from support import onnx_nets
from support.onnx_models import by_onnxruntime, by_us, load, model, node

pytestmark = pytest.mark.oracle
MS = "com.microsoft"
DTYPES = [np.int8, np.uint8]


def check(proto, feeds, operator=None):
    """0 differing values, with `operator` among the model's."""
    if operator is not None:
        assert operator in {n.op_type for n in proto.graph.node}
    for ours, theirs in zip(by_us(load(proto), feeds), by_onnxruntime(proto, feeds), strict=True):
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
        np.testing.assert_array_equal(ours, theirs)


def scales(rng, dtype, *names):
    """Constants: scales s_NAME and zero points z_NAME."""
    low = np.iinfo(dtype).min
    made = {}
    for name in names:
        made[f"s_{name}"] = np.float32(np.exp(rng.uniform(np.log(2e-3), np.log(0.1))))
        made[f"z_{name}"] = dtype(rng.integers(low, low + 256))
    return made


def quant(name):
    return [name, f"s_{name}", f"z_{name}"]


def noise(rng, dtype, *shape):
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max + 1, shape).astype(dtype)


def pairs(dtype):
    """Every pair of operands."""
    values = np.arange(256, dtype=np.uint8).view(dtype)
    return {"a": np.repeat(values, 256).reshape(1, 4, 128, 128), "b": np.tile(values, 256).reshape(1, 4, 128, 128)}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", ["QLinearAdd", "QLinearMul"])
def test_every_pair(op, dtype, seed):
    rng, feeds = np.random.default_rng([seed, 1]), pairs(dtype)
    nodes = [node(op, [*quant("a"), *quant("b"), "s_y", "z_y"], "y", MS)]
    check(model(nodes, feeds, scales(rng, dtype, "a", "b", "y"), {"y": dtype}), feeds)


@pytest.mark.parametrize(
    "shapes", [((1, 5, 6, 7), (1, 5, 1, 1)), ((1, 5, 1, 1), (1, 5, 6, 7)), ((2, 3), (3,)), ((4,), (1,))]
)
@pytest.mark.parametrize("op", ["QLinearAdd", "QLinearMul"])
def test_broadcast(op, shapes):
    rng = np.random.default_rng(2)
    feeds = {name: noise(rng, np.int8, *shape) for name, shape in zip("ab", shapes, strict=True)}
    nodes = [node(op, [*quant("a"), *quant("b"), "s_y", "z_y"], "y", MS)]
    check(model(nodes, feeds, scales(rng, np.int8, "a", "b", "y"), {"y": np.int8}), feeds)


ONE_INPUT = [
    ("QLinearSigmoid", {}),
    ("QLinearLeakyRelu", {"alpha": 0.13}),
    ("QLinearGlobalAveragePool", {}),
    ("QLinearAveragePool", {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1]}),
    ("QLinearAveragePool", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1}),
    ("QLinearAveragePool", {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("op", "attributes"), ONE_INPUT)
def test_one_input(op, attributes, dtype):
    rng = np.random.default_rng(7)
    feeds = {"x": noise(rng, dtype, 2, 5, 9, 11)}
    nodes = [node(op, [*quant("x"), "s_y", "z_y"], "y", MS, **attributes)]
    check(model(nodes, feeds, scales(rng, dtype, "x", "y"), {"y": dtype}), feeds)


@pytest.mark.parametrize("dtype", DTYPES)
def test_concatenation_rescales(dtype):
    rng = np.random.default_rng(8)
    feeds = {"a": noise(rng, dtype, 1, 2, 8, 8), "b": noise(rng, dtype, 1, 3, 8, 8)}
    nodes = [node("QLinearConcat", ["s_y", "z_y", *quant("a"), *quant("b")], "y", MS, axis=1)]
    check(model(nodes, feeds, scales(rng, dtype, "a", "b", "y"), {"y": dtype}), feeds)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", ["half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel"])
@pytest.mark.parametrize(
    "kind", [{"mode": "linear"}, {"mode": "nearest"}, {"mode": "nearest", "nearest_mode": "floor"}]
)
def test_resize_of_integers(kind, mode, dtype):
    if (kind["mode"], mode, len(kind)) == ("nearest", "asymmetric", 1):
        kind = kind | {"nearest_mode": "ceil"}  # rounding there is a matter of float32 ties
    rng = np.random.default_rng(9)
    feeds = {"x": noise(rng, dtype, 1, 3, 7, 10)}
    for size in ((13, 9), (21, 30), (3, 5)):
        nodes = [node("Resize", ["x", "", "", "size"], "y", coordinate_transformation_mode=mode, **kind)]
        check(model(nodes, feeds, {"size": np.array([1, 3, *size], np.int64)}, {"y": dtype}), feeds)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"group": 4},
        {"strides": [2, 1], "pads": [0, 1, 2, 1]},
        {"dilations": [2, 3], "pads": [2, 3, 2, 3]},
        {"auto_pad": "SAME_LOWER", "strides": [2, 2]},
    ],
)
def test_convolution(attributes, dtype):
    rng = np.random.default_rng(10)
    feeds = {"x": noise(rng, dtype, 1, 8, 9, 10)}
    constants = scales(rng, dtype, "x", "y") | {
        "w": noise(rng, dtype, 12, 8 // attributes.get("group", 1), 3, 3) // dtype(2),
        "s_w": rng.uniform(1e-3, 4e-3, 12).astype(np.float32),
        "z_w": np.zeros(12, dtype),
        "b": rng.integers(-3000, 3000, 12, np.int32),
    }
    nodes = [node("QLinearConv", [*quant("x"), *quant("w"), "s_y", "z_y", "b"], "y", **attributes)]
    check(model(nodes, feeds, constants, {"y": dtype}), feeds)


@pytest.mark.parametrize("dtype", DTYPES)
def test_products_and_their_accumulators(dtype):
    rng = np.random.default_rng(11)
    feeds = {"x": noise(rng, dtype, 3, 5, 16), "image": noise(rng, dtype, 1, 4, 6, 6)}
    constants = scales(rng, dtype, "x", "w", "y") | {"w": noise(rng, dtype, 16, 7), "f": noise(rng, dtype, 6, 4, 3, 3)}
    zeros = {"z_image": dtype(3), "z_f": dtype(0)}
    nodes = [
        node("QLinearMatMul", [*quant("x"), *quant("w"), "s_y", "z_y"], "y"),
        node("MatMulInteger", ["x", "w", "z_x", "z_w"], "sums"),
        node("ConvInteger", ["image", "f", "z_image", "z_f"], "maps", pads=[1, 1, 1, 1]),
    ]
    outputs = {"y": dtype, "sums": np.int32, "maps": np.int32}
    check(model(nodes, feeds, constants | zeros, outputs), feeds)


NETS = [
    (onnx_nets.deeplab_like, "QLinearSigmoid"),
    (onnx_nets.fcn_like, "QLinearLeakyRelu"),
    (onnx_nets.classifier, "QGemm"),
]


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize(("make", "operator"), NETS)
def test_networks_that_onnxruntime_quantized(make, operator, signed):
    proto, feeds = make()
    check(onnx_nets.quantized(proto, feeds, "QOperator", signed), feeds, operator)


def test_a_tensor_read_with_another_scale():
    rng = np.random.default_rng(12)
    feeds = {"x": noise(rng, np.int8, 1, 2, 4, 4)}
    constants = scales(rng, np.int8, "x", "h", "other", "y")
    nodes = [
        node("QLinearSigmoid", [*quant("x"), "s_h", "z_h"], "h", MS),
        node("QLinearLeakyRelu", ["h", "s_other", "z_other", "s_y", "z_y"], "y", MS),
    ]
    check(model(nodes, feeds, constants, {"y": np.int8, "h": np.int8}), feeds)


def test_dynamic_quantization_is_refused_with_the_reason():
    feeds = {"x": np.zeros((2, 3), np.float32)}
    proto = model([node("DynamicQuantizeLinear", ["x"], ["y", "s", "z"])], feeds, {}, {"y": np.uint8})
    with pytest.raises(UnsupportedOp, match=r"DynamicQuantizeLinear_y .*measured on every input.*net\.quantize"):
        load(proto)


def test_every_operator_that_is_not_read_is_listed():
    feeds = {"x": np.zeros((1, 3, 8, 8), np.float32)}
    nodes = [
        node("Resize", ["x", "", "scales"], "a", mode="cubic"),
        node("Relu", ["a"], "b"),
        node("LRN", ["x"], "c", size=3),
    ]
    constants = {"scales": np.array([1, 1, 2, 2], np.float32)}
    with pytest.raises(UnsupportedOp) as error:
        load(model(nodes, feeds, constants, {"b": np.float32, "c": np.float32}))
    assert [problem.node for problem in error.value.problems] == ["Resize_a", "LRN_c"]
    assert "attribute mode = 'cubic'; supported: 'nearest', 'linear'" in str(error.value)
