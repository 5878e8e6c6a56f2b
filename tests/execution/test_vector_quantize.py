"""Quantize, requantize and dequantize: the bits of TFLite's reference kernels."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.errors import UnsupportedOp
from simulator.execution.quantize import dequantize_integer, quantize_real
from simulator.graph.ops import Dequantize, Quantize
from simulator.lowering.layer import Engine
from simulator.numerics.formats import INT8
from simulator.numerics.quant import QuantParams
from support.litert_ops import Spec, assert_same_bits, lower_one

pytestmark = pytest.mark.oracle

PAIRS = [
    *[(a, b) for a in ("int8", "uint8") for b in ("int8", "uint8")],
    *[("int16", b) for b in ("int8", "int16", "int32")],
    *[("int32", b) for b in ("int8", "int16")],
]


def _zero(dtype, offset):
    return np.iinfo(dtype).min + offset if dtype in ("int8", "uint8") else 0


@pytest.mark.parametrize(("source", "target"), PAIRS)
@pytest.mark.parametrize("scales", [(0.1, 0.1), (0.1, 0.0123), (0.003, 0.7), (1.0, 1e-6), (1e-7, 1.0)])
def test_requantize(source, target, scales):
    if source in ("int8", "uint8"):
        info = np.iinfo(source)
        values = np.arange(info.min, info.max + 1).astype(source)
    elif source == "int16":
        values = np.arange(-(2**15), 2**15).astype(np.int16)
    else:
        rng = np.random.default_rng(0)
        values = rng.integers(-(2**31), 2**31, 5000).astype(np.int32) >> rng.integers(0, 28, 5000).astype(np.int32)
    for offset_in, offset_out in [(0, 255), (255, 0), (128, 128), (0, 0)]:
        x = Spec(values.shape, source, scales[0], _zero(source, offset_in))
        out = Spec(values.shape, target, scales[1], _zero(target, offset_out))
        assert_same_bits(Quantize(), "QUANTIZE", [x], out, [values])


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
def test_float_to_integer(dtype):
    rng = np.random.default_rng(5)
    ties = (np.arange(-600, 600) + 0.5).astype(np.float32) * np.float32(0.25)
    edges = np.array([0.49999997, -0.49999997, 8388609.0, 1e9, -1e9, 2**31, -(2**31)], np.float32)
    huge = np.array([1e12, -1e12, 3e38, np.inf, -np.inf], np.float32)
    for scale in (0.25, 1.0, 0.0078125, 0.1):
        values = np.concatenate([ties, edges * np.float32(scale), huge, rng.normal(0, 50 * scale, 3000)]).astype(
            np.float32
        )
        for offset in (0, 255, 100):
            out = Spec(values.shape, dtype, scale, _zero(dtype, offset))
            assert_same_bits(Quantize(), "QUANTIZE", [Spec(values.shape, "float32", None)], out, [values])


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
def test_dequantize_every_value(dtype):
    info = np.iinfo(dtype)
    values = np.arange(info.min, info.max + 1).astype(dtype)
    for scale in (1.0, 0.1, 3e-5, 17.3):
        for offset in (0, 255, 77):
            x = Spec(values.shape, dtype, scale, _zero(dtype, offset))
            assert_same_bits(Dequantize(), "DEQUANTIZE", [x], Spec(values.shape, "float32", None), [values])


def test_per_channel_parameters_follow_their_axis():
    quant = QuantParams((0.5, 2.0), (1, -3), axis=1)
    stored = dequantize_integer(np.array([[5, 5], [1, -3]], np.int8), quant)
    np.testing.assert_array_equal(stored, np.array([[2.0, 16.0], [0.0, 0.0]], np.float32))
    np.testing.assert_array_equal(quantize_real(stored, quant, INT8), [[5, 5], [1, -3]])


def test_engines():
    f = Spec((4,), "float32", None)
    assert lower_one(Quantize(), [f], [Spec((4,))]).engine == Engine.HOST
    assert lower_one(Dequantize(), [Spec((4,))], [f]).engine == Engine.HOST
    requantize = lower_one(Quantize(), [Spec((4,))], [Spec((4,), "uint8")])
    assert (requantize.engine, requantize.vector_ops) == (Engine.VECTOR, 4)


def test_refusals():
    with pytest.raises(UnsupportedOp, match="int64"):
        lower_one(Quantize(), [Spec((4,), "int64")], [Spec((4,))])
    with pytest.raises(UnsupportedOp, match="float32 to int32"):
        lower_one(Quantize(), [Spec((4,), "float32", None)], [Spec((4,), "int32")])
