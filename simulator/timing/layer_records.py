"""Turn a schedule and its timeline into one LayerRecord per layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.accelerator.spec import Accelerator
from simulator.lowering.layer import Engine, Layer
from simulator.mapping.schedule import LayerSchedule, Schedule
from simulator.records.layer import LayerRecord
from simulator.timing.accesses import array_accesses, stream_accesses
from simulator.timing.timeline import LayerTime, Timeline


def untimed_records(layers: Sequence[Layer]) -> tuple[LayerRecord, ...]:
    """Make the records of a run without time: what each layer is, its MACs, operations and unique bytes."""
    return tuple(LayerRecord(index=i, **_identity(layer)) for i, layer in enumerate(layers))


def layer_records(
    schedule: Schedule, timeline: Timeline, layers: Sequence[Layer], accelerator: Accelerator
) -> tuple[LayerRecord, ...]:
    """Make the records of a timed run, every count and time filled in; energy and overflow are added by others."""
    rows = zip(layers, schedule.layers, timeline.layers, strict=True)
    return tuple(_record(i, layer, ops, time, accelerator) for i, (layer, ops, time) in enumerate(rows))


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


def _record(
    index: int, layer: Layer, schedule: LayerSchedule, time: LayerTime, accelerator: Accelerator
) -> LayerRecord:
    ops = schedule.ops
    total = time.end_cycle - time.start_cycle
    pes = accelerator.peak_macs_per_cycle
    on_array = layer.engine is Engine.ARRAY
    accesses: dict[str, Any] = (
        array_accesses(layer, ops, accelerator) if on_array else stream_accesses(layer.engine, ops)
    )
    return LayerRecord(
        index=index,
        **_identity(layer),
        total_cycles=total,
        start_cycle=time.start_cycle,
        end_cycle=time.end_cycle,
        compute_cycles=time.compute_cycles,
        load_cycles=time.load_cycles,
        store_cycles=time.store_cycles,
        stall_cycles=total - time.compute_cycles,
        load_stall_cycles=time.load_stall_cycles,
        store_stall_cycles=time.store_stall_cycles,
        mapping_utilization=layer.macs / (pes * time.compute_cycles) if on_array else 0.0,
        utilization=layer.macs / (pes * total) if on_array else 0.0,
        tile_ops=len(ops),
        folds=_total(ops["folds"]),
        bound=_bound(layer.engine, time, total),
        dram_read_bytes=_total(ops["input_bytes"]) + _total(ops["weight_bytes"]) + _total(ops["bias_bytes"]),
        dram_write_bytes=_total(ops["store_bytes"]),
        idle_pe_cycles=max(0, pes * time.compute_cycles - layer.macs) if on_array else 0,
        **accesses,
    )


def _bound(engine: Engine, time: LayerTime, total: int) -> str:
    if total == 0:
        return "none"
    work = {Engine.ARRAY: "compute", Engine.VECTOR: "vector", Engine.HOST: "host", Engine.DMA: "load"}[engine]
    busy = [(time.compute_cycles, work), (time.load_cycles, "load"), (time.store_cycles, "store")]
    return max(busy, key=lambda pair: pair[0])[1]


def _total(column: NDArray[Any]) -> int:
    return int(column.sum(dtype=np.int64))
