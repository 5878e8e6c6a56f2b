"""An accumulator sweep: the device's own run, and beside it, layer by layer, the same network with other registers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from numpy.typing import NDArray

from simulator.accelerator.spec import Accelerator, Register
from simulator.errors import InputError
from simulator.execution.context import ExecutionContext
from simulator.execution.execute import (
    Execution,
    Progress,
    Values,
    check_inputs,
    count_readers,
    no_longer_read,
    tensor_value,
)
from simulator.execution.sweep_errors import label_disagreement, output_error
from simulator.execution.sweep_layer import run_layer_on_all
from simulator.graph.graph import Graph
from simulator.lowering.layer import Layer
from simulator.lowering.lower import lower
from simulator.numerics.modes import OverflowMode
from simulator.records.accumulator_sweep import SweepPoint
from simulator.records.channel_ledger import ChannelLedger
from simulator.records.overflow import OverflowRecord

REFERENCE_BITS = 32
"""Width of the registers that errors are measured against."""
_NARROWEST, _WIDEST = 8, 64


def sweep_widths(widths: Sequence[int]) -> tuple[int, ...]:
    """Return widths in ascending order; InputError on one that is no whole number from 8 to 64, or is given twice."""
    if not isinstance(widths, Sequence):
        raise InputError(f"accumulator_sweep is a list of widths, e.g. [16, 20, 24], not {widths!r}")
    for width in widths:
        if not isinstance(width, int) or isinstance(width, bool) or not _NARROWEST <= width <= _WIDEST:
            raise InputError(
                f"accumulator_sweep takes whole numbers of bits from {_NARROWEST} to {_WIDEST}, not {width!r}"
            )
    ordered = tuple(sorted(widths))
    twice = next((width for width, after in pairwise(ordered) if width == after), None)
    if twice is not None:
        raise InputError(f"accumulator_sweep names {twice} bits twice")
    return ordered


@dataclass(frozen=True, eq=False)
class Sweep:
    """The machines of a sweep. Make it with `plan_sweep`."""

    machines: tuple[tuple[Layer, ...], ...]
    """The network lowered for each: the device itself first, then one for each other width."""
    widths: Mapping[int, int]
    """Width -> index of its machine, the reference's among them."""
    points: tuple[int, ...]
    """Widths that were asked for, ascending."""
    has_partial_sums: bool
    """Whether the dataflow has a partial-sum register."""


def plan_sweep(graph: Graph, accelerator: Accelerator, layers: tuple[Layer, ...], widths: Sequence[int]) -> Sweep:
    """Lower a network for every width of a sweep.

    Parameters
    ----------
    graph, accelerator, layers
        The network, the device, and what `lower` made of them.
    widths
        From `sweep_widths`. At each, accumulator and partial-sum register have that width and keep their modes.

    Raises
    ------
    InputError
        A register in force traps: where it does, there is no output to compare.

    """
    for register in (accelerator.arithmetic.accumulator, accelerator.partial_sum):
        if register is not None and register.overflow is OverflowMode.TRAP:
            raise InputError(
                f"accumulator_sweep needs registers that wrap or saturate, and those of {accelerator.name} trap: "
                "a run that stops has no output to compare"
            )
    known = {_registers(accelerator): 0}
    machines = [layers]
    index = {}
    for width in sorted({*widths, REFERENCE_BITS}):
        device = with_register_bits(accelerator, width)
        index[width] = known.setdefault(_registers(device), len(machines))
        if index[width] == len(machines):
            machines.append(lower(graph, device))
    return Sweep(tuple(machines), index, tuple(widths), accelerator.partial_sum is not None)


def with_register_bits(accelerator: Accelerator, bits: int) -> Accelerator:
    """Return the device with accumulator and partial-sum register (where in force) of one width, modes kept."""
    changes: dict[str, Any] = {"arithmetic.accumulator.bits": bits}
    if accelerator.partial_sum is not None and accelerator.arithmetic.partial_sum is not None:
        changes["arithmetic.partial_sum.bits"] = bits
    return accelerator.evolve(changes)


def _registers(accelerator: Accelerator) -> tuple[Register, Register | None]:
    return accelerator.arithmetic.accumulator, accelerator.partial_sum


@dataclass(frozen=True)
class SweepExecution:
    """Values of a run, and what other registers make of them."""

    execution: Execution
    """The device's own run: the same as `execute` gives."""
    points: tuple[SweepPoint, ...]
    """One for each width asked for, as separate runs would give them."""
    notes: tuple[str, ...]
    """What the reader must know."""
    outputs: Mapping[int, Values] = field(default_factory=dict)
    """Width asked for -> the network's outputs with registers of that width; one array where widths agree."""


