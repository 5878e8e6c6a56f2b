"""The float executor against operators written out value by value."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import InputError, NetworkError, UnsupportedOp
from simulator.graph import ops
from simulator.graph.builder import GraphBuilder
from simulator.graph.ops import Activation, Padding
from simulator.numerics.formats import FLOAT32
from support import float_twin
from workloads.nets.deeplabv3 import deeplabv3_resnet50
from workloads.quantization import float_conv
from workloads.quantization.float_execute import run_float

pads = st.builds(Padding, *[st.integers(0, 3)] * 4)
pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
activations = st.sampled_from(Activation)


def compare(op, shape, *constants, seed=0, atol=2e-5):
    """Run one operator both ways on random values."""
    rng = np.random.default_rng(seed)
    builder = GraphBuilder()
    names = [builder.input("x", shape, FLOAT32)]
    for index, constant in enumerate(constants):
        values = constant if isinstance(constant, np.ndarray) else rng.normal(size=constant)
        names.append(builder.constant(f"c{index}", values.astype(np.float32)))
    output = builder.add(op, *names)
    graph = builder.build()
    x = rng.normal(size=shape).astype(np.float32)
    expected = float_twin.run(graph, {"x": x})[output]
    result = run_float(graph, {"x": x}).outputs[output]
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=atol)
    assert result.dtype == graph.tensors[output].format.dtype


@settings(max_examples=40, deadline=None)
@given(pairs, pads, pairs, activations, st.sampled_from([(1, 3, 4), (2, 2, 2), (4, 1, 1), (4, 1, 2)]), pairs)
def test_convolution(stride, padding, dilation, activation, grouping, kernel):
    groups, channels, per_group = grouping
    op = ops.Conv2D(stride, padding, dilation, groups, activation)
    compare(op, (2, 8, 9, groups * channels), (groups * per_group, *kernel, channels), (groups * per_group,))


@pytest.mark.parametrize("method", ["columns", "taps"])
def test_both_ways_to_convolve_cut_the_image_where_they_must(method, monkeypatch):
    monkeypatch.setattr(float_conv, "_BLOCK_BYTES", 600)
    monkeypatch.setattr(float_conv, "_TAP_CHANNELS", 1 if method == "taps" else 99)
    compare(ops.Conv2D((2, 1), Padding(2, 3, 1, 0), (2, 1)), (1, 13, 7, 3), (5, 3, 2, 3), (5,))
    compare(ops.Conv2D(padding=Padding(1, 1, 1, 1), groups=2), (1, 9, 7, 6), (4, 3, 3, 3))


@settings(max_examples=25, deadline=None)
@given(pairs, pairs, st.integers(0, 1), st.integers(0, 1), activations, st.tuples(st.integers(5, 9), st.integers(5, 9)))
def test_transposed_convolution(stride, kernel, top, left, activation, size):
    top, left = min(top, kernel[0] - 1), min(left, kernel[1] - 1)
    op = ops.TransposeConv2D(stride, size, Padding(top, 0, left, 0), activation)
    compare(op, (1, 3, 4, 2), (3, *kernel, 2), (3,))


@settings(max_examples=25, deadline=None)
@given(pairs, pairs, st.booleans(), activations)
def test_pools(kernel, stride, average, activation):
    kind = ops.AveragePool2D if average else ops.MaxPool2D
    padding = Padding(kernel[0] - 1, 0, 0, kernel[1] - 1)
    compare(kind(kernel, stride, padding, activation), (2, 6, 7, 3))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([(False, False), (True, False), (False, True)]))
def test_bilinear_resize(height, width, flags):
    compare(ops.ResizeBilinear((height, width), *flags), (1, 4, 3, 2))


@pytest.mark.parametrize(
    ("op", "constants"),
    [
        (ops.Add(Activation.RELU), [(3,)]),
        (ops.Sub(), [(5, 1)]),
        (ops.Mul(Activation.RELU6), [(1, 4, 5, 3)]),
        (ops.Relu(), []),
        (ops.Relu6(), []),
        (ops.Logistic(), []),
        (ops.HardSwish(), []),
        (ops.Softmax(2.0), []),
        (ops.Concat(2), [(2, 4, 1, 3)]),
        (ops.Mean((1, 2), keep_dims=True), []),
        (ops.Mean((3,)), []),
        (ops.ArgMax(3), []),
        (ops.Slice((0, 1, None, 2), (None, None, None, 3), (1, 2, -1, 1), (3,)), []),
        (ops.FullyConnected(Activation.RELU), [(6, 15), (6,)]),
        (ops.BatchNorm(1e-2), [(3,), (3,), (3,), np.array([0.1, 2.0, 3.0])]),
    ],
    ids=lambda value: value.kind if isinstance(value, ops.Op) else "",
)
def test_other_operators(op, constants):
    compare(op, (2, 4, 5, 3), *constants)


def test_measured_statistics_are_those_of_the_input():
    rng = np.random.default_rng(5)
    builder = GraphBuilder()
    builder.input("x", (1, 6, 7, 3), FLOAT32)
    names = [builder.constant(name, np.ones(3, np.float32)) for name in ("gamma", "beta", "mean", "variance")]
    builder.add(ops.BatchNorm(), "x", *names, name="y")
    x = rng.normal([1, 2, 3], [4, 5, 6], size=(1, 6, 7, 3)).astype(np.float32)
    run = run_float(builder.build(), {"x": x}, measure_norms=True)
    np.testing.assert_allclose(run.statistics["mean"], x.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(run.statistics["variance"], x.var((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(run.outputs["y"].mean((0, 1, 2)), 1, atol=1e-5)
    np.testing.assert_allclose(run.outputs["y"].std((0, 1, 2)), 1, atol=1e-5)


def test_a_seeded_network_of_full_depth_neither_vanishes_nor_explodes():
    net = deeplabv3_resnet50(size=65, width=0.25, classes=7, weights="seeded")
    spans = {}
    x = np.random.default_rng(0).normal(size=(1, 65, 65, 3)).astype(np.float32)
    run = run_float(
        net.graph, {"image": x}, measure_norms=True, on_tensor=lambda name, v: spans.update({name: float(np.std(v))})
    )
    assert all(0.01 < span < 20 for name, span in spans.items() if name != "labels")
    assert len(np.unique(run.outputs["labels"])) > 1


def test_what_cannot_run_is_named():
    builder = GraphBuilder()
    builder.input("x", (4, 4), FLOAT32)
    builder.placeholder("w", (3, 4), FLOAT32)
    builder.add(ops.FullyConnected(), "x", "w", name="y")
    graph = builder.build()
    with pytest.raises(NetworkError, match="w has no values"):
        run_float(graph, {"x": np.zeros((4, 4))})
    builder.add(ops.FloorDiv(), "y", "y", name="root")
    with pytest.raises(UnsupportedOp, match="root"):
        run_float(builder.build(), {})
    other = GraphBuilder()
    other.input("x", (4, 4), FLOAT32)
    other.add(ops.Relu(), "x")
    with pytest.raises(InputError, match=r"\(2, 2\)"):
        run_float(other.build(), {"x": np.zeros((2, 2))})
    with pytest.raises(InputError, match="missing"):
        run_float(other.build(), {})
