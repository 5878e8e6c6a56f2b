"""What every schedule must obey, checked by walking its tile ops one by one on small random layers."""

from __future__ import annotations

import numpy as np
from hypothesis import assume, given, settings

from simulator.errors import DoesNotFit
from simulator.lowering.layer import ConvGeometry
from simulator.mapping.mapper import map_layers
from simulator.mapping.schedule import Hold, LayerSchedule
from simulator.numerics.formats import IntFormat
from support.devices import machine
from support.layers import array_layer, conv, transposed
from support.strategies import Case, any_split, cases

Element = tuple[int, int, int, int]


def mapped(case: Case) -> LayerSchedule:
    try:
        return map_layers([case.layer], case.accelerator, any_split).layers[0]
    except DoesNotFit:
        assume(False)
        raise


def of_cores(layer: LayerSchedule) -> list[np.ndarray]:
    """Tile ops of each core: its memories are its own."""
    ends = np.cumsum(layer.core_ops or [len(layer.ops)])
    assert ends[-1] == len(layer.ops)
    return np.split(layer.ops, ends[:-1])


def output_slices(op, geometry: ConvGeometry) -> list[tuple]:
    """Index of each group's outputs of a tile op in an array [batch, rows, cols, groups, filters]."""
    return (
        op["batch"],
        slice(op["row"], op["row"] + op["rows"]),
        slice(op["col"], op["col"] + op["cols"]),
        slice(op["group"], op["group"] + op["groups"]),
        slice(op["channel"], op["channel"] + op["channels"]),
    )


