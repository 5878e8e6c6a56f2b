"""The arithmetic that the tally of saturations rests on, exhaustively."""

from __future__ import annotations

import pytest

from simulator.kernels.tally import tally_shifts


@pytest.mark.parametrize("raised", range(1, 25))
def test_the_sum_of_low_bits_tells_the_quiet_steps(raised):
    """Every number of steps that is allowed, every split of them into quiet, upper and lower."""
    half = raised // 2
    most = min(1 << half, 1 << (raised - half)) - 1
    for steps in range(min(most, 40) + 1):
        for quiet in range(steps + 1):
            for upper in range(steps - quiet + 1):
                low = (quiet * (1 << half) + upper * ((1 << raised) - 1)) % (1 << raised)
                assert -(-low // (1 << half)) % (1 << (raised - half)) == quiet


def test_operands_stay_within_int16_and_fill_the_register():
    for bits in range(8, 32):
        for activations in [(-128, 127), (0, 255), (-255, 255), (-128, 128), (0, 0)]:
            for weights in [(-128, 127), (-127, 127), (-255, 0)]:
                shifts = tally_shifts(bits, 32, activations, weights)
                if shifts is None:
                    continue
                assert sum(shifts) == 32 - bits
                for ends, shift in ((activations, shifts[0]), (weights, shifts[1])):
                    assert shift >= 0
                    assert ends[0] << shift >= -(2**15)
                    assert ends[1] << shift < 2**15


@pytest.mark.parametrize(
    ("bits", "activations", "shifts"),
    [
        (16, (-128, 127), (8, 8)),
        (16, (0, 255), None),  # 9 bits signed, which leave room for 7
        (17, (0, 255), (7, 8)),
        (20, (0, 255), (7, 5)),
        (21, (0, 255), None),  # 11 bits below the register count fewer than 32 steps
    ],
)
def test_where_it_holds(bits, activations, shifts):
    assert tally_shifts(bits, 32, activations, (-128, 127)) == shifts
