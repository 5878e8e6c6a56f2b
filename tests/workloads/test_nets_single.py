"""Single-layer networks: shapes, scales, counts, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.errors import NetworkError
from simulator.graph import ops
from simulator.numerics.formats import INT8, INT32
from workloads.nets.single import conv2d, gemm


def test_gemm_has_the_promised_shape():
    net = gemm(6, 100, 5, bias="matrix")
    assert {t.name: t.shape for t in net.graph.tensors.values()} == {
        **{"input": (6, 100), "weights": (5, 100), "bias": (6, 5), "output": (6, 5)}
    }
    assert net.graph.outputs == ("output",)
    assert net.graph.tensors["output"].format == INT8
    assert (net.macs, net.parameters) == (6 * 100 * 5, 500 + 30)
    assert not net.is_float
    assert net.ready(for_values=False) is net


def test_raw_accumulators_are_int32():
    net = gemm(2, 3, 4, out="int32")
    assert net.graph.nodes[0].op == ops.FullyConnected(raw_accumulator=True)
    assert net.graph.tensors["output"].format == INT32
    assert net.graph.tensors["output"].quant is None


def test_weights_are_stored_as_the_graph_wants_them():
    w = np.arange(12).reshape(3, 4)
    net = gemm(2, 3, 4, bias=True).with_weights(w, [1, 2, 3, 4])
    np.testing.assert_array_equal(net.graph.tensors["weights"].data, w.T)
    np.testing.assert_array_equal(net.graph.tensors["bias"].data, [1, 2, 3, 4])
    assert net.ready(for_values=True) is net
    without = gemm(2, 3, 4, bias=True).with_weights(w)
    np.testing.assert_array_equal(without.graph.tensors["bias"].data, np.zeros(4))


def test_conv2d_takes_numbers_and_pairs():
    net = conv2d(20, 30, 8, 6, (3, 5), stride=(1, 2), padding=(2, 0), dilation=2, groups=2, pool=(3, 2, 1))
    assert net.graph.tensors["weights"].shape == (6, 3, 5, 4)
    assert net.graph.tensors["conv"].shape == (1, 20, 11, 6)
    assert net.graph.tensors["output"].shape == (1, 10, 6, 6)
    assert net.macs == 20 * 11 * 6 * 3 * 5 * 4
    assert net.parameters == 6 * 3 * 5 * 4 + 6
    square = conv2d(8, 8, np.int64(3), 4, 3, padding=1, bias=False)
    assert square.graph.tensors["output"].shape == (1, 8, 8, 4)
    assert "bias" not in square.graph.tensors


@pytest.mark.parametrize("k", [1, 2, 3, 27, 64, 65, 576, 4608, 100_000])
def test_the_output_scale_is_a_power_of_two_that_suits_uniform_operands(k):
    scale = gemm(1, k, 1).graph.tensors["output"].scale
    assert np.frexp(scale)[0] == 0.5
    deviation = (256**2 - 1) / 12 * np.sqrt(k) / scale
    assert 21 <= deviation <= 43


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        (lambda: gemm(0, 3, 4), "m is a whole number of at least 1"),
        (lambda: gemm(2, 3, 4, out="int16"), "'int16'"),
        (lambda: gemm(2, 3, 4, bias="rows"), "'rows'"),
        (lambda: gemm(2, 3, 4).with_weights(np.zeros((4, 3), np.int8)), "(4, 3)"),
        (lambda: gemm(2, 3, 4).with_weights(np.full((3, 4), 128)), "128"),
        (lambda: gemm(2, 3, 4).with_weights(np.zeros((3, 4))), "float64"),
        (lambda: gemm(2, 3, 4).with_weights(np.zeros((3, 4), int), [0, 0, 0, 0]), "bias=True"),
        (lambda: gemm(2, 3, 4).ready(for_values=True), ".with_weights(w, bias)"),
        (lambda: conv2d(8, 8, 6, 4, 3, groups=4), "4 groups"),
        (lambda: conv2d(8, 8, 6, 4, 9), "window"),
        (lambda: conv2d(8, 8, 6, 4, (3, 3, 3)), "pair"),
        (lambda: conv2d(8, 8, 6, 4, 3, padding="same"), "'same'"),
        (lambda: conv2d(8, 8, 6, 4, 3, pool=(2, 2)), "pool"),
        (lambda: conv2d(8, 8, 6, 4, 3, pool=2), "(size, stride, padding)"),
        (lambda: conv2d(8, 8, 6, 4, 3, pool=(2, 0.5, 0)), "pool stride"),
        (lambda: conv2d(8, 8, 6, 4, 3, pool=(2, 2, 2)), "without a pixel"),
    ],
)
def test_mistakes_are_named(mistake, words):
    with pytest.raises(NetworkError) as error:
        mistake()
    assert words in str(error.value)
