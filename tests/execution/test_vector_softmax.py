"""Softmax: the bits of TFLite's reference kernels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import UnsupportedOp
from simulator.graph.ops import Softmax
from simulator.numerics.gemmlowp import exp_on_negative_values
from support.litert_ops import Spec, assert_same_bits, lower_one

pytestmark = pytest.mark.oracle

OUTPUTS = {
    "int8": (1 / 256, -128),
    "uint8": (1 / 256, 0),
    "int16": (1 / 65536, -32768),
}


def _check(shape, source, target, scale, beta, arrays=None):
    out_scale, out_zero = (1 / 32768, 0) if source == "int16" else OUTPUTS[target]
    x = Spec(shape, source, scale, 0 if source == "int16" else np.iinfo(source).min + 50)
    beta = float(np.float32(beta))
    assert_same_bits(Softmax(beta), "SOFTMAX", [x], Spec(shape, target, out_scale, out_zero), arrays, beta=beta)


@pytest.mark.parametrize("pair", [("int8", "int8"), ("uint8", "uint8"), ("int8", "int16"), ("uint8", "int16")])
@pytest.mark.parametrize("scale", [1e-7, 1e-3, 0.03, 0.0625, 0.11, 0.7, 4.0, 60.0])
@pytest.mark.parametrize("beta", [1.0, 0.37])
def test_every_distance_from_the_greatest(pair, scale, beta):
    info = np.iinfo(pair[0])
    distances = np.arange(256)
    rows = np.stack([np.full(256, info.max), info.max - distances], axis=1).astype(pair[0])
    _check(rows.shape, *pair, scale, beta, [rows])


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(1, 6), min_size=0, max_size=3),
    st.integers(1, 300),
    st.sampled_from([("int8", "int8"), ("uint8", "uint8"), ("int8", "int16"), ("uint8", "int16"), ("int16", "int16")]),
    st.floats(1e-4, 2.0),
    st.floats(0.1, 3.0),
)
def test_shapes_and_scales(leading, classes, pair, scale, beta):
    _check((*leading, classes), *pair, scale / 64 if pair[0] == "int16" else scale, beta)


def test_a_segmentation_map():
    _check((1, 33, 33, 21), "int8", "int8", 0.17, 1.0)


def test_exponential_is_close_to_the_real_one():
    for raw in range(-(1 << 31), 1, 9973 * 4096):
        assert exp_on_negative_values(raw, 5) / 2**31 == pytest.approx(np.exp(raw / 2**26), abs=2e-7)


def test_lane_operations():
    assert lower_one(Softmax(), [Spec((2, 5))], [Spec((2, 5), scale=1 / 256, zero_point=-128)]).vector_ops == 30


@pytest.mark.parametrize(
    ("x", "out", "reason"),
    [
        (Spec((2, 5)), Spec((2, 5), scale=1 / 128, zero_point=-128), "the output has scale"),
        (Spec((2, 5)), Spec((2, 5), scale=1 / 256), "zero point 0"),
        (Spec((2, 5)), Spec((2, 5), "uint8", 1 / 256), "int8 to uint8"),
        (Spec((1, 4096)), Spec((1, 4096), scale=1 / 256, zero_point=-128), "4096 classes"),
        (Spec((2, 5), scale=1e-9), Spec((2, 5), scale=1 / 256, zero_point=-128), "2\\^-26"),
    ],
)
def test_refusals(x, out, reason):
    with pytest.raises(UnsupportedOp, match=reason):
        lower_one(Softmax(), [x], [out])
