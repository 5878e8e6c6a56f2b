"""One rule for the path to memory: banks that cost nothing, and cores that do nothing, change no cycle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from unittest.mock import patch

import numpy as np
import pytest

from proof.schedules import TimingCase, banked_case, cores_case, timing_case
from simulator.accelerator.dram import BankSpec
from simulator.accelerator.spec import Accelerator
from simulator.errors import ScheduleError
from simulator.mapping.regions import regions
from simulator.mapping.schedule import LayerSchedule, Schedule
from simulator.timing import fast, machine
from simulator.timing.dma import MemoryPath
from support.request_machine import cycles_by_requests

ALWAYS_OPEN = BankSpec(
    banks=4, row_bytes=64, access_bytes=1, rcd_cycles=0, rp_cycles=0, ras_cycles=0, pace_cycles=0, wr_cycles=0,
    rfc_cycles=0, refi_cycles=1 << 50,
)  # fmt: skip
"""Banks that never keep anybody waiting."""
CASES = range(0, 180, 3)
_CORES = 3


@cache
def drawn(make: Callable[[int], TimingCase]) -> list[TimingCase]:
    return [make(number) for number in CASES]


def times(run, case: TimingCase, banks: BankSpec | None, cores: int | None = None) -> object:
    """Layer times and trace of a case, or what is wrong with it."""
    accelerator = case.accelerator if cores is None else case.accelerator.evolve({"cores": cores})
    with patch.object(Accelerator, "dram_banks", banks):
        try:
            timeline = run(case.schedule, accelerator)
        except ScheduleError as error:
            return str(error)
    return timeline.layers, tuple(timeline.events)


@pytest.mark.parametrize("run", [fast.run_schedule, machine.run_schedule], ids=["compiled", "SimPy"])
@pytest.mark.parametrize("make", [banked_case, cores_case], ids=["one core", "several cores"])
def test_banks_that_are_always_open_are_the_simple_memory(run, make):
    few_requests = ran = 0
    for case in drawn(make):
        found = times(run, case, None)
        assert times(run, case, ALWAYS_OPEN) == found, case.number
        ran += isinstance(found, tuple)
        path = MemoryPath.of(case.accelerator)
        few_requests += path.max_outstanding * path.burst_bytes < path.latency_cycles * path.bytes_per_cycle
    assert ran > 40
    assert few_requests > 7


@pytest.mark.parametrize("late", ["rcd_cycles", "pace_cycles", "rfc_cycles"])
def test_banks_that_cost_something_are_told_apart(late):
    costly = replace(ALWAYS_OPEN, **{late: 3}, **({"refi_cycles": 4} if late == "rfc_cycles" else {}))
    cases = drawn(banked_case)
    differing = [times(fast.run_schedule, case, costly) != times(fast.run_schedule, case, None) for case in cases]
    assert sum(differing) > 25


@pytest.mark.parametrize("run", [fast.run_schedule, machine.run_schedule], ids=["compiled", "SimPy"])
@pytest.mark.parametrize("make", [timing_case, banked_case], ids=["simple", "banked"])
@pytest.mark.parametrize("working", [0, _CORES - 1])
def test_cores_that_do_nothing_change_nothing(run, make, working):
    for case in drawn(make)[:: 1 if run is fast.run_schedule else 4]:
        alone = times(run, case, case.banks)
        layers = tuple(_on_core(layer, working) for layer in case.schedule.layers)
        several = times(run, replace(case, schedule=Schedule(case.schedule.names, layers)), case.banks, _CORES)
        if isinstance(alone, str):
            assert several == alone
            continue
        for found, expected in zip(several[0], alone[0], strict=True):
            assert (found.start_cycle, found.end_cycle) == (expected.start_cycle, expected.end_cycle), case.number
            if expected.compute_cycles:  # Else the times told are those of the first core.
                assert replace(found, core_compute_cycles=()) == expected, case.number
        by_core = [[time.compute_cycles * (core == working) for core in range(_CORES)] for time in alone[0]]
        assert [list(time.core_compute_cycles) for time in several[0]] == by_core


def _on_core(layer: LayerSchedule, working: int) -> LayerSchedule:
    counts = tuple(len(layer.ops) * (core == working) for core in range(_CORES))
    return LayerSchedule(layer.engine, layer.ops, regions=regions(layer), core_ops=counts)


_MOST_REQUESTS = 3000
"""Of a layer: request by request takes 20,000 of them a second."""


@pytest.mark.parametrize(("cores", "mean", "worst"), [(1, 0.001, 0.02), (2, 0.02, 0.15), (4, 0.02, 0.15)])
def test_requests_that_take_turns_take_about_as_long(cores, mean, worst):
    found = []
    for case in drawn(timing_case):
        accelerator = case.accelerator.evolve({"cores": cores})
        for layer in case.schedule.layers:
            moved = sum(int(layer.ops[f"{kind}_bytes"].sum()) for kind in ("input", "weight", "bias", "store"))
            if layer.work is not None and 0 < cores * moved / case.accelerator.dma.burst_bytes < _MOST_REQUESTS:
                ops = np.concatenate([layer.ops] * cores)
                every = LayerSchedule(layer.engine, ops, core_ops=(len(layer.ops),) * cores if cores > 1 else ())
                found.append(fast.layer_cycles(accelerator)(every) / cycles_by_requests(every, accelerator) - 1)
    assert len(found) > 15
    assert np.mean(np.abs(found)) < mean
    assert np.max(np.abs(found)) < worst
