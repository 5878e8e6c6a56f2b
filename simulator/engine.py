"""Prepare a network for an accelerator once, then run it often: values, time and energy in one record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.metadata import version
from numbers import Integral
from typing import Any

from numpy.typing import NDArray

from simulator.accelerator.energy import EnergyTable
from simulator.accelerator.spec import Accelerator
from simulator.accelerator.technology import Technology
from simulator.energy.account import account, priced_activity
from simulator.energy.components import area_mm2, device_prices, prices_of_cores
from simulator.errors import InputError
from simulator.execution.context import ExecutionContext
from simulator.execution.execute import execute
from simulator.execution.sweep import Sweep, SweepExecution, execute_sweep, plan_sweep, sweep_widths
from simulator.graph.graph import Graph
from simulator.graph.liveness import live_bytes
from simulator.kernels import isa
from simulator.kernels.threads import thread_count
from simulator.lowering.layer import Layer
from simulator.lowering.lower import lower
from simulator.records.changed import changed
from simulator.records.channel_ledger import ChannelLedger
from simulator.records.hashing import content_hash
from simulator.records.layer import EnergyRecord, LayerRecord
from simulator.records.run import RunRecord, TraceEvent
from simulator.reuse import Identity, identity, lowered, mapped
from simulator.timing.fast import run_schedule
from simulator.timing.layer_records import layer_records, untimed_records

Progress = Callable[[int, int, str], None]
"""(done, total, label)."""


@dataclass(frozen=True)
class Options:
    """What to compute and how."""

    values: bool = True
    """Execute the network on its inputs."""
    timing: bool = True
    """Schedule it and run the schedule."""
    keep_tensors: bool = False
    """Keep every intermediate tensor."""
    threads: int | None = None
    """Threads of the kernels; None = all cores. Never changes a bit."""
    seed: int = 0
    """Seed of stochastic rounding."""
    exact_ledger: bool = False
    """Measure needed_bits of every array layer instead of bounding it."""
    channel_ledger: bool = False
    """Keep a ledger of every output channel too; needed_bits is then measured."""
    event_counts: bool = True
    """Count the events of layers that have some; else their outputs alone."""
    activity: bool = False
    """Count zero operands and toggled bits on the array, and estimate its energy from them."""
    accumulator_sweep: Sequence[int] = ()
    """Widths of registers to compare with 32 bits, each from 8 to 64."""
    label_output: str | None = None
    """Output that holds labels or scores of a segmentation network: its labels are compared in a sweep."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "accumulator_sweep", sweep_widths(self.accumulator_sweep))
        # Plain ints: a record holds the seed as JSON, and the generator takes 64 bits of it.
        object.__setattr__(self, "seed", _whole("seed", self.seed, 0, 2**64 - 1))
        if self.threads is not None:
            object.__setattr__(self, "threads", _whole("threads", self.threads, 1, 2**31 - 1))
        if not (self.values or self.timing):
            raise InputError("values_only and timing_only exclude each other: nothing would be computed")
        if self.activity and not self.values:
            raise InputError("activity is counted from values: give inputs, and leave timing_only out")
        if self.activity and self.accumulator_sweep:
            raise InputError("activity is that of one device: ask for it without an accumulator_sweep")
        if self.accumulator_sweep and not self.values:
            raise InputError("accumulator_sweep compares values: give inputs, and leave timing_only out")

    @property
    def mode(self) -> str:
        """`both`, `values` or `timing`."""
        return "both" if self.values and self.timing else "values" if self.values else "timing"


def _whole(name: str, value: object, least: int, greatest: int) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral) or not least <= int(value) <= greatest:
        raise InputError(f"{name} is a whole number from {least} to {greatest}, not {value!r}")
    return int(value)


