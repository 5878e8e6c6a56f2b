"""Energy is the sum of counts times prices, nothing else."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.energy.account import account
from simulator.records.layer import EnergyRecord, LayerRecord
from support.devices import energy_table, machine

COUNTS = {
    "mac": ("macs",),
    "idle_pe": ("idle_pe_cycles",),
    "input_scratchpad_read_byte": ("input_scratchpad_read_bytes",),
    "input_scratchpad_write_byte": ("input_scratchpad_write_bytes",),
    "weight_scratchpad_read_byte": ("weight_scratchpad_read_bytes",),
    "weight_scratchpad_write_byte": ("weight_scratchpad_write_bytes",),
    "accumulator_read_byte": ("accumulator_read_bytes",),
    "accumulator_write_byte": ("accumulator_write_bytes",),
    "dram_byte": ("dram_read_bytes", "dram_write_bytes"),
    "vector_op": ("vector_ops",),
    "host_op": ("host_ops",),
}


def record(**counts: int) -> LayerRecord:
    return LayerRecord(0, "layer", "Conv2D", "array", (1, 1, 1, 1), (1, 1, 1, 1), **counts)


@given(
    st.fixed_dictionaries({name: st.floats(0, 100) for name in COUNTS}),
    st.fixed_dictionaries({count: st.integers(0, 10**9) for counts in COUNTS.values() for count in counts}),
)
def test_total_is_the_sum_of_counts_times_prices(prices, counts):
    energy = account(record(**counts), machine(), energy_table(**prices))
    expected = sum(counts[count] * prices[name] for name, names in COUNTS.items() for count in names)
    assert energy.total_pj == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", COUNTS)
def test_each_price_lands_in_its_own_component(name):
    counts = {count: 7 for counts in COUNTS.values() for count in counts}
    energy = account(record(**counts), machine(), energy_table(**{name: 2.0}))
    values = {field.name: getattr(energy, field.name) for field in fields(EnergyRecord)}
    component = re.sub("(_read|_write)?_byte$|_op$", "", name) + "_pj"
    assert values.pop(component) == 14 * len(COUNTS[name])
    assert set(values.values()) == {0.0}


def test_leakage_is_power_times_time():
    # 3 mW for 2000 cycles at 1 GHz = 2 us: 6 nJ.
    energy = account(record(total_cycles=2000), machine(), energy_table(leakage=3.0))
    assert energy.leakage_pj == pytest.approx(6000.0)
    assert energy.total_pj == energy.leakage_pj
