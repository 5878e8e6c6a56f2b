"""Row buffers and refresh against a plain bank, cycle by cycle, and by hand; what addresses do to a layer's time."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.accelerator.dram import BankSpec
from simulator.accelerator.dram_devices import DEVICES
from simulator.errors import SpecError
from simulator.kernels import dram_banks as kernel
from simulator.lowering.layer import Engine
from simulator.mapping.mapper import map_layers
from simulator.mapping.regions import regions
from simulator.mapping.schedule import TILE_OP, LayerSchedule, Schedule
from simulator.timing import dram_banks, fast
from simulator.timing.dram_banks import DramBanks, Region, pieces
from support import devices
from support.bank_twin import BankTwin
from support.layers import array_layer, conv, deeplabv3_resnet50, gemm, transposed
from support.strategies import any_split

ROW, WIDTH = 64, 4
BANKED = {"dram.model": "banked", "dram.device": "lpddr4x_3200"}


@st.composite
def specs(draw, most_banks=1):
    rp, rfc = draw(st.integers(0, 9)), draw(st.integers(0, 20))
    return BankSpec(
        banks=draw(st.integers(1, most_banks)),
        row_bytes=ROW,
        access_bytes=WIDTH,
        rcd_cycles=draw(st.integers(0, 9)),
        rp_cycles=rp,
        ras_cycles=draw(st.integers(0, 30)),
        pace_cycles=draw(st.integers(0, 12)),
        wr_cycles=draw(st.integers(0, 12)),
        rfc_cycles=rfc,
        refi_cycles=rp + rfc + draw(st.integers(1, 200)),
    )


accesses = st.lists(
    st.tuples(st.integers(0, 120), st.integers(0, 2), st.integers(1, ROW // WIDTH), st.booleans()), max_size=25
)


@settings(max_examples=400, deadline=None)
@given(specs(), accesses)
def test_one_bank_is_that_of_the_data_sheet(spec, drawn):
    banks = DramBanks(spec, Fraction(WIDTH), 8)
    twin = BankTwin(
        spec.rcd_cycles, spec.rp_cycles, spec.ras_cycles, spec.wr_cycles, spec.rfc_cycles, spec.refi_cycles,
        spec.pace_cycles, WIDTH,
    )  # fmt: skip
    trace, ours, asked, free = [], [], 0, 0
    for wait, row, words, write in drawn:
        asked = asked + wait
        size = words * WIDTH
        tensor = 3 if write else 0
        trace.append((asked, row * 4 + tensor, size, write))
        free = banks.serve([Region(tensor, row * ROW, size, size, 1)], asked, max(asked, free), write=write)
        ours.append(free)
    assert ours == [end for _, end in twin.run(trace)]


def test_by_hand():
    spec = BankSpec(2, ROW, WIDTH, rcd_cycles=5, rp_cycles=4, ras_cycles=20, pace_cycles=3, wr_cycles=6,
                    rfc_cycles=50, refi_cycles=1000)  # fmt: skip
    banks = DramBanks(spec, Fraction(WIDTH), 8)
    row = Region(0, 0, 16, 16, 1)
    assert banks.serve([row], 10, 10, write=False) == 10 + 5 + 4  # closed: tRCD, and four words
    assert banks.serve([row], 19, 19, write=False) == 19 + 4  # open
    assert (
        banks.serve([Region(0, 2 * ROW, 16, 16, 1)], 23, 23, write=False) == 30 + 4 + 5 + 4
    )  # tRAS since 10, tRP, tRCD
    # Two rows of two banks: the second is opened while the first is read.
    assert banks.serve([Region(0, 4 * ROW, 128, 128, 1)], 100, 100, write=False) == 100 + 4 + 5 + 32
    # Refresh was due at 1000: the bus waits for tRP + tRFC, then the row for tRCD.
    assert banks.serve([row], 1010, 1010, write=False) == 1054 + 5 + 4
    assert (banks.hits, banks.openings, banks.refreshes) == (1, 5, 1)


def test_a_piece_is_whole_bursts_of_one_row():
    spec = BankSpec(4, 64, 16, 1, 1, 1, 1, 1, 1, 10)
    found = list(pieces(Region(1, 60, 40, 40, 1), spec))
    assert [(p.bank, p.row, p.moved_bytes) for p in found] == [(1, 1, 16), (2, 1, 48)]
    spread = list(pieces(Region(0, 0, 256, 8, 2), spec))
    assert [(p.bank, p.moved_bytes) for p in spread] == [(0, 16), (2, 16)]


transfers = st.tuples(st.integers(0, 400), st.integers(1, 300), st.integers(0, 300), st.integers(1, 6))


@settings(max_examples=200, deadline=None)
@given(
    specs(5),
    st.lists(transfers, min_size=1, max_size=6),
    st.sampled_from([Fraction(1, 3), Fraction(4), Fraction(37, 5)]),
)
def test_compiled_banks_are_the_same(spec, drawn, rate):
    banks = DramBanks(spec, rate, 3)
    geometry = (spec.banks, spec.row_bytes, spec.access_bytes, spec.rcd_cycles, spec.rp_cycles, spec.ras_cycles)
    times = (spec.pace_cycles, spec.wr_cycles, spec.rfc_cycles, spec.refi_cycles)
    columns = np.array([*geometry, *times, rate.numerator, rate.denominator, 3], np.int64)
    state = kernel.new_state(columns)
    now = 0
    for first, size, gap, segments in drawn:
        sizes, places = np.zeros((4, 2), np.int64), np.zeros((4, 2), np.int64)
        sizes[0], places[0] = (size, segments), (first, size + gap)
        theirs = kernel.serve(columns, state, sizes, places, kernel.INPUT, kernel.BIAS, now, now)
        now = banks.serve([Region(0, first, size + gap, size, segments)], now, now, write=False)
        assert theirs == now


def test_lookahead_and_tensors_are_those_of_the_kernel():
    assert dram_banks.TENSORS == kernel.TENSORS
    assert all(device.channels * device.access_bytes <= device.page_bytes for device in DEVICES.values())


def _touched(layer, index):
    """Bytes of the input that tile op `index` touches, tap by tap; the tile above's too."""
    op, g = layer.ops[index], layer.work.geometry
    found = set()
    for out_row in range(op["row"], op["row"] + op["rows"]):
        for out_col in range(op["col"], op["col"] + op["cols"]):
            for k in range(op["k"], op["k"] + op["k_length"]):
                tap, channel = divmod(k, g.channels)
                kh, kw = divmod(tap, g.kernel[1])
                y = out_row * g.stride[0] - g.padding.top + kh * g.dilation[0]
                x = out_col * g.stride[1] - g.padding.left + kw * g.dilation[1]
                if y % g.insertion[0] or x % g.insertion[1]:
                    continue
                y, x = y // g.insertion[0], x // g.insertion[1]
                if 0 <= y < g.in_height and 0 <= x < g.in_width:
                    pixel = (op["batch"] * g.in_height + y) * g.in_width + x
                    found.add(int(pixel * g.channels * g.groups + op["group"] * g.channels + channel))
    return found


