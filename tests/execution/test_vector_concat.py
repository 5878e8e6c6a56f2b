"""Concatenation, copied or rescaled: the bits of TFLite's reference kernels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import UnsupportedOp
from simulator.graph.ops import Activation, Concat
from simulator.lowering.layer import Engine
from support.litert_ops import Spec, assert_same_bits, lower_one

pytestmark = pytest.mark.oracle


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=4),
    st.lists(st.integers(1, 5), min_size=1, max_size=4),
    st.data(),
    st.sampled_from(["int8", "uint8", "int16"]),
)
def test_same_scale(shape, sizes, data, dtype):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    shapes = [tuple(size if i == axis % len(shape) else n for i, n in enumerate(shape)) for size in sizes]
    total = tuple(sum(sizes) if i == axis % len(shape) else n for i, n in enumerate(shape))
    specs = [Spec(s, dtype, 0.1) for s in shapes]
    assert_same_bits(Concat(axis), "CONCATENATION", specs, Spec(total, dtype, 0.1), axis=axis)


@pytest.mark.parametrize("scale", np.geomspace(0.01, 0.9, 12).tolist())
def test_uint8_inputs_of_every_value_are_rescaled(scale):
    values = np.arange(256).astype(np.uint8).reshape(1, 256)
    for zero_in, zero_out in [(0, 255), (255, 0), (3, 128), (128, 128)]:
        specs = [Spec((1, 256), "uint8", scale, zero_in), Spec((1, 256), "uint8", 0.1, zero_out)]
        out = Spec((2, 256), "uint8", 0.1, zero_out)
        assert_same_bits(Concat(0), "CONCATENATION", specs, out, [values, values], axis=0)


def test_copying_is_the_dmas_work():
    spec = Spec((2, 3), "uint8")
    copied = lower_one(Concat(0), [spec, spec], [Spec((4, 3), "uint8")])
    assert (copied.engine, copied.vector_ops) == (Engine.DMA, 0)
    rescaled = lower_one(Concat(0), [spec, Spec((2, 3), "uint8", 2.0)], [Spec((4, 3), "uint8")])
    assert (rescaled.engine, rescaled.vector_ops) == (Engine.VECTOR, 6)


def test_refusals():
    with pytest.raises(UnsupportedOp, match="only uint8"):
        lower_one(Concat(0), [Spec((1,)), Spec((1,), scale=2.0)], [Spec((2,))])
    with pytest.raises(UnsupportedOp, match="fused activation relu"):
        lower_one(Concat(0, Activation.RELU), [Spec((1,)), Spec((1,))], [Spec((2,))])
