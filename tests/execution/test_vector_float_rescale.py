"""Float32 arithmetic of the vector unit against exact fractions, without ONNX Runtime."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import bittrue
from simulator.graph import ops
from simulator.graph.builder import GraphBuilder
from simulator.graph.ops import Arithmetic
from simulator.kernels.float_rescale import fused_multiply_add
from simulator.lowering.float_functions import fused_multiply_add as on_arrays
from simulator.numerics.quant import QuantParams

F = np.float32
RNG = np.random.default_rng(5)


def nearest(exact: Fraction) -> np.float32:
    """The float32 nearest to an exact number, a tie to the even mantissa."""
    around = F(float(exact))
    candidates = [np.nextafter(around, F(-np.inf)), around, np.nextafter(around, F(np.inf))]
    return min(candidates, key=lambda f: (abs(Fraction(float(f)) - exact), int(f.view(np.int32)) & 1))


def triples():
    """Ordinary ones, and such that float64 rounds to halfway between two float32 numbers."""
    yield from ((int(RNG.integers(-255, 256)), F(RNG.normal()), F(RNG.normal() * 50)) for _ in range(300))
    for sign in (1, -1):
        for tiny in (2.0**-80, -(2.0**-80)):
            yield sign, F(1 + 2.0**-23), F(sign * 2.0**-24 * (1 + 2.0**-20)) if tiny > 0 else F(sign * 2.0**-24)
            yield 3, F(sign * (2.0**25 + 4)), F(sign * 2 + tiny)
            yield 1, F(tiny), F(sign * (1 + 2.0**-23))


@pytest.mark.parametrize("case", list(triples()), ids=str)
def test_a_multiply_add_rounds_once(case):
    a, b, c = case
    wanted = nearest(Fraction(a) * Fraction(float(b)) + Fraction(float(c)))
    assert F(fused_multiply_add(a, b, c)) == wanted
    assert on_arrays(np.array([a], F), np.array([b], F), np.array([c], F))[0] == wanted


def test_what_float64_would_round_twice():
    # product 2^24 + 1 (a tie between float32 numbers), with something too small for float64 above and below it
    for addend, wanted in ((2.0**-60, 2.0**24 + 2), (-(2.0**-60), 2.0**24), (0.0, 2.0**24)):
        assert F(fused_multiply_add((1 << 24) + 1, F(1), F(addend))) == F(wanted)
        # as an array the integer has to be float32 already: 3 * (2^23 + 1) = 2^24 + 2^23 + 3, a tie likewise
    for addend, wanted in ((2.0**-60, 25165828.0), (-(2.0**-60), 25165826.0)):
        assert on_arrays(np.array([3], F), np.array([8388609], F), np.array([addend], F))[0] == F(wanted)


@pytest.mark.parametrize("device", ["fixed_point_double", "float32"])
@pytest.mark.parametrize("arithmetic", list(Arithmetic))
def test_the_file_or_the_device_asks_for_float32(device, arithmetic):
    a, b, y = (QuantParams.per_tensor(float(F(s)), z) for s, z in ((0.013, -7), (0.05, 20), (0.031, 3)))
    builder = GraphBuilder()
    names = [builder.input(name, (256, 256), "int8", quant) for name, quant in (("a", a), ("b", b))]
    builder.add(ops.Mul(arithmetic=arithmetic), *names, quant=y)
    left, right = np.meshgrid(np.arange(-128, 128), np.arange(-128, 128), indexing="ij")
    accelerator = bittrue.load_accelerator("edge_16x16_os").evolve({"arithmetic.requantizer": device})
    run = bittrue.simulate(
        builder.build(), accelerator, [left.astype(np.int8), right.astype(np.int8)], values_only=True
    )
    (ours,) = run.outputs.values()
    ratio = F(a.scale[0]) * F(b.scale[0]) / F(y.scale[0])
    product = ((left + 7) * (right - 20)).astype(np.float32)
    wanted = np.clip(np.rint(product * ratio + F(3)), -128, 127).astype(np.int8)
    floats = device == "float32" or arithmetic is not Arithmetic.FIXED_POINT
    assert np.array_equal(ours, wanted) is floats
