"""The arithmetic that counting the events of a wrapping register by the toggles of one bit rests on."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.kernels.toggles import toggle_shifts


def _counts(bits: int, start: int, products: list[int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Value and events: by the definition of a register, and as the kernel has them."""
    low, size, register, events = -(1 << (bits - 1)), 1 << bits, start, 0
    raised = 31 - bits
    held = ((start << raised) + (1 << 30)) & 0xFFFFFFFF
    history = 0
    for product in products:
        exact = register + product
        register = (exact - low) % size + low
        events += register != exact
        held = (held + (product << raised)) & 0xFFFFFFFF
        history = (history << 1 | held >> 31) & 0xFFFFFFFF
    counted = (history ^ (history >> 1)).bit_count()
    return (register, events), (((held & 0x7FFFFFFF) >> raised) + low, counted)


@pytest.mark.parametrize("bits", [2, 3, 8, 16, 17, 31])
@pytest.mark.parametrize("steps", [1, 2, 31, 32])
def test_toggles_are_the_events_of_products_up_to_half_the_range(bits, steps):
    rng = np.random.default_rng(bits * steps)
    most = 1 << (bits - 1)
    for _ in range(100):
        start = int(rng.integers(-most, most))
        products = [int(p) for p in rng.integers(-most, most + 1, steps)]
        products = [int(rng.choice([-most, most, p])) for p in products]
        by_definition, by_toggles = _counts(bits, start, products)
        assert by_toggles == by_definition


def test_products_beyond_that_would_be_missed():
    """The bound is needed: two toggles at once are none."""
    by_definition, by_toggles = _counts(8, 0, [2 * 256])
    assert (by_definition[1], by_toggles[1]) == (1, 0)


@pytest.mark.parametrize(
    ("bits", "activations", "shifts"),
    [
        (31, (0, 255), (0, 0)),
        (17, (0, 255), (7, 7)),
        (16, (-100, 155), (7, 8)),
        (16, (-128, 127), (8, 7)),
        (15, (0, 255), None),  # products beyond half the range of 15 bits
        (32, (0, 1), None),
    ],
)
def test_where_it_holds(bits, activations, shifts):
    found = toggle_shifts(bits, activations, (-128, 127))
    assert found == shifts
    if found is not None:
        most = max(abs(a * w) << sum(found) for a in activations for w in (-128, 127))
        assert most <= 1 << 30
