"""Several cores on one DRAM: what is conserved, and what an architect would expect of two instead of one."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from simulator.accelerator.spec import Accelerator
from simulator.errors import DoesNotFit, InputError
from simulator.lowering.layer import Engine, Layer
from simulator.mapping.mapper import map_layers
from simulator.mapping.schedule import Schedule
from simulator.records.layer import LayerRecord
from simulator.timing.fast import layer_cycles, run_schedule
from simulator.timing.layer_records import layer_counts, layer_records
from support.devices import machine
from support.layers import array_layer, conv, deeplabv3_resnet50, gemm, stream_layer
from support.strategies import Case, any_split, cases

MEMORIES = {"inputs": 32 * 1024, "weights": 32 * 1024, "accumulators": 16 * 1024}


def run(schedule: Schedule, layers: list[Layer], accelerator: Accelerator) -> tuple[LayerRecord, ...]:
    counts = layer_counts(schedule, layers, accelerator)
    return layer_records(counts, run_schedule(schedule, accelerator), layers, accelerator)


def records(layers: list[Layer], accelerator: Accelerator) -> tuple[LayerRecord, ...]:
    return run(map_layers(layers, accelerator, layer_cycles(accelerator)), layers, accelerator)


@cache
def network_cycles(cores: int, bytes_per_cycle: float) -> int:
    accelerator = machine(16, 16, cores=cores, bytes_per_cycle=bytes_per_cycle, outstanding=64, **MEMORIES)
    return records(deeplabv3_resnet50(129), accelerator)[-1].end_cycle


@settings(max_examples=80, deadline=None)
@given(cases(cores=5))
def test_work_and_bytes_are_those_of_all_cores(case: Case):
    accelerator, g = case.accelerator, case.geometry
    try:
        schedule = map_layers([case.layer], accelerator, any_split)
    except DoesNotFit:
        assume(False)
    (record,), (mapped,) = run(schedule, [case.layer], accelerator), schedule.layers
    pes = accelerator.array.rows * accelerator.array.cols
    by_core = record.core_compute_cycles or (record.compute_cycles,)
    assert len(by_core) == accelerator.cores
    assert max(by_core) == record.compute_cycles
    assert record.macs == g.macs
    assert g.m * g.n * g.k * g.groups <= pes * sum(by_core)
    assert record.idle_pe_cycles == pes * sum(by_core) - record.macs
    assert record.utilization == record.macs / (accelerator.cores * pes * record.total_cycles)
    assert record.mapping_utilization == record.macs / (accelerator.cores * pes * record.compute_cycles)
    assert record.stall_cycles == record.load_stall_cycles + record.store_stall_cycles
    assert min(record.load_stall_cycles, record.store_stall_cycles) >= 0
    # One bus for all: no more bytes than its bandwidth, however many ask.
    assert record.dram_bytes <= record.total_cycles * accelerator.dram_bytes_per_cycle
    moved = {"read": 0, "written": 0}
    for part in mapped.core_slices:
        moved["read"] += sum(int(mapped.ops[part][f"{kind}_bytes"].sum()) for kind in ("input", "weight", "bias"))
        moved["written"] += int(mapped.ops[part]["store_bytes"].sum())
    assert moved == {"read": record.dram_read_bytes, "written": record.dram_write_bytes}
    assert record.dram_write_bytes == g.m * g.n * g.groups


@settings(max_examples=40, deadline=None)
@given(cases(), st.sampled_from([2, 3, 4]), st.sampled_from(["least_traffic", "least_cycles", "fixed_rule"]))
def test_more_cores_are_never_slower(case: Case, cores: int, mapper: str):
    one = case.accelerator.evolve({"mapper": mapper})
    several = one.evolve({"cores": cores})
    try:
        alone, together = (map_layers([case.layer], a, layer_cycles(a)).layers[0] for a in (one, several))
    except DoesNotFit:
        assume(False)
    assert layer_cycles(several)(together) <= layer_cycles(one)(alone)


def test_two_cores_and_twice_the_bandwidth_give_nearly_twice_the_speed():
    assert 1.9 < network_cycles(1, 8) / network_cycles(2, 16) < 2.3
    assert 3.6 < network_cycles(1, 8) / network_cycles(4, 32) < 4.6


def test_two_cores_and_the_same_bandwidth_give_less():
    assert 1.05 < network_cycles(1, 8) / network_cycles(2, 8) < 1.7


@pytest.mark.parametrize(
    "layer",
    [
        array_layer(conv(64, 64, 64, 16)),
        array_layer(gemm(4, 1024, 512)),
        stream_layer(Engine.VECTOR, (40_000,), (40_000,), ops=40_000),
        stream_layer(Engine.DMA, (40_000,), (40_000,)),
    ],
    ids=["1x1 convolution", "fully connected", "addition", "copy"],
)
def test_a_layer_at_the_bandwidth_gains_nothing(layer):
    one = machine(16, 16, bytes_per_cycle=1, latency=0, setup=0, lanes=64, **MEMORIES)
    before, after = (records([layer], one.evolve({"cores": cores}))[0] for cores in (1, 4))
    least = before.dram_bytes
    assert least <= after.total_cycles <= before.total_cycles < 1.15 * least
    doubled = records([layer], one.evolve({"cores": 2, "dram.bytes_per_cycle": 2}))[0]
    assert doubled.total_cycles < 0.56 * before.total_cycles


def test_a_split_by_hand():
    # Two blocks of 4 channels, one a core: each loads all inputs (64 bytes) and 4 * (16 weights + 4 bytes of bias).
    layer = array_layer(gemm(4, 16, 8), "fc")
    accelerator = machine(4, 4, cores=2, setup=0, latency=0, bytes_per_cycle=8, **MEMORIES)
    schedule = map_layers([layer], accelerator, lambda s: not s.parts or s.parts[0].channels != 4)
    (mapped,) = schedule.layers
    assert [(part.channel, part.channels, part.rows) for part in mapped.parts] == [(0, 4, 4), (4, 4, 4)]
    assert mapped.ops["input_bytes"].tolist() == [64, 64]
    assert mapped.ops["weight_bytes"].tolist() == [80, 80]
    time = run_schedule(schedule, accelerator).layers[0]
    # Loads one after the other, 144 bytes each: 18 and 36 cycles. Work is a first read and 4 folds of 4 pixels. A
    # core's channels of a pixel lie apart from those of the next, so a store of 16 bytes is 4 requests, one a cycle.
    computing, storing = 1 + 4 + 3 * 4 + 4 + 4 + 4 + 2, 4
    assert time.core_compute_cycles == (computing, computing)
    assert time.end_cycle == 36 + computing + storing
    assert (time.load_stall_cycles, time.store_stall_cycles) == (18, 18 + storing)


def test_layers_that_one_core_does():
    accelerator = machine(cores=3, **MEMORIES)
    passes = stream_layer(Engine.VECTOR, (3000,), (3000,), ops=3000, reread_bytes=3000)
    scalar = stream_layer(Engine.VECTOR, (3000,), (1,), ops=3000)
    host = stream_layer(Engine.HOST, (3000,), (3000,), ops=3000)
    for record in records([passes, scalar, host], accelerator):
        assert record.core_compute_cycles == (record.compute_cycles, 0, 0)
    shared = records([stream_layer(Engine.VECTOR, (3000,), (3000,), ops=3000)], accelerator)[0]
    assert shared.dram_bytes == 6000
    assert min(shared.core_compute_cycles) > 0


def test_tracks_are_named_after_cores():
    accelerator = machine(8, 8, cores=2, **MEMORIES)
    layers = [array_layer(conv(20, 20, 16, 16, 3, padding=1)), stream_layer(Engine.HOST, (9,), (9,), ops=9)]
    timeline = run_schedule(map_layers(layers, accelerator, layer_cycles(accelerator)), accelerator)
    engines = {f"core {core} {engine}" for core in (0, 1) for engine in ("load dma", "array", "store dma")}
    assert {event.track for event in timeline.events} == engines | {"host"}


def test_a_split_needs_a_clock():
    with pytest.raises(InputError, match="how layers are split over cores is timed"):
        map_layers([array_layer(conv(4, 4, 4, 4))], machine(cores=2))