def execute_sweep(
    graph: Graph,
    sweep: Sweep,
    inputs: Mapping[str, NDArray[Any]],
    context: ExecutionContext,
    *,
    keep_tensors: bool = False,
    label_output: str | None = None,
    on_progress: Progress | None = None,
) -> SweepExecution:
    """Run the device and all widths of a sweep in lockstep.

    Memory: a tensor is held once for all machines that agree on it, at worst once for each machine.

    Parameters
    ----------
    graph, inputs, on_progress
        As `execute` takes them.
    sweep
        From `plan_sweep`.
    context
        exact_ledger and channel_ledger hold for the device's own run alone.
    keep_tensors
        Keep every intermediate of the device's own run.
    label_output
        Output that holds labels or scores of a segmentation network.

    """
    checked = check_inputs(graph, inputs)
    values = [dict(checked) for _ in sweep.machines]
    ledgers: list[list[OverflowRecord]] = [[] for _ in sweep.machines]
    channels: list[ChannelLedger | None] = []
    readers = count_readers(graph, sweep.machines[0])
    total = len(sweep.machines[0])
    for index, layers in enumerate(zip(*sweep.machines, strict=True)):
        tell = _Teller(on_progress, index, total)
        tell.layer(layers[0])
        results = run_layer_on_all(layers, values, context, tell.step)
        channels.append(results[0].channels)
        released = no_longer_read(readers, layers[0])
        for machine, result in enumerate(results):
            ledgers[machine].append(result.overflow)
            values[machine].update(zip(layers[0].node.outputs, result.outputs, strict=True))
            for name in released if machine or not keep_tensors else ():
                values[machine].pop(name, None)
    if on_progress:
        on_progress(total, total, "done")
    outputs = [{name: tensor_value(graph.tensors[name], held) for name in graph.outputs} for held in values]
    asked = tuple(channels) if context.channel_ledger else ()
    execution = Execution(outputs[0], values[0] if keep_tensors else {}, tuple(ledgers[0]), asked)
    points = _points(sweep, outputs, ledgers, label_output)
    by_width = {width: outputs[sweep.widths[width]] for width in sweep.points}
    return SweepExecution(execution, points, _notes(sweep, ledgers), by_width)


@dataclass(frozen=True)
class _Teller:
    """Progress within one layer: a machine that is stepped takes long, so it is named."""

    on_progress: Progress | None
    done: int
    total: int

    def layer(self, layer: Layer) -> None:
        if self.on_progress:
            self.on_progress(self.done, self.total, layer.name)

    def step(self, layer: Layer) -> None:
        if self.on_progress and layer.fold_order:
            self.on_progress(self.done, self.total, f"{layer.name} at {layer.fold_order.accumulator.bits} bits")


def _points(
    sweep: Sweep,
    outputs: Sequence[Values],
    ledgers: Sequence[Sequence[OverflowRecord]],
    label_output: str | None,
) -> tuple[SweepPoint, ...]:
    reference = outputs[sweep.widths[REFERENCE_BITS]]
    points = []
    for width in sweep.points:
        machine = sweep.widths[width]
        found = outputs[machine]
        point = SweepPoint(
            accumulator_bits=width,
            partial_sum_bits=width if sweep.has_partial_sums else None,
            outputs=tuple(output_error(name, value, reference[name]) for name, value in found.items()),
            label_disagreement=_labels(found, reference, label_output),
            **_account(sweep.machines[machine], ledgers[machine]),
        )
        points.append(point)
    return tuple(points)


def _notes(sweep: Sweep, ledgers: Sequence[Sequence[OverflowRecord]]) -> tuple[str, ...]:
    events = sum(ledger.events or 0 for ledger in ledgers[sweep.widths[REFERENCE_BITS]])
    if not events:
        return ()
    return (
        f"the accumulator sweep compares with {REFERENCE_BITS}-bit registers, which overflow themselves "
        f"({events:,} events)",
    )


def _labels(found: Values, reference: Values, output: str | None) -> float | None:
    return label_disagreement(found[output], reference[output]) if output is not None and output in found else None


def _account(layers: Sequence[Layer], ledgers: Sequence[OverflowRecord]) -> dict[str, Any]:
    events = [ledger.events or 0 for ledger in ledgers]  # never None: a sweep has counts
    worst = max(events, default=0)
    return {
        "events": sum(events),
        "layers_with_events": sum(count > 0 for count in events),
        "worst_layer": layers[events.index(worst)].name if worst else None,
        "worst_layer_events": worst,
    }
