"""Turn a schedule and its timeline into one LayerRecord per layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from simulator.accelerator.spec import Accelerator
from simulator.lowering.layer import Engine, Layer
from simulator.mapping.schedule import LayerSchedule, Schedule
from simulator.mapping.work import ArrayWork, Device
from simulator.records.layer import LayerRecord
from simulator.timing.accesses import array_accesses, stream_accesses
from simulator.timing.timeline import LayerTime, Timeline

Counts = Mapping[str, Any]
"""Fields of a LayerRecord by name."""


def untimed_records(layers: Sequence[Layer]) -> tuple[LayerRecord, ...]:
    """Make the records of a run without time: what each layer is, its MACs, operations and unique bytes."""
    return tuple(LayerRecord(index=i, **_identity(layer)) for i, layer in enumerate(layers))


def layer_counts(schedule: Schedule, layers: Sequence[Layer], accelerator: Accelerator) -> tuple[Counts, ...]:
    """Count what a schedule moves and takes, one mapping of record fields per layer; no field depends on time."""
    device = Device.of(accelerator)
    known: dict[int, Counts] = {}
    counts = []
    for layer, mapped in zip(layers, schedule.layers, strict=True):
        if id(mapped) not in known:
            known[id(mapped)] = _counts(layer, mapped, device)
        counts.append({**_identity(layer), **known[id(mapped)]})
    return tuple(counts)


def layer_records(
    counts: Sequence[Counts], timeline: Timeline, layers: Sequence[Layer], accelerator: Accelerator
) -> tuple[LayerRecord, ...]:
    """Make the records of a timed run, every count and time filled in; energy and overflow are added by others."""
    pes = accelerator.peak_macs_per_cycle
    rows = zip(layers, counts, timeline.layers, strict=True)
    return tuple(_record(i, layer, count, time, pes) for i, (layer, count, time) in enumerate(rows))


def _identity(layer: Layer) -> dict[str, Any]:
    first = next((tensor for tensor in layer.inputs if tensor is not None), None)
    distinct = {tensor.name: tensor.bytes for tensor in layer.inputs if tensor is not None}
    return {
        "name": layer.name,
        "op": layer.kind,
        "engine": layer.engine.value,
        "input_shape": first.shape if first is not None else (),
        "output_shape": layer.outputs[0].shape,
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
        "tile_ops": len(schedule.ops),
        "folds": schedule.total("folds"),
        "dram_read_bytes": read,
        "dram_write_bytes": schedule.total("store_bytes"),
        **accesses,
    }


def _record(index: int, layer: Layer, counts: Counts, time: LayerTime, pes: int) -> LayerRecord:
    total = time.end_cycle - time.start_cycle
    on_array = layer.engine is Engine.ARRAY
    macs = layer.macs
    return LayerRecord(
        index=index,
        **counts,
        total_cycles=total,
        start_cycle=time.start_cycle,
        end_cycle=time.end_cycle,
        compute_cycles=time.compute_cycles,
        load_cycles=time.load_cycles,
        store_cycles=time.store_cycles,
        stall_cycles=total - time.compute_cycles,
        load_stall_cycles=time.load_stall_cycles,
        store_stall_cycles=time.store_stall_cycles,
        mapping_utilization=macs / (pes * time.compute_cycles) if on_array else 0.0,
        utilization=macs / (pes * total) if on_array else 0.0,
        bound=_bound(layer.engine, time, total),
        idle_pe_cycles=max(0, pes * time.compute_cycles - macs) if on_array else 0,
    )


def _bound(engine: Engine, time: LayerTime, total: int) -> str:
    if total == 0:
        return "none"
    work = {Engine.ARRAY: "compute", Engine.VECTOR: "vector", Engine.HOST: "host", Engine.DMA: "load"}[engine]
    busy = [(time.compute_cycles, work), (time.load_cycles, "load"), (time.store_cycles, "store")]
    return max(busy, key=lambda pair: pair[0])[1]
