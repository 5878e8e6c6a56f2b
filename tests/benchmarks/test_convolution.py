"""The contenders of benchmarks.layers compute the same convolution."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="needs the extra oracle")
pytest.importorskip("ai_edge_litert", reason="needs the extra oracle")

from benchmarks.convolution import ConvShape, random_case
from benchmarks.layers import measure, onnx_run, our_run, rows, table, xnnpack_run
from benchmarks.onnx_runtime import settings

pytestmark = pytest.mark.oracle

SHAPES = (
    ConvShape("1x1", 7, 20, 12, 1),
    ConvShape("3x3 dilated", 12, 9, 8, 3, dilation=3),
    ConvShape("7x7s2", 21, 3, 16, 7, stride=2),
)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_all_agree_with_the_float32_requantizer(shape):
    case = random_case(shape)
    ours = our_run(case, "float32", 1)()
    assert ours.shape == (1, shape.out_size, shape.out_size, shape.filters)
    np.testing.assert_array_equal(ours.astype(np.int16) + 128, onnx_run(case, settings()[-1], 1)())
    np.testing.assert_array_equal(ours, xnnpack_run(case, 1)())


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_outputs_use_their_range(shape):
    ours = our_run(random_case(shape), "float32", 1)()
    assert 10 < ours.std() < 60
    assert np.mean((ours == -128) | (ours == 127)) < 0.05


def test_macs_are_those_of_the_network():
    from benchmarks.convolution import our_graph
    from workloads.network import Network

    assert [Network(our_graph(random_case(shape))).macs for shape in SHAPES] == [shape.macs for shape in SHAPES]


def test_a_row_for_each_requantizer():
    requantizers = ("fixed_point_double", "float32")
    measured = measure(random_case(SHAPES[0]), requantizers, 1, 2)
    lines = [table().row(row) for row in rows(measured, requantizers)]
    assert [line.split()[1] for line in lines] == list(requantizers)
    assert min(measured.seconds.values()) > 0


def test_every_other_run_may_be_of_another_range():
    case = random_case(SHAPES[0])
    plain, run = our_run(case, "float32", 1)(), our_run(case, "float32", 1, new_range=True)
    first, second, third = run(), run(), run()
    np.testing.assert_array_equal(first, plain)
    np.testing.assert_array_equal(third, plain)
    assert not np.array_equal(second, plain)
