"""What makes two networks the same, and how much memory one takes."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.graph import ops
from simulator.graph.builder import GraphBuilder
from simulator.graph.identity import network_hash, peak_memory_bytes
from simulator.numerics.formats import INT8
from simulator.numerics.quant import QuantParams

UNIT = QuantParams.per_tensor(1.0)


def network(weights=3, axis=(0, 1), scale=1.0, name="n"):
    builder = GraphBuilder(name)
    x = builder.input("x", (2, 4), INT8, QuantParams.per_tensor(scale))
    w = builder.constant("w", np.full((5, 4), weights, np.int8), INT8, UNIT)
    y = builder.add(ops.FullyConnected(), x, w, name="y", format=INT8, quant=UNIT)
    builder.add(ops.Transpose(axis), y, name="z")
    return builder.build()


def test_equal_networks_have_equal_hashes_whatever_they_are_called():
    assert network_hash(network()) == network_hash(network(name="other"))


@pytest.mark.parametrize("change", [{"weights": 4}, {"axis": (1, 0)}, {"scale": 0.5}])
def test_what_decides_a_value_decides_the_hash(change):
    assert network_hash(network(**change)) != network_hash(network())


def test_peak_memory_is_the_weights_and_what_lives_at_one_time():
    builder = GraphBuilder("n")
    x = builder.input("x", (1, 100), INT8, UNIT)
    w = builder.constant("w", np.zeros((7, 100), np.int8), INT8, UNIT)
    a = builder.add(ops.Tile((1, 3)), x, name="a")  # x 100 + a 300
    b = builder.add(ops.Slice((0, 0), (1, 100), (1, 1)), a, name="b")  # a 300 + b 100 + x 100 (c reads it): the peak
    c = builder.add(ops.Maximum(), b, x, name="c")  # b 100 + x 100 + c 100
    builder.add(ops.FullyConnected(), c, w, name="y", format=INT8, quant=UNIT)
    assert peak_memory_bytes(builder.build()) == 700 + (300 + 100 + 100)
