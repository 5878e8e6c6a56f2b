"""Rescaling by shifts alone: sums, products, rescales and concatenations against Python ints, in every rounding."""

from __future__ import annotations

import zlib
from fractions import Fraction

import numpy as np
import pytest

from simulator.errors import UnsupportedOp
from simulator.execution.context import ExecutionContext
from simulator.execution.vector import EXECUTORS
from simulator.graph import ops
from simulator.lowering.concat import ConcatConstants
from simulator.lowering.elementwise import AddConstants
from simulator.lowering.layer import Engine
from simulator.lowering.shifts import ShiftAddConstants
from simulator.numerics.formats import IntFormat
from simulator.numerics.modes import RoundingMode
from simulator.numerics.scalar import rounding_shift_right, stochastic_draw
from support.accelerators import device
from support.litert_ops import Spec, lower_one

SEED, STEP = 2**40 + 9, 3
A = Spec((2, 3, 4), "int8", 2**-3, 7)
B = Spec((4,), "int16", 2**-9, 0)
NARROW = Spec((2, 3, 4), "int4", 0.5, -2)


def shifting(rounding="ties_pos"):
    return device(arithmetic__requantizer={"kind": "power_of_two", "rounding": rounding})


def draw(spec, seed):
    """Every value of the format, its ends among them."""
    format = IntFormat.parse(spec.dtype)
    values = np.random.default_rng(seed).integers(format.min, format.max + 1, spec.shape)
    values.reshape(-1)[:2] = format.min, format.max
    return values.astype(format.dtype)


def run(op, specs, out, arrays, rounding):
    layer = lower_one(op, specs, [out], shifting(rounding))
    (result,) = EXECUTORS[type(op)](layer, arrays, ExecutionContext(seed=SEED, step=STEP)).outputs
    assert result.shape == out.shape
    assert result.dtype == IntFormat.parse(out.dtype).dtype
    return result


def stored(exact: Fraction, out: Spec, rounding: str) -> int:
    """The exact real value rounded once, at the output's scale."""
    scaled = exact / Fraction(out.scale)
    shift = scaled.denominator.bit_length() - 1  # a power of two
    value = rounding_shift_right(scaled.numerator, shift, RoundingMode(rounding))
    format = IntFormat.parse(out.dtype)
    return min(max(value + out.zero_point, format.min), format.max)


def real(spec, value):
    return Fraction(spec.scale) * (int(value) - spec.zero_point)


NEAREST = [mode for mode in RoundingMode if mode is not RoundingMode.STOCHASTIC]


@pytest.mark.parametrize("rounding", NEAREST)
@pytest.mark.parametrize(
    ("op", "function"),
    [(ops.Add(), lambda a, b: a + b), (ops.Sub(), lambda a, b: a - b), (ops.Mul(), lambda a, b: a * b)],
)
@pytest.mark.parametrize("second", [B, NARROW])
@pytest.mark.parametrize("out", [Spec((2, 3, 4), "int8", 1.0, -3), Spec((2, 3, 4), "int16", 2**-10)])
def test_two_operands_of_any_formats_are_rounded_once(op, function, rounding, second, out):
    a, b = draw(A, 1), draw(second, 2)
    wide = np.broadcast_to(b, A.shape)
    expected = [
        stored(function(real(A, x), real(second, y)), out, rounding)
        for x, y in zip(a.reshape(-1), wide.reshape(-1), strict=True)
    ]
    assert run(op, [A, second], out, [a, b], rounding).reshape(-1).tolist() == expected


@pytest.mark.parametrize("rounding", NEAREST)
def test_a_rescale_is_rounded_once(rounding):
    source, out = Spec((64,), "int16", 2**-7), Spec((64,), "int4", 2.0, 1)
    x = draw(source, 3) // 64 * np.int16(1)
    expected = [stored(real(source, value), out, rounding) for value in x]
    assert run(ops.Quantize(), [source], out, [x], rounding).tolist() == expected


def test_a_concatenation_shifts_what_differs_and_copies_the_rest():
    out = Spec((2, 3, 12), "int8", 2**-3, 7)
    other = Spec((2, 3, 4), "int8", 0.5, 0)
    arrays = [draw(A, 1), draw(NARROW, 2), draw(other, 3)]
    layer = lower_one(ops.Concat(2), [A, NARROW, other], [out], shifting())
    assert isinstance(layer.constants, ConcatConstants)
    assert (layer.engine, layer.vector_ops) == (Engine.VECTOR, 48)
    result = run(ops.Concat(2), [A, NARROW, other], out, arrays, "ties_pos")
    np.testing.assert_array_equal(result[..., :4], arrays[0])
    for begin, spec, array in ((4, NARROW, arrays[1]), (8, other, arrays[2])):
        expected = [stored(real(spec, value), out, "ties_pos") for value in array.reshape(-1)]
        assert result[..., begin : begin + 4].reshape(-1).tolist() == expected
    copied = lower_one(ops.Concat(2), [A, A, A], [out], shifting())
    assert (copied.engine, copied.vector_ops) == (Engine.DMA, 0)


def test_stochastic_rounding_takes_the_draw_of_the_element():
    out = Spec((2, 3, 4), "int8", 4.0)
    a, b = draw(A, 1), draw(NARROW, 2)
    result = run(ops.Add(), [A, NARROW], out, [a, b], "stochastic").reshape(-1)
    for index, (x, y) in enumerate(zip(a.reshape(-1), b.reshape(-1), strict=True)):
        total = (int(x) - 7) + ((int(y) + 2) << 2)  # in steps of 2^-3; the output's are 2^5 of them
        random = stochastic_draw(SEED, STEP, zlib.crc32(b"out0"), index)
        assert result[index] == min(max(rounding_shift_right(total, 5, RoundingMode.STOCHASTIC, random), -128), 127)
    other = EXECUTORS[ops.Add](
        lower_one(ops.Add(), [A, NARROW], [out], shifting("stochastic")), [a, b], ExecutionContext(seed=SEED + 1)
    )
    assert (other.outputs[0].reshape(-1) != result).any()


def test_fused_activations_bound_the_result():
    out = Spec((2, 3, 4), "int8", 0.125, -100)
    result = run(ops.Add(ops.Activation.RELU6), [A, A], out, [draw(A, 1), draw(A, 2)], "ties_pos")
    assert (result.min(), result.max()) == (-100, -100 + 48)


def test_other_devices_and_other_scales_keep_the_reference_arithmetic():
    out = Spec((2, 3, 4), "int8", 1.0)
    same = Spec((2, 3, 4), "int8", 2**-3)
    assert isinstance(lower_one(ops.Add(), [same, same], [out], shifting()).constants, ShiftAddConstants)
    assert isinstance(lower_one(ops.Add(), [same, same], [out]).constants, AddConstants)
    odd = Spec((2, 3, 4), "int8", 0.1)
    assert isinstance(lower_one(ops.Add(), [odd, same], [out], shifting()).constants, AddConstants)


@pytest.mark.parametrize(
    ("op", "specs", "words"),
    [
        (ops.Add(), [Spec((4,), scale=2.0**20), Spec((4,), scale=2.0**-21)], "apart"),
        (ops.Mul(), [Spec((4,), scale=2.0**40), Spec((4,), scale=1.0)], "outside"),
        (ops.Concat(0, ops.Activation.RELU), [Spec((4,))], "activation"),
    ],
)
def test_refusals(op, specs, words):
    with pytest.raises(UnsupportedOp, match=words):
        lower_one(op, specs, [Spec((4,), scale=1.0)], shifting())
