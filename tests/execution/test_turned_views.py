"""Transpositions that are left as views: which, and that filter gradients over them are those of the definition."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.execution.context import ExecutionContext
from simulator.execution.execute import execute
from simulator.execution.turned import in_order, left_turned, source_of, views
from simulator.graph import ops
from simulator.graph.builder import GraphBuilder
from simulator.graph.graph import Node
from simulator.graph.ops import Padding
from simulator.kernels import isa
from simulator.lowering.lower import lower
from simulator.numerics.formats import INT8, IntFormat
from support import step_twin
from support import training_step_twin as twin
from support.array_layers import Quant, machine, run_layer
from support.array_twin import Shape
from workloads.training.array_gradients import filter_gradient

WIDE = (1, None, (32, "wrap"))
CASES = {  # x, filters, kernel, stride, dilation, padding (top, bottom, left, right)
    "1x1": ((8, 9, 11, 20), 35, 1, 1, 1, (0, 0, 0, 0)),
    "few filters": ((16, 5, 8, 130), 7, 1, 1, 1, (0, 0, 0, 0)),
    "3x3": ((8, 9, 11, 17), 64, 3, 1, 1, (1, 1, 1, 1)),
    "strided, cropped": ((8, 10, 12, 16), 33, 3, 2, 1, (0, 1, 0, 1)),
    "dilated": ((8, 12, 15, 20), 20, 3, 1, 6, (6, 6, 6, 6)),
    "stem": ((8, 30, 25, 3), 16, 7, 2, 1, (3, 3, 3, 3)),
    "odd batch": ((5, 11, 9, 20), 21, 3, 1, 1, (1, 1, 1, 1)),
}


def gradient(case: str, bits: int = 8, other_reader: str = ""):
    """Graph of the gradient of a case's filters, its operator, and operands at their ends and between."""
    x_shape, filters, kernel, stride, dilation, pad = CASES[case]
    op = ops.Conv2D((stride,) * 2, Padding(*pad), (dilation,) * 2, raw_accumulator=True)
    builder = GraphBuilder("gradient")
    builder.input("x", x_shape, INT8)
    builder.input("w", (filters, kernel, kernel, x_shape[3]), INT8)
    y = builder.add(op, "x", "w", name="y", format=IntFormat(32))
    builder.input("e", builder.shape(y), IntFormat(bits))
    outputs = [filter_gradient(builder, Node("y", op, ("x", "w"), ("y",)), "x", "e")]
    if other_reader:
        outputs.append(builder.add(ops.Reshape((-1,)), other_reader, name="flat"))
    rng = np.random.default_rng(3)
    arrays = {
        "x": rng.integers(-127, 128, x_shape).astype(np.int8),
        "w": rng.integers(-127, 128, builder.shape("w")).astype(np.int8),
        "e": rng.integers(-127, 128, builder.shape("e")).astype(f"int{bits}"),
    }
    arrays["e"][..., 0] = 127
    return builder.build(outputs), op, arrays


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", [*isa.available(), "emulated-avx512vnni", "emulated-avx2"])
def test_filter_gradients(name, case, monkeypatch):
    monkeypatch.setenv(isa.VARIABLE, name)
    graph, op, arrays = gradient(case)
    layers = lower(graph, machine(*WIDE))
    assert views(graph, layers) == {"y.wgrad.image", "y.wgrad.filters"}
    found = execute(graph, layers, arrays, ExecutionContext()).outputs
    wanted = twin.convolve_back(arrays["x"], arrays["w"], arrays["e"], op)[1]
    np.testing.assert_array_equal(found[graph.outputs[0]], wanted)


