"""Synthetic RunRecords: as many layers as wanted, with or without time, values and overflow."""

from __future__ import annotations

from dataclasses import replace

from simulator.records.layer import EnergyRecord, LayerRecord
from simulator.records.overflow import FirstEvent, OverflowRecord
from simulator.records.run import RunRecord, Segmentation, TraceEvent

SPEC = {
    "name": "edge_16x16",
    "description": "A small device for tests.",
    "source": "illustrative",
    "clock_mhz": 500,
    "array": {"rows": 16, "cols": 16, "dataflow": "weight_stationary"},
    "arithmetic": {"accumulator": {"bits": 24, "overflow": "wrap"}, "partial_sum": {"bits": 20, "overflow": "wrap"}},
    "memories": {"input_scratchpad": {"size": "64 KiB", "banks": 4}},
    "tags": ["small", "test"],
}
ENERGY_TABLE = {
    "name": "table_22nm",
    "node_nm": 22,
    "mac": {"pj": 0.25, "source": "a paper"},
    "dram_byte": {"pj": 64, "source": "another paper"},
}
CLASSES = ("background", "aeroplane", "bicycle", "bird", "boat")


def run_record(count: int, *, mode: str = "both", overflow: bool = False, segmentation: bool = False) -> RunRecord:
    """Record of `count` layers: mostly convolutions, every fifth an addition, the last a host operation."""
    clock = 0
    layers = []
    for index in range(count):
        layer = _layer(index, count, clock, timed=mode != "values", valued=mode != "timing", overflow=overflow)
        clock = layer.end_cycle
        layers.append(layer)
    timed = mode != "values"
    return RunRecord(
        network="synthetic",
        accelerator="edge_16x16",
        mode=mode,
        seed=0,
        layers=tuple(layers),
        spec=SPEC,
        energy_table=ENERGY_TABLE,
        spec_hash="5" * 64,
        network_hash="a" * 64,
        tool_version="0.1.0",
        clock_mhz=500.0,
        peak_macs_per_cycle=256,
        dram_bytes_per_cycle=8.0,
        peak_memory_bytes=3_250_000 if timed else 0,
        parameters=1_234_567,
        notes=("weights are seeded, not trained",),
        events=tuple(event for layer in layers for event in _events(layer)) if timed else (),
        segmentation=Segmentation("labels", CLASSES) if segmentation else None,
    )


def renamed(record: RunRecord, name: str) -> RunRecord:
    """The same record with every layer called `name`."""
    return replace(record, layers=tuple(replace(layer, name=name) for layer in record.layers))


def _layer(index: int, count: int, clock: int, *, timed: bool, valued: bool, overflow: bool) -> LayerRecord:
    op, engine = ("Conv2D", "array") if index % 5 != 4 else ("Add", "vector")
    if index == count - 1 and count > 1:
        op, engine = "ArgMax", "host"
    size, channels = max(4, 64 >> (index * 4 // count)), 16 << (index * 4 // count)
    macs = size * size * channels * channels * (9 if index % 2 else 1) if engine == "array" else 0
    layer = LayerRecord(
        index=index,
        name=f"backbone/block_{index:03d}/{op.lower()}_weights_and_bias",
        op=op,
        engine=engine,
        input_shape=(1, size, size, channels),
        output_shape=(1, size, size, channels),
        macs=macs,
        overflow=_overflow(index, engine, overflow) if valued else None,
    )
    return _timed(layer, clock) if timed else layer


def _timed(layer: LayerRecord, clock: int) -> LayerRecord:
    size = layer.output_shape[1] ** 2 * layer.output_shape[3]
    compute = layer.macs // 200 + size // 16 + 50
    read = size + layer.macs // max(layer.output_shape[1] ** 2, 1) if layer.engine != "host" else size
    load, store = max(0, read // 8 - compute) + 60 * (layer.index % 3), size // 8 + 40
    total = compute + load + store
    energy = EnergyRecord(
        mac_pj=layer.macs * 0.25,
        idle_pe_pj=max(0, 256 * compute - layer.macs) * 0.1 if layer.engine == "array" else 0.0,
        input_scratchpad_pj=read * 3.0,
        weight_scratchpad_pj=layer.macs * 0.02,
        accumulator_pj=layer.macs * 0.05,
        dram_pj=(read + size) * 64.0,
        vector_pj=size * 0.5 if layer.engine == "vector" else 0.0,
        host_pj=size * 9.0 if layer.engine == "host" else 0.0,
        leakage_pj=total * 2.0,
    )
    return replace(
        layer,
        start_cycle=clock,
        end_cycle=clock + total,
        total_cycles=total,
        compute_cycles=compute,
        load_cycles=read // 8,
        store_cycles=size // 8,
        stall_cycles=load + store,
        load_stall_cycles=load,
        store_stall_cycles=store,
        utilization=layer.macs / (256 * total),
        bound={"array": "compute" if layer.index % 3 == 0 else "load"}.get(layer.engine, layer.engine),
        dram_read_bytes=read,
        dram_write_bytes=size,
        energy=energy,
    )


def _events(layer: LayerRecord) -> list[TraceEvent]:
    """A load from the layer's first cycle on, its engine's work behind what is waited for, a store up to its end."""
    name, index = layer.name, layer.index
    work, last = layer.start_cycle + layer.load_stall_cycles, layer.end_cycle - layer.store_cycles
    return [
        TraceEvent("load dma", f"{name}: load", layer.start_cycle, layer.load_cycles, index),
        TraceEvent(layer.engine, name, work, layer.compute_cycles, index),
        TraceEvent("store dma", f"{name}: store", last, layer.store_cycles, index),
    ]


def stepped(record: RunRecord) -> RunRecord:
    """Return it as if every second layer on the array had been stepped: 1, 10, 100 ... outputs by needed bits."""
    layers = list(record.layers)
    for layer in layers[::2]:
        if layer.overflow and layer.overflow.accumulator_needed_bits:
            bits = layer.overflow.accumulator_needed_bits
            counts = (0,) * (bits - 4) + (100_000, 1000, 100, 10, 1)
            ledger = replace(layer.overflow, outputs_by_needed_bits=counts, needed_bits_is_exact=True)
            layers[layer.index] = replace(layer, overflow=ledger)
    return replace(record, layers=tuple(layers))


def _overflow(index: int, engine: str, overflow: bool) -> OverflowRecord:
    if engine != "array":
        return OverflowRecord()
    hit = overflow and index % 7 == 2
    partial, accumulator = 15 + index % 4, 18 + index % 5 + (8 if hit else 0)
    return OverflowRecord(
        events=1200 + index if hit else 0,
        accumulator_events=1200 + index if hit else 0,
        affected_outputs=90 if hit else 0,
        first_event=FirstEvent(17, 143, "accumulator") if hit else None,
        needed_bits=max(partial, accumulator),
        needed_bits_is_exact=hit,
        partial_sum_needed_bits=partial,
        accumulator_needed_bits=accumulator,
        partial_sum_bits=20,
        accumulator_bits=24,
        method="guarded steps" if hit else "bounds",
        saturations=index * 3,
    )
