"""Bilinear and nearest-neighbour resize: the bits of TFLite's reference kernels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import UnsupportedOp
from simulator.graph.ops import ResizeBilinear, ResizeNearest
from simulator.lowering.resize import integer_axis
from support.litert_ops import Spec, assert_same_bits, lower_one, reference_one, simulate_one

pytestmark = pytest.mark.oracle

DTYPES = ["int8", "uint8", "int16"]
MODES = [(False, False), (True, False), (False, True)]
SIZE = st.tuples(st.integers(1, 40), st.integers(1, 40))


def _check(op, code, shape, dtype):
    x = Spec(shape, dtype, 0.1)
    out = Spec((shape[0], *op.size, shape[3]), dtype, 0.1)
    options = {"alignCorners": op.align_corners, "halfPixelCenters": op.half_pixel_centers}
    assert_same_bits(op, code, [x], out, None, [list(op.size)], **options)


@settings(deadline=None, max_examples=120)
@given(st.integers(1, 2), SIZE, st.integers(1, 6), SIZE, st.sampled_from(DTYPES), st.sampled_from(MODES))
def test_bilinear(batch, size, channels, out_size, dtype, mode):
    _check(ResizeBilinear(out_size, *mode), "RESIZE_BILINEAR", (batch, *size, channels), dtype)


@settings(deadline=None, max_examples=120)
@given(SIZE, st.integers(1, 6), SIZE, st.sampled_from(DTYPES), st.sampled_from([*MODES, (True, True)]))
def test_nearest(size, channels, out_size, dtype, mode):
    _check(ResizeNearest(out_size, *mode), "RESIZE_NEAREST_NEIGHBOR", (1, *size, channels), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("size", "out"), [((33, 33), (257, 257)), ((65, 65), (257, 129)), ((1, 1), (33, 32))])
def test_segmentation_sizes(dtype, mode, size, out):
    _check(ResizeBilinear(out, *mode), "RESIZE_BILINEAR", (1, *size, 3), dtype)
    _check(ResizeNearest(out, *mode), "RESIZE_NEAREST_NEIGHBOR", (1, *size, 3), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", MODES[1:])
def test_33_to_513(dtype, mode):
    _check(ResizeBilinear((513, 513), *mode), "RESIZE_BILINEAR", (1, 33, 33, 3), dtype)


@pytest.mark.parametrize("dtype", ["int8", "int16"])
@pytest.mark.parametrize(("size", "out"), [((33, 33), (513, 513)), ((2, 40, 33), (7, 1025)), ((3, 1), (5, 65))])
def test_a_step_that_runs_past_the_image_reads_on_in_memory(dtype, size, out):
    """TFLite's rounded step does; equal wherever the reference stays inside its tensor."""
    batch, height, width = (1, *size)[-3:]
    x, y = Spec((batch, height, width, 3), dtype, 0.1), Spec((batch, *out, 3), dtype, 0.1)
    op = ResizeBilinear(out)
    values = [x.random(7)]
    actual = simulate_one(op, [x], y, values)
    expected = reference_one("RESIZE_BILINEAR", [x], y, values, [list(out)])
    rows, columns = integer_axis(height, out[0], False, False), integer_axis(width, out[1], False, False)
    lowest = np.maximum(rows.lower, rows.upper)[:, None] * width + np.maximum(columns.lower, columns.upper)[None, :]
    inside = lowest < height * width
    assert inside.mean() > 0.8
    assert (columns.lower >= width).any(), "the case is there to run past"
    np.testing.assert_array_equal(actual[-1][inside], expected[-1][inside])
    if batch > 1:
        np.testing.assert_array_equal(actual[0], expected[0])


def test_lane_operations():
    x, out = Spec((1, 4, 4, 3)), Spec((1, 8, 9, 3))
    assert lower_one(ResizeBilinear((8, 9)), [x], [out]).vector_ops == 4 * 8 * 9 * 3
    assert lower_one(ResizeNearest((8, 9)), [x], [out]).vector_ops == 8 * 9 * 3


def test_refusals():
    x, out = Spec((1, 4, 4, 3)), Spec((1, 8, 9, 3))
    with pytest.raises(UnsupportedOp, match="exclude each other"):
        lower_one(ResizeBilinear((8, 9), True, True), [x], [out])
    with pytest.raises(UnsupportedOp, match="does not rescale"):
        lower_one(ResizeNearest((8, 9)), [x], [Spec((1, 8, 9, 3), scale=0.2)])