@pytest.mark.parametrize("registers", [(4, (14, "wrap"), (16, "saturate")), (1, None, (16, "wrap"))])
def test_narrow_registers(registers):
    graph, _, arrays = gradient("odd batch")
    arrays["x"] = np.abs(arrays["x"])
    layers = lower(graph, machine(*registers))
    run = execute(graph, layers, arrays, ExecutionContext())
    image, filters = (arrays[name].transpose(3, 1, 2, 0) for name in "xe")
    expected = step_twin.run_steps(image, filters, 0, Shape(filters.shape[1:3], padding=(1, 1, 1, 1)), *registers)
    assert expected.events > 0
    sums = expected.accumulators.reshape(20, 3, 3, 21)  # [channels, height, width, filters]
    np.testing.assert_array_equal(run.outputs[graph.outputs[0]], sums.transpose(3, 1, 2, 0))
    events = {layer.name: record.events for layer, record in zip(layers, run.overflow, strict=True)}
    assert events["y.wgrad"] == expected.events


@pytest.mark.parametrize(
    ("changes", "left"),
    [
        ({"bits": 16}, {"y.wgrad.image"}),
        ({"other_reader": "y.wgrad.image"}, {"y.wgrad.filters"}),
        ({"other_reader": "y.wgrad.filters"}, {"y.wgrad.image"}),
        ({"other_reader": "x"}, {"y.wgrad.image", "y.wgrad.filters"}),
    ],
)
def test_only_bytes_that_convolutions_alone_read_are_left(changes, left):
    graph, op, arrays = gradient("3x3", **changes)
    layers = lower(graph, machine(*WIDE))
    assert views(graph, layers) == left
    found = execute(graph, layers, arrays, ExecutionContext()).outputs
    wanted = twin.convolve_back(arrays["x"], arrays["w"], arrays["e"], op)[1]
    np.testing.assert_array_equal(found[graph.outputs[0]], wanted)


def test_tensors_that_are_kept_are_in_order():
    graph, _, arrays = gradient("3x3")
    kept = execute(graph, lower(graph, machine(*WIDE)), arrays, ExecutionContext(), keep_tensors=True).tensors
    assert kept["y.wgrad.image"].flags.c_contiguous
    np.testing.assert_array_equal(kept["y.wgrad.image"], arrays["x"].transpose(3, 1, 2, 0))


def test_outputs_of_the_network_are_in_order():
    builder = GraphBuilder("turned")
    builder.input("x", (8, 9, 11, 20), INT8)
    graph = builder.build([builder.add(ops.Transpose((3, 1, 2, 0)), "x", name="turned")])
    assert views(graph, lower(graph, machine(*WIDE))) == frozenset()


@pytest.mark.parametrize("shape", [(8, 9, 11, 20), (2, 3, 4, 5), (1, 64, 64, 3), (1, 1, 1, 9)])
def test_views_are_known_and_brought_in_order(shape):
    x = np.arange(np.prod(shape)).reshape(shape)
    view = x.transpose(3, 1, 2, 0)
    assert source_of(x) is None
    assert source_of(view[::-1]) is None
    source = source_of(view)
    assert view.flags.c_contiguous if source is None else (source == x).all()
    assert in_order(view).flags.c_contiguous
    np.testing.assert_array_equal(in_order(view), view)


def test_views_of_other_layers_are_brought_in_order():
    """Rows of a product, and filters of several groups: no kernel takes these turned."""
    rng = np.random.default_rng(5)
    quant = Quant(y_format=IntFormat(32))
    x = left_turned(rng.integers(-128, 128, (16, 4, 5, 3)).astype(np.int8))
    w = rng.integers(-127, 128, (24, 16)).astype(np.int8)
    found = run_layer(ops.FullyConnected(raw_accumulator=True), x, w, None, quant, machine(*WIDE)).outputs[0]
    np.testing.assert_array_equal(found, x.reshape(-1, 16).astype(np.int64) @ w.T.astype(np.int64))
    filters = left_turned(rng.integers(-127, 128, (8, 3, 3, 24)).astype(np.int8))
    image = rng.integers(-128, 128, (2, 5, 5, 16)).astype(np.int8)
    op = ops.Conv2D(groups=2, raw_accumulator=True)
    of_view, of_copy = (
        run_layer(op, image, given, None, quant, machine(*WIDE)).outputs[0]
        for given in (filters, np.ascontiguousarray(filters))
    )
    np.testing.assert_array_equal(of_view, of_copy)
