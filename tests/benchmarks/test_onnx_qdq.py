"""Our quantized networks as QDQ models: ONNX Runtime fuses them, and computes what we compute."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="needs the extra oracle")

import bittrue
from benchmarks.onnx_qdq import codes, onnx_input, qdq_model
from benchmarks.onnx_runtime import NotFused, check_fused, open_session, optimised_operators, settings
from simulator.errors import NetworkError
from simulator.graph import ops
from simulator.graph.builder import GraphBuilder
from simulator.graph.graph import Graph
from simulator.graph.ops import Activation, Padding
from simulator.numerics.quant import QuantParams

pytestmark = pytest.mark.oracle

RNG = np.random.default_rng(7)
X = QuantParams.per_tensor(np.float32(0.05), -20)
Y = QuantParams.per_tensor(np.float32(0.04), 5)
FROM_ZERO = QuantParams.per_tensor(np.float32(0.03), -128)
CHANNELS = 8


def builder(size: int = 9) -> tuple[GraphBuilder, str]:
    b = GraphBuilder("small")
    return b, b.input("image", (1, size, size, CHANNELS), "int8", X)


def filters(b: GraphBuilder, name: str, count: int, kernel: int, channels: int = CHANNELS) -> tuple[str, str]:
    scales = tuple(float(np.float32(s)) for s in RNG.uniform(0.001, 0.003, count))
    weights = RNG.integers(-127, 128, (count, kernel, kernel, channels), np.int8)
    bias = RNG.integers(-2000, 2000, count, np.int32)
    return (
        b.constant(f"{name}/weights", weights, quant=QuantParams(scales, (0,) * count, 0)),
        b.constant(f"{name}/bias", bias, quant=QuantParams(tuple(X.scale[0] * s for s in scales), (0,) * count, 0)),
    )


def convolution() -> Graph:
    b, x = builder()
    op = ops.Conv2D((2, 1), Padding(2, 1, 0, 3), (1, 2), activation=Activation.RELU)
    b.add(op, x, *filters(b, "conv", 5, 3), name="conv", quant=FROM_ZERO)
    return b.build()


def depthwise() -> Graph:
    b, x = builder()
    op = ops.Conv2D(padding=Padding(1, 1, 1, 1), groups=CHANNELS)
    b.add(op, x, *filters(b, "conv", CHANNELS, 3, 1), name="conv", quant=Y)
    return b.build()


def transposed() -> Graph:
    b, x = builder(4)
    weights, _ = filters(b, "up", 3, 4)
    b.add(ops.TransposeConv2D((2, 2), (7, 8), Padding(1, 2, 1, 1)), x, weights, name="up", quant=Y)
    return b.build()


def max_pool() -> Graph:
    b, x = builder()
    b.add(ops.MaxPool2D((3, 2), (2, 2), Padding(1, 1, 0, 1)), x, name="pool")
    return b.build()


def add() -> Graph:
    b, x = builder()
    branch = b.add(ops.Conv2D(), x, *filters(b, "conv", CHANNELS, 1), name="branch", quant=Y)
    b.add(ops.Add(Activation.RELU), branch, x, name="sum", quant=FROM_ZERO)
    return b.build()


def pyramid() -> Graph:
    b, x = builder()
    pooled = b.add(ops.Mean((1, 2), keep_dims=True), x, name="mean")
    spread = b.add(ops.ResizeBilinear((9, 9), half_pixel_centers=True), pooled, name="spread")
    joined = b.add(ops.Concat(3), x, spread, name="joined")
    b.add(ops.ResizeBilinear((17, 17), align_corners=True), joined, name="resized")
    return b.build()


def both(graph: Graph, requantizer: str = "float32") -> tuple[np.ndarray, np.ndarray]:
    """Output of ours as uint8 NCHW, and ONNX Runtime's, on noise."""
    tensor = graph.input_tensors[0]
    x = RNG.integers(-128, 128, tensor.shape, np.int8)
    accelerator = bittrue.load_accelerator("edge_16x16_os").evolve({"arithmetic.requantizer": requantizer})
    (ours,) = bittrue.simulate(graph, accelerator, [x], values_only=True).outputs.values()
    session = open_session(qdq_model(graph).SerializeToString(), 1, settings()[-1])
    (theirs,) = session.run(None, {tensor.name: onnx_input(tensor, x)})
    output = graph.output_tensors[0]
    return (ours if output.quant is None else onnx_input(output, ours)), theirs


@pytest.mark.parametrize("make", [convolution, depthwise, max_pool])
def test_values_are_equal(make):
    ours, theirs = both(make())
    assert ours.shape == theirs.shape
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("make", [transposed, add, pyramid])
def test_values_differ_by_one_at_most_where_the_other_computes_in_float(make):
    ours, theirs = both(make())
    assert ours.shape == theirs.shape
    assert np.abs(ours.astype(int) - theirs.astype(int)).max() <= 1


def test_labels_keep_their_layout():
    b, x = builder()
    b.add(ops.ArgMax(3), x, name="labels")
    ours, theirs = both(b.build())
    np.testing.assert_array_equal(ours, theirs)


def test_operators_run_in_integers():
    operators = optimised_operators(qdq_model(add()).SerializeToString(), settings()[-1])
    assert {name.removeprefix("com.microsoft.") for name in operators} <= {"QLinearConv", "QLinearAdd", "Transpose"}
    check_fused(operators)


def test_a_convolution_in_float_is_an_error():
    with pytest.raises(NotFused, match="FusedConv"):
        check_fused(Counter({"com.microsoft.FusedConv": 1, "ConvTranspose": 1}))


def test_codes_are_the_same_numbers_shifted():
    tensor = convolution().tensors["image"]
    assert codes(tensor, np.array([-128, 0, 127], np.int8)).tolist() == [0, 128, 255]


def test_what_has_no_counterpart_is_refused_by_name():
    b, x = builder()
    b.add(ops.Logistic(), x, name="gate", quant=QuantParams.per_tensor(1 / 256, -128))
    with pytest.raises(NetworkError, match=r"gate.*Logistic"):
        qdq_model(b.build())


def test_an_activation_without_counterpart_is_refused():
    b, x = builder()
    b.add(ops.Conv2D(activation=Activation.RELU6), x, *filters(b, "conv", 4, 1), name="conv", quant=Y)
    with pytest.raises(NetworkError, match=r"conv.*relu6"):
        qdq_model(b.build())
