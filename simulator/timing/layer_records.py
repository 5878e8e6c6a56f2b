"""Turn a schedule and its timeline into one LayerRecord per layer."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from simulator.accelerator.spec import Accelerator
from simulator.lowering.layer import Engine, Layer
from simulator.mapping.schedule import LayerSchedule, Schedule
from simulator.mapping.work import ArrayWork, Device
from simulator.records.changed import changed
from simulator.records.layer import LayerRecord
from simulator.timing.accesses import array_accesses, stream_accesses
from simulator.timing.joined import joined_fields, store_steps
from simulator.timing.timeline import LayerTime, Timeline

Counts = Mapping[str, Any]
"""Fields of a LayerRecord by name."""

_WORK = {Engine.ARRAY: "compute", Engine.VECTOR: "vector", Engine.HOST: "host", Engine.DMA: "load"}


@dataclass(frozen=True, eq=False)
class _Counted:
    """What a schedule moves and takes, by the sides of the array: accelerators and layers may share it."""

    counts: dict[Hashable, Counts] = field(default_factory=dict)
    """Sides -> counts."""
    records: dict[Hashable, tuple[Counts, LayerRecord]] = field(default_factory=dict)
    """Sides and index of a layer -> the layer's identity, and its record without times."""


_counted: WeakKeyDictionary[LayerSchedule, _Counted] = WeakKeyDictionary()


def untimed_records(layers: Sequence[Layer], live_bytes: Sequence[int] = ()) -> tuple[LayerRecord, ...]:
    """Make the records of a run without time: what each layer is, its MACs, operations, unique and live bytes."""
    return tuple(LayerRecord(index=i, **known) for i, known in enumerate(layer_identities(layers, live_bytes)))


def layer_identities(layers: Sequence[Layer], live_bytes: Sequence[int] = ()) -> tuple[Counts, ...]:
    """Return the record fields of each layer that no schedule decides.

    Parameters
    ----------
    layers
        All of a network.
    live_bytes
        One a layer, where they are at hand: they are the network's, not the layer's.

    """
    alive = live_bytes or [0] * len(layers)
    return tuple(_identity(layer) | {"live_bytes": size} for layer, size in zip(layers, alive, strict=True))


def layer_counts(
    schedule: Schedule, layers: Sequence[Layer], accelerator: Accelerator, identities: Sequence[Counts] | None = None
) -> tuple[LayerRecord, ...]:
    """Count what a schedule moves and takes: one record per layer, without times.

    Parameters
    ----------
    identities
        From `layer_identities`, where they are at hand.

    """
    device = Device.of(accelerator)
    sides = device.rows, device.cols, device.dataflow, device.accumulator_element_bytes
    known_identities = identities or layer_identities(layers)
    counted = []
    joined: list[dict[str, str]] = []
    for index, (layer, mapped) in enumerate(zip(layers, schedule.layers, strict=True)):
        known = _counted.get(mapped)
        if known is None:
            known = _counted[mapped] = _Counted()
        identity, record = known.records.get((sides, index), (None, None))
        if record is None or identity is not known_identities[index]:
            identity = known_identities[index]
            if sides not in known.counts:
                known.counts[sides] = _counts(layer, mapped, device)
            joined = joined or joined_fields(layers, schedule.layers)
            record = LayerRecord(index=index, **{**identity, **joined[index]}, **known.counts[sides])
            known.records[sides, index] = identity, record
        counted.append(record)
    return tuple(counted)


def layer_records(
    counts: Sequence[LayerRecord], timeline: Timeline, layers: Sequence[Layer], accelerator: Accelerator
) -> tuple[LayerRecord, ...]:
    """Make the records of a timed run, every count and time filled in; energy and overflow are added by others."""
    rows = zip(layers, counts, timeline.layers, strict=True)
    return tuple(_timed(layer, count, time, accelerator) for layer, count, time in rows)


def _identity(layer: Layer) -> dict[str, Any]:
    first = next((tensor for tensor in layer.inputs if tensor is not None), None)
    distinct = {tensor.name: tensor.bytes for tensor in layer.inputs if tensor is not None}
    return {
        "name": layer.name,
        "op": layer.kind,
        "engine": layer.engine.value,
        "input_shape": first.shape if first is not None else (),
        "output_shape": layer.outputs[0].shape,
        "on_store": ", ".join(store_steps(layer)),
        "macs": layer.macs,
        "unique_bytes": sum(distinct.values()) if layer.moves_data else 0,
        "vector_ops": layer.vector_ops if layer.engine is Engine.VECTOR else 0,
        "host_ops": layer.vector_ops if layer.engine is Engine.HOST else 0,
    }


def _counts(layer: Layer, schedule: LayerSchedule, device: Device) -> Counts:
    on_array = layer.engine is Engine.ARRAY
    accesses = array_accesses(ArrayWork.of(layer), schedule, device) if on_array else stream_accesses(schedule)
    read = sum(schedule.total(f"{kind}_bytes") for kind in ("input", "weight", "bias"))
    return {
        "tile_ops": schedule.tile_ops,
        "folds": schedule.total("folds"),
        "dram_read_bytes": read,
        "dram_write_bytes": schedule.total("store_bytes"),
        **accesses,
    }


def _timed(layer: Layer, counts: LayerRecord, time: LayerTime, accelerator: Accelerator) -> LayerRecord:
    pes, cores = accelerator.peak_macs_per_cycle, accelerator.cores
    total = time.end_cycle - time.start_cycle
    on_array = layer.engine is Engine.ARRAY
    macs, compute = counts.macs, time.compute_cycles
    by_core = time.core_compute_cycles or (compute,)
    return changed(
        counts,
        total_cycles=total,
        start_cycle=time.start_cycle,
        end_cycle=time.end_cycle,
        compute_cycles=compute,
        core_compute_cycles=by_core + (0,) * (cores - len(by_core)) if cores > 1 else (),
        load_cycles=time.load_cycles,
        store_cycles=time.store_cycles,
        stall_cycles=total - compute,
        load_stall_cycles=time.load_stall_cycles,
        store_stall_cycles=time.store_stall_cycles,
        bank_conflict_cycles=time.bank_conflict_cycles,
        mapping_utilization=macs / (pes * compute) if on_array else 0.0,
        utilization=macs / (pes * total) if on_array else 0.0,
        bound=_bound(layer.engine, time, total),
        idle_pe_cycles=max(0, pes // cores * sum(by_core) - macs) if on_array else 0,
    )


def _bound(engine: Engine, time: LayerTime, total: int) -> str:
    if total == 0:
        return "none"
    most = max(time.compute_cycles, time.load_cycles, time.store_cycles)
    if time.compute_cycles == most:
        return _WORK[engine]
    return "load" if time.load_cycles == most else "store"
