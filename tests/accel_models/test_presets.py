"""Every preset and energy table loads, says where its numbers are from, and its derivations give its prices."""

from __future__ import annotations

import ast
import operator
import re

import pytest

from accel_models.load import (
    builtin_energy_tables,
    energy_table_names,
    load_accelerator,
    load_energy_table,
    preset_names,
)
from simulator.accelerator.technology import Technology
from simulator.energy.components import device_prices
from simulator.numerics.modes import Dataflow, OverflowMode, RequantizerKind

TABLES = sorted(builtin_energy_tables())
COMPONENTS = ["multiplier", "adder", "register_bit", "vector_op", "host_op"]
COMPONENTS += [f"dram_bit.{name}" for name in ("ddr3", "ddr4", "lpddr4", "hbm2")]
_OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}


def _work_out(expression: str) -> float:
    def value(node):
        if isinstance(node, ast.Constant):
            return node.value
        return _OPERATORS[type(node.op)](value(node.left), value(node.right))

    return value(ast.parse(expression, mode="eval").body)


def test_the_promised_presets_are_there():
    assert {"edge_32x32", "edge_16x16_os", "narrow_16x16"} <= set(preset_names())


@pytest.mark.parametrize("name", preset_names())
def test_preset_loads_and_says_where_it_is_from(name):
    accelerator = load_accelerator(name)
    assert accelerator.name == name
    assert len(accelerator.description) > 20
    assert len(accelerator.source) > 20
    assert load_energy_table(accelerator.energy_table).name == accelerator.energy_table


def test_presets_are_the_devices_that_were_promised():
    wide, stationary, narrow = map(load_accelerator, ("edge_32x32", "edge_16x16_os", "narrow_16x16"))
    assert (wide.array.rows, wide.array.cols, wide.array.dataflow) == (32, 32, Dataflow.WEIGHT_STATIONARY)
    assert (wide.partial_sum.bits, wide.partial_sum.overflow) == (32, OverflowMode.WRAP)
    assert wide.arithmetic.requantizer.kind is RequantizerKind.FIXED_POINT_DOUBLE
    assert (wide.dram_bytes_per_cycle, wide.dram_latency_cycles) == (16, 64)  # 12.8 GB/s and 80 ns at 800 MHz
    assert (stationary.array.dataflow, stationary.partial_sum) == (Dataflow.OUTPUT_STATIONARY, None)
    assert (stationary.array.rows, stationary.array.cols) == (16, 16)
    assert (narrow.arithmetic.accumulator.bits, narrow.arithmetic.accumulator.overflow) == (20, OverflowMode.SATURATE)


def test_builtin_tables_are_found_through_the_entry_point():
    assert set(TABLES) <= set(energy_table_names())


@pytest.mark.parametrize("table_name", TABLES)
@pytest.mark.parametrize("preset", preset_names())
def test_prices_are_sane(preset, table_name):
    technology = load_energy_table(table_name)
    assert isinstance(technology, Technology)
    assert technology.name == table_name
    table = device_prices(load_accelerator(preset), technology)
    # Orders of magnitude that every survey agrees on.
    assert 0.05 < table.mac.pj < 2
    assert table.idle_pe.pj < table.mac.pj
    for memory in ("input_scratchpad", "weight_scratchpad", "accumulator"):
        for action in ("read", "write"):
            byte = getattr(table, f"{memory}_{action}_byte")
            assert 0.1 < byte.pj < 10
            assert table.dram_byte.pj > 10 * byte.pj
    assert 10 < table.dram_byte.pj < 400


@pytest.mark.parametrize("component", COMPONENTS)
@pytest.mark.parametrize("table_name", TABLES)
def test_every_number_follows_from_its_source(table_name, component):
    entry = load_energy_table(table_name)
    for name in component.split("."):
        entry = getattr(entry, name)
    numbers = {key: value for key, value in entry.model_dump().items() if key != "source" and value}
    derivations = dict(re.findall(r"`(\w+) = ([0-9 .()+*/-]+)`", entry.source))
    assert set(derivations) == set(numbers), f"{table_name}: {component}: one derivation in backquotes a number"
    for key, derivation in derivations.items():
        assert numbers[key] == pytest.approx(_work_out(derivation), rel=0.005)  # three digits are written
    assert re.search(r"Horowitz|CACTI|Aladdin|cacti|Jouppi", entry.source)
