"""Exported .onnx: ONNX Runtime gives the integers of our run with the float32 requantizer, 0 differing."""

from __future__ import annotations

import logging
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

import bittrue
from simulator.errors import NetworkError, UnsupportedOp
from simulator.graph import ops
from simulator.graph.builder import GraphBuilder
from simulator.graph.ops import Arithmetic
from simulator.numerics.formats import FLOAT32, INT8, UINT8, IntFormat
from simulator.numerics.quant import QuantParams
from support.accelerators import device
from support.exported import networks, noise
from workloads.network import Network

runtime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")
pytestmark = [pytest.mark.oracle]
logger = logging.getLogger(__name__)


def assert_same_in_onnx_runtime(network: Network, folder) -> None:
    """Every tensor that our run computes: ONNX Runtime without optimisation, and our run of the file read again."""
    graph = network.graph
    every = [name for node in graph.nodes for name in node.outputs]
    network = replace(network, graph=replace(graph, outputs=tuple(dict.fromkeys([*graph.outputs, *every]))))
    path = network.export(folder / "exported.onnx")
    values = noise(network)
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.x64quantprecision", "1")  # no saturating sums where there is no VNNI
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    there = session.run(None, values)
    accelerator = device(arithmetic__requantizer="float32")
    here = bittrue.simulate(network, accelerator, values, values_only=True)
    again = bittrue.simulate(bittrue.load_network(path), accelerator, values, values_only=True)
    assert [output.name for output in session.get_outputs()] == list(here.outputs) == list(again.outputs)
    for (name, value), expected in zip(here.outputs.items(), there, strict=True):
        assert (value.dtype, value.shape) == (expected.dtype, expected.shape)
        np.testing.assert_array_equal(value, expected, err_msg=name)
        np.testing.assert_array_equal(value, again.outputs[name], err_msg=f"{name}, read again")
    # docs/exporting.md quotes it
    logger.info("%s: %d tensors, %s values, none differs", graph.name, len(there), f"{sum(v.size for v in there):,}")


@settings(max_examples=20, deadline=None)
@given(network=networks())
def test_drawn_networks(network, tmp_path_factory):
    assert_same_in_onnx_runtime(network, tmp_path_factory.mktemp("drawn"))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("fcn_vgg16", {"size": 64, "variant": "8s", "layout": "paper"}),
        ("fcn_vgg16", {"size": 64, "variant": "16s", "layout": "caffe"}),
        ("fcn_vgg16", {"size": 64, "layout": "compact"}),
        ("fcn_resnet50", {"size": 65}),
        ("deeplabv3_resnet50", {"size": 65, "layout": "compact"}),
        ("deeplabv3_resnet50", {"size": 65, "layout": "paper"}),
        ("deeplabv3_resnet50", {"size": 65, "layout": "deeplab"}),
        ("deeplabv3_resnet50", {"size": 65, "layout": "torchvision"}),
        ("unet", {"size": 64}),
        ("mobilenet_v2", {"size": 64}),
        ("resnet50", {"size": 64}),
    ],
)
def test_networks_quantized_here(name, options, tmp_path):
    network = bittrue.load_network(name, weights="seeded", width=0.125, classes=5, **options)
    photo = np.random.default_rng(0).integers(0, 256, (options["size"], options["size"], 3)).astype(np.uint8)
    assert_same_in_onnx_runtime(network.quantize(photo), tmp_path)


def test_a_classifier(tmp_path):
    rng = np.random.default_rng(5)
    q = Q
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


Q = QuantParams.per_tensor
X, Y = Q(0.0234375, 11), Q(0.03125, 100)
"""Scales of an operator's input and output."""
SAME = [
    ops.Pad(((0, 0), (1, 0), (0, 2), (1, 1)), 7),
    ops.MirrorPad(((0, 0), (1, 2), (0, 3), (0, 0)), "reflect"),
    ops.Slice((0, None, -2, 1), (None, None, None, 4), (1, 2, -3, 1)),
    ops.Slice((0, 3, 5, 1), (1, -1, 0, None), (1, 1, -2, 2), squeeze=(0,)),
    ops.Split(3, (1, 3)),
    ops.Unpack(-2),
    ops.Tile((1, 2, 1, 3)),
    ops.DepthToSpace(2),
    ops.SpaceToDepth(2),
    ops.SpaceToBatch((2, 4), ((1, 1), (0, 0))),
    ops.BatchToSpace((1, 2), ((0, 1), (3, 0))),
    ops.ResizeNearest((9, 5)),
    ops.ResizeNearest((9, 13), half_pixel_centers=True),
    ops.ResizeNearest((3, 13), align_corners=True),
    ops.ResizeBilinear((11, 7)),
    ops.ResizeBilinear((3, 13), half_pixel_centers=True),
    ops.ResizeBilinear((17, 29), align_corners=True),
    ops.ReduceMax((1, -1)),
    ops.MaxPool2D((3, 2), (2, 1), ops.Padding(2, 1, 0, 1), ops.Activation.RELU6),
]
OTHER = [
    ops.Relu(),
    ops.Relu6(),
    ops.ReluN1To1(),
    ops.Logistic(),
    ops.LeakyRelu(0.17),
    ops.HardSwish(),
    ops.Quantize(),
    ops.Mean((1, 2)),
    ops.Mean((2, 1), keep_dims=True),
    ops.AveragePool2D((3, 3), (2, 1), ops.Padding(1, 0, 2, 1), ops.Activation.RELU6),
]


