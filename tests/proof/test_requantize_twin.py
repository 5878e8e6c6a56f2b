"""The bulk requantizer and its random bits against the specification."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.numerics import scalar
from simulator.numerics.modes import RequantizerKind, RoundingMode
from simulator.numerics.quant import RequantParams
from support.requantize_twin import draws, requantize

ENDS = [-(2**31), -(2**31) + 1, -(2**30), -129, -128, -3, -2, -1, 0, 1, 2, 3, 127, 128, 2**30, 2**31 - 1]
BEYOND = [-(2**63), -(2**40) - 1, -(2**31) - 1, 2**31, 2**40 + 1, 2**62, 2**63 - 1]
KINDS = [
    (RequantizerKind.FIXED_POINT_DOUBLE, RoundingMode.TIES_AWAY),
    (RequantizerKind.FLOAT32, RoundingMode.TIES_EVEN),
    *((RequantizerKind.FIXED_POINT_SINGLE, rounding) for rounding in RoundingMode),
    *((RequantizerKind.POWER_OF_TWO, rounding) for rounding in RoundingMode),
]


@pytest.mark.parametrize("bits", [17, 32, 64])
@pytest.mark.parametrize(("kind", "rounding"), KINDS)
def test_every_kind_and_rounding(kind, rounding, bits):
    rng = np.random.default_rng(bits)
    reals = [
        0.0,
        2.0**-31,
        1e-6,
        0.00371,
        0.25,
        0.4999999,
        0.5,
        1.0,
        3.7,
        200.0,
        2.0**30,
        *(2.0 ** rng.uniform(-9, 3, 8)),
    ]
    if kind is RequantizerKind.POWER_OF_TWO:
        exponent = np.array([-62, -40, -31, -9, -8, -3, -2, -1, 0, 1, 31], np.int64)
        multiplier = np.ones_like(exponent)
    else:
        pairs = [scalar.quantize_multiplier(real) for real in reals]
        multiplier, exponent = (np.array(column, np.int64) for column in zip(*pairs, strict=True))
    scale = (multiplier * 2.0 ** (exponent - 31)).astype(np.float32)
    params = RequantParams(kind, rounding, multiplier, exponent, scale, -7, -128, 127)
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    chosen = [*ENDS, *(BEYOND if bits > 32 else []), *rng.integers(-4000, 4000, 40).tolist()]
    chosen = [value for value in chosen if low <= value <= high]
    accumulators = np.repeat(np.array(chosen, np.int64)[:, None], len(multiplier), axis=1)
    random = draws(5, 3, 77, accumulators.size)
    output, clipped = requantize(accumulators, bits, params, random)
    expected = [
        scalar.requantize(value, params, channel, bits, int(random[i * len(multiplier) + channel]))
        for i, value in enumerate(chosen)
        for channel in range(len(multiplier))
    ]
    assert output.reshape(-1).tolist() == [value for value, _ in expected]
    assert clipped == sum(clip for _, clip in expected)


@pytest.mark.parametrize("key", [(0, 0, 0), (2**64 - 1, 2**32 - 1, 2**32 - 1), (12345678901, 7, 99)])
def test_random_bits(key):
    assert draws(*key, 50).tolist() == [scalar.stochastic_draw(*key, index) for index in range(50)]
