"""Networks written by hand."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.errors import NetworkError
from simulator.graph import ops
from simulator.graph.builder import GraphBuilder
from simulator.numerics.formats import FLOAT32, INT8, INT16, INT32
from simulator.numerics.quant import QuantParams

Q = QuantParams.per_tensor(0.5, 3)


def start():
    builder = GraphBuilder("net")
    builder.input("x", (1, 8, 8, 4), INT8, Q)
    builder.constant("w", np.ones((6, 3, 3, 4), np.int8), quant=QuantParams.per_tensor(0.25))
    return builder


def test_a_network_by_hand():
    builder = start()
    out = QuantParams.per_tensor(0.125)
    y = builder.add(ops.Conv2D(), "x", "w", None, name="conv", quant=out)
    pooled = builder.add(ops.MaxPool2D((2, 2), (2, 2)), y)
    labels = builder.add(ops.ArgMax(3), pooled, name="labels")
    graph = builder.build()

    assert [node.name for node in graph.nodes] == ["conv", pooled, "labels"]
    assert graph.outputs == (labels,)
    assert graph.nodes[0].inputs == ("x", "w", "")
    assert (graph.tensors["conv"].shape, graph.tensors["conv"].quant) == ((1, 6, 6, 6), out)
    assert (graph.tensors[pooled].shape, graph.tensors[pooled].quant) == ((1, 3, 3, 6), out)
    assert (graph.tensors["labels"].shape, graph.tensors["labels"].format) == ((1, 3, 3), INT32)
    assert graph.tensors["w"].format == INT8


def test_several_outputs_and_marked_ones():
    builder = start()
    first, second = builder.add_many(ops.Split(3, (1, 3)), "x", name="cut")
    builder.output(second)
    graph = builder.build()
    assert graph.outputs == (second,)
    assert graph.tensors[first].shape == (1, 8, 8, 1)
    with pytest.raises(NetworkError, match="2 outputs"):
        start().add(ops.Split(3, (1, 3)), "x")


def test_a_placeholder_has_a_shape_and_no_values():
    builder = GraphBuilder()
    builder.input("x", (2, 5), INT8, Q)
    builder.placeholder("w", (3, 5), INT8, QuantParams.per_tensor(1))
    builder.add(ops.FullyConnected(raw_accumulator=True), "x", "w", name="y")
    graph = builder.build()
    assert graph.tensors["w"].is_constant
    assert graph.tensors["w"].data is None
    assert graph.tensors["y"].format == INT32


def test_formats_follow_the_operator():
    builder = start()
    assert builder.tensor(builder.add(ops.Dequantize(), "x")).format == FLOAT32
    wide = builder.add(ops.Quantize(), "x", format="int16", quant=Q)
    assert builder.tensor(wide).format == INT16
    assert builder.tensor(builder.add(ops.Cast(), "x", format=INT32)).quant is None


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        (lambda b: b.add(ops.Conv2D(), "x", "w"), "give quant="),
        (lambda b: b.add(ops.Conv2D(), "x", "v"), "'v'"),
        (lambda b: b.add(ops.Reshape((7,)), "x", name="flat"), "node flat: Reshape"),
        (lambda b: b.add(ops.Quantize(), "x"), "give format="),
        (lambda b: b.input("x", (1,)), "'x'"),
        (lambda b: b.constant("c", [1.5], "int8"), "int8"),
        (lambda b: b.constant("c", [300], "int8"), "int8"),
        (lambda b: b.constant("c", np.zeros(2, np.complex64)), "complex64"),
        (lambda b: b.input("y", (1, 0)), "at least 1"),
        (lambda b: b.build(), "no operator"),
    ],
)
def test_mistakes_are_named(mistake, words):
    with pytest.raises(NetworkError) as error:
        mistake(start())
    assert words in str(error.value)
