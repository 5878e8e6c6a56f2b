"""Prices and area of a device follow its widths and sizes."""

from __future__ import annotations

import pytest

from accel_models.load import load_accelerator, load_energy_table
from simulator.energy.components import area_mm2, device_prices, prices_of_cores
from support.accelerators import device
from support.devices import energy_table


@pytest.fixture(scope="module")
def technology():
    return load_energy_table("illustrative_45nm")


def test_a_weight_stationary_mac_by_hand(technology):
    prices = device_prices(device(), technology)
    # 8 x 8 multiplier, 32-bit adder, 8 + 32 register bits
    assert prices.mac.pj == pytest.approx(0.2 + 0.1 + 40 * 0.0101)
    assert prices.idle_pe.pj == pytest.approx(40 * 0.0101)


def test_an_output_stationary_mac_by_hand(technology):
    narrow = device(array__dataflow="output_stationary", arithmetic__accumulator={"bits": 20})
    prices = device_prices(narrow, technology)
    # the weight moves too: 8 + 8 + 20 register bits
    assert prices.mac.pj == pytest.approx(0.2 + 0.1 * 20 / 32 + 36 * 0.0101)
    wide = device(array__dataflow="output_stationary", arithmetic__activation="int16")
    assert device_prices(wide, technology).mac.pj == pytest.approx(0.2 * 2 + 0.1 + 56 * 0.0101)


def test_area_by_hand(technology):
    area = area_mm2(device(), technology)
    assert set(area) == {"array", "input_scratchpad", "weight_scratchpad", "accumulator"}
    # 8 + 32 register bits, the weight and its shadow
    assert area["array"] == pytest.approx(64 * (282 + 137 + 56 * 7.57) * 1e-6)
    assert area["input_scratchpad"] == pytest.approx(technology.sram.at("area_mm2", device().memories.input_scratchpad))
    single = area_mm2(device(array__weight_double_buffer=False), technology)
    assert area["array"] - single["array"] == pytest.approx(64 * 8 * 7.57e-6)


@pytest.mark.parametrize(
    ("change", "dearer"),
    [
        ({"arithmetic.partial_sum": {"bits": 48}}, {"mac", "idle_pe", "nonzero_mac", "leakage"}),
        (
            {"memories.input_scratchpad.size": 2**20},
            {"input_scratchpad_read_byte", "input_scratchpad_write_byte", "leakage"},
        ),
        ({"memories.accumulator.banks": 16}, {"accumulator_read_byte", "accumulator_write_byte", "leakage"}),
        ({"dram.type": "ddr4"}, {"dram_byte"}),
        ({"array.rows": 64}, {"leakage"}),
    ],
)
def test_prices_follow_a_change_of_the_device(technology, change, dearer):
    accelerator = load_accelerator("edge_32x32")
    before, after = (device_prices(a, technology).model_dump() for a in (accelerator, accelerator.evolve(change)))
    cost = {key: "mw" if key == "leakage" else "pj" for key, value in before.items() if isinstance(value, dict)}
    assert {key for key, unit in cost.items() if after[key][unit] != before[key][unit]} == dearer
    assert all(after[key][cost[key]] > before[key][cost[key]] for key in dearer)


def test_every_price_names_its_sources(technology):
    prices = device_prices(load_accelerator("edge_32x32"), technology).model_dump()
    sources = {key: value["source"] for key, value in prices.items() if isinstance(value, dict)}
    assert "8 x 8 bit multiplier, 32-bit adder, 40 register bits" in sources["mac"]
    assert sources["input_scratchpad_read_byte"].startswith("256 KiB, 4 banks, a read of 256 bits")
    assert all(any(name in text for name in ("Horowitz", "CACTI", "Aladdin", "cacti")) for text in sources.values())


def test_every_core_has_area_and_leaks(technology):
    one, four = (area_mm2(device(cores=cores), technology) for cores in (1, 4))
    assert four == pytest.approx({name: 4 * area for name, area in one.items()})
    before, after = (device_prices(device(cores=cores), technology) for cores in (1, 4))
    assert after.leakage.mw == pytest.approx(4 * before.leakage.mw)
    same = {"leakage"}
    assert after.model_dump(exclude=same) == before.model_dump(exclude=same)


def test_a_table_of_prices_leaks_once_a_core():
    table = energy_table(mac=2.0, leakage=1.5)
    assert prices_of_cores(device(), table) is table
    several = prices_of_cores(device(cores=4), table)
    assert several.leakage.mw == 6.0
    assert several.mac == table.mac
    assert "4 cores of 1.5 mW" in several.leakage.source
