"""The arithmetic that the flag in a register's low bits rests on."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.kernels.sticky import sticky_shifts


def _flag(bits: int, start: int, products: list[int]) -> tuple[tuple[int, bool], tuple[int, bool]]:
    """Value and whether there was an event: by the definition of a register, and as the kernel has them."""
    low, high, raised = -(1 << (bits - 1)), (1 << (bits - 1)) - 1, 32 - bits
    register, had_event, held = start, False, (start << raised) | 1
    for product in products:
        exact = register + product
        register = min(max(exact, low), high)
        had_event |= register != exact
        held = min(max(held + (product << raised), -(1 << 31)), (1 << 31) - 1)
    return (register, had_event), (held >> raised, held & ((1 << raised) - 1) != 1)


@pytest.mark.parametrize("bits", [2, 3, 16, 17, 29, 30])
def test_the_flag_is_that_there_was_an_event(bits):
    rng = np.random.default_rng(bits)
    most, flags = 1 << (bits - 1), set()
    for _ in range(400):
        start = int(rng.choice([-most, most - 1, rng.integers(-most, most)]))
        steps = int(rng.integers(1, 12))
        products = [int(rng.choice([p, -1, 0, 1])) for p in rng.integers(-most // 2, most // 2 + 1, steps)]
        by_definition, by_flag = _flag(bits, start, products)
        assert by_flag == by_definition
        flags.add(by_flag[1])
    assert flags == {False, True}


def test_one_low_bit_would_not_do():
    """With it the upper rail leaves what the register is armed with."""
    by_definition, by_flag = _flag(31, (1 << 30) - 1, [1])
    assert (by_definition[1], by_flag[1]) == (True, False)
    assert sticky_shifts(31, (0, 0), (0, 0)) is None
    assert sticky_shifts(30, (0, 0), (0, 0)) is not None


@pytest.mark.parametrize(
    ("bits", "activations", "shifts"),
    [
        (16, (-128, 127), (8, 8)),
        (16, (0, 255), None),  # 9 bits signed, which leave room for 7
        (17, (0, 255), (7, 8)),
        (24, (0, 255), (7, 1)),
        (28, (0, 255), (4, 0)),
    ],
)
def test_where_it_holds(bits, activations, shifts):
    assert sticky_shifts(bits, activations, (-128, 127)) == shifts
