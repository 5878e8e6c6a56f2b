"""One training step as a run: what its parts cost on the device, and which sums leave 32 bits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from accel_models.load import load_energy_table
from bittrue.run import Run
from bittrue.tables import draw
from bittrue.training.plan import Request, make_plan, suited
from reports.training_parts import Part, parts_of, role_of
from reports.units import si
from simulator.engine import Options
from simulator.engine import prepare as prepare_graph
from simulator.graph.graph import Graph
from simulator.numerics.formats import IntFormat
from workloads.network import Network
from workloads.training.derive import TrainingStep, derive_step
from workloads.training.tape import IMAGE, KEY, LABELS, LEARNING_RATE

_WIDTH_BITS = 32
_LISTED = 8


@dataclass(frozen=True, eq=False)
class StepRun:
    """A training step that ran."""

    run: Run
    step: TrainingStep


def timed_step(network: Network, request: Request) -> StepRun:
    """Schedule one step of a float network, without values."""
    step = derive_step(network.graph, request.config, request.batch)
    return _run(step, network, request, None)


def computed_step(request: Request) -> StepRun:
    """Run the first step of a training run, values and time."""
    plan = make_plan(request)
    trainer, state = plan.trainer, plan.first_state().arrays
    images, labels = trainer.train.batch(request.seed, 0, request.batch)
    inputs: dict[str, NDArray[Any]] = {
        **state,
        IMAGE: images,
        LABELS: labels,
        LEARNING_RATE: np.array([request.config.learning_rate_exponent], np.int64),
        KEY: np.array([request.seed, 0], np.int64),
    }
    return _run(trainer.step, plan.image, request, inputs)


def _run(step: TrainingStep, network: Network, request: Request, inputs: Mapping[str, NDArray[Any]] | None) -> StepRun:
    device = suited(request.accelerator, request.config)
    options = Options(values=inputs is not None, threads=request.threads, seed=request.seed)
    prepared = prepare_graph(step.graph, device, load_energy_table(device.energy_table), options)
    result = prepared.run(inputs)
    note = f"one training step of a batch of {step.batch}, not an inference"
    notes = (*result.record.notes, note)
    record = replace(result.record, parameters=network.parameters, images=step.batch, notes=notes)
    run = Run(record, result.outputs, {}, Network(step.graph, counts=(record.total_macs, network.parameters)), None)
    return StepRun(run, step)


def show_step(console: Console, found: StepRun) -> None:
    """Print the parts of a step, the energy of an image, the op that dominates, and what leaves 32 bits."""
    record, batch = found.run.record, found.step.batch
    if record.total_cycles:
        parts = parts_of(record.layers)
        draw(console, [_row(part, record.total_cycles, batch) for part in parts], flexible=("part",))
        energy, time_ms = si(record.total_energy_pj * 1e-12 / batch, "J"), record.total_time_s * 1e3 / batch
        console.print(f"\nbatch {batch}: {record.total_cycles:,} cycles; an image trained: {time_ms:.2f} ms, {energy}")
        longest = max(record.layers, key=lambda layer: layer.total_cycles)
        share = 100 * longest.total_cycles / record.total_cycles
        console.print(f"dominant part: {parts[0].role}; longest layer: {longest.name} ({share:.1f} % of all cycles)")
    _show_widths(console, found)


def _row(part: Part, total_cycles: int, batch: int) -> dict[str, str]:
    layers, cycles = part.layers, part.total_cycles
    traffic = sum(layer.dram_read_bytes + layer.dram_write_bytes for layer in layers)
    return {
        "part": part.role,
        "layers": str(len(layers)),
        "MMACs": f"{sum(layer.macs for layer in layers) / 1e6:.1f}",
        "cycles": f"{cycles:,}",
        "% cycles": f"{100 * cycles / total_cycles:.1f}",
        "DRAM MB": f"{traffic / 1e6:.1f}",
        "energy an image": si(sum(layer.energy_pj for layer in layers) * 1e-12 / batch, "J"),
    }


def _show_widths(console: Console, found: StepRun) -> None:
    """List the array layers whose sums need more than 32 bits: in the worst case, and on these values."""
    graph, rows = found.step.graph, []
    outputs = {node.name: node.outputs[0] for node in graph.nodes}
    for layer in found.run.record.layers:
        worst = _worst_bits(graph, outputs, layer.name)
        if layer.engine != "array" or worst <= _WIDTH_BITS:
            continue
        row = {"layer": layer.name, "part": role_of(layer), "worst case bits": str(worst)}
        if layer.overflow is not None and layer.overflow.needed_bits is not None:
            row |= {
                "bits on these values, at most": str(layer.overflow.needed_bits),
                "events": f"{layer.overflow.events}",
            }
        rows.append(row)
    array = sum(layer.engine == "array" for layer in found.run.record.layers)
    console.print(
        f"\n{len(rows)} of {array} array layers can leave {_WIDTH_BITS} bits, by their operands and reduction alone"
    )
    rows.sort(key=lambda row: -int(row["worst case bits"]))
    draw(console, rows[:_LISTED], flexible=("layer",))
    if len(rows) > _LISTED:
        console.print(f"(and {len(rows) - _LISTED} more)")


def _worst_bits(graph: Graph, outputs: Mapping[str, str], name: str) -> int:
    format = graph.tensors[outputs[name]].format
    assert isinstance(format, IntFormat)
    return format.bits
