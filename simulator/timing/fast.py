"""The machine, compiled: the times and the trace of `simulator.timing.machine`, to the cycle, in less time.

The loop is `simulator.kernels.timeline`; that of layers which are split over cores, `timeline_cores`. Both count in
int64; a schedule whose times do not fit is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from simulator.accelerator.spec import Accelerator
from simulator.errors import ScheduleError
from simulator.kernels import timeline as kernel
from simulator.kernels.timeline_cores import run_cores
from simulator.lowering.layer import Engine
from simulator.mapping.command_lists import CommandLists
from simulator.mapping.schedule import LayerSchedule, Schedule, TileOpKinds
from simulator.records.lazy_events import LazyEvents
from simulator.records.run import TraceEvent
from simulator.timing.commands import run_command_layer
from simulator.timing.dma import MemoryPath
from simulator.timing.fast_banks import Banks, bank_columns, layer_banks, transfers_fit
from simulator.timing.refusals import WAITS_FOR_EVER
from simulator.timing.timeline import CoreTime, LayerTime, Timeline
from simulator.timing.trace import TRACKS, Spans, join, layer_events, spans_per_track
from simulator.timing.work_cycles import WorkRates, timed_kinds

Progress = Callable[[int, int, str], None]
"""(layers done, layers, name of the layer just done)."""

_LARGEST = 2**40
"""Of any number of the memory path: a terabyte, or a quarter of an hour at 1 GHz."""
_NO_INTERVALS = np.zeros((0, 2 * len(TRACKS)), np.int64)
_REASONS = {
    kernel.OVERFLOW: "its times do not fit 64 bits; smaller transfers, shorter latencies or a bandwidth that is a "
    "simpler fraction of bytes a cycle do",
    kernel.DEADLOCK: WAITS_FOR_EVER,
    kernel.TWO_TAKERS: "some of its tile ops load a bias matrix into accumulator memory and some do not; which takes a "
    "free half first is not defined; give every output tile of the layer a bias matrix, or none",
}


@dataclass(frozen=True, eq=False)
class _LayerRun:
    """One layer, ready for the kernel."""

    engine: Engine
    kinds: TileOpKinds
    core_slices: tuple[slice, ...]
    table: NDArray[np.int64]
    lead_cycles: int
    banks: Banks
    time: LayerTime

    def spans(self, limit: int) -> list[Spans]:
        """Run once more, and note who works when."""
        intervals = np.zeros((len(self.kinds.kind_of), 2 * len(TRACKS)), np.int64)
        _kernel(self.kinds, self.core_slices, self.table, self.lead_cycles, intervals, self.banks)
        found: list[Spans] = []
        for part in self.core_slices:
            spans = {}
            for index, track in enumerate(TRACKS):
                begin, end = intervals[part, 2 * index], intervals[part, 2 * index + 1]
                busy = end > begin
                spans[track] = join(begin[busy], end[busy], limit)
            found.append(spans)
        return found


@dataclass(frozen=True, eq=False)
class _CommandRun:
    """One layer that runs as commands."""

    engine: Engine
    commands: CommandLists
    accelerator: Accelerator
    time: LayerTime

    def spans(self, limit: int) -> list[Spans]:
        """Run once more, and note who works when."""
        return [run_command_layer(self.commands, self.accelerator, limit)[1]]


_Run = _LayerRun | _CommandRun


def run_schedule(schedule: Schedule, accelerator: Accelerator, on_progress: Progress | None = None) -> Timeline:
    """Run a schedule on the compiled machine.

    Parameters
    ----------
    on_progress
        Called with (layers done, layers, name) after each layer.

    Raises
    ------
    ScheduleError
        Times beyond 64 bits, or a schedule that waits for ever (no mapping of ours does).

    """
    machine = _Machine.of(accelerator)
    known: dict[int, _Run] = {}
    runs: list[_Run] = []
    times: list[LayerTime] = []
    now = 0
    for index, (name, layer) in enumerate(zip(schedule.names, schedule.layers, strict=True)):
        # Layers that are alike share one object and, starting from an idle machine, take the same time.
        run = known.get(id(layer))
        if run is None:
            if layer.commands is None:
                run = machine.run(name, layer)
            else:
                time, _ = run_command_layer(layer.commands, accelerator, 1)
                run = _CommandRun(layer.engine, layer.commands, accelerator, time)
            known[id(layer)] = run
        runs.append(run)
        times.append(run.time.shifted(now))
        now = times[-1].end_cycle
        if on_progress is not None:
            on_progress(index + 1, len(schedule.layers), name)
    events = partial(_events, schedule.names, tuple(runs), tuple(times), accelerator.cores)
    return Timeline(tuple(times), LazyEvents(events))


def layer_cycles(accelerator: Accelerator) -> Callable[[LayerSchedule], int]:
    """Return a function from the tile operations of a layer to its cycles, from an idle machine to the last write."""
    machine = _Machine.of(accelerator)
    return lambda layer: _run("of a mapping tried", layer, machine.path, machine.rates, machine.banks).time.end_cycle


_MOST_MACHINES = 8
"""Whose runs of a schedule are kept: a sweep comes back to a bandwidth, with another memory."""
_runs: WeakKeyDictionary[LayerSchedule, dict[Hashable, _LayerRun]] = WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class _Machine:
    """What times depend on."""

    path: NDArray[np.int64]
    rates: WorkRates
    banks: NDArray[np.int64]
    name: str
    """Alike for machines that take the same time for the same schedule."""

    @classmethod
    def of(cls, accelerator: Accelerator) -> _Machine:
        path, rates = _path(accelerator), WorkRates.of(accelerator)
        banks = bank_columns(accelerator)
        return cls(path, rates, banks, f"{path.tolist()} {rates.all_that_counts} {banks.tolist()}")

    def run(self, name: str, layer: LayerSchedule) -> _LayerRun:
        """Run a layer, or find how it ran before."""
        known = _runs.setdefault(layer, {})
        found = known.get(self.name)
        if found is None:
            found = known[self.name] = _run(name, layer, self.path, self.rates, self.banks)
            if len(known) > _MOST_MACHINES:
                del known[next(iter(known))]
        return found


def _path(accelerator: Accelerator) -> NDArray[np.int64]:
    path = MemoryPath.of(accelerator)
    named = {
        "dma.burst_bytes": path.burst_bytes,
        "dma.max_outstanding": path.max_outstanding,
        "dma.setup_cycles": path.setup_cycles,
        "dram latency, cycles": path.latency_cycles,
        "dram bandwidth, numerator of bytes per cycle": path.bytes_per_cycle.numerator,
    }
    for name, value in named.items():
        if value > _LARGEST:
            raise ScheduleError(f"{accelerator.name}: {name} is {value}; the machine counts up to {_LARGEST}")
    return np.array([*named.values(), path.bytes_per_cycle.denominator], np.int64)


def _run(
    name: str, layer: LayerSchedule, path: NDArray[np.int64], rates: WorkRates, columns: NDArray[np.int64]
) -> _LayerRun:
    timed = timed_kinds(layer, rates)
    kinds = timed.kinds
    table = np.empty((len(kinds.counts), kernel.COLUMNS), np.int64)
    lead = int(path[2] + path[3])
    status = kernel.tabulate(kinds.ops, timed.cycles, path, table)
    banks = layer_banks(layer, kinds, columns)
    if status == kernel.DONE and len(columns) and not transfers_fit(banks, kinds.counts, table):
        status = kernel.OVERFLOW
    times = np.zeros((1, kernel.TIMES), np.int64)
    if status == kernel.DONE:
        status, times = _kernel(kinds, layer.core_slices, table, lead, _NO_INTERVALS, banks)
    if status != kernel.DONE:
        raise ScheduleError(f"layer {name}: {_REASONS[status]}")
    rows = times.tolist()
    cores = [
        CoreTime(row[kernel.COMPUTE], row[kernel.LOAD], row[kernel.STORE], row[kernel.LOAD_STALL], wait)
        for row, wait in zip(rows, timed.core_conflict_cycles, strict=True)
    ]
    time = LayerTime.busiest(max(row[kernel.END] for row in rows), cores)
    return _LayerRun(layer.engine, kinds, layer.core_slices, table, lead, banks, time)


def _kernel(
    kinds: TileOpKinds,
    core_slices: tuple[slice, ...],
    table: NDArray[np.int64],
    lead: int,
    intervals: NDArray[np.int64],
    banks: Banks,
) -> tuple[int, NDArray[np.int64]]:
    """Run a layer; return how it ends, and the times of each core, [cores, TIMES]."""
    times = np.zeros((len(core_slices), kernel.TIMES), np.int64)
    common = kinds.kind_of, kinds.counts, table, lead
    if len(core_slices) == 1:
        return kernel.run_layer(*common, times[0], intervals, *banks), times
    starts = np.array([part.start for part in core_slices] + [core_slices[-1].stop], np.int64)
    return run_cores(*common, starts, times, intervals, *banks), times


def _events(
    names: tuple[str, ...], runs: tuple[_Run, ...], times: tuple[LayerTime, ...], cores: int
) -> tuple[TraceEvent, ...]:
    limit = spans_per_track(len(names), cores)
    known = {id(run): run.spans(limit) for run in runs}
    rows = enumerate(zip(names, runs, times, strict=True))
    return tuple(
        event
        for index, (name, run, time) in rows
        for event in layer_events(index, name, run.engine, known[id(run)], time.start_cycle, cores)
    )