@pytest.mark.parametrize(
    "geometry",
    [conv(13, 11, 6, 9, 3, 1, 1, 1), conv(12, 9, 5, 7, 3, 2, 2, 2), transposed(5, 6, 7, 4, 4, 2), gemm(40, 70, 30),
     conv(9, 9, 8, 8, 3, 1, 1, 1, groups=8), conv(7, 8, 4, 6, 1, batch=2)],
)  # fmt: skip
@pytest.mark.parametrize("sizes", [(300, 200, 200), (900, 600, 300), (60_000, 60_000, 60_000)])
@pytest.mark.parametrize("cores", [1, 2, 3, 4])
def test_regions_hold_what_a_tile_op_touches(geometry, sizes, cores):
    inputs, weights, accumulators = sizes
    accelerator = devices.machine(4, 4, inputs=inputs, weights=weights, accumulators=accumulators, cores=cores)
    layer = map_layers([array_layer(geometry, "a", bias="vector")], accelerator, any_split).layers[0]
    found = regions(layer)
    g, ops = geometry, layer.ops
    loaded = set()
    for index in range(len(ops)):
        if index in [part.start for part in layer.core_slices]:
            loaded = set()
        if ops["input_bytes"][index]:
            first, span = found[index, 0]
            assert span >= ops["input_bytes"][index]
            assert first >= 0
            assert first + span <= g.batch * g.in_height * g.in_width * g.channels * g.groups + 8
            fresh = set(range(first, first + span))
            loaded |= fresh
        if ops["groups"][index] == 1:
            assert _touched(layer, index) <= loaded
    outputs = found[ops["store_bytes"] > 0, 3]
    assert outputs.sum(axis=1).max() == g.m * g.n * g.groups
    assert outputs[:, 0].min() == 0
    weight = found[ops["weight_bytes"] > 0, 1]
    assert weight[:, 0].min() == 0
    assert (weight[:, 1] >= ops["weight_bytes"][ops["weight_bytes"] > 0]).all()


def test_a_whole_network_is_slower_than_on_the_simple_memory_and_moves_the_same():
    simple = devices.machine(16, 16, inputs=16 * 1024, weights=8 * 1024, accumulators=8 * 1024)
    banked = simple.evolve(BANKED)
    schedule = map_layers(deeplabv3_resnet50(65), simple)
    before, after = (fast.run_schedule(schedule, a).total_cycles for a in (simple, banked))
    assert before < after < 3 * before


def test_scattered_accesses_cost_rows():
    accelerator = devices.machine().evolve(BANKED)
    ops = np.zeros(50, TILE_OP)
    ops["input_bytes"], ops["input_segments"] = 4096, 64
    places = np.zeros((50, 4, 2), np.int64)

    def cycles(span: int) -> int:
        places[:, 0, 0], places[:, 0, 1] = np.arange(50) * span, span
        layer = LayerSchedule(Engine.DMA, ops, regions=places.copy())
        return fast.run_schedule(Schedule(("a",), (layer,)), accelerator).total_cycles

    together, near, far = cycles(4096), cycles(64 * 256), cycles(64 * 4096 * 8)
    assert together <= near < far


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"dram.model": "banked"}, "model: banked needs dram.device, one of ddr4_3200"),
        ({"dram.model": "banked", "dram.device": "ddr4_3200"}, "ddr4_3200 is priced as ddr4; make dram.type that"),
        ({**BANKED, "dram.bytes_per_cycle": 16}, "lower dram.bandwidth or raise dram.modules"),
        ({**BANKED, "clock_mhz": 0.5, "dram.bytes_per_cycle": 1}, "too slow for the refresh"),
    ],
)
def test_specifications_that_are_refused(changes, text):
    with pytest.raises(SpecError, match=text):
        devices.machine().evolve(changes)


def test_cycles_of_a_device_follow_the_clock():
    spec = devices.machine().evolve({**BANKED, "clock_mhz": 800, "dram.modules": 2}).dram_banks
    assert spec == BankSpec(8, 8192, 32, 15, 15, 34, 8, 15, 224, 3123)
