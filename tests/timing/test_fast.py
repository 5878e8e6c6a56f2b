"""The compiled machine against the SimPy machine, which is its specification."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from proof.schedules import banked_case, cores_case, differences, has_place, joined_case, timing_case
from simulator.errors import ScheduleError
from simulator.kernels import timeline as kernel
from simulator.lowering.layer import Engine
from simulator.mapping.mapper import map_layers
from simulator.mapping.schedule import TILE_OP, Hold, LayerSchedule, Schedule, TileOpKinds
from simulator.records.lazy_events import LazyEvents
from simulator.timing import dram_banks, fast, machine
from support import devices
from support.layers import deeplabv3_resnet50

CASES = 1000


@pytest.mark.parametrize("first", range(0, CASES, 250))
def test_random_schedules_take_the_same_cycles(first):
    assert [line for number in range(first, first + 250) for line in differences(timing_case(number))] == []


@pytest.mark.parametrize("first", range(0, CASES // 4, 125))
def test_random_schedules_on_a_banked_dram_take_the_same_cycles(first):
    assert [line for number in range(first, first + 125) for line in differences(banked_case(number))] == []


@pytest.mark.parametrize("first", range(0, CASES // 4, 125))
def test_random_schedules_on_several_cores_take_the_same_cycles(first):
    assert [line for number in range(first, first + 125) for line in differences(cores_case(number))] == []


@pytest.mark.parametrize(("name", "value"), [("_DMAS", -2), ("_DMAS", 1)], ids=["the last core first", "in turn"])
def test_another_order_of_cores_is_told_apart(name, value, monkeypatch):
    monkeypatch.setattr(machine, name, value)
    assert any(differences(cores_case(number)) for number in range(CASES))


def test_random_networks_whose_layers_save_each_other_traffic_take_the_same_cycles():
    cases = [joined_case(number) for number in range(CASES // 10)]
    assert [line for case in cases for line in differences(case)] == []
    mapped = [schedule for case in cases for schedule in case.schedule.layers]
    assert sum(schedule.work is not None and schedule.work.pool is not None for schedule in mapped) > 40
    assert sum(map(has_place, mapped)) > 100


@pytest.mark.parametrize(
    ("name", "value"),
    [("_HALVES", 3), ("STORE_DMA", -1), ("LOAD_DMA", 2)],
    ids=["three halves", "the store first", "the load last"],
)
def test_another_machine_is_told_apart(name, value, monkeypatch):
    monkeypatch.setattr(machine, name, value)
    assert any(differences(timing_case(number)) for number in range(CASES))


def test_cases_reach_every_flag_engine_and_refusal():
    flags, engines, refused, ran = 0, set(), 0, 0
    for number in range(200):
        case = timing_case(number)
        for layer in case.schedule.layers:
            flags |= int(np.bitwise_or.reduce(layer.ops["hold"])) if len(layer.ops) else 0
            engines.add(layer.engine)
        try:
            fast.run_schedule(case.schedule, case.accelerator)
            ran += 1
        except ScheduleError:
            refused += 1
    assert flags == sum(Hold)
    assert engines == set(Engine)
    assert refused > 3
    assert ran > 150


def test_a_whole_network_and_its_trace():
    accelerator = devices.machine(16, 16, inputs=16 * 1024, weights=8 * 1024, accumulators=8 * 1024)
    schedule = map_layers(deeplabv3_resnet50(65), accelerator)
    steps = []
    ours = fast.run_schedule(schedule, accelerator, lambda *step: steps.append(step))
    theirs = machine.run_schedule(schedule, accelerator)
    assert ours.layers == theirs.layers
    assert ours.events == theirs.events
    assert [step[0] for step in steps] == list(range(1, len(schedule.layers) + 1))
    assert tuple(pickle.loads(pickle.dumps(ours)).events) == theirs.events


def test_flags_are_those_of_the_schedule():
    assert {flag.name: flag.value for flag in Hold} == {flag.name: getattr(kernel, flag.name) for flag in Hold}


def test_times_beyond_64_bits_are_refused():
    ops = np.zeros(3, TILE_OP)
    ops["input_bytes"] = 1 << 60
    with pytest.raises(ScheduleError, match="layer big: its times do not fit 64 bits"):
        fast.run_schedule(Schedule(("big",), (LayerSchedule(Engine.DMA, ops),)), devices.machine(bytes_per_cycle=0.3))
    with pytest.raises(ScheduleError, match=r"machine: dma.burst_bytes is 1099511627777; the machine counts up to"):
        fast.run_schedule(Schedule((), ()), devices.machine(burst=2**40 + 1))


@pytest.mark.parametrize("run", [fast.run_schedule, machine.run_schedule])
def test_a_schedule_that_waits_for_ever_is_refused(run):
    ops = np.zeros(3, TILE_OP)
    ops["hold"] = Hold.TAKE_INPUT
    with pytest.raises(ScheduleError, match="layer stuck: its schedule waits for ever"):
        run(Schedule(("stuck",), (LayerSchedule(Engine.DMA, ops),)), devices.machine())


def test_two_takers_of_accumulator_memory_are_refused():
    ops = np.zeros(2, TILE_OP)
    ops["hold"] = Hold.TAKE_ACCUMULATOR
    ops["bias_bytes"][0] = ops["bias_segments"][0] = 1
    ops["store_bytes"] = ops["store_segments"] = 1
    with pytest.raises(ScheduleError, match="layer mixed: some of its tile ops load a bias matrix"):
        fast.run_schedule(Schedule(("mixed",), (LayerSchedule(Engine.ARRAY, ops),)), devices.machine())


def test_kinds_are_those_that_sorting_finds():
    rng = np.random.default_rng(3)
    ops = np.zeros(3000, TILE_OP)
    for name in ("row", "k", "channel", "rows", "input_bytes", "store_segments", "hold"):
        ops[name] = rng.integers(0, 3, len(ops)) * (1 << 33 if name == "input_bytes" else 1)
    kinds = TileOpKinds.of(ops)
    keys = np.stack([ops[n] for n in ("rows", "input_bytes", "store_segments", "hold")] + [ops["k"] > 0], axis=1)
    distinct, inverse, counts = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    assert len(kinds.counts) == len(distinct)
    assert np.array_equal(kinds.counts[kinds.kind_of], counts[inverse.reshape(-1)])
    assert len(np.unique(np.stack([kinds.kind_of, inverse.reshape(-1)]), axis=1).T) == len(distinct)
    assert TileOpKinds.of(ops[:0]).counts.sum() == 0


def test_events_are_made_once_and_only_when_looked_at():
    calls = []
    events = LazyEvents(lambda: calls.append(1) or ())
    assert calls == []
    assert events == ()
    assert not events
    assert calls == [1]


@pytest.mark.parametrize(("name", "value"), [("LOOKAHEAD", 1), ("TENSORS", 3)], ids=["no queue", "another stagger"])
def test_other_banks_are_told_apart(name, value, monkeypatch):
    monkeypatch.setattr(dram_banks, name, value)
    assert any(differences(banked_case(number)) for number in range(CASES))
