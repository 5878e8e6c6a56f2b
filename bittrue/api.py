"""simulate and prepare: the front door of the simulator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accel_models.load import load_energy_table
from bittrue.run import Run
from simulator.accelerator.spec import Accelerator
from simulator.engine import Options, Prepared
from simulator.engine import prepare as prepare_graph
from simulator.errors import InputError, NetworkError, SpecError
from simulator.graph.graph import Graph
from simulator.records.changed import changed
from workloads.network import Network

Inputs = Mapping[str, ArrayLike] | Sequence[ArrayLike]
Progress = Callable[[int, int, str], None]
Ledger = Literal["fast", "affected", "exact", "channels"]
LEDGERS: tuple[Ledger, ...] = get_args(Ledger)


@dataclass(frozen=True, eq=False)
class PreparedRun:
    """A network lowered for an accelerator: run it as often as there are inputs. Make it with `prepare`."""

    network: Network
    engine: Prepared

    def run(self, inputs: Inputs | None = None, on_progress: Progress | None = None) -> Run:
        """Run on `inputs`: a dict by name or a list in order, in the file's own layout and dtype. None = timing only.

        Raises
        ------
        InputError
            Inputs that are missing or do not suit the network.
        OverflowTrap
            An overflow in a register whose mode is trap.

        """
        arrays = None if inputs is None or not self.engine.options.values else name_inputs(self.network.graph, inputs)
        engine, options = self.engine, self.engine.options
        if arrays is None and options.timing and options.values:
            engine = replace(engine, options=replace(options, values=False))
        result = engine.run(arrays, on_progress)
        record = changed(
            result.record,
            parameters=self.network.parameters,
            images=self.network.images,
            segmentation=self.network.segmentation,
            notes=(*self.network.notes, *result.record.notes),
        )
        found = result.outputs, result.tensors, self.network, arrays, result.channels, result.sweep_outputs
        return Run(record, *found)


def name_inputs(graph: Graph, inputs: Inputs) -> dict[str, NDArray[Any]]:
    """Return inputs by name: a mapping as it is, a sequence in the order of the graph's inputs."""
    is_list = isinstance(inputs, (list, tuple))  # asked first: an abstract kind is looked up in a registry
    if not is_list and isinstance(inputs, Mapping):
        return {name: np.asarray(value) for name, value in inputs.items()}
    if isinstance(inputs, np.ndarray):
        raise InputError("inputs is a dict by name or a list in order; put a single array into a list: inputs=[x]")
    if not is_list and not isinstance(inputs, Sequence):
        raise InputError(f"inputs is a dict by name or a list in order, not {type(inputs).__name__}")
    if len(inputs) != len(graph.inputs):
        raise InputError(f"{graph.name} takes {len(graph.inputs)} inputs {list(graph.inputs)}, not {len(inputs)}")
    return {name: np.asarray(value) for name, value in zip(graph.inputs, inputs, strict=True)}


def _as_network(net: object) -> Network:
    if isinstance(net, Graph):
        return Network(net)
    if not isinstance(net, Network):
        raise NetworkError(f"net is a Network, as bittrue.load_network gives it, or a Graph, not {net!r}")
    return net


def prepare(
    net: Network | Graph,
    acc: Accelerator,
    *,
    values_only: bool = False,
    timing_only: bool = False,
    keep_tensors: bool = False,
    threads: int | None = None,
    seed: int = 0,
    ledger: Ledger = "fast",
    activity: bool = False,
    accumulator_sweep: Sequence[int] | None = None,
) -> PreparedRun:
    """Lower `net` for `acc` once, to run it often; the options are those of `simulate`.

    Raises
    ------
    UnsupportedOp, NetworkError
        A network that cannot be run: every unsupported node is listed; a float or weightless network without
        ``timing_only`` is told how to be quantized.
    SpecError
        An energy table that does not exist.
    InputError
        Options that contradict each other or are out of range.

    """
    if ledger not in LEDGERS:
        raise InputError(f"ledger is one of {', '.join(map(repr, LEDGERS))}, not {ledger!r}")
    if ledger == "affected" and accumulator_sweep:
        raise InputError("ledger='affected' counts no events, and accumulator_sweep tells of them: leave one out")
    network = _as_network(net)
    if not isinstance(acc, Accelerator):
        raise SpecError(f"acc is an Accelerator, as bittrue.load_accelerator gives it, not {acc!r}")
    options = Options(
        values=not timing_only,
        timing=not values_only,
        keep_tensors=keep_tensors,
        threads=threads,
        seed=seed,
        exact_ledger=ledger in ("exact", "channels"),
        channel_ledger=ledger == "channels",
        event_counts=ledger != "affected",
        activity=activity,
        accumulator_sweep=() if accumulator_sweep is None else accumulator_sweep,
        label_output=network.segmentation.output if network.segmentation else None,
    )
    network = network.ready(for_values=options.values)
    return PreparedRun(network, prepare_graph(network.graph, acc, load_energy_table(acc.energy_table), options))


def simulate(
    net: Network | Graph,
    acc: Accelerator,
    inputs: Inputs | None = None,
    *,
    values_only: bool = False,
    timing_only: bool = False,
    keep_tensors: bool = False,
    threads: int | None = None,
    seed: int = 0,
    ledger: Ledger = "fast",
    activity: bool = False,
    accumulator_sweep: Sequence[int] | None = None,
    on_progress: Progress | None = None,
) -> Run:
    """Run a network on an accelerator.

    Parameters
    ----------
    net
        From `load_network`, `bittrue.networks` or `GraphBuilder`.
    acc
        From `load_accelerator`.
    inputs
        Dict by name, or list in order, in the file's own layout and dtype. None = timing only.
    values_only, timing_only
        Leave out the other half.
    keep_tensors
        Keep every intermediate tensor in `Run.tensors`.
    threads
        Threads of the kernels, None = all cores. Never changes a bit.
    seed
        Seed of stochastic rounding.
    ledger
        ``"exact"`` measures needed_bits of every layer step by step; ``"fast"`` bounds it where that is proof enough;
        ``"affected"`` is ``"fast"`` without the counts of events, for less time in registers of some 16 to 18 bits: a
        layer with affected outputs has None for them, outputs, their number and first_event are as ever;
        ``"channels"`` is ``"exact"`` and keeps the ledger of every output channel in `Run.channels`.
    activity
        Count, from the values, zero operands and the bits that toggle in the array's registers
        (`layers[i].activity`), and estimate the array's energy from them (docs/activity.md).
    accumulator_sweep
        Register widths from 8 to 64, e.g. ``[16, 18, 20, 24, 32]``: in the same call the network also runs with
        accumulator and partial sums of each width, the modes kept, and `Run.record.accumulator_sweep` holds the error
        of its outputs against 32 bits. Changes nothing else of the run.
    on_progress
        Called with (done, total, label).

    Raises
    ------
    BittrueError
        See `prepare` and `PreparedRun.run`.

    """
    prepared = prepare(
        net,
        acc,
        values_only=values_only,
        timing_only=timing_only or (inputs is None and not values_only),
        keep_tensors=keep_tensors,
        threads=threads,
        seed=seed,
        ledger=ledger,
        activity=activity,
        accumulator_sweep=accumulator_sweep,
    )
    return prepared.run(inputs, on_progress)
