"""A two-layer RunRecord, every field of it set by hand."""

from __future__ import annotations

from dataclasses import replace

from simulator.records.accumulator_sweep import OutputError, SweepPoint
from simulator.records.layer import EnergyRecord, LayerRecord
from simulator.records.overflow import FirstEvent, OverflowRecord
from simulator.records.run import RunRecord, Segmentation, TraceEvent

LEDGER = OverflowRecord(
    events=7,
    partial_sum_events=3,
    accumulator_events=4,
    affected_outputs=2,
    first_event=FirstEvent(5, 31, "partial_sum"),
    needed_bits=21,
    needed_bits_is_exact=True,
    partial_sum_needed_bits=18,
    accumulator_needed_bits=21,
    partial_sum_bits=20,
    accumulator_bits=20,
    method="steps",
    saturations=9,
)
CONV = LayerRecord(
    index=0,
    name="conv",
    op="Conv2D",
    engine="array",
    input_shape=(1, 8, 8, 3),
    output_shape=(1, 8, 8, 4),
    macs=6912,
    total_cycles=1000,
    end_cycle=1000,
    compute_cycles=400,
    stall_cycles=600,
    load_stall_cycles=500,
    store_stall_cycles=100,
    dram_read_bytes=300,
    dram_write_bytes=256,
    bound="load",
    energy=EnergyRecord(mac_pj=100.0, dram_pj=400.5),
    overflow=LEDGER,
)
ADD = LayerRecord(
    index=1,
    name="add",
    op="Add",
    engine="vector",
    input_shape=(1, 8, 8, 4),
    output_shape=(1, 8, 8, 4),
    start_cycle=1000,
    end_cycle=1200,
    total_cycles=200,
    compute_cycles=150,
    vector_ops=256,
    bound="vector",
    overflow=OverflowRecord(),
)

SWEEP = (
    SweepPoint(
        accumulator_bits=16,
        partial_sum_bits=16,
        outputs=(OutputError("labels", 64, 8, 3.0, 0.25), OutputError("ratio", 2, 1, None, None)),
        label_disagreement=0.125,
        events=7,
        layers_with_events=1,
        worst_layer="conv",
        worst_layer_events=7,
    ),
    SweepPoint(
        accumulator_bits=24,
        partial_sum_bits=24,
        outputs=(OutputError("labels", 64, 0, 0.0, 0.0), OutputError("ratio", 2, 0, 0.0, 0.0)),
        label_disagreement=0.0,
        events=0,
        layers_with_events=0,
        worst_layer=None,
        worst_layer_events=0,
    ),
)


def small_run(mode: str = "both") -> RunRecord:
    """A convolution with overflow and an addition; `mode` as in RunRecord."""
    layers = (CONV, ADD)
    if mode == "timing":
        layers = tuple(replace(layer, overflow=None) for layer in layers)
    return RunRecord(
        network="tiny",
        accelerator="device",
        mode=mode,
        seed=3,
        layers=layers,
        spec={"name": "device", "array": {"rows": 8}},
        energy_table={"name": "table"},
        spec_hash="a" * 64,
        network_hash="b" * 64,
        tool_version="0",
        clock_mhz=1000.0,
        peak_macs_per_cycle=64,
        dram_bytes_per_cycle=8.0,
        peak_memory_bytes=5000,
        parameters=112,
        notes=("seeded weights",),
        events=(TraceEvent("load dma", "conv: load", 0, 500, 0), TraceEvent("array", "conv", 500, 400, 0)),
        segmentation=Segmentation("labels", ("sky", "road"), ((0, 0, 0), (128, 0, 0))),
        accumulator_sweep=() if mode == "timing" else SWEEP,
    )
