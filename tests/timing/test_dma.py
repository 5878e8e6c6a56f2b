"""A DMA transfer's cycles, and the same compiled, against a request-by-request simulation."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.kernels import transfers as kernel
from simulator.timing.dma import MemoryPath, Transfer, request_sizes, transfer
from support.dma_twin import issues_and_ends, request_by_request, sizes_of

RATES = [Fraction(1, 3), Fraction(1), Fraction(16, 5), Fraction(8), Fraction(64), Fraction(200)]


def paths():
    rates = st.sampled_from(RATES)
    return st.builds(MemoryPath, st.integers(1, 64), st.integers(1, 20), st.integers(0, 30), st.integers(0, 200), rates)


def descriptors():
    """Up to three, of stretches that are often alike."""
    alike = st.builds(lambda n, b: (n * b, n), st.integers(1, 30), st.integers(1, 150))
    return st.lists(alike | st.tuples(st.integers(1, 2000), st.integers(1, 40)), min_size=1, max_size=3).map(tuple)


def compiled(moved: tuple[tuple[int, int], ...], path: MemoryPath) -> Transfer | None:
    """The kernel's answer; None where it refuses."""
    rate = path.bytes_per_cycle
    groups, parts = np.zeros((kernel.GROUPS, 3), np.int64), np.zeros(kernel.PARTS, np.int64)
    numbers = (path.burst_bytes, path.max_outstanding, path.setup_cycles, path.latency_cycles)
    columns = np.array([*numbers, rate.numerator, rate.denominator], np.int64)
    if not kernel.transfer_cycles(np.array(moved, np.int64), columns, groups, parts):
        return None
    bus, alone, issued, behind, late, used = parts.tolist()
    setup = path.setup_cycles * used
    return Transfer(setup, path.latency_cycles, bus, alone, issued, behind, None if late == kernel.NOT_BOUND else late)


@settings(max_examples=600, deadline=None)
@given(paths(), descriptors(), st.integers(0, 300), st.integers(0, 900))
def test_last_byte_and_last_request_are_those_of_every_request(path, moved, first, bus_free):
    issue, finish = issues_and_ends(sizes_of(list(moved), path.burst_bytes), path, first, bus_free)
    parts = transfer(moved, path)
    assert parts.end(first, bus_free) == ceil(finish[-1])
    assert parts.issued(first, bus_free) == min(ceil(issue[-1]) + 1, ceil(finish[-1]))
    assert compiled(moved, path) == parts


def test_many_requests_are_passed_over_rightly():
    rng = np.random.default_rng(8)
    lengths = set()
    for _ in range(400):
        path = MemoryPath(
            int(rng.choice([8, 32, 64])), int(rng.integers(1, 33)), 3, int(rng.choice([5, 60, 400])), rng.choice(RATES)
        )
        count = int(rng.integers(20, 300))
        moved = (
            (count * int(rng.integers(1, 600)), count),
            (int(rng.integers(20_000)), int(rng.choice([1, 7, 200]))),
            (int(rng.integers(300)), 1),
        )
        moved = tuple(part for part in moved if part[0])
        assert compiled(moved, path) == transfer(moved, path), (moved, path)
        lengths.add(len({size for _, size in request_sizes(moved, path.burst_bytes)}))
    assert lengths >= {2, 3, 4}


@pytest.mark.parametrize(
    ("stretch", "segments", "cycles"),
    [
        (64, 1, 100 + 8),  # latency and data
        (640, 1, 100 + 80),  # bus never idle: 16 in flight x 8 cycles > round trip of 108
        (32, 16, 100 + 16 * 4),  # one round of short requests
        (32, 32, 104 + 104 + 15 * 4),  # two rounds: the second waits a round trip of 104 for the first
        (72, 8, 100 + 8 * 9),  # a long and a short one eight times, all in flight at once
        (72, 16, 108 + 100 + 8 * 9),  # the second half waits for the first request, which is a long one
    ],
)
def test_by_hand(stretch, segments, cycles):
    assert transfer(((stretch * segments, segments),), MemoryPath(64, 16, 0, 100, Fraction(8))).cycles == cycles


def test_latency_slope_is_one_round_trip_for_each_sixteen_requests():
    short, long = (MemoryPath(64, 16, 0, latency, Fraction(16)) for latency in (200, 300))
    moved = ((16 * 1600, 1600),)
    assert transfer(moved, long).cycles - transfer(moved, short).cycles == 100 * 1600 // 16


@settings(max_examples=200, deadline=None)
@given(paths(), st.integers(1, 10**5), st.integers(1, 300), st.integers(1, 3))
def test_parts_add_up_and_are_not_negative(path, size, segments, count):
    moved = ((size, segments),) * count
    parts = transfer(moved, path)
    assert parts.tail_cycles >= 0
    assert parts.bus_cycles == ceil(count * size / path.bytes_per_cycle)
    assert parts.cycles == count * path.setup_cycles + request_by_request(sizes_of(list(moved), path.burst_bytes), path)
    assert parts.lead_cycles + parts.bus_cycles + parts.tail_cycles == parts.cycles


@pytest.mark.parametrize(
    ("size", "segments", "runs"),
    [
        (0, 0, []),
        (1, 1, [(1, 1)]),
        (64, 1, [(1, 64)]),
        (65, 1, [(1, 64), (1, 1)]),
        (130, 2, [(1, 64), (1, 1)] * 2),
        (640, 10, [(10, 64)]),
        (129, 2, [(1, 64), (1, 1), (1, 64)]),
        (3, 5, [(3, 1)]),
    ],
)
def test_bursts_do_not_cross_stretches(size, segments, runs):
    assert request_sizes(((size, segments),), 64) == runs


def test_transfers_are_exact_or_refused():
    rng = np.random.default_rng(1)
    refused = 0
    for _ in range(2000):
        burst, bits = int(rng.integers(1, 300)), int(rng.integers(1, 38))
        moved = ((int(rng.integers(1, 1 << bits)) * burst, 1),)
        rate = Fraction(int(rng.integers(1, 1 << rng.integers(1, 25))), int(rng.integers(1, 10**6)))
        path = MemoryPath(burst, int(rng.integers(1, 40)), int(rng.integers(9)), int(rng.integers(900)), rate)
        found = compiled(moved, path)
        refused += found is None
        assert found is None or found == transfer(moved, path)
    assert 20 < refused < 1000
