"""Registers and roundings against apytypes, a fixed-point library that shares nothing with this one.

Sums are taken one product at a time and cast after each: its accumulator context is known to be wrong where sums
overflow (apytypes issue 857).
"""

from __future__ import annotations

import numpy as np
import pytest

import bittrue
from simulator.graph.ops import FullyConnected
from simulator.numerics import scalar
from simulator.numerics.modes import RoundingMode
from simulator.numerics.quant import QuantParams
from support.accelerators import device
from support.requantized import requantized

apy = pytest.importorskip("apytypes", reason="needs apytypes: pip install 'bittrue[oracle]'")
pytestmark = pytest.mark.oracle

M, K, N = 6, 40, 7
ROWS = 7
OVERFLOW = {"wrap": apy.OverflowMode.WRAP, "saturate": apy.OverflowMode.SAT}
QUANTIZATION = {
    RoundingMode.TIES_AWAY: apy.QuantizationMode.TIES_AWAY,
    RoundingMode.TIES_EVEN: apy.QuantizationMode.TIES_EVEN,
    RoundingMode.TIES_POS: apy.QuantizationMode.TIES_POS,
    RoundingMode.TO_NEG: apy.QuantizationMode.TO_NEG,
    RoundingMode.TO_ZERO: apy.QuantizationMode.TO_ZERO,
}


def fixed(values, bits, frac_bits=0):
    return apy.APyFixedArray.from_array(np.asarray(values), int_bits=bits, frac_bits=frac_bits)


def integers(array) -> np.ndarray:
    return array.to_numpy().astype(np.int64)  # by way of float64, which holds these widths


# ---------------------------------------------------------------- registers


class Register:
    """A register of each output [M, N], narrowed by apytypes after every addition."""

    def __init__(self, bits, overflow):
        self.bits, self.overflow = bits, OVERFLOW[overflow]
        self.value = fixed(np.zeros((M, N), np.int64), bits)
        self.events = np.zeros((M, N), np.int64)

    def clear(self):
        self.value = fixed(np.zeros((M, N), np.int64), self.bits)

    def add(self, addend):
        exact = self.value + addend
        self.value = exact.cast(int_bits=self.bits, frac_bits=0, overflow=self.overflow)
        self.events += self.value != exact


def accumulate(x, w, bias, partial_sum, accumulator):
    """Registers (partial sum or None, accumulator) after x [M, K] @ w [K, N] + bias [M, N] in the device's order."""
    a = Register(*accumulator)
    a.add(fixed(bias, 40))
    p = Register(*partial_sum) if partial_sum else None
    for k in range(K):
        product = fixed(x[:, k : k + 1], 10) * fixed(w[k : k + 1], 10)
        if p is None:
            a.add(product)
            continue
        p.add(product)
        if k % ROWS == ROWS - 1 or k == K - 1:
            a.add(p.value)
            p.clear()
    return p, a


def machine(partial_sum, accumulator):
    changes = {
        "array__dataflow": "weight_stationary" if partial_sum else "output_stationary",
        "array__rows": ROWS,
        "arithmetic__accumulator": {"bits": accumulator[0], "overflow": accumulator[1]},
    }
    if partial_sum:
        changes["arithmetic__partial_sum"] = {"bits": partial_sum[0], "overflow": partial_sum[1]}
    return device(**changes)


def check(run, p, a):
    """Compare outputs and counts, all bits."""
    (output,) = run.outputs.values()
    overflow = run.layers[-1].overflow
    np.testing.assert_array_equal(output, integers(a.value))
    assert overflow.accumulator_events == a.events.sum()
    assert overflow.partial_sum_events == (p.events.sum() if p else 0)
    assert overflow.affected_outputs == np.count_nonzero(a.events + (p.events if p else 0))


@pytest.mark.parametrize("overflow", OVERFLOW)
@pytest.mark.parametrize("dataflow", ["output_stationary", "weight_stationary"])
@pytest.mark.parametrize("bits", range(8, 33))
def test_gemm_is_one_cast_after_each_addition(bits, dataflow, overflow):
    rng = np.random.default_rng(bits)
    x, w = rng.integers(-128, 128, (M, K)), rng.integers(-128, 128, (K, N))
    # Start values close to either end, a few past it where int32 allows: every width then overflows, both ways.
    end = rng.choice([-(2 ** (bits - 1)), 2 ** (bits - 1) - 1], (M, N))
    bias = np.clip(end + rng.integers(-40000, 40000, (M, N)), -(2**31), 2**31 - 1)
    partial_sum = (8 + bits % 13, overflow) if dataflow == "weight_stationary" else None
    p, a = accumulate(x, w, bias, partial_sum, (bits, overflow))
    assert a.events.sum() > 0

    net = bittrue.networks.gemm(M, K, N, out="int32", bias="matrix").with_weights(w, bias)
    accelerator = machine(partial_sum, (bits, overflow))
    check(bittrue.simulate(net, accelerator, [x.astype(np.int8)], values_only=True), p, a)


