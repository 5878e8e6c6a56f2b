"""Waits for banks of real tile ops: those of the register-accurate address generator for the same tile, counted in."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given, settings

from simulator.accelerator.spec import Accelerator
from simulator.errors import DoesNotFit, SpecError
from simulator.kernels.clocked_im2col import GEOMETRY
from simulator.lowering.layer import ConvGeometry
from simulator.mapping.mapper import map_layers
from simulator.mapping.schedule import LayerMapping, LoopOrder, Residency
from simulator.mapping.tiles import array_schedule
from simulator.mapping.work import ArrayWork, Device
from simulator.timing import fast, machine
from simulator.timing.bank_conflicts import conflict_cycles
from simulator.timing.clocked_convolution import fetch_operands
from simulator.timing.layer_records import layer_counts, layer_records
from support.devices import machine as device_of
from support.gemm_cases import Stream
from support.layers import array_layer, conv, gemm, transposed
from support.strategies import Case, any_split, cases

Banks = tuple[int, int]


def draw_geometry(stream: Stream) -> ConvGeometry:
    kind, size = stream.integer(0, 5), (stream.integer(1, 9), stream.integer(1, 12))
    channels, filters = stream.integer(1, 24), stream.integer(1, 12)
    if kind == 0:
        return gemm(stream.integer(1, 9), stream.integer(1, 60), filters)
    if kind == 1:
        stride = stream.integer(1, 4)
        return transposed(*size, channels, filters, stride + stream.integer(0, 2), stride)
    kernel, dilation = stream.integer(1, 3), stream.integer(1, 4)
    short = max(0, dilation * (kernel - 1) + 1 - min(size))
    padding = -(-short // 2) + stream.integer(0, 2)
    return conv(*size, channels, filters, kernel, stream.integer(1, 3), dilation, padding, batch=stream.integer(1, 2))


def draw_mapping(stream: Stream, g: ConvGeometry, rows: int) -> LayerMapping:
    """Cut in every direction, whatever would fit."""
    folds = -(-g.k // rows)
    cut = min(g.k, rows * stream.integer(1, folds))
    residency = list(Residency)[stream.integer(0, 2)]
    return LayerMapping(
        rows=stream.integer(1, g.out_height),
        cols=stream.integer(1, g.out_width),
        channels=stream.integer(1, g.filters),
        k=cut,
        groups=1,
        order=list(LoopOrder)[stream.integer(0, 1)],
        input_residency=residency,
        weight_residency=Residency.CHUNK,
        extent=(1, g.batch, g.out_height, g.out_width, g.filters, g.k),
    )


def first_column(g: ConvGeometry, columns: range, taps: range) -> int:
    """First column of the map that outputs meet through taps of the filter's columns; 0 where there is none."""
    places = (x * g.stride[1] - g.padding.left + tap * g.dilation[1] for x, tap in product(columns, taps))
    met = (place // g.insertion[1] for place in places if place >= 0 and place % g.insertion[1] == 0)
    return min((column for column in met if column < g.in_width), default=0)


def fetched(op: np.void, g: ConvGeometry, mapping: LayerMapping, banks: Banks, rows: int) -> int:
    """Waits of a tile op: its box of the map as a convolution of its own, pixel by pixel."""
    k, length, width = int(op["k"]), int(op["k_length"]), g.kernel[1]
    row, col, columns = int(op["row"]), int(op["col"]), range(int(op["col"]), int(op["col"] + op["cols"]))
    kernel, channels, tap = g.kernel, g.channels, (0, 0)
    folds, used = slice(k // rows, -(-(k + length) // rows)), range(width)
    if mapping.input_residency is Residency.CHUNK:
        (top, left), (bottom, right) = (divmod(i // channels, width) for i in (k, k + length - 1))
        used = range(left, right + 1) if top == bottom else used
        if (top, left) == (bottom, right):
            # Channels of one tap: they alone lie in the scratchpad.
            kernel, channels, tap, folds = (1, 1), length, (top, left), slice(None)
    whole = mapping.input_residency is Residency.LAYER or len(columns) == g.out_width
    begin = 0 if whole else first_column(g, columns, used)
    record = np.zeros(1, GEOMETRY)[0]
    for name, value in {
        "height": g.in_height,
        "width": g.in_width - begin,
        "channels": channels,
        "padding_top": g.padding.top - row * g.stride[0] - tap[0] * g.dilation[0],
        "padding_left": g.padding.left - col * g.stride[1] - tap[1] * g.dilation[1] + begin * g.insertion[1],
        "out_height": op["rows"],
        "out_width": op["cols"],
        "pitch": -(-(g.in_width - begin) * channels // (banks[0] * banks[1])) * banks[0] * banks[1],
    }.items():
        record[name] = value
    record["kernel_height"], record["kernel_width"] = kernel
    for name in ("stride", "dilation", "insertion"):
        record[f"{name}_y"], record[f"{name}_x"] = getattr(g, name)
    nothing = np.zeros(g.in_height * record["pitch"], np.int64)
    _, cycles = fetch_operands(nothing, record, banks, 0, rows)
    return int((cycles.reshape(-1, int(op["rows"]) * int(op["cols"]))[folds] - 1).sum())


def test_waits_of_a_tile_op_are_those_of_the_address_generator():
    met = dict.fromkeys((*Residency, "woven", "dilated", "calm", "waits", "words"), 0)
    for seed in range(400):
        stream = Stream(21, seed)
        g, rows, cols = draw_geometry(stream), stream.integer(1, 12), stream.integer(1, 6)
        banks, mapping = (2 << stream.integer(0, 2), 1 << stream.integer(0, 3)), draw_mapping(stream, g, rows)
        device = Device.of(device_of(rows, cols))
        layer = array_schedule(ArrayWork.of(array_layer(g)), mapping, device)
        waits = conflict_cycles(layer, banks, device)
        for index in {stream.integer(0, len(waits) - 1) for _ in range(6)}:
            op = layer.ops[index]
            expected = -(-int(op["channels"]) // cols) * fetched(op, g, mapping, banks, rows)
            assert waits[index] == expected, (seed, index, g, mapping, banks)
            met["waits" if expected else "calm"] += 1
        met[mapping.input_residency] += 1
        met["woven"] += g.insertion[1] > 1
        met["dilated"] += g.dilation[1] > 1
        met["words"] += banks[1] > 1 and waits.any()
    assert min(met.values()) > 40, met


def counted(accelerator: Accelerator, banks: int = 4, width_bits: int = 64) -> Accelerator:
    pad = {"banks": banks, "width_bits": width_bits, "bank_conflicts": "counted"}
    return accelerator.evolve({f"memories.input_scratchpad.{key}": value for key, value in pad.items()})


def test_channels_in_whole_words_wait_for_nobody():
    """A fold of 8 reads 8 channels of one pixel: a word of 8, or 4 words of each of two banks."""
    g = conv(12, 12, 64, 16, 3)
    device = Device.of(device_of(8, 8))
    layer = map_layers([array_layer(g)], device_of(8, 8)).layers[0]
    assert not conflict_cycles(layer, (2, 8), device).any()
    assert conflict_cycles(layer, (2, 1), device).sum() == 10 * 10 * 2 * 72 * 3


@settings(max_examples=150, deadline=None)
@given(cases(cores=3))
def test_the_machines_agree_and_waits_are_part_of_the_work(case: Case):
    assume(case.accelerator.array.dataflow == "weight_stationary")
    banked = counted(case.accelerator)
    try:
        schedule = map_layers([case.layer], banked, any_split)
    except DoesNotFit:
        assume(False)
    compiled, stepped = (one.run_schedule(schedule, banked) for one in (fast, machine))
    assert compiled.layers == stepped.layers
    assert tuple(compiled.events) == tuple(stepped.events)
    (before,), (now,) = fast.run_schedule(schedule, case.accelerator).layers, compiled.layers
    waits = conflict_cycles(schedule.layers[0], (4, 8), Device.of(banked))
    by_core = [int(waits[part].sum()) for part in schedule.layers[0].core_slices]
    then, now_by_core = (time.core_compute_cycles or (time.compute_cycles,) for time in (before, now))
    assert now_by_core == tuple(cycles + wait for cycles, wait in zip(then, by_core, strict=True))
    assert before.bank_conflict_cycles == 0
    assert now.bank_conflict_cycles == by_core[now_by_core.index(max(now_by_core))]


def test_a_layer_in_numbers():
    """Five channels lie in three words of 2 elements, two of them in one of two banks: each of 9 pixels waits once."""
    accelerator = counted(device_of(8, 8), banks=2, width_bits=16)
    layers = [array_layer(conv(1, 9, 5, 8))]
    schedule = map_layers(layers, accelerator)
    assert schedule.tile_ops == 1
    counts, timeline = layer_counts(schedule, layers, accelerator), fast.run_schedule(schedule, accelerator)
    (record,) = layer_records(counts, timeline, layers, accelerator)
    assert record.bank_conflict_cycles == 9
    assert record.compute_cycles == 1 + 8 + 9 + 8 + 8 + 2 + 9


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"array.dataflow": "output_stationary"}, "weight_stationary array alone"),
        ({"memories.input_scratchpad.banks": 3}, "make input_scratchpad.banks one, not 3"),
        ({"memories.input_scratchpad.banks": 1}, "make input_scratchpad.banks one, not 1"),
        ({"memories.input_scratchpad.width_bits": 96}, "make input_scratchpad.width_bits so many times 8"),
        ({"memories.input_scratchpad.width_bits": 12}, "make input_scratchpad.width_bits so many times 8"),
    ],
)
def test_what_is_not_modelled_is_refused(changes, message):
    with pytest.raises(SpecError, match=message):
        counted(device_of()).evolve(changes)
