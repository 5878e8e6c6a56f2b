"""Quantities that a specification derives, and how a changed one is made."""

from __future__ import annotations

from fractions import Fraction

import pytest

from simulator.errors import SpecError
from support.accelerators import device


@pytest.mark.parametrize(("nanoseconds", "mhz", "cycles"), [(80, 800, 64), (80.1, 800, 65), (0, 800, 0), (1, 1, 1)])
def test_latency_in_cycles_is_rounded_up(nanoseconds, mhz, cycles):
    assert device(clock_mhz=mhz, dram__latency_ns=nanoseconds).dram_latency_cycles == cycles


def test_bandwidth_in_bytes_per_cycle_is_exact():
    assert device(clock_mhz=800, dram__bandwidth="12.8 GB/s").dram_bytes_per_cycle == 16
    assert device(clock_mhz=300, dram__bandwidth="1 GB/s").dram_bytes_per_cycle == Fraction(10, 3)


@pytest.mark.parametrize(
    ("given", "dropped"),
    [
        ({"bandwidth": "1 GB/s"}, "bytes_per_cycle"),
        ({"bytes_per_cycle": 2}, "bandwidth"),
        ({"latency_ns": 3}, "latency_cycles"),
        ({"latency_cycles": 3}, "latency_ns"),
    ],
)
def test_giving_one_of_a_pair_drops_the_other(given, dropped):
    # From either side: first the other of the pair is in force, then the one given.
    other = device(**{f"dram__{dropped}": 10**7})
    changed = other.evolve({f"dram.{key}": value for key, value in given.items()})
    assert getattr(other.dram, dropped) is not None
    assert getattr(changed.dram, dropped) is None


def test_a_mapping_replaces_its_node():
    narrow = device(arithmetic__accumulator={"bits": 20, "overflow": "saturate"})
    assert narrow.evolve({"arithmetic.accumulator": {"bits": 24}}).arithmetic.accumulator.overflow == "wrap"
    assert narrow.evolve({"arithmetic.accumulator.bits": 24}).arithmetic.accumulator.overflow == "saturate"


@pytest.mark.parametrize("key", ["array.row", "aray.rows", "array.rows.more", "memories.input_scratchpad.sizes"])
def test_unknown_keys_are_refused(key):
    with pytest.raises(SpecError, match=key.rpartition(".")[0].split(".")[0]):
        device().evolve({key: 4})


def test_cores_are_counted_in_the_peak():
    assert device().cores == 1
    assert device(cores=3).peak_macs_per_cycle == 3 * device().peak_macs_per_cycle


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"cores": 0}, "cores: 0 is out of range: at least 1"),
        ({"cores": 2.5}, "cores: 2.5 is not a whole number"),
        ({"cores": 2, "between_layers": "on_chip"}, "cores: .* a core reads no scratchpad but its own; .* dram"),
    ],
)
def test_cores_that_are_refused(changes, text):
    with pytest.raises(SpecError, match=text):
        device().evolve(changes)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        # What is written where the unit is forgotten.
        ({"dram.bandwidth": 12.8}, "dram: 12.8 bytes/s, 1.28e-08 bytes a cycle, is too slow: .* e.g. 12.8 GB/s"),
        ({"dram.bytes_per_cycle": 1e-9}, "dram: .* at least 0.001 bytes a cycle"),
        ({"clock_mhz": 1e18, "dram.bandwidth": "1 GB/s"}, "dram: .* bytes a cycle, is too slow"),
        ({"dram.latency_ns": 1e30}, r"dram: 1e\+30 ns at 1000 MHz is more than 1,000,000,000 cycles"),
        ({"dram.latency_cycles": 10**30}, r"dram.latency_cycles: 1.* is out of range: at most 1e\+09"),
        ({"dma.setup_cycles": 10**30}, r"dma.setup_cycles: .* at most 1e\+09"),
        ({"vector_unit.startup_cycles": 10**30}, r"vector_unit.startup_cycles: .* at most 1e\+09"),
        ({"vector_unit.lanes": 10**30}, "vector_unit.lanes: .* at most 65536"),
    ],
)
def test_numbers_beyond_all_machines_are_refused(changes, text):
    with pytest.raises(SpecError, match=text):
        device().evolve(changes)
