"""What the records say: conservation of bytes, cycles and partial sums."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings

from simulator.accelerator.spec import Accelerator
from simulator.errors import DoesNotFit
from simulator.lowering.layer import Engine, Layer
from simulator.mapping.mapper import map_layers
from simulator.mapping.schedule import LayerMapping, LoopOrder, Residency, Schedule
from simulator.mapping.tiles import array_schedule
from simulator.mapping.work import ArrayWork, Device
from simulator.records.layer import LayerRecord
from simulator.timing.layer_records import layer_counts, layer_records, untimed_records
from simulator.timing.machine import run_schedule
from support.devices import machine
from support.layers import array_layer, conv, gemm, stream_layer
from support.strategies import Case, cases


def records(layers: list[Layer], accelerator: Accelerator) -> tuple[LayerRecord, ...]:
    schedule = map_layers(layers, accelerator)
    counts = layer_counts(schedule, layers, accelerator)
    return layer_records(counts, run_schedule(schedule, accelerator), layers, accelerator)


def record_of_one_tile_op(layer: Layer, accelerator: Accelerator) -> LayerRecord:
    """Record of a layer that is not cut, whatever the search would choose."""
    g = layer.geometry
    assert g is not None
    mapping = LayerMapping(
        rows=g.out_height,
        cols=g.out_width,
        channels=g.filters,
        k=g.k,
        groups=g.groups,
        order=LoopOrder.INPUTS_RESIDENT,
        input_residency=Residency.TILE,
        weight_residency=Residency.LAYER,
        extent=(g.groups, g.batch, g.out_height, g.out_width, g.filters, g.k),
    )
    schedule = Schedule((layer.name,), (array_schedule(ArrayWork.of(layer), mapping, Device.of(accelerator)),))
    counts = layer_counts(schedule, [layer], accelerator)
    return layer_records(counts, run_schedule(schedule, accelerator), [layer], accelerator)[0]


def random_record(case: Case) -> LayerRecord:
    try:
        return records([case.layer], case.accelerator)[0]
    except DoesNotFit:
        assume(False)
        raise


@settings(max_examples=80, deadline=None)
@given(cases())
def test_cycles_are_conserved(case: Case):
    r = random_record(case)
    assert r.total_cycles == r.end_cycle - r.start_cycle
    for busy in (r.compute_cycles, r.load_cycles, r.store_cycles):
        assert 0 < busy <= r.total_cycles
    assert r.load_stall_cycles >= 0
    assert r.store_stall_cycles >= 0
    assert r.stall_cycles == r.load_stall_cycles + r.store_stall_cycles == r.total_cycles - r.compute_cycles
    # DRAM cannot move more than its bandwidth.
    assert r.dram_bytes <= r.total_cycles * case.accelerator.dram_bytes_per_cycle
    assert r.bound in ("compute", "load", "store")


@settings(max_examples=80, deadline=None)
@given(cases())
def test_work_is_conserved(case: Case):
    r, g, array = random_record(case), case.geometry, case.accelerator.array
    assert r.macs == g.macs
    pes = array.rows * array.cols
    # The array multiplies inserted zeros too; macs does not count them.
    assert g.m * g.n * g.k * g.groups <= pes * r.compute_cycles
    assert r.idle_pe_cycles == pes * r.compute_cycles - r.macs
    assert r.utilization <= r.mapping_utilization <= 1


@settings(max_examples=80, deadline=None)
@given(cases())
def test_partial_sums_written_are_those_read_back_and_the_final_ones(case: Case):
    r, g, accelerator = random_record(case), case.geometry, case.accelerator
    element = -(-accelerator.arithmetic.accumulator.bits // 8)
    outputs = g.m * g.n * g.groups
    matrix = case.layer.inputs[2] is not None and case.layer.inputs[2].elements > g.n * g.groups
    loaded = 4 * outputs if matrix else 0
    written, read = r.accumulator_write_bytes - loaded, r.accumulator_read_bytes - loaded
    read_back = read - outputs * element
    assert written == read_back + outputs * element
    assert read_back % (outputs * element) == 0
    if accelerator.array.dataflow == "weight_stationary":
        assert written == outputs * element * -(-g.k // accelerator.array.rows)


@settings(max_examples=80, deadline=None)
@given(cases())
def test_bytes_are_conserved(case: Case):
    r, layer = random_record(case), case.layer
    weights = sum(tensor.bytes for tensor in layer.inputs[1:] if tensor is not None)
    assert r.dram_write_bytes == layer.outputs[0].bytes
    assert r.dram_read_bytes >= weights
    assert r.unique_bytes == weights + layer.inputs[0].bytes
    loaded = r.input_scratchpad_write_bytes + r.weight_scratchpad_write_bytes
    matrix = r.dram_read_bytes - loaded
    assert matrix in (0, 4 * layer.outputs[0].elements)
    # What is multiplied was read from the scratchpads, each element once a fold.
    columns = -(-case.geometry.n // case.accelerator.array.cols)
    assert r.input_scratchpad_read_bytes == case.geometry.m * case.geometry.k * case.geometry.groups * columns


def test_a_layer_in_numbers():
    # 20 pixels x 24 k x 12 channels on 8 x 8: three row folds, two column folds, all in one tile op; a first read.
    layer = array_layer(conv(4, 5, 24, 12))
    r = record_of_one_tile_op(layer, machine(8, 8))
    assert (r.tile_ops, r.folds, r.macs) == (1, 6, 20 * 24 * 12)
    assert r.compute_cycles == 1 + 8 + 5 * 20 + 20 + 8 + 8 + 2
    assert r.mapping_utilization == r.macs / (64 * 147)
    assert (r.dram_read_bytes, r.dram_write_bytes) == (20 * 24 + 24 * 12 + 4 * 12, 20 * 12)
    assert (r.input_scratchpad_write_bytes, r.input_scratchpad_read_bytes) == (480, 480 * 2)
    assert (r.weight_scratchpad_write_bytes, r.weight_scratchpad_read_bytes) == (336, 336)
    assert r.accumulator_write_bytes == r.accumulator_read_bytes == 3 * 240 * 4
    assert (r.input_shape, r.output_shape) == ((1, 4, 5, 24), (1, 4, 5, 12))
    assert (r.op, r.engine, r.index, r.name) == ("Conv2D", "array", 0, "conv")


def test_output_stationary_in_numbers():
    # 20 pixels in three blocks of 8, 12 channels in two; a first read.
    r = record_of_one_tile_op(array_layer(conv(4, 5, 24, 12)), machine(8, 8, dataflow="output_stationary"))
    assert (r.tile_ops, r.folds) == (1, 6)
    assert r.compute_cycles == 1 + 5 * 24 + 24 + 16 + 8 + 1
    assert r.input_scratchpad_read_bytes == 480 * 2
    assert r.weight_scratchpad_read_bytes == 24 * 12 * 3 + 4 * 12
    assert r.accumulator_write_bytes == r.accumulator_read_bytes == 240 * 4


def test_layers_off_the_array():
    layers = [
        stream_layer(Engine.VECTOR, (8, 8), (8, 8), ops=64, name="add"),
        stream_layer(Engine.DMA, (8, 8), (64,), name="transpose"),
        stream_layer(Engine.DMA, (8, 8), (64,), moves_data=False, name="reshape"),
        stream_layer(Engine.HOST, (8, 8), (8, 8), ops=64, name="div"),
    ]
    add, transpose, reshape, div = records(layers, machine(lanes=8, startup=4))
    assert (add.compute_cycles, add.vector_ops, add.host_ops, add.macs) == (12, 64, 0, 0)
    assert (add.input_scratchpad_write_bytes, add.input_scratchpad_read_bytes) == (128, 128)
    assert (transpose.compute_cycles, transpose.dram_read_bytes, transpose.dram_write_bytes) == (0, 64, 64)
    assert transpose.bound == "load"
    assert (reshape.total_cycles, reshape.dram_bytes, reshape.unique_bytes, reshape.bound) == (0, 0, 0, "none")
    assert (div.compute_cycles, div.host_ops, div.vector_ops) == (64, 64, 0)
    assert div.input_scratchpad_write_bytes == 0
    assert {r.mapping_utilization for r in (add, transpose, reshape, div)} == {0.0}


@pytest.mark.parametrize(
    ("geometry", "change", "bound"),
    [
        (conv(16, 16, 64, 64, 3, padding=1), {"bytes_per_cycle": 64}, "compute"),
        (gemm(1, 4096, 64), {"bytes_per_cycle": 1}, "load"),
        (conv(32, 32, 1, 64), {"bytes_per_cycle": 0.5}, "store"),
    ],
)
def test_the_bottleneck_is_named(geometry, change, bound):
    assert records([array_layer(geometry)], machine(**change))[0].bound == bound


def test_records_without_time_keep_what_is_known():
    layer = array_layer(conv(4, 5, 24, 12))
    (timed,), (untimed,) = records([layer], machine()), untimed_records([layer])
    assert (untimed.macs, untimed.unique_bytes, untimed.op) == (timed.macs, timed.unique_bytes, timed.op)
    assert (untimed.total_cycles, untimed.dram_bytes) == (0, 0)
