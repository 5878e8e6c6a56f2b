"""The machine: one SimPy process per engine, tile ops as the unit of work, double-buffered memories between them.

This is the text that says what the machine does. Runs use `simulator.timing.fast`, which is held to it, cycle by cycle.

Load DMA, worker (array, vector unit or host) and store DMA each take the tile ops in order. Each memory has two
halves; a tile op waits until a half is free. Load and store DMA share the DRAM bus. Layers follow one another: the
next begins when the last write of the one before is done, so each is run from cycle 0 and then put in its place.
Layers that the mapping gave as command loops run on the command machine (`simulator.timing.commands`) instead.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any

import numpy as np
import simpy

from simulator.accelerator.spec import Accelerator
from simulator.errors import ScheduleError
from simulator.mapping.regions import regions
from simulator.mapping.schedule import Hold, LayerSchedule, Schedule
from simulator.records.run import TraceEvent
from simulator.timing.commands import run_command_layer
from simulator.timing.dma import MemoryPath, requests_of, transfer
from simulator.timing.dram import DramBus
from simulator.timing.dram_banks import DramBanks, Region
from simulator.timing.refusals import WAITS_FOR_EVER
from simulator.timing.timeline import LayerTime, Timeline
from simulator.timing.trace import TRACKS, Intervals, Span, layer_events, spans_per_track
from simulator.timing.work_cycles import WorkRates, work_cycles

Progress = Callable[[int, int, str], None]
"""(layers done, layers, name of the layer just done)."""

LOAD_DMA, STORE_DMA = 0, 1
"""Engine ids, in the order in which they are served when both ask in the same cycle."""

_HALVES = 2
_TENSORS = ("input", "weight", "bias", "store")
_BLOCK = 1 << 15
"""Tile ops turned into Python ints at a time: a million of them at once would take a gigabyte."""

Steps = Generator[simpy.Event, Any, None]
_LayerRun = tuple[LayerTime, dict[str, tuple[Span, ...]]]


def run_schedule(schedule: Schedule, accelerator: Accelerator, on_progress: Progress | None = None) -> Timeline:
    """Run a schedule on the machine.

    Parameters
    ----------
    on_progress
        Called with (layers done, layers, name) after each layer.

    Raises
    ------
    ScheduleError
        A tile op waits for ever.

    """
    known: dict[int, _LayerRun] = {}
    limit = spans_per_track(len(schedule.layers))
    times: list[LayerTime] = []
    events: list[TraceEvent] = []
    now = 0
    for index, (name, layer) in enumerate(zip(schedule.names, schedule.layers, strict=True)):
        # Layers that are alike share one object and, starting from an idle machine, take the same time.
        if id(layer) not in known:
            known[id(layer)] = _run_layer(name, layer, accelerator, limit)
        time, spans = known[id(layer)]
        events.extend(layer_events(index, name, layer.engine, spans, now))
        times.append(time.shifted(now))
        now = times[-1].end_cycle
        if on_progress is not None:
            on_progress(index + 1, len(schedule.layers), name)
    return Timeline(tuple(times), tuple(events))


def _run_layer(name: str, layer: LayerSchedule, accelerator: Accelerator, limit: int) -> _LayerRun:
    if layer.commands is not None:
        return run_command_layer(layer.commands, accelerator, limit)
    return _LayerMachine(name, layer, accelerator).run(limit)


class _LayerMachine:
    """One layer on an idle machine."""

    def __init__(self, name: str, layer: LayerSchedule, accelerator: Accelerator) -> None:
        self._name = name
        self._layer = layer
        self._path = MemoryPath.of(accelerator)
        self._cycles = work_cycles(layer.engine, layer.ops, WorkRates.of(accelerator))
        self._env = simpy.Environment()
        self._bus = DramBus(self._env)
        banks = accelerator.dram_banks
        self._banks = None
        if banks is not None:
            self._banks = DramBanks(banks, self._path.bytes_per_cycle, self._path.max_outstanding)
        self._places = regions(layer) if banks else np.zeros((0, 4, 2), np.int64)
        self._inputs = simpy.Container(self._env, init=_HALVES)
        self._weights = simpy.Container(self._env, init=_HALVES)
        self._accumulators = simpy.Container(self._env, init=_HALVES)
        self._loaded = simpy.Container(self._env)
        self._finished = simpy.Container(self._env)
        self._intervals = {track: Intervals() for track in TRACKS}
        self._load_stall = 0
        self._store_stall = 0

    def run(self, limit: int) -> _LayerRun:
        """Run to the last write; keep at most `limit` spans per engine."""
        processes = [self._env.process(steps) for steps in (self._load(), self._work(), self._store())]
        self._env.run()
        if any(process.is_alive for process in processes):
            raise ScheduleError(f"layer {self._name}: {WAITS_FOR_EVER}")
        end = int(self._env.now)
        busy = {track: intervals.busy_cycles for track, intervals in self._intervals.items()}
        time = LayerTime(
            start_cycle=0,
            end_cycle=end,
            compute_cycles=busy["work"],
            load_cycles=busy["load dma"],
            store_cycles=busy["store dma"],
            load_stall_cycles=self._load_stall,
            # After the last tile op the layer only waits for its writes.
            store_stall_cycles=end - busy["work"] - self._load_stall,
        )
        return time, {track: intervals.spans(limit) for track, intervals in self._intervals.items()}

    def _load(self) -> Steps:
        ops = self._layer.ops
        kinds = ("input", "weight", "bias")
        size = sum(ops[f"{kind}_bytes"] for kind in kinds)
        requests = sum(
            requests_of(ops[f"{kind}_bytes"], ops[f"{kind}_segments"], self._path.burst_bytes) for kind in kinds
        )
        descriptors = sum((ops[f"{kind}_bytes"] > 0).astype(np.int64) for kind in kinds)
        columns = (ops["hold"], ops["bias_bytes"], size, requests, descriptors)
        for index, (hold, bias, *parts) in enumerate(_rows(*columns)):
            if hold & Hold.TAKE_INPUT:
                yield self._inputs.get(1)
            if hold & Hold.TAKE_WEIGHT:
                yield self._weights.get(1)
            if bias:
                yield self._accumulators.get(1)
            if parts[0]:
                yield from self._transfer(LOAD_DMA, index, (parts[0], parts[1], parts[2]))
            self._loaded.put(1)

    def _work(self) -> Steps:
        ops, env, intervals = self._layer.ops, self._env, self._intervals["work"]
        columns = (ops["hold"], ops["bias_bytes"], ops["store_bytes"], self._cycles)
        for hold, bias, stored, cycles in _rows(*columns):
            before = env.now
            yield self._loaded.get(1)
            self._load_stall += int(env.now - before)
            # A bias matrix was loaded into the accumulators, so the load DMA has taken the half already.
            if hold & Hold.TAKE_ACCUMULATOR and not bias:
                yield self._accumulators.get(1)
            before = env.now
            if cycles:
                yield env.timeout(cycles)
            intervals.add(int(before), int(env.now))
            if hold & Hold.GIVE_INPUT:
                self._inputs.put(1)
            if hold & Hold.GIVE_WEIGHT:
                self._weights.put(1)
            if stored or hold & Hold.GIVE_INPUT_WHEN_STORED:
                self._finished.put(1)

    def _store(self) -> Steps:
        ops = self._layer.ops
        held = (ops["hold"] & Hold.GIVE_INPUT_WHEN_STORED) != 0
        chosen = np.flatnonzero((ops["store_bytes"] > 0) | held)
        ops = ops[chosen]
        requests = requests_of(ops["store_bytes"], ops["store_segments"], self._path.burst_bytes)
        for index, hold, size, count in _rows(chosen, ops["hold"], ops["store_bytes"], requests):
            yield self._finished.get(1)
            if size:
                yield from self._transfer(STORE_DMA, index, (size, count, 1))
            if hold & Hold.GIVE_INPUT_WHEN_STORED:
                self._inputs.put(1)
            else:
                self._accumulators.put(1)

    def _transfer(self, engine: int, index: int, amount: tuple[int, int, int]) -> Steps:
        """Move bytes in requests of descriptors, three numbers, for tile op `index`."""
        parts = transfer(*amount, self._path)
        begin = int(self._env.now)
        if parts.lead_cycles:
            yield self._env.timeout(parts.lead_cycles)
        asked = int(self._env.now)
        yield self._bus.request(engine)
        bus = parts.bus_cycles
        if self._banks is not None:
            granted = int(self._env.now)
            bus = self._banks.serve(self._regions(engine, index), asked, granted, write=engine == STORE_DMA) - granted
        yield self._env.timeout(bus)
        self._bus.release()
        tail = parts.bus_cycles + parts.tail_cycles - bus
        if tail > 0:
            yield self._env.timeout(tail)
        self._intervals["store dma" if engine == STORE_DMA else "load dma"].add(begin, int(self._env.now))

    def _regions(self, engine: int, index: int) -> list[Region]:
        op, places = self._layer.ops[index], self._places[index].tolist()
        found = []
        for tensor in (3,) if engine == STORE_DMA else (0, 1, 2):
            size, segments = (int(op[f"{_TENSORS[tensor]}_{what}"]) for what in ("bytes", "segments"))
            if size:
                first, span = places[tensor]
                found.append(Region(tensor, first, span, size, segments))
        return found


def _rows(*columns: Any) -> Iterator[tuple[int, ...]]:
    for start in range(0, len(columns[0]), _BLOCK):
        yield from zip(*(column[start : start + _BLOCK].tolist() for column in columns), strict=True)