@dataclass(frozen=True)
class EngineResult:
    """A record and the arrays that belong to it."""

    record: RunRecord
    outputs: dict[str, NDArray[Any]] = field(default_factory=dict)
    tensors: dict[str, NDArray[Any]] = field(default_factory=dict)
    channels: tuple[ChannelLedger | None, ...] = ()
    """One per layer of the record, None off the array; empty where not asked for."""
    sweep_outputs: Mapping[int, Mapping[str, NDArray[Any]]] = field(default_factory=dict)
    """Width of an accumulator sweep -> the network's outputs with registers of that width."""
    state: dict[str, NDArray[Any]] = field(default_factory=dict)
    """What the next run takes as `state`; empty for a graph without."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """A network lowered (and, for timing, mapped) for one accelerator. Make it with `prepare`."""

    graph: Graph
    accelerator: Accelerator
    table: EnergyTable
    options: Options
    layers: tuple[Layer, ...]
    sweep: Sweep | None = None
    """Set where Options.accumulator_sweep names widths."""
    area_mm2: Mapping[str, float] = field(default_factory=dict)
    """By component; empty where the table gives prices alone."""
    _timed: list[tuple[tuple[LayerRecord, ...], Sequence[TraceEvent]]] = field(default_factory=list, repr=False)

    def run(
        self,
        inputs: Mapping[str, NDArray[Any]] | None = None,
        on_progress: Progress | None = None,
        *,
        state: Mapping[str, NDArray[Any]] | None = None,
    ) -> EngineResult:
        """Run once.

        Parameters
        ----------
        inputs
            One array per input of the graph; not needed for timing alone.
        on_progress
            Called with (done, total, label) as layers finish.
        state
            The inputs of the graph that are state, as the last run returned them or as they begin; they may as well
            stand among `inputs`.

        Raises
        ------
        InputError
            Inputs that are missing or do not suit the network.
        OverflowTrap
            An overflow in a register whose mode is TRAP.

        """
        steps = _Steps(on_progress, len(self.layers), self.options)
        if not self.options.values:
            return EngineResult(self._record(*self._time(steps.timing)))
        swept = self._execute(None if inputs is None else {**inputs, **(state or {})}, steps.values)
        execution = swept.execution
        records, events = self._time(steps.timing)
        records = tuple(changed(r, overflow=o) for r, o in zip(records, execution.overflow, strict=True))
        if execution.activity:
            priced = [priced_activity(activity, self.table) for activity in execution.activity]
            records = tuple(changed(r, activity=a) for r, a in zip(records, priced, strict=True))
        record = self._record(records, events)
        if self.sweep is not None:
            record = changed(record, accumulator_sweep=swept.points, notes=(*record.notes, *swept.notes))
        found = execution.outputs, execution.tensors, execution.channels
        new_state = {source: execution.outputs[target] for source, target in self.graph.state}
        return EngineResult(record, *found, swept.outputs, new_state)

    def _execute(self, inputs: Mapping[str, NDArray[Any]] | None, on_progress: Progress | None) -> SweepExecution:
        if inputs is None:
            raise InputError(f"{self.graph.name}: values need inputs; give them, or ask for timing only")
        options = self.options
        context = self._context
        common: dict[str, Any] = {"keep_tensors": options.keep_tensors, "on_progress": on_progress}
        if self.sweep is None:
            with thread_count(options.threads, loops=False):
                return SweepExecution(execute(self.graph, self.layers, inputs, context, **common), (), ())
        with thread_count(options.threads):
            labels = options.label_output
            return execute_sweep(self.graph, self.sweep, inputs, context, label_output=labels, **common)

    def _time(self, on_progress: Progress | None) -> tuple[tuple[LayerRecord, ...], Sequence[TraceEvent]]:
        # Inputs never decide time, so a prepared network is scheduled once.
        if not self._timed and not self.options.timing:
            self._timed.append((untimed_records(self.layers, live_bytes(self.graph)), ()))
        if not self._timed:
            found = mapped(self.graph, self.layers, self.accelerator)
            timeline = run_schedule(found.schedule, self.accelerator, on_progress)
            records = layer_records(found.counts, timeline, self.layers, self.accelerator)
            known: dict[int, EnergyRecord] = {}
            for record, layer in zip(records, found.schedule.layers, strict=True):
                # Layers that share a schedule do the same in the same time.
                if id(layer) not in known:
                    known[id(layer)] = account(record, self.accelerator, self.table)
            rows = zip(records, found.schedule.layers, strict=True)
            priced = tuple(changed(record, energy=known[id(layer)]) for record, layer in rows)
            self._timed.append((priced, timeline.events))
        return self._timed[0]

    @cached_property
    def _context(self) -> ExecutionContext:
        options = self.options
        return ExecutionContext(
            exact_ledger=options.exact_ledger,
            channel_ledger=options.channel_ledger,
            event_counts=options.event_counts,
            activity=options.activity,
            seed=options.seed,
        )

    @cached_property
    def _identity(self) -> Identity:
        return identity(self.graph)

    @cached_property
    def _device(self) -> dict[str, Any]:
        """What a record says of the device, the same for each run."""
        spec = self.accelerator.model_dump(mode="json", exclude_none=True)
        table = self.table.model_dump(mode="json")
        return {
            "spec": spec,
            "energy_table": table,
            "spec_hash": content_hash(spec, table),
            "peak_macs_per_cycle": self.accelerator.peak_macs_per_cycle,
            "dram_bytes_per_cycle": float(self.accelerator.dram_bytes_per_cycle),
        }

    @cached_property
    def _blank(self) -> RunRecord:
        """A record without layers and events."""
        return RunRecord(
            **self._device,
            network=self.graph.name,
            accelerator=self.accelerator.name,
            mode=self.options.mode,
            seed=self.options.seed,
            layers=(),
            area_mm2=self.area_mm2,
            network_hash=self._identity.network_hash,
            tool_version=_tool_version(),
            clock_mhz=self.accelerator.clock_mhz,
            peak_memory_bytes=self._identity.peak_memory_bytes,
            notes=self.graph.notes,
        )

    def _record(self, layers: tuple[LayerRecord, ...], events: Sequence[TraceEvent]) -> RunRecord:
        return changed(self._blank, layers=layers, events=events)


def prepare(
    graph: Graph, accelerator: Accelerator, table: EnergyTable | Technology, options: Options | None = None
) -> Prepared:
    """Lower `graph` for `accelerator`, priced by a table of its own or by the technology it is built in.

    Raises
    ------
    UnsupportedOp, NetworkError
        The network cannot be run.
    DoesNotFit
        A layer cannot be tiled into the memories (found when it is first timed).
    InputError
        An accumulator sweep on registers that trap; an instruction set in BITTRUE_ISA that is not there.

    """
    options = options or Options()
    try:
        isa.chosen()
    except ValueError as error:
        raise InputError(str(error)) from None
    layers = lower(graph, accelerator) if options.values else lowered(graph, accelerator)
    widths = options.accumulator_sweep
    sweep = plan_sweep(graph, accelerator, layers, widths) if widths else None
    area = area_mm2(accelerator, table) if isinstance(table, Technology) else {}
    prices = device_prices(accelerator, table) if isinstance(table, Technology) else prices_of_cores(accelerator, table)
    return Prepared(graph, accelerator, prices, options, layers, sweep, area)


@cache
def _tool_version() -> str:
    return version("bittrue")


class _Steps:
    """Progress of two phases as one count."""

    def __init__(self, on_progress: Progress | None, layers: int, options: Options) -> None:
        phases = int(options.values) + int(options.timing)
        total = layers * phases
        offset = layers * (phases - 1)
        self.values = self._phase(on_progress, "values", 0, total)
        self.timing = self._phase(on_progress, "time", offset, total)

    @staticmethod
    def _phase(on_progress: Progress | None, phase: str, offset: int, total: int) -> Progress | None:
        if on_progress is None:
            return None
        return lambda done, _, label: on_progress(offset + done, total, f"{phase}: {label}")
