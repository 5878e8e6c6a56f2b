"""The closed form of a DMA transfer against a request-by-request simulation."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.timing.dma import MemoryPath, burst_cycles, requests_of, transfer
from support.dma_twin import request_by_request


def paths(burst: int = 64):
    rates = st.sampled_from([Fraction(1, 3), Fraction(1), Fraction(16, 5), Fraction(8), Fraction(64), Fraction(200)])
    return st.builds(MemoryPath, st.just(burst), st.integers(1, 20), st.integers(0, 30), st.integers(0, 200), rates)


@settings(max_examples=400, deadline=None)
@given(paths(), st.integers(1, 64), st.integers(1, 150))
def test_equal_requests_take_exactly_the_closed_form(path, size, requests):
    assert burst_cycles(size * requests, requests, path) == request_by_request([size] * requests, path)


@settings(max_examples=300, deadline=None)
@given(paths(), st.integers(1, 400), st.integers(1, 30))
def test_stretches_that_bursts_do_not_divide_are_near(path, stretch, segments):
    sizes = ([64] * (stretch // 64) + [stretch % 64] * (stretch % 64 > 0)) * segments
    ours = burst_cycles(stretch * segments, len(sizes), path)
    truth = request_by_request(sizes, path)
    # The last request may be the short one; beyond that, spreading the bytes changes the pace of each at most.
    unevenness = sum(max(Fraction(1), s / path.bytes_per_cycle) for s in sizes) - len(sizes) * max(
        Fraction(1), Fraction(stretch * segments, len(sizes)) / path.bytes_per_cycle
    )
    slack = 64 / path.bytes_per_cycle * (1 + Fraction(len(sizes), path.max_outstanding)) + unevenness + 1
    assert abs(ours - truth) <= slack


@pytest.mark.parametrize(
    ("size", "requests", "cycles"),
    [
        (64, 1, 100 + 8),  # latency and data
        (640, 10, 100 + 80),  # bus never idle: 16 in flight x 8 cycles > round trip of 108
        (32 * 16, 16, 100 + 16 * 4),  # one round of short requests
        (32 * 32, 32, 104 + 104 + 15 * 4),  # two rounds: the second waits a round trip of 104 for the first
    ],
)
def test_by_hand(size, requests, cycles):
    assert burst_cycles(size, requests, MemoryPath(64, 16, 0, 100, Fraction(8))) == cycles


def test_latency_slope_is_one_round_trip_for_each_sixteen_requests():
    short, long = (MemoryPath(64, 16, 0, latency, Fraction(16)) for latency in (200, 300))
    assert burst_cycles(16 * 1600, 1600, long) - burst_cycles(16 * 1600, 1600, short) == 100 * 1600 // 16


@settings(max_examples=200, deadline=None)
@given(paths(), st.integers(1, 10**6), st.integers(1, 300), st.integers(1, 3))
def test_parts_add_up_and_are_not_negative(path, size, segments, descriptors):
    requests = int(requests_of(np.array([size]), np.array([min(segments, size)]), path.burst_bytes)[0])
    parts = transfer(size, requests, descriptors, path)
    assert parts.tail_cycles >= 0
    assert parts.bus_cycles == ceil(size / path.bytes_per_cycle)
    assert parts.cycles == descriptors * path.setup_cycles + burst_cycles(size, requests, path)


@pytest.mark.parametrize(
    ("size", "segments", "requests"), [(0, 0, 0), (1, 1, 1), (64, 1, 1), (65, 1, 2), (130, 2, 4), (640, 10, 10)]
)
def test_bursts_do_not_cross_stretches(size, segments, requests):
    assert requests_of(np.array([size]), np.array([segments]), 64).tolist() == [requests]
