"""The SimPy machine: timelines by hand, and against a machine that is stepped cycle by cycle."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from simulator.accelerator.spec import Accelerator
from simulator.errors import DoesNotFit
from simulator.lowering.layer import Engine
from simulator.mapping.mapper import map_layers
from simulator.mapping.schedule import TILE_OP, Hold, LayerSchedule, Schedule
from simulator.timing.machine import run_schedule
from simulator.timing.timeline import Timeline
from support.devices import machine
from support.layers import array_layer, conv, deeplabv3_resnet50, gemm, stream_layer
from support.stepped_machine import SteppedMachine
from support.strategies import Case, any_split, cases


def run(layers, accelerator: Accelerator) -> Timeline:
    return run_schedule(map_layers(layers, accelerator), accelerator)


def test_one_tile_op_by_hand():
    accelerator = machine(4, 4, setup=10, latency=50, bytes_per_cycle=8)
    timeline = run([array_layer(gemm(4, 4, 4), "fc", bias=None)], accelerator)
    assert [(e.track, e.name, e.start_cycle, e.duration_cycles) for e in timeline.events] == [
        ("load dma", "fc: load", 0, 74),  # two descriptors, latency, 16 + 16 bytes: 20 + 50 + 4
        ("array", "fc: compute", 74, 19),  # 1 + 4 + 4 + 4 + 4 + 2
        ("store dma", "fc: store", 93, 62),  # 10 + 50 + 2
    ]
    (time,) = timeline.layers
    assert (time.load_stall_cycles, time.store_stall_cycles, time.end_cycle) == (74, 62, 155)


def test_double_buffering_and_bus_sharing_by_hand():
    # Four chunks of 16 + 16 bytes; a half of the scratchpad holds one.
    accelerator = machine(inputs=64, setup=2, latency=5, bytes_per_cycle=8, lanes=8, startup=4)
    layer = stream_layer(Engine.VECTOR, (64,), (64,), ops=64, name="v")
    timeline = run([layer], accelerator)
    spans = {
        track: [(e.start_cycle, e.start_cycle + e.duration_cycles) for e in timeline.events if e.track == track]
        for track in ("load dma", "vector", "store dma")
    }
    # The third load waits for the first store to free its half (24), and wins the bus at 31 from the second store.
    assert spans["load dma"] == [(0, 9), (9, 18), (24, 33), (35, 44)]
    assert spans["vector"] == [(9, 15), (18, 24), (33, 39), (44, 50)]
    assert spans["store dma"] == [(15, 24), (24, 35), (39, 48), (50, 59)]
    assert timeline.total_cycles == 59


@settings(max_examples=80, deadline=None)
@given(cases(cores=3))
def test_array_layers_equal_the_stepped_machine(case: Case):
    try:
        schedule = map_layers([case.layer], case.accelerator, any_split)
    except DoesNotFit:
        assume(False)
    assume(schedule.tile_ops < 60)
    expected = SteppedMachine(schedule.layers[0], case.accelerator).run()
    assert run_schedule(schedule, case.accelerator).total_cycles == expected


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 900), st.integers(1, 900), st.integers(1, 30), st.sampled_from([0.5, 2, 8]), st.integers(0, 20))
def test_streams_equal_the_stepped_machine(read, write, size, rate, latency):
    accelerator = machine(inputs=2000 // size + 40, bytes_per_cycle=rate, latency=latency, setup=1, lanes=4)
    try:
        schedule = map_layers([stream_layer(Engine.VECTOR, (read,), (write,), ops=write)], accelerator)
    except DoesNotFit:
        assume(False)
    expected = SteppedMachine(schedule.layers[0], accelerator).run()
    assert run_schedule(schedule, accelerator).total_cycles == expected


@st.composite
def random_ops(draw: st.DrawFn) -> LayerSchedule:
    """Tile ops as no mapper would make them, on up to three cores: any sizes, memories taken and given back in turn."""
    count = draw(st.integers(1, 12))
    ops = np.zeros(count, TILE_OP)
    for kind in ("input", "weight", "store"):
        ops[f"{kind}_bytes"] = draw(st.lists(st.integers(0, 200), min_size=count, max_size=count))
        ops[f"{kind}_segments"] = np.minimum(3, ops[f"{kind}_bytes"])
    ops["rows"] = draw(st.lists(st.integers(1, 60), min_size=count, max_size=count))
    ops["cols"] = ops["folds"] = 1
    ops["store_bytes"] = np.maximum(ops["store_bytes"], 1)
    ops["store_segments"] = np.maximum(ops["store_segments"], 1)
    ops["hold"] = sum(
        Hold[name] for name in ("TAKE_INPUT", "TAKE_WEIGHT", "TAKE_ACCUMULATOR", "GIVE_INPUT", "GIVE_WEIGHT")
    )
    ends = sorted(draw(st.lists(st.integers(0, count), max_size=2)))
    return LayerSchedule(Engine.ARRAY, ops, core_ops=tuple(np.diff([0, *ends, count]).tolist()))


@settings(max_examples=150, deadline=None)
@given(random_ops(), st.integers(0, 30), st.sampled_from([0.5, 1, 3, 8]), st.integers(1, 4))
def test_any_tile_ops_equal_the_stepped_machine(layer, latency, rate, outstanding):
    accelerator = machine(2, 2, latency=latency, bytes_per_cycle=rate, outstanding=outstanding, burst=16, setup=3)
    total = run_schedule(Schedule(("random",), (layer,)), accelerator).total_cycles
    assert total == SteppedMachine(layer, accelerator).run()


@settings(max_examples=150, deadline=None)
@given(random_ops(), st.integers(0, 30), st.sampled_from([0.5, 1, 3, 8]), st.sampled_from([1.5, 2, 10]))
def test_a_faster_bus_costs_at_most_one_store(layer, latency, rate, faster):
    # A faster load can let a store ask for the bus before a later load, which then waits for that store: first come,
    # first served is not monotone to the cycle (about one random schedule in 3000 loses a few cycles).
    def total(bytes_per_cycle):
        accelerator = machine(2, 2, latency=latency, bytes_per_cycle=bytes_per_cycle, burst=16, setup=3)
        return run_schedule(Schedule(("random",), (layer,)), accelerator).total_cycles

    assert total(rate * faster) <= total(rate) + int(layer.ops["store_bytes"].max() / (rate * faster)) + 1


@pytest.mark.parametrize("change", [{"bytes_per_cycle": 16}, {"latency": 20}, {"outstanding": 16}, {"setup": 0}])
def test_a_better_memory_is_never_slower_on_a_given_schedule(change):
    layers = deeplabv3_resnet50(65)
    base = machine(16, 16)
    schedule = map_layers(layers, base)
    before, after = run_schedule(schedule, base), run_schedule(schedule, machine(16, 16, **change))
    for old, new in zip(before.layers, after.layers, strict=True):
        assert new.end_cycle - new.start_cycle <= old.end_cycle - old.start_cycle
    assert after.total_cycles < before.total_cycles


def test_layers_follow_one_another_and_equal_layers_take_equal_time():
    layers = [array_layer(conv(12, 12, 8, 8, 3, padding=1), name) for name in "abc"]
    layers.insert(1, stream_layer(Engine.DMA, (4, 4), (16,), moves_data=False, name="reshape"))
    times = run(layers, machine()).layers
    assert times[0].start_cycle == 0
    assert all(a.end_cycle == b.start_cycle for a, b in itertools.pairwise(times))
    assert times[1].start_cycle == times[1].end_cycle
    lengths = [time.end_cycle - time.start_cycle for time in times]
    assert lengths[0] == lengths[2] == lengths[3] > 0


def test_progress_and_a_bounded_trace():
    layers = deeplabv3_resnet50(65)
    accelerator = machine(16, 16, inputs=16 * 1024, weights=8 * 1024, accumulators=8 * 1024)
    schedule = map_layers(layers, accelerator)
    steps = []
    timeline = run_schedule(schedule, accelerator, lambda *step: steps.append(step))
    assert steps == [(i + 1, len(layers), layer.name) for i, layer in enumerate(layers)]
    assert 1000 < len(timeline.events) <= 20_000 < schedule.tile_ops
    for track in ("load dma", "store dma", "array"):
        ends = 0
        for event in (e for e in timeline.events if e.track == track):
            time = timeline.layers[event.layer]
            assert ends <= event.start_cycle
            ends = event.start_cycle + event.duration_cycles
            assert time.start_cycle <= event.start_cycle < ends <= time.end_cycle


@pytest.mark.parametrize(("elements", "rate", "cycles"), [(100, 1.0, 100), (100, 0.3, 334), (100, 4, 25)])
def test_host_cycles(elements, rate, cycles):
    layer = stream_layer(Engine.HOST, (100,), (100,), ops=elements)
    assert run([layer], machine(host=rate)).layers[0].compute_cycles == cycles
