"""The machine: one SimPy process per engine, tile ops as the unit of work, double-buffered memories between them.

This is the text that says what the machine does. Runs use `simulator.timing.fast`, which is held to it, cycle by cycle.

Load DMA, worker (array, vector unit or host) and store DMA each take the tile ops in order. Each memory has two
halves; a tile op waits until a half is free. Load and store DMA share a path to memory: it belongs to one transfer
until its last request is out, and data come in the order of the requests.

Where a layer is split over cores, each has these engines, a path and memories of its own. All share the bus and what
lies behind it. A transfer's turn comes a latency after its first request, by (cycle, engine id): its data take the bus
without gaps, from when it is free of those whose turn was before. They have passed no sooner than that says, and no
sooner than on a path of the core's own; what a transfer waits for on its path, the bus is there for other cores. Banks
of the DRAM move the data in the same turn, and what they add, the transfer takes longer.

Layers follow one another: the next begins when the last write of the one before is done, on whichever core, so each is
run from cycle 0 and then put in its place.
Layers that the mapping gave as command loops run on the command machine (`simulator.timing.commands`) instead.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any

import numpy as np
import simpy
from numpy.typing import NDArray

from simulator.accelerator.spec import Accelerator
from simulator.errors import ScheduleError
from simulator.mapping.regions import regions
from simulator.mapping.schedule import Hold, LayerSchedule, Schedule
from simulator.records.run import TraceEvent
from simulator.timing.commands import run_command_layer
from simulator.timing.dma import MemoryPath, Moved, Transfer, transfer
from simulator.timing.dram import Arbiter
from simulator.timing.dram_banks import DramBanks, Region
from simulator.timing.refusals import WAITS_FOR_EVER
from simulator.timing.timeline import CoreTime, LayerTime, Timeline
from simulator.timing.trace import TRACKS, Intervals, Spans, layer_events, spans_per_track
from simulator.timing.work_cycles import WorkRates, timed_kinds

Progress = Callable[[int, int, str], None]
"""(layers done, layers, name of the layer just done)."""

LOAD_DMA, STORE_DMA = 0, 1
"""Engine ids of the first core, in the order in which they are served when both ask in the same cycle."""
_DMAS = 2
"""Engine ids of a core are so many higher than those of the core before."""

_HALVES = 2
_TENSORS = ("input", "weight", "bias", "store")
_BLOCK = 1 << 15
"""Tile ops turned into Python ints at a time: a million of them at once would take a gigabyte."""

Steps = Generator[simpy.Event, Any, None]
_LayerRun = tuple[LayerTime, tuple[Spans, ...]]


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
    limit = spans_per_track(len(schedule.layers), accelerator.cores)
    times: list[LayerTime] = []
    events: list[TraceEvent] = []
    now = 0
    for index, (name, layer) in enumerate(zip(schedule.names, schedule.layers, strict=True)):
        # Layers that are alike share one object and, starting from an idle machine, take the same time.
        if id(layer) not in known:
            known[id(layer)] = _run_layer(name, layer, accelerator, limit)
        time, spans = known[id(layer)]
        events.extend(layer_events(index, name, layer.engine, spans, now, accelerator.cores))
        times.append(time.shifted(now))
        now = times[-1].end_cycle
        if on_progress is not None:
            on_progress(index + 1, len(schedule.layers), name)
    return Timeline(tuple(times), tuple(events))


def _run_layer(name: str, layer: LayerSchedule, accelerator: Accelerator, limit: int) -> _LayerRun:
    """Run one layer on an idle machine to its last write; keep at most `limit` spans per engine."""
    if layer.commands is not None:
        time, spans = run_command_layer(layer.commands, accelerator, limit)
        return time, (spans,)
    memory = _Memory(accelerator, len(layer.core_slices))
    places = regions(layer) if memory.banks else np.zeros((len(layer.ops), 4, 2), np.int64)
    where = enumerate(layer.core_slices)
    timed = timed_kinds(layer, WorkRates.of(accelerator))
    cycles, waits = timed.tile_op_cycles, timed.core_conflict_cycles
    cores = [_Core(core, layer.ops[part], cycles[part], places[part], memory) for core, part in where]
    processes = [process for core in cores for process in core.start()]
    memory.env.run()
    if any(process.is_alive for process in processes):
        raise ScheduleError(f"layer {name}: {WAITS_FOR_EVER}")
    times = [core.time(wait) for core, wait in zip(cores, waits, strict=True)]
    return LayerTime.busiest(int(memory.env.now), times), tuple(core.spans(limit) for core in cores)


class _Memory:
    """What all cores share."""

    def __init__(self, accelerator: Accelerator, cores: int) -> None:
        self.env = simpy.Environment()
        self.path = MemoryPath.of(accelerator)
        self.bus = Arbiter(self.env)
        self.bus_free = 0
        """Cycle in which the data of all transfers that had their turn have passed, had there been no gaps."""
        banks = accelerator.dram_banks
        self.banks = DramBanks(banks, self.path.bytes_per_cycle, self.path.max_outstanding) if banks else None


class _Core:
    """The engines and memories of one core, at its tile ops of one layer."""

    def __init__(
        self,
        core: int,
        ops: NDArray[Any],
        cycles: NDArray[np.int64],
        places: NDArray[np.int64],
        memory: _Memory,
    ) -> None:
        self._load_id, self._store_id = _DMAS * core + LOAD_DMA, _DMAS * core + STORE_DMA
        self._ops, self._cycles, self._places = ops, cycles, places
        self._memory, self._env, self._path = memory, memory.env, memory.path
        self._requests = Arbiter(self._env)
        self._last_byte = 0
        """Cycle after the last byte of all transfers of the core that had their turn at the bus."""
        self._inputs = simpy.Container(self._env, init=_HALVES)
        self._weights = simpy.Container(self._env, init=_HALVES)
        self._accumulators = simpy.Container(self._env, init=_HALVES)
        self._loaded = simpy.Container(self._env)
        self._finished = simpy.Container(self._env)
        self._intervals = {track: Intervals() for track in TRACKS}
        self._load_stall = 0

    def start(self) -> list[simpy.Process]:
        """Begin in the present cycle."""
        return [self._env.process(steps) for steps in (self._load(), self._work(), self._store())]

    def time(self, bank_conflict_cycles: int) -> CoreTime:
        """Return what the engines have done, of which these are waits for banks."""
        busy = {track: intervals.busy_cycles for track, intervals in self._intervals.items()}
        return CoreTime(busy["work"], busy["load dma"], busy["store dma"], self._load_stall, bank_conflict_cycles)

    def spans(self, limit: int) -> Spans:
        """Return when they have done it."""
        return {track: intervals.spans(limit) for track, intervals in self._intervals.items()}

    def _load(self) -> Steps:
        ops = self._ops
        moved = (ops[f"{tensor}_{what}"] for tensor in _TENSORS[:3] for what in ("bytes", "segments"))
        for index, (hold, *sizes) in enumerate(_rows(ops["hold"], *moved)):
            if hold & Hold.TAKE_INPUT:
                yield self._inputs.get(1)
            if hold & Hold.TAKE_WEIGHT:
                yield self._weights.get(1)
            if sizes[4]:
                yield self._accumulators.get(1)
            loads = tuple(part for part in zip(sizes[::2], sizes[1::2], strict=True) if part[0])
            if loads:
                yield from self._transfer(self._load_id, index, loads)
            self._loaded.put(1)

    def _work(self) -> Steps:
        ops, env, intervals = self._ops, self._env, self._intervals["work"]
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
        ops = self._ops
        held = (ops["hold"] & Hold.GIVE_INPUT_WHEN_STORED) != 0
        chosen = np.flatnonzero((ops["store_bytes"] > 0) | held)
        ops = ops[chosen]
        for index, hold, size, segments in _rows(chosen, *(ops[f] for f in ("hold", "store_bytes", "store_segments"))):
            yield self._finished.get(1)
            if size:
                yield from self._transfer(self._store_id, index, ((size, segments),))
            if hold & Hold.GIVE_INPUT_WHEN_STORED:
                self._inputs.put(1)
            else:
                self._accumulators.put(1)

    def _transfer(self, engine: int, index: int, moved: Moved) -> Steps:
        """Move what tile op `index` of the core loads or stores."""
        parts, env = transfer(moved, self._path), self._env
        begin = int(env.now)
        yield env.timeout(parts.setup_cycles)
        yield self._requests.request(engine)
        first, waits_for_data = int(env.now), parts.issued_behind_cycles is not None
        if not waits_for_data:
            env.process(self._last_request(parts.issued_cycles))
        yield env.timeout(parts.latency_cycles)
        yield self._memory.bus.request(engine)
        self._memory.bus.release()
        issued, end = self._data(engine, index, parts, first)
        if waits_for_data:
            yield env.timeout(issued - int(env.now))
            self._requests.release()
        yield env.timeout(end - int(env.now))
        self._intervals["store dma" if engine == self._store_id else "load dma"].add(begin, end)

    def _last_request(self, cycles: int) -> Steps:
        yield self._env.timeout(cycles)
        self._requests.release()

    def _data(self, engine: int, index: int, parts: Transfer, first: int) -> tuple[int, int]:
        """Have a turn at the bus; return the cycles after the last request and after the last byte."""
        memory, turn, write = self._memory, int(self._env.now), engine == self._store_id
        begin = max(turn, memory.bus_free)
        passed = memory.bus_free = begin + parts.bus_cycles
        if memory.banks is not None:
            memory.bus_free = memory.banks.serve(self._regions(index, write=write), turn, begin, write=write)
        added = memory.bus_free - passed
        issued, end = parts.issued(first, self._last_byte), max(parts.end(first, self._last_byte), passed)
        if parts.issued_behind_cycles is not None:
            issued = max(issued, passed - parts.behind_cycles + parts.issued_behind_cycles)
        self._last_byte = end + added
        return issued + added, self._last_byte

    def _regions(self, index: int, *, write: bool) -> list[Region]:
        op, places = self._ops[index], self._places[index].tolist()
        found = []
        for tensor in (3,) if write else (0, 1, 2):
            size, segments = (int(op[f"{_TENSORS[tensor]}_{what}"]) for what in ("bytes", "segments"))
            if size:
                first, span = places[tensor]
                found.append(Region(tensor, first, span, size, segments))
        return found


def _rows(*columns: Any) -> Iterator[tuple[int, ...]]:
    for start in range(0, len(columns[0]), _BLOCK):
        yield from zip(*(column[start : start + _BLOCK].tolist() for column in columns), strict=True)