def touched_inputs(op, g: ConvGeometry) -> set[Element]:
    """Real input elements that a tile op multiplies: the definition of convolution, element by element."""
    found = set()
    taps = {(k // (g.kernel[1] * g.channels), k // g.channels % g.kernel[1], k % g.channels) for k in k_range(op)}
    for oh in range(op["row"], op["row"] + op["rows"]):
        for ow in range(op["col"], op["col"] + op["cols"]):
            for kh, kw, c in taps:
                ih = oh * g.stride[0] - g.padding.top + kh * g.dilation[0]
                iw = ow * g.stride[1] - g.padding.left + kw * g.dilation[1]
                if ih % g.insertion[0] or iw % g.insertion[1]:
                    continue
                ih, iw = ih // g.insertion[0], iw // g.insertion[1]
                if 0 <= ih < g.in_height and 0 <= iw < g.in_width:
                    for group in range(op["group"], op["group"] + op["groups"]):
                        found.add((int(op["batch"]), ih, iw, group * g.channels + c))
    return found


def k_range(op) -> range:
    return range(int(op["k"]), int(op["k"] + op["k_length"]))


@settings(max_examples=80, deadline=None)
@given(cases(cores=5))
def test_every_output_gets_every_k_once_and_in_rising_order(case: Case):
    g, ops = case.geometry, mapped(case).ops
    done = np.zeros((g.batch, g.out_height, g.out_width, g.groups, g.filters), np.int64)
    stored = np.zeros_like(done)
    macs = 0
    for op in ops:
        place = output_slices(op, g)
        assert (done[place] == op["k"]).all()
        done[place] += op["k_length"]
        macs += done[place].size * int(op["k_length"])
        if op["store_bytes"]:
            assert (done[place] == g.k).all()
            stored[place] += 1
            assert op["store_bytes"] == stored[place].size
    assert (done == g.k).all()
    assert (stored == 1).all()
    assert macs == g.m * g.n * g.k * g.groups


@settings(max_examples=60, deadline=None)
@given(cases(cores=5))
def test_k_is_cut_only_at_multiples_of_the_rows(case: Case):
    ops = mapped(case).ops
    assert (ops["k"] % case.accelerator.array.rows == 0).all()


@settings(max_examples=60, deadline=None)
@given(cases(cores=5))
def test_inputs_are_there_when_needed_and_fit_half_the_scratchpad(case: Case):
    half = case.accelerator.memories.input_scratchpad.size // 2
    for ops in of_cores(mapped(case)):
        loaded, needed, before, ever = 0, set(), set(), set()
        for op in ops:
            if op["hold"] & Hold.TAKE_INPUT:
                # What the block before left in its half is still there while this one is in use.
                before, loaded, needed = needed, 0, set()
            loaded += int(op["input_bytes"])
            needed |= touched_inputs(op, case.geometry)
            ever |= needed
            assert len(needed - before) <= loaded <= half
            assert len(needed) <= half
        assert int(ops["input_bytes"].sum()) >= len(ever)


@settings(max_examples=60, deadline=None)
@given(cases(cores=5))
def test_weights_are_there_when_needed_and_fit_half_the_scratchpad(case: Case):
    g, half = case.geometry, case.accelerator.memories.weight_scratchpad.size // 2
    vector = case.layer.inputs[2] is not None and case.layer.inputs[2].elements == g.filters * g.groups
    for ops in of_cores(mapped(case)):
        loaded, needed = 0, set()
        for op in ops:
            if op["hold"] & Hold.TAKE_WEIGHT:
                loaded, needed = 0, set()
            loaded += int(op["weight_bytes"])
            for group in range(op["group"], op["group"] + op["groups"]):
                for n in range(op["channel"], op["channel"] + op["channels"]):
                    needed.update((group, n, k) for k in k_range(op))
                    if vector and op["k"] == 0:
                        needed.update((group, n, "bias", byte) for byte in range(4))
            assert len(needed) == loaded <= half


@settings(max_examples=60, deadline=None)
@given(cases(cores=5))
def test_accumulators_fit_half_their_memory_and_halves_are_given_back(case: Case):
    accelerator = case.accelerator
    element = -(-accelerator.arithmetic.accumulator.bits // 8)
    for ops in of_cores(mapped(case)):
        tile = ops["rows"].astype(int) * ops["cols"] * ops["channels"] * ops["groups"] * element
        assert (tile <= accelerator.memories.accumulator.size // 2).all()
        for take, give in ((Hold.TAKE_INPUT, Hold.GIVE_INPUT), (Hold.TAKE_WEIGHT, Hold.GIVE_WEIGHT)):
            takes, gives = (ops["hold"] & take) != 0, (ops["hold"] & give) != 0
            held = np.cumsum(takes) - np.cumsum(gives)
            assert takes[0]
            assert gives[-1]
            assert ((held + gives) == 1).all()
        takes = (ops["hold"] & Hold.TAKE_ACCUMULATOR) != 0
        assert (takes == (ops["k"] == 0)).all()
        assert takes.sum() == (ops["store_bytes"] > 0).sum()


@settings(max_examples=60, deadline=None)
@given(cases(cores=5))
def test_folds_are_blocks_of_the_array(case: Case):
    array = case.accelerator.array
    for op in mapped(case).ops:
        columns = -(-int(op["channels"]) // array.cols)
        along = int(op["k_length"]) if array.dataflow == "weight_stationary" else int(op["rows"]) * int(op["cols"])
        assert op["folds"] == op["groups"] * columns * -(-along // array.rows)


def test_a_layer_that_fits_loads_each_byte_once():
    geometry = conv(10, 12, 8, 16, 3, padding=1)
    ops = map_layers([array_layer(geometry)], machine()).layers[0].ops
    assert ops["input_bytes"].sum() == 10 * 12 * 8
    assert ops["weight_bytes"].sum() == 9 * 8 * 16 + 4 * 16
    assert ops["store_bytes"].sum() == 10 * 12 * 16


def test_wider_formats_move_more_bytes():
    layer = array_layer(conv(10, 12, 8, 16, 3, padding=1), input_format=IntFormat(16), weight_format=IntFormat(4))
    ops = map_layers([layer], machine()).layers[0].ops
    assert ops["input_bytes"].sum() == 2 * 10 * 12 * 8
    assert ops["weight_bytes"].sum() == 9 * 8 * 16 // 2 + 4 * 16
    assert ops["store_bytes"].sum() == 10 * 12 * 16


def test_rows_shared_with_the_tile_above_are_loaded_once():
    # Half the scratchpad holds four of the 32 rows; each of them is still loaded once.
    geometry = conv(32, 32, 8, 8, 3, padding=1)
    layer = map_layers([array_layer(geometry)], machine(inputs=2 * 4 * 32 * 8)).layers[0]
    assert len(layer.ops) > 8
    assert layer.ops["input_bytes"].sum() == 32 * 32 * 8


def test_dilation_does_not_load_the_rows_and_columns_between_its_taps():
    # One output pixel, taps 20 apart: 9 pixels of the 41 x 41 image.
    geometry = conv(41, 41, 4, 4, 3, dilation=20)
    assert (geometry.out_height, geometry.out_width) == (1, 1)
    ops = map_layers([array_layer(geometry)], machine()).layers[0].ops
    assert ops["input_bytes"].sum() == 9 * 4


def test_inserted_zeros_and_padding_are_not_loaded():
    geometry = transposed(5, 5, 4, 4, 4, 2)
    ops = map_layers([array_layer(geometry)], machine()).layers[0].ops
    assert ops["input_bytes"].sum() == 5 * 5 * 4
    assert (ops["k_length"] == 4 * 4 * 4).all()


def test_layers_that_are_alike_share_their_tile_ops():
    geometry = conv(10, 12, 8, 16, 3, padding=1)
    schedule = map_layers([array_layer(geometry, "a"), array_layer(geometry, "b")], machine())
    assert schedule.names == ("a", "b")
    assert schedule.layers[0] is schedule.layers[1]
