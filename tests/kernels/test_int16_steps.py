"""The arithmetic that stepping registers on lanes of int16 rests on."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.kernels.int16_steps import BITS, SHORT, words_hold

LEAST, MOST = -(1 << 15), (1 << 15) - 1


def _saturate(value: int, low: int, high: int) -> int:
    return min(max(value, low), high)


def _wrap(value: int) -> int:
    return (value - LEAST) % (1 << 16) + LEAST


@pytest.mark.parametrize("bits", [2, 8, 12, 15, 16])
def test_an_event_is_where_the_held_sum_is_not_the_sum_modulo_2_16(bits):
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    edges = [LEAST, LEAST + 1, -1, 0, 1, MOST - 1, MOST, *np.random.default_rng(bits).integers(LEAST, MOST, 200)]
    for register in {low, low + 1, -1, 0, high - 1, high}:
        for product in map(int, edges):
            exact = register + product
            held = _saturate(_saturate(exact, LEAST, MOST), low, high)
            assert held == _saturate(exact, low, high)
            assert (held != _wrap(exact)) == (exact < low or exact > high)


def _ends(start: int, products: list[int]) -> tuple[int, int, bool]:
    """Registers of 16 bits that saturate and wrap, at the end, and whether the first had an event."""
    saturated, wrapped, had_event = start, start, False
    for product in products:
        exact = saturated + product
        saturated = _saturate(exact, LEAST, MOST)
        had_event |= saturated != exact
        wrapped = _wrap(wrapped + product)
    return saturated, wrapped, had_event


def test_in_a_short_block_both_registers_end_alike_without_events_only():
    rng, flags = np.random.default_rng(0), set()
    while len(flags) < 2 or rng.integers(3000):
        a, w = rng.integers(-255, 256, 6), rng.integers(-128, 128, 6)
        scale = rng.choice([1, 4, 64])
        a, w = a // scale, w
        if int((a**2).sum()) * int((w**2).sum()) >= 4 * SHORT * SHORT:
            continue
        start = int(rng.choice([LEAST, MOST, rng.integers(LEAST, MOST + 1)]))
        saturated, wrapped, had_event = _ends(start, (a * w).tolist())
        assert (saturated != wrapped) == had_event
        flags.add(had_event)


def test_in_a_longer_one_events_at_both_rails_may_cancel():
    """The bound is needed, and is the least: no stretch of products is as great as the range, 2^16."""
    assert 2 * SHORT == 1 << BITS
    saturated, wrapped, had_event = _ends(MOST, [1, -32640, -32640, -256])
    assert (saturated, wrapped, had_event) == (LEAST, LEAST, True)
    assert 2 * SHORT == 32640 + 32640 + 256


@pytest.mark.parametrize(
    ("bits", "activations", "weights", "holds"),
    [
        (16, (0, 255), (-128, 127), True),
        (17, (0, 1), (0, 1), False),
        (8, (-255, 0), (-128, 127), True),
        (16, (-256, 255), (-127, 127), True),
        (16, (-256, 255), (-128, 127), False),  # 2^15
        (16, (0, 256), (-128, 127), True),  # -2^15
        (16, (0, 32768), (0, 1), False),
    ],
)
def test_where_it_holds(bits, activations, weights, holds):
    assert words_hold(bits, activations, weights) is holds
