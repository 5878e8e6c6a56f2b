"""The SimPy machine: timelines by hand, and against a machine that is stepped cycle by cycle."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from simulator.accelerator.spec import Accelerator
from simulator.errors import DoesNotFit
from simulator.lowering.layer import Engine
from simulator.mapping.mapper import map_layers
from simulator.mapping.schedule import TILE_OP, Hold, LayerSchedule, Schedule
from simulator.timing.dma import MemoryPath, transfer
from simulator.timing.machine import run_schedule
from simulator.timing.timeline import Timeline
from simulator.timing.work_cycles import WorkRates, work_cycles
from support.devices import machine
from support.layers import array_layer, conv, deeplabv3_resnet50, gemm, stream_layer
from support.strategies import Case, cases


def run(layers, accelerator: Accelerator) -> Timeline:
    return run_schedule(map_layers(layers, accelerator), accelerator)


def test_one_tile_op_by_hand():
    accelerator = machine(4, 4, setup=10, latency=50, bytes_per_cycle=8)
    timeline = run([array_layer(gemm(4, 4, 4), "fc", bias=None)], accelerator)
    assert [(e.track, e.name, e.start_cycle, e.duration_cycles) for e in timeline.events] == [
        ("load dma", "fc: load", 0, 74),  # two descriptors, latency, 16 + 16 bytes: 20 + 50 + 4
        ("array", "fc: compute", 74, 18),  # 4 + 4 + 4 + 4 + 2
        ("store dma", "fc: store", 92, 62),  # 10 + 50 + 2
    ]
    (time,) = timeline.layers
    assert (time.load_stall_cycles, time.store_stall_cycles, time.end_cycle) == (74, 62, 154)


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


@dataclass
class _Mover:
    """A DMA of the stepped machine."""

    phase: str = "idle"
    left: int = 0
    asked: int = 0
    index: int = 0
    jobs: list = field(default_factory=list)


class SteppedMachine:
    """One layer, one cycle at a time: what may happen in a cycle happens, then the bus is granted, then time passes."""

    def __init__(self, layer: LayerSchedule, accelerator: Accelerator) -> None:
        path = MemoryPath.of(accelerator)

        def parts(op, kinds):
            sizes = [(int(op[f"{kind}_bytes"]), int(op[f"{kind}_segments"])) for kind in kinds]
            requests = sum(s * -(-b // (s * path.burst_bytes)) for b, s in sizes if b)
            used = sum(b > 0 for b, _ in sizes)
            return transfer(sum(b for b, _ in sizes), requests, used, path) if used else None

        self.ops = [(int(op["hold"]), int(op["bias_bytes"]), int(op["store_bytes"])) for op in layer.ops]
        self.cycles = work_cycles(layer.engine, layer.ops, WorkRates.of(accelerator)).tolist()
        self.load = _Mover(jobs=[parts(op, ("input", "weight", "bias")) for op in layer.ops])
        self.store = _Mover(jobs=[parts(op, ("store",)) for op in layer.ops])
        self.free = {"input": 2, "weight": 2, "accumulator": 2}
        self.done_work = 0
        self.working: int | None = None
        self.busy_until = 0
        self.bus: _Mover | None = None
        self.time = 0

    def run(self) -> int:
        while self.store.index < len(self.ops):
            while self._move(self.load, 0) or self._work() or self._move(self.store, 1):
                pass
            if self.store.index == len(self.ops):
                break
            waiting = [m for m in (self.load, self.store) if m.phase == "ask"]
            if self.bus is None and waiting:
                self.bus = min(waiting, key=lambda m: (m.asked, m is self.store))
                self.bus.phase, self.bus.left = "bus", self.bus.jobs[self.bus.index].bus_cycles
            self.time += 1
            for mover in (self.load, self.store):
                mover.left -= mover.phase in ("lead", "bus", "tail")
        return self.time

    def _move(self, mover: _Mover, which: int) -> bool:
        if mover.index == len(self.ops):
            return False
        job = mover.jobs[mover.index]
        if mover.phase == "idle":
            if not (self._may_load(mover.index) if which == 0 else mover.index < self.done_work):
                return False
            mover.phase, mover.left = ("lead", job.lead_cycles) if job else ("end", 0)
        elif mover.phase == "lead" and mover.left == 0:
            mover.phase, mover.asked = "ask", self.time
        elif mover.phase == "bus" and mover.left == 0:
            self.bus, mover.phase, mover.left = None, "tail", job.tail_cycles
        elif mover.phase == "tail" and mover.left == 0:
            mover.phase = "end"
        elif mover.phase == "end":
            if which == 1:
                self._stored(mover.index)
            mover.phase, mover.index = "idle", mover.index + 1
        else:
            return False
        return True

    def _may_load(self, index: int) -> bool:
        hold, bias, _ = self.ops[index]
        wants = {
            "input": bool(hold & Hold.TAKE_INPUT),
            "weight": bool(hold & Hold.TAKE_WEIGHT),
            "accumulator": bias > 0,
        }
        if any(self.free[name] < want for name, want in wants.items()):
            return False
        for name, want in wants.items():
            self.free[name] -= want
        return True

    def _work(self) -> bool:
        if self.working is None:
            index = self.done_work
            if index == len(self.ops) or index >= self.load.index:
                return False
            hold, bias, _ = self.ops[index]
            if hold & Hold.TAKE_ACCUMULATOR and not bias:
                if not self.free["accumulator"]:
                    return False
                self.free["accumulator"] -= 1
            self.working, self.busy_until = index, self.time + self.cycles[index]
            return True
        if self.time < self.busy_until:
            return False
        hold = self.ops[self.working][0]
        self.free["input"] += bool(hold & Hold.GIVE_INPUT)
        self.free["weight"] += bool(hold & Hold.GIVE_WEIGHT)
        self.working, self.done_work = None, self.done_work + 1
        return True

    def _stored(self, index: int) -> None:
        hold, _, stored = self.ops[index]
        if hold & Hold.GIVE_INPUT_WHEN_STORED:
            self.free["input"] += 1
        elif stored:
            self.free["accumulator"] += 1


@settings(max_examples=80, deadline=None)
@given(cases())
def test_array_layers_equal_the_stepped_machine(case: Case):
    try:
        schedule = map_layers([case.layer], case.accelerator)
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
    """Tile ops as no mapper would make them: any sizes, every memory taken and given back in turn."""
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
    return LayerSchedule(Engine.ARRAY, ops)


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
