"""What timing a network for one accelerator leaves to the next: its layers, its schedules, what identifies it.

Kept for each graph as long as the graph lives, and found again by everything they depend on, so that a changed clock,
vector unit, host or energy table costs neither lowering nor mapping.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from simulator.accelerator.spec import Accelerator, Mapper
from simulator.graph.graph import Graph
from simulator.graph.identity import network_hash, peak_memory_bytes
from simulator.graph.liveness import live_bytes
from simulator.lowering.layer import Layer
from simulator.lowering.lower import lower
from simulator.mapping.known import KnownSchedules
from simulator.mapping.mapper import map_layers
from simulator.mapping.schedule import Schedule
from simulator.mapping.work import Device
from simulator.numerics.modes import Dataflow
from simulator.records.layer import LayerRecord
from simulator.timing.fast import layer_cycles
from simulator.timing.layer_records import Counts, layer_counts, layer_identities

MOST_LOWERED = 16
"""Lowerings kept of a graph."""
MOST_TILE_OPS = 1 << 20
"""Tile ops kept of a graph, 124 bytes each; the last schedule stays, however long."""


@dataclass(frozen=True, eq=False)
class Mapped:
    """A network cut into tile ops, and what they move."""

    schedule: Schedule
    counts: tuple[LayerRecord, ...]
    """One record per layer, without times."""
    tile_ops: int


@dataclass(frozen=True)
class Identity:
    """What a record says of its network."""

    network_hash: str
    peak_memory_bytes: int


@dataclass(frozen=True, eq=False)
class _Lowered:
    layers: tuple[Layer, ...]
    identities: tuple[Counts, ...]


@dataclass
class _Kept:
    identity: Identity | None = None
    lowered: dict[Hashable, _Lowered] = field(default_factory=dict)
    mapped: dict[Hashable, Mapped] = field(default_factory=dict)
    written: KnownSchedules = field(default_factory=KnownSchedules)


_kept: WeakKeyDictionary[Graph, _Kept] = WeakKeyDictionary()


def _lowering_key(accelerator: Accelerator) -> Hashable:
    """Return what a FoldOrder and the constants depend on: arrays that add in the same order share a lowering."""
    array = accelerator.array
    rows = array.rows if array.dataflow is Dataflow.WEIGHT_STATIONARY else 0
    return accelerator.arithmetic, array.dataflow, rows


def lowered(graph: Graph, accelerator: Accelerator) -> tuple[Layer, ...]:
    """Lower `graph`, or return its layers as they were lowered before. For time alone: weights may have changed since.

    Raises
    ------
    UnsupportedOp, NetworkError
        The network cannot be run, see `simulator.lowering.lower`.

    """
    kept = _kept.setdefault(graph, _Kept())
    key = _lowering_key(accelerator)
    found = kept.lowered.pop(key, None)
    if found is None:
        layers = lower(graph, accelerator)
        found = _Lowered(layers, layer_identities(layers, live_bytes(graph)))
    kept.lowered[key] = found
    if len(kept.lowered) > MOST_LOWERED:
        del kept.lowered[next(iter(kept.lowered))]
    return found.layers


def identity(graph: Graph) -> Identity:
    """Return what a record says of `graph`; kept where the graph has no weights that could have changed since."""
    kept = _kept.setdefault(graph, _Kept())
    if kept.identity is not None:
        return kept.identity
    found = Identity(network_hash(graph), peak_memory_bytes(graph))
    if all(tensor.data is None for tensor in graph.tensors.values()):
        kept.identity = found
    return found


def _splitting_key(accelerator: Accelerator) -> Hashable:
    """Return what decides, beside the array and its memories, how layers are split over cores: it is timed."""
    units = accelerator.vector_unit, accelerator.host
    return accelerator.cores, accelerator.dram_banks, accelerator.input_banks, *units


def mapped(graph: Graph, layers: tuple[Layer, ...], accelerator: Accelerator) -> Mapped:
    """Map the layers of `graph`, or return the schedule they were mapped to before.

    Raises
    ------
    DoesNotFit
        See `simulator.mapping.mapper`.

    """
    kept = _kept.setdefault(graph, _Kept())
    # Command loops depend on more than a tile does.
    driven = (accelerator.controller, accelerator.memories, accelerator.dma) if accelerator.controller else None
    banks = accelerator.dram_banks, accelerator.input_banks
    timed = banks if accelerator.mapper is Mapper.LEAST_CYCLES else None
    # What layers save each other was timed with all of the accelerator.
    kept_by = accelerator.model_dump_json() if accelerator.joins_layers else None
    split_by = _splitting_key(accelerator) if accelerator.cores > 1 else None
    key = _lowering_key(accelerator), Device.of(accelerator), accelerator.mapper, driven, timed, kept_by, split_by
    found = kept.mapped.pop(key, None)
    if found is None:
        times = accelerator.mapper is Mapper.LEAST_CYCLES or kept_by is not None or split_by is not None
        cycles = layer_cycles(accelerator) if times else None
        schedule = map_layers(layers, accelerator, cycles, graph.outputs, kept.written, bounded=True)
        before = kept.lowered.get(_lowering_key(accelerator))
        same = before is not None and before.layers is layers
        identities = before.identities if before and same else layer_identities(layers, live_bytes(graph))
        found = Mapped(schedule, layer_counts(schedule, layers, accelerator, identities), schedule.tile_ops)
        while kept.mapped and found.tile_ops + sum(m.tile_ops for m in kept.mapped.values()) > MOST_TILE_OPS:
            del kept.mapped[next(iter(kept.mapped))]
    kept.mapped[key] = found
    return found
