"""Every preset and energy table loads, says where its numbers are from, and its derivations give its prices."""

from __future__ import annotations

import ast
import operator
import re
from pathlib import Path

import pytest

import accel_models
from accel_models.load import (
    builtin_energy_tables,
    energy_table_names,
    load_accelerator,
    load_energy_table,
    preset_names,
)
from simulator.accelerator.technology import Technology
from simulator.energy.components import device_prices
from simulator.numerics.modes import Dataflow, OverflowMode, RequantizerKind, RoundingMode

TABLES = sorted(builtin_energy_tables())
COMPONENTS = ["multiplier", "adder", "register_bit", "vector_op", "host_op"]
COMPONENTS += [f"dram_bit.{name}" for name in ("ddr3", "ddr4", "lpddr4", "hbm2")]
DEVICES = ["edge_npu_256", "max78000_like", "nvdla_small", "paper_device", "tpu_v1", "tpu_v4i"]
"""Presets that stand for a device outside, of which every number has a source or says that it is assumed."""
_OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}


def _work_out(expression: str) -> float:
    def value(node):
        if isinstance(node, ast.Constant):
            return node.value
        return _OPERATORS[type(node.op)](value(node.left), value(node.right))

    return value(ast.parse(expression, mode="eval").body)


def test_the_promised_presets_are_there():
    assert {"edge_32x32", "edge_16x16_os", "narrow_16x16", *DEVICES} <= set(preset_names())


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


def test_devices_have_the_published_sizes():
    v1, v4i, nvdla, max78000, paper = map(
        load_accelerator, ("tpu_v1", "tpu_v4i", "nvdla_small", "max78000_like", "paper_device")
    )
    assert 2 * v1.peak_macs_per_cycle * v1.clock_mhz * 1e-6 == pytest.approx(92, rel=0.01)  # ISCA 2017: 92 TOPS
    assert v1.peak_macs_per_cycle / v1.dram_bytes_per_cycle == pytest.approx(1350, rel=0.01)  # its roofline's knee
    assert v1.memories.accumulator.size == 4096 * 256 * 4
    assert v1.memories.weight_scratchpad.size == 4 * 256 * 256
    assert 2 * v4i.peak_macs_per_cycle * v4i.clock_mhz * 1e-6 == pytest.approx(138, rel=0.01)  # ISCA 2021: 138 TOPS
    assert v4i.memories.input_scratchpad.size + v4i.memories.weight_scratchpad.size == 128 * 2**20
    buffer = nvdla.memories.input_scratchpad, nvdla.memories.weight_scratchpad
    assert (sum(m.size for m in buffer), sum(m.banks for m in buffer)) == (32 * 512 * 8, 32)
    assert nvdla.partial_sum.bits == 16 + 3  # eight products of int8: NV_NVDLA_CACC.h
    assert nvdla.arithmetic.requantizer.rounding is RoundingMode.TIES_AWAY
    assert max78000.peak_macs_per_cycle == 64 * 9
    assert max78000.memories.weight_scratchpad.size == 768 * 64 * 9
    assert max78000.arithmetic.requantizer.kind is RequantizerKind.POWER_OF_TWO
    assert (paper.partial_sum.bits, paper.arithmetic.accumulator.bits) == (48, 48)
    assert paper.arithmetic.requantizer.rounding is RoundingMode.STOCHASTIC


@pytest.mark.parametrize("name", DEVICES)
def test_every_number_of_a_device_has_a_source_or_is_called_assumed(name):
    text = (Path(accel_models.__file__).parent / "presets" / f"{name}.yaml").read_text(encoding="utf-8")
    body = text[text.index("\nclock_mhz:") :]
    tags = set(re.findall(r"\[([A-Z]+[0-9]*)\]", body))
    assert tags <= set(re.findall(r"\[([A-Z]+[0-9]*)\]", load_accelerator(name).source))
    above = section = ""
    for line in body.splitlines():
        code, _, comment = line.partition("#")
        if not code.strip():
            above = above + comment if comment else ""
            continue
        if not code.startswith(" "):
            section = comment
        said = comment + above + section
        if re.search(r": *[^ ]", code) and code.strip() != "model: simple":  # how it is modelled, nothing of the device
            assert re.search(r"(?i)\[[A-Z]+[0-9]*\]|assumed|likewise|demo code|nearest", said), f"{name}: {line}"
        # What is said above holds for the lines below it that say nothing themselves.
        above = above if not comment else ""


def test_builtin_tables_are_found_through_the_entry_point():
    assert set(TABLES) <= set(energy_table_names())


@pytest.mark.parametrize("table_name", TABLES)
@pytest.mark.parametrize("preset", preset_names())
def test_prices_are_sane(preset, table_name):
    technology = load_energy_table(table_name)
    assert isinstance(technology, Technology)
    assert technology.name == table_name
    accelerator = load_accelerator(preset)
    table = device_prices(accelerator, technology)
    # Orders of magnitude that every survey agrees on.
    assert 0.05 < table.mac.pj < 2
    assert table.idle_pe.pj < table.mac.pj
    for name in ("input_scratchpad", "weight_scratchpad", "accumulator"):
        memory = getattr(accelerator.memories, name)
        for action in ("read", "write"):
            byte = getattr(table, f"{name}_{action}_byte")
            if (
                memory.size <= 4 * 2**20 and memory.width_bits <= 512
            ):  # the range of the runs that the law was fitted to
                assert 0.1 < byte.pj < 10
                assert table.dram_byte.pj > 10 * byte.pj
            elif table_name == accelerator.energy_table:
                # For 128 MiB beside HBM, accelforge's tpu_v4i.yaml has 15 and 56 pJ a byte.
                assert 0.1 < byte.pj < 20
                assert table.dram_byte.pj > 56 / 15 * byte.pj
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