@pytest.mark.parametrize("overflow", OVERFLOW)
@pytest.mark.parametrize("partial_sum_bits", [None, 16, 17, 18])
@pytest.mark.parametrize("bits", [15, 16, 17, 18, 20, 32])
@pytest.mark.parametrize("drift", [False, True])
def test_nine_bit_operands(bits, partial_sum_bits, overflow, drift):
    rng = np.random.default_rng(bits)
    x, w = rng.integers(0, 256, (M, K)), rng.integers(-128, 128, (K, N))
    if drift:  # products of one sign, so that sums run away
        x, w = rng.integers(180, 256, (M, K)), rng.integers(60, 128, (K, N))
    bias = rng.integers(-30000, 30000, (M, N))
    zero_point = 3
    builder = bittrue.GraphBuilder("nine bits")
    builder.input("x", (M, K), "uint8", QuantParams.per_tensor(1.0, zero_point))
    builder.constant("w", w.T.astype(np.int8), quant=QuantParams.per_tensor(1.0))
    builder.constant("bias", bias.astype(np.int32))
    builder.add(FullyConnected(raw_accumulator=True), "x", "w", "bias")
    partial_sum = (partial_sum_bits, overflow) if partial_sum_bits else None
    p, a = accumulate(x - zero_point, w, bias, partial_sum, (bits, overflow))
    accelerator = machine(partial_sum, (bits, overflow))
    check(bittrue.simulate(builder.build(), accelerator, [x.astype(np.uint8)], values_only=True), p, a)


# ---------------------------------------------------------------- roundings


def test_every_deterministic_rounding_is_compared():
    assert set(RoundingMode) - set(QUANTIZATION) == {RoundingMode.STOCHASTIC}


@pytest.mark.parametrize("mode", QUANTIZATION)
@pytest.mark.parametrize("shift", [0, 1, 2, 3, 7, 15, 30, 37])
def test_rounding_shift_is_a_quantizing_cast(mode, shift):
    values = shift_values(shift, 2**38)
    real = apy.APyFixedArray.from_array(values / 2.0**shift, int_bits=40, frac_bits=shift)
    expected = integers(real.cast(int_bits=42, frac_bits=0, quantization=QUANTIZATION[mode]))
    ours = [scalar.rounding_shift_right(value, shift, mode) for value in values.tolist()]
    np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize("mode", QUANTIZATION)
@pytest.mark.parametrize("kind", ["power_of_two", "fixed_point_single"])
@pytest.mark.parametrize("bits", [8, 16])
def test_requantizer_is_a_quantizing_and_saturating_cast(bits, kind, mode):
    shifts = np.array([0, 1, 2, 3, 7, 12, 15, 16, 20, 24, 30, 31])
    columns = [shift_values(int(shift), 2**31) for shift in shifts]
    accumulators = np.stack(columns, axis=1)
    ours = requantized(accumulators, 2.0**-shifts, {"kind": kind, "rounding": mode.value}, f"int{bits}")
    for column, shift in enumerate(shifts.tolist()):
        real = apy.APyFixedArray.from_array(accumulators[:, column] / 2.0**shift, int_bits=33, frac_bits=shift)
        expected = real.cast(int_bits=bits, frac_bits=0, quantization=QUANTIZATION[mode], overflow=apy.OverflowMode.SAT)
        np.testing.assert_array_equal(ours[:, column], integers(expected))


def shift_values(shift, limit) -> np.ndarray:
    """Small numbers, ties and their neighbours, both ends, and numbers from all over (-limit .. limit - 1)."""
    rng = np.random.default_rng(shift)
    ties = (2 * rng.integers(-150, 150, 60) + 1) * (2**shift // 2)
    near = np.concatenate([ties, ties - 1, ties + 1, rng.integers(-200 << shift, 200 << shift, 60)])
    ends = [-limit, -limit + 1, limit - 2, limit - 1]
    values = np.concatenate([np.arange(-20, 21), near, ends, rng.integers(-limit, limit, 60)])
    return np.clip(values, -limit, limit - 1)