def builder(format: IntFormat, shape=(2, 6, 8, 4)) -> tuple[GraphBuilder, str]:
    b = GraphBuilder("one")
    return b, b.input("x", shape, format, X)


@pytest.mark.parametrize("format", [INT8, UINT8], ids=str)
@pytest.mark.parametrize("op", [*SAME, *OTHER], ids=lambda op: op.kind)
def test_one_operator(op, format, tmp_path):
    b, x = builder(format)
    made = b.add_many(op, x, format=format, quant=Y if op in OTHER else X)
    assert_same_in_onnx_runtime(Network(b.build(list(made))), tmp_path)


@pytest.mark.parametrize("format", [INT8, UINT8], ids=str)
@pytest.mark.parametrize("op", [ops.Add(ops.Activation.RELU), ops.Mul(), ops.Maximum(), ops.Concat(-1)])
def test_two_operands(op, format, tmp_path):
    """Every pair of values, the operands images in either layout (a pool before makes it channels first)."""
    b = GraphBuilder("two")
    same = isinstance(op, ops.Maximum)
    values = np.arange(format.min, format.max + 1).astype(format.dtype)
    x = b.input("x", (1, 256, 16, 16), format, X)
    y = b.constant(
        "y", np.broadcast_to(values[:, None, None], (1, 256, 16, 16)), format, X if same else Q(0.01171875, 90)
    )
    z = b.add(ops.MaxPool2D((1, 1), (1, 1)), x)
    assert_same_in_onnx_runtime(Network(b.build([b.add(op, a, y, quant=X if same else Y) for a in (x, z)])), tmp_path)


@pytest.mark.parametrize("shape", [(1, 1, 1, 64), (1, 1, 64, 1), (1, 64, 1, 1), (64,), (1,), (1, 64, 64, 1)])
def test_the_order_of_adding_follows_what_is_broadcast(shape, tmp_path):
    rng = np.random.default_rng(3)
    b, out = GraphBuilder("sums"), []
    for seed in range(8):
        q = [Q(float(np.float32(np.exp(rng.uniform(-6, -2)))), int(rng.integers(-128, 128))) for _ in range(3)]
        x = b.input(f"x{seed}", (1, 64, 64, 64), INT8, q[0])
        c = b.constant(f"c{seed}", rng.integers(-128, 128, shape).astype(np.int8), INT8, q[1])
        out += [
            b.add(ops.Add(), x, c, quant=q[2]),
            b.add(ops.Mul(), c, x, quant=q[2]),
            b.add(ops.Add(), c, x, quant=q[2]),
        ]
    assert_same_in_onnx_runtime(Network(b.build(out)), tmp_path)


@pytest.mark.parametrize("format", [INT8, UINT8], ids=str)
@pytest.mark.parametrize(
    ("stride", "crop", "size"),
    [((1, 1), (0, 0), (8, 10)), ((2, 3), (1, 2), (12, 20)), ((4, 2), (0, 1), (30, 17)), ((3, 3), (2, 0), (9, 11))],
)
def test_transposed_convolution(stride, crop, size, format, tmp_path):
    """Strides above and below the filter's size, crops, rows behind the last that has a product, scales per filter."""
    rng = np.random.default_rng(9)
    b, x = builder(format)
    zeros = (0,) * 5 if format == INT8 else (131,) * 5
    quant = QuantParams(tuple(rng.uniform(1e-3, 4e-3, 5).astype(np.float32).tolist()), zeros, 0)
    w = rng.integers(format.min, format.max + 1, (5, 3, 3, 4)).astype(format.dtype)
    bias = b.constant("b", rng.integers(-3000, 3000, 5).astype(np.int32), "int32")
    y = b.add(
        ops.TransposeConv2D(stride, size, ops.Padding(crop[0], 0, crop[1], 0), ops.Activation.RELU6),
        *(x, b.constant("w", w, format, quant), bias),
        quant=Y,
    )
    assert_same_in_onnx_runtime(Network(b.build([y])), tmp_path)


def test_floats_at_the_ends_and_weights_of_four_bits(tmp_path):
    b = GraphBuilder("ends")
    x = b.add(ops.Quantize(), b.input("x", (1, 6, 5, 3), FLOAT32), format=INT8, quant=Q(0.5, 3))
    w = b.constant("w", np.random.default_rng(2).integers(-8, 8, (4, 1, 1, 3)).astype(np.int8), "int4", Q(0.25))
    y = b.add(ops.Conv2D(), x, w, quant=Q(1.5, -7))
    rows = b.constant("rows", np.array([3, 0, 0], np.int32), "int32")
    y = b.add(ops.Gather(1), y, rows)
    y = b.add(ops.Pack(1), y, y)
    out = [b.add(ops.Dequantize(), y, format=FLOAT32), b.add(ops.Cast(), y, format="int32")]
    assert_same_in_onnx_runtime(Network(b.build(out)), tmp_path)


