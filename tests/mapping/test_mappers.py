"""The three ways to cut a layer, beside each other."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import bittrue
from simulator.errors import InputError
from simulator.lowering.layer import Engine
from simulator.mapping.fixed_rule import _sizes, fixed_rule
from simulator.mapping.mapper import map_layers
from simulator.mapping.schedule import LayerSchedule
from simulator.mapping.search import search
from simulator.mapping.tiles import array_schedule
from simulator.mapping.work import ArrayWork, Device
from simulator.timing.fast import layer_cycles
from support.devices import machine
from support.layers import array_layer, conv
from support.strategies import Case, cases


def loaded_bytes(layer: LayerSchedule) -> int:
    return sum(int(layer.ops[f"{kind}_bytes"].sum()) for kind in ("input", "weight", "bias"))


def most_held(layer: LayerSchedule, kind: str, flag: int) -> int:
    """Most bytes that one half of a scratchpad is given, read off the tile ops."""
    held = best = 0
    for op in layer.ops:
        held = (0 if op["hold"] & flag else held) + int(op[f"{kind}_bytes"])
        best = max(best, held)
    return best


@settings(max_examples=60, deadline=None)
@given(cases())
def test_the_rule_fits_wherever_the_search_does_and_moves_no_fewer_bytes(case: Case):
    work, device = ArrayWork.of(case.layer), Device.of(case.accelerator)
    best, by_rule = search(work, device), fixed_rule(work, device)
    assert (best is None) == (by_rule is None)
    assume(best is not None)
    assert best is not None
    assert by_rule is not None
    layer = array_schedule(work, by_rule, device)
    accumulators = layer.ops["rows"].astype(int) * layer.ops["cols"] * layer.ops["channels"] * layer.ops["groups"]
    assert accumulators.max() * device.accumulator_element_bytes <= device.accumulator_half_bytes
    assert most_held(layer, "weight", 2) <= device.weight_half_bytes
    assert most_held(layer, "input", 1) <= device.input_half_bytes
    assert loaded_bytes(array_schedule(work, best, device)) <= loaded_bytes(layer)


@settings(max_examples=40, deadline=None)
@given(cases())
def test_timed_mappings_are_never_slower(case: Case):
    cycles = layer_cycles(case.accelerator)
    found = {}
    assume(search(ArrayWork.of(case.layer), Device.of(case.accelerator)) is not None)
    for mapper in ("least_traffic", "least_cycles", "fixed_rule"):
        device = case.accelerator.evolve({"mapper": mapper})
        found[mapper] = cycles(map_layers([case.layer], device, cycles).layers[0])
    assert found["least_cycles"] <= min(found.values())


@pytest.mark.parametrize("name", ["deeplabv3_resnet50", "fcn_vgg16", "unet"])
@pytest.mark.parametrize("preset", ["edge_32x32", "edge_16x16_os"])
def test_no_layer_of_the_built_in_networks_is_worse_than_the_rule(name: str, preset: str):
    network = bittrue.load_network(name)
    runs = {
        mapper: bittrue.simulate(network, bittrue.load_accelerator(preset).evolve({"mapper": mapper}))
        for mapper in ("least_traffic", "least_cycles", "fixed_rule")
    }
    for traffic, timed, by_rule in zip(*(run.layers for run in runs.values()), strict=True):
        assert traffic.dram_read_bytes <= by_rule.dram_read_bytes
        assert timed.total_cycles <= min(traffic.total_cycles, by_rule.total_cycles)
    layers = runs["fixed_rule"].layers
    assert any(a.dram_read_bytes < b.dram_read_bytes for a, b in zip(runs["least_traffic"].layers, layers, strict=True))


@settings(max_examples=40, deadline=None)
@given(cases(), st.lists(st.tuples(*[st.floats(0.02, 8)] * 3), min_size=2, max_size=12))
def test_what_was_ruled_for_other_memories_changes_nothing(case: Case, factors: list[tuple[float, float, float]]):
    work, device = ArrayWork.of(case.layer), Device.of(case.accelerator)
    others = [
        replace(
            device,
            input_half_bytes=int(device.input_half_bytes * inputs),
            weight_half_bytes=int(device.weight_half_bytes * weights),
            accumulator_half_bytes=int(device.accumulator_half_bytes * accumulators),
        )
        for inputs, weights, accumulators in factors
    ]
    by_itself = []
    for other in others:
        _sizes.cache_clear()
        by_itself.append(fixed_rule(work, other))
    _sizes.cache_clear()
    assert [fixed_rule(work, other) for other in others * 2] == by_itself * 2


def test_the_rule_by_hand():
    """28 x 28 x 64 to 128 channels, 3x3: worked out on paper from the rule's text."""
    layer = array_layer(conv(28, 28, 64, 128, 3, padding=1))
    assert layer.engine is Engine.ARRAY
    device = Device.of(machine(16, 16, inputs=16 * 1024, weights=64 * 1024, accumulators=16 * 1024))
    found = fixed_rule(ArrayWork.of(layer), device)
    assert found is not None
    # Half the input scratchpad is 8192 bytes: 3 rows of 28 x 64 fit (5376), and 4 rows (7168), so 2 rows of outputs.
    # Half the weight scratchpad is 32768 bytes: 48 channels x (576 weights + 4 of bias) = 27840 fit, 64 do not.
    # Half the accumulators are 8192 bytes: 28 x 48 x 4 = 5376 fit; two rows do not.
    assert (found.cols, found.k, found.channels, found.rows) == (28, 576, 48, 1)


def test_least_cycles_needs_a_clock():
    device = machine().evolve({"mapper": "least_cycles"})
    with pytest.raises(InputError, match="mapper least_cycles"):
        map_layers([array_layer(conv(8, 8, 8, 8, 3, padding=1))], device)
