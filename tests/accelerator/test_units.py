"""Sizes and rates as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.accelerator.units import parse_bytes, parse_bytes_per_second


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("256 KiB", 262144),
        ("256KiB", 262144),
        ("1.5 MB", 1_500_000),
        ("2 kB", 2000),
        ("4096 B", 4096),
        ("7", 7),
        (9, 9),
    ],
)
def test_sizes(text, size):
    assert parse_bytes(text) == size


@pytest.mark.parametrize(
    ("text", "rate"), [("12.8 GB/s", 12.8e9), ("1 GiB/s", 2.0**30), ("800 MB/s", 8e8), (5, 5.0), ("5", 5.0)]
)
def test_rates(text, rate):
    assert parse_bytes_per_second(text) == rate


@pytest.mark.parametrize("text", ["", "KiB", "1 KiB/s", "1.2 B", "1 Kb", "1 Kib", "1 b", "1e3 KiB", "nan", [1]])
def test_bad_sizes_are_refused(text):
    with pytest.raises(ValueError, match=r"quantity|unit|whole|bits"):
        parse_bytes(text)


@pytest.mark.parametrize("text", ["1 GB", "1 Gb/s", "1 Gbit/s", "fast", [1], None])
def test_bad_rates_are_refused(text):
    with pytest.raises(ValueError, match=r"quantity|unit|bits"):
        parse_bytes_per_second(text)


@given(st.integers(1, 999), st.sampled_from([("KiB", 10), ("MiB", 20), ("GiB", 30)]))
def test_binary_units_are_powers_of_two(count, unit):
    name, power = unit
    assert parse_bytes(f"{count} {name}") == count << power