@pytest.mark.assets
@pytest.mark.parametrize(
    "name", ["deeplabv3_mnv2_dm05_pascal_quant.tflite", "resnet50_1by2_backbone_qoperator_int8.onnx"]
)
def test_imported_networks(assets, name, tmp_path):
    assert_same_in_onnx_runtime(bittrue.load_network(assets / name), tmp_path)


def refused(op: ops.Op, quant=Y) -> Network:
    b, x = builder(INT8)
    return Network(b.build([b.add(op, x, name="it", quant=quant)]))


@pytest.mark.parametrize(
    ("op", "quant", "reason"),
    [
        (ops.Softmax(), Y, "gemmlowp.*a .tflite file has the operator"),
        (ops.Mean((3,)), Y, r"a mean over axes \(3,\)"),
        (ops.Reshape((2, 192)), Y, "another scale"),
        (ops.MirrorPad(((0, 0), (1, 1), (0, 0), (0, 0)), "symmetric"), X, "symmetric"),
        (ops.Sum((1,)), Y, "no operator that gives the same integers"),
    ],
)
def test_what_onnx_runtime_computes_otherwise_is_refused_by_name(op, quant, reason, tmp_path):
    with pytest.raises(UnsupportedOp, match=rf"it \({op.kind}\): .*{reason}"):
        refused(op, quant).export(tmp_path / "u.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("format", [INT8, UINT8])
@pytest.mark.parametrize("size", [(9, 9), (16, 7), (3, 20), (1, 5)])
@pytest.mark.parametrize("flags", [(False, False), (True, False), (False, True)])
def test_bilinear_to_nearest(size, flags, format, tmp_path):
    b = GraphBuilder("nearest")
    x = b.input("x", (1, 8, 6, 5), format, Q(0.75, 3))
    op = ops.ResizeBilinear(size, *flags, arithmetic=Arithmetic.FLOAT32)
    assert_same_in_onnx_runtime(Network(b.build([b.add(op, x, name="it")])), tmp_path)


def all_values(format, scale, zero, out_scale, out_zero):
    """Tanh of every value that an 8-bit input can have."""
    b = GraphBuilder("tanh")
    x = b.input("x", (1, 256), format, Q(scale, zero))
    return Network(b.build([b.add(ops.Tanh(), x, name="it", quant=Q(out_scale, out_zero))]))


@pytest.mark.parametrize("format", [INT8, UINT8])
def test_tanh_of_every_value_where_none_is_a_tie(format, tmp_path):
    rng, written = np.random.default_rng(6), 0
    every = np.arange(format.min, format.max + 1).astype(format.dtype).reshape(1, 256)
    for number in range(40):
        scale, zero = float(np.float32(rng.uniform(0.003, 0.2))), int(rng.integers(format.min, format.max))
        grids = (1 / 128, 0 if format.signed else 128), (float(np.float32(rng.uniform(0.004, 0.03))), 7)
        network = all_values(format, scale, zero, *grids[number % 2])
        path = tmp_path / f"{number}.onnx"
        try:
            network.export(path)
        except UnsupportedOp:
            continue
        written += 1
        (there,) = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, {"x": every})
        here = bittrue.simulate(network, device(arithmetic__requantizer="float32"), {"x": every}, values_only=True)
        np.testing.assert_array_equal(here.outputs["it"], there)
    assert written > 30
    assert_same_in_onnx_runtime(all_values(INT8, 0.0625, 3, 1 / 128, 0), tmp_path)


def test_tanh_that_falls_on_a_tie_is_refused_with_the_value(tmp_path):
    step = float(np.float32(np.tanh(1.0) / 40.5))
    with pytest.raises(UnsupportedOp, match=r"it \(Tanh\): .*tanh of (10|-10) is -?40\.5000\d steps of the output"):
        all_values(INT8, float(np.float32(0.1)), 0, step, 0).export(tmp_path / "tie.onnx")


def test_without_the_package_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(NetworkError, match=r"pip install 'bittrue\[onnx\]'"):
        refused(ops.Relu()).export(tmp_path / "u.onnx")


def test_a_dilated_transposed_convolution_is_refused(tmp_path):
    b = GraphBuilder("refused")
    x = b.input("x", (1, 4, 4, 2), INT8, QuantParams.per_tensor(0.5))
    w = b.constant("w", np.ones((2, 2, 2, 2), np.int8), INT8, QuantParams.per_tensor(0.5))
    op = ops.TransposeConv2D((2, 2), (9, 9), dilation=(2, 1))
    y = b.add(op, x, w, name="it", quant=QuantParams.per_tensor(1.0))
    with pytest.raises(UnsupportedOp, match=r"it \(TransposeConv2D\): its filter has a dilation of \(2, 1\)"):
        Network(b.build([y])).export(tmp_path / "out.onnx")
    assert not list(tmp_path.iterdir())
