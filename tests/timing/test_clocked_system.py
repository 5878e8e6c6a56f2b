"""Array, DMA and memory together: the model against the array alone, and against the tile machine."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from proof.system_cycles import conflict_cycles, job_cycles, judge
from simulator.errors import SpecError
from simulator.kernels import timeline
from simulator.kernels.clocked_system import SYSTEM_COUNTS
from simulator.mapping.reach import Axis, reach
from simulator.timing.clocked_array import Gemm, run_gemm
from simulator.timing.clocked_convolution import Convolution, Pool, run_convolution
from simulator.timing.clocked_dma import ClockedDma
from simulator.timing.clocked_layout import Tile, Words
from simulator.timing.clocked_program import ClockedSystem, Tiling, plan
from simulator.timing.clocked_system import clock_times, convolution_product, run_system, run_system_convolution
from support.gemm_cases import ARRAYS, Stream, draw_gemm
from support.system_cases import CONVOLUTION_SYSTEMS, SYSTEMS, draw_product, draw_system_convolution
from support.system_machine import Kind, rows_of


@pytest.mark.parametrize("name", SYSTEMS)
def test_values_and_events_are_those_of_the_array_alone(name):
    cut = 0
    for seed in range(60):
        system, gemm, tiling = draw_product(Stream(13, seed), SYSTEMS[name])
        run = run_system(system, gemm, tiling)
        step = tiling.k_folds * system.array.fold_length
        whole = replace(gemm, k_cuts=tuple(range(step, gemm.a.shape[1], step)))
        alone = run_gemm(system.array, whole)
        np.testing.assert_array_equal(run.outputs, alone.outputs, f"seed {seed}")
        for field in ("partial_sum_events", "accumulator_events", "saturations"):
            assert getattr(run, field) == getattr(alone, field), (seed, field)
        assert run.cycles > sum(alone.cycles) / 2  # nothing runs beside a job but loads and stores
        cut += len(whole.k_cuts) > 0
    assert cut > 3


@pytest.mark.parametrize("name", CONVOLUTION_SYSTEMS)
def test_convolutions_are_those_of_the_array_alone(name):
    waited = shared = pooled = 0
    cut: Counter[bool] = Counter()
    for seed in range(90):
        system, convolution, feature_map, product, tiling = draw_system_convolution(
            Stream(15, seed), CONVOLUTION_SYSTEMS[name], cuts_k=True, pools=True
        )
        run = run_system_convolution(system, convolution, feature_map, product, tiling)
        banks = system.banks, system.word_elements
        alone = run_convolution(system.array, convolution, banks, feature_map, product)
        np.testing.assert_array_equal(run.outputs, alone.outputs, f"seed {seed}")
        for field in ("partial_sum_events", "accumulator_events", "saturations"):
            assert getattr(run, field) == getattr(alone, field), (seed, field)
        gemm, laid = convolution_product(system, convolution, feature_map, product)
        program, counts = plan(system, gemm, tiling, laid), np.zeros(1, SYSTEM_COUNTS)[0]
        clock_times(system, program, job_cycles(system, program), counts)
        assert run.cycles == counts["cycles"], seed
        cut[tiling.inputs_stay] += any(row["continues"] for row in rows_of(program))
        waited += sum(conflict_cycles(system, program, row) - bool(program.pool) for row in rows_of(program))
        pooled += program.pool is not None and tiling.pixels < len(gemm.a)
        shared += sum(row["load_takes_input"] * (row["input_base"] != row["input_address"]) for row in rows_of(program))
    assert waited > 0
    assert shared > 20
    assert pooled > 3
    assert min(cut[True], cut[False]) > 3


@pytest.mark.parametrize("name", CONVOLUTION_SYSTEMS)
def test_a_tile_of_a_convolution_loads_the_rows_that_the_mapping_counts(name):
    compared = 0
    for seed in range(200):
        system, convolution, feature_map, product, tiling = draw_system_convolution(
            Stream(16, seed), CONVOLUTION_SYSTEMS[name]
        )
        _, laid = convolution_product(system, convolution, feature_map, product)
        rows, width = tiling.pixels // convolution.out_size[1], convolution.out_size[1]
        names = ("kernel", "stride", "dilation", "padding", "insertion")
        axis = Axis(convolution.out_size[0], convolution.size[0], *(getattr(convolution, name)[0] for name in names))
        mapped = reach(axis, rows, 0, convolution.kernel[0] - 1)
        row_bytes = laid.pitch // laid.lanes * laid.word.bytes
        before, runs_before = None, 1

        def band(pixels, k_folds=(0, tiling.k_folds)):
            return Tile(pixels, (0, 1), k_folds, k_folds)

        for tile, runs in enumerate(mapped.runs):
            pixels = (tile * rows * width, min((tile + 1) * rows, convolution.out_size[0]) * width)
            for found, positions in ((None, mapped.positions[tile]), (before, mapped.fresh_positions[tile])):
                # Else some rows between are not read, all is padding, or nothing would be loaded.
                if runs == runs_before == 1 and positions:
                    loaded = laid.tile(band(pixels), found and band(found))
                    assert loaded.segments * loaded.segment_bytes == positions * row_bytes, (seed, tile)
                    compared += positions < mapped.positions[tile]
            before, runs_before = pixels, runs
    assert compared > 40


@pytest.mark.parametrize("stays", [True, False])
def test_a_part_of_k_loads_the_rows_that_its_taps_reach(stays):
    # Three filter rows of two folds each, two rows apart; bands of two rows of outputs.
    system, zeros = CONVOLUTION_SYSTEMS["system_conv_3x5"], {"bias": np.zeros(5, np.int64)}
    convolution = Convolution((9, 4), 2, (3, 3), (6, 4), dilation=(2, 1), padding=(1, 1))
    gemm = Gemm(
        np.zeros((24, 18), np.int64),
        np.zeros((18, 5), np.int64),
        **zeros,
        multiplier=np.zeros(5, np.int64),
        shift=np.zeros(5, np.int64),
    )
    product, laid = convolution_product(system, convolution, np.zeros((9, 4, 2), np.int64), gemm)
    rows = rows_of(plan(system, product, Tiling(8, 1, 2, inputs_stay=stays), laid))
    found = [(row["load_takes_input"], row["activation_address"], row["activation_segment_bytes"]) for row in rows]
    row_bytes = 4 * 4  # 8 elements, in words of two, each of a beat
    bands = [[(0, 1), (1, 3), (3, 5)], [(1, 3), (3, 5), (5, 7)], [(3, 5), (5, 7), (7, 9)]]
    if stays:
        loaded = [(0, 5), None, None, (5, 7), None, None, (7, 9), None, None]
    else:
        loaded = [rows for band in bands for rows in band]
    for (takes, address, size), want in zip(found, loaded, strict=True):
        assert takes == (want is not None)
        if want:
            assert (address, size) == (want[0] * row_bytes, (want[1] - want[0]) * row_bytes)
    assert [row["continues"] for row in rows] == [0, 1, 1] * 3


def test_the_tile_machine_takes_as_long():
    tally: Counter[str] = Counter()
    assert [text for text in (judge(seed, tally) for seed in range(1000)) if text] == []
    assert all(tally[kind] > 60 for kind in Kind), tally
    assert min(tally["convolutions cut in K"], tally["convolutions with a pool"]) > 30, tally


@pytest.mark.parametrize(
    ("column", "cycles"),
    [("LOAD_BEHIND", -1), ("LOAD_ISSUED", 1), ("LOAD_ISSUED_BEHIND", 9), ("LOAD_TAIL", -1), ("WORK", -1)],
)
def test_a_machine_that_is_a_cycle_off_is_noticed(column, cycles, monkeypatch):
    run, which = timeline.run_layer, getattr(timeline, column)

    def other(kind_of, counts, table, *rest):
        table[:, which] += cycles
        return run(kind_of, counts, table, *rest)

    monkeypatch.setattr(timeline, "run_layer", other)
    assert any(judge(seed, Counter()) for seed in range(100))


def test_three_tiles_by_hand():
    array, gemm = ARRAYS["ws_8x8"], replace(draw_gemm(Stream(1), ARRAYS["ws_8x8"]), k_cuts=())
    gemm = replace(gemm, a=np.zeros((60, 64), np.int64), w=np.zeros((64, 8), np.int64))
    gemm = replace(gemm, bias=np.zeros(8, np.int64), multiplier=np.zeros(8, np.int64), shift=np.zeros(8, np.int64))
    system = ClockedSystem(array, ClockedDma(burst_bytes=64, max_outstanding=16, latency_cycles=20))
    job = run_gemm(array, replace(gemm, a=gemm.a[:20])).cycles[0] + 1
    tile, store = 8 * 20, 20  # words of 8 bytes, a cycle each
    loaded = 20 + tile + 64 + 9  # latency; activations, weights, constants
    # With the first job ends, the third load starts and so does the first store, whose data go behind the load's. The
    # third job waits for the store: its results have no other half to go to.
    third = loaded + job + 20 + tile + store
    run = run_system(system, gemm, Tiling(pixels=20, n_folds=1, k_folds=8))
    assert run.cycles == third + job + 20 + store


def test_two_output_stationary_chunks_by_hand():
    array = replace(ARRAYS["os_8x4"], activation_bits=8, weight_bits=8)
    zeros = {name: np.zeros(4, np.int64) for name in ("bias", "multiplier", "shift")}
    gemm = Gemm(np.zeros((20, 30), np.int64), np.zeros((30, 4), np.int64), **zeros)
    system = ClockedSystem(array, ClockedDma(burst_bytes=64, max_outstanding=16, latency_cycles=20))
    # Three blocks of 8 pixels, the last of 4 and padding, a word of 8 pixels for each product; a word of 4 weights is
    # half a beat; the column's constants are 4 x (32 + 39) bits, 5 beats.
    loaded = 20 + (3 + 1) * 15 + 5
    # A block streams its 15 products, and the array's skew and what is behind it take 2 R + C + 1 more; the chunk that
    # continues waits R cycles for where its first block begins; both read their first words in a cycle of their own.
    first = 3 * 15 + 2 * 8 + 4 + 1 + 1
    second = first + 8
    # The second load ends while the first job is at work or after it.
    run = run_system(system, gemm, Tiling(pixels=24, n_folds=1, k_folds=15))
    assert run.cycles == max(loaded + first, 2 * loaded) + second + 20 + 20  # a word of 4 x 16 bits for each pixel


@pytest.mark.parametrize("bits", [(8,) * 8, (4,) * 5, (16, 3, 37), (32, 32, 39)])
def test_words_come_back_as_they_were(bits):
    values = np.stack([Stream(3).integers(-(1 << (n - 1)), (1 << (n - 1)) - 1, (20,)) for n in bits], 1)
    words = Words(bits, 4)
    packed = words.pack(values)
    assert packed.shape == (20, -(-sum(bits) // 32) * 4)
    np.testing.assert_array_equal(words.unpack(packed), values)
    whole = sum((int(values[0, i]) & (1 << n) - 1) << sum(bits[:i]) for i, n in enumerate(bits))
    assert int.from_bytes(packed[0].tobytes(), "little") == whole


@pytest.mark.parametrize(
    ("system", "tiling", "said"),
    [
        ({}, Tiling(600, 1, 1), "600 words of activations in a tile, but half a scratchpad has 512"),
        ({}, Tiling(1, 1, 1), "600 tile operations, but a program has 63"),
        ({}, Tiling(0, 1, 1), "below 1"),
        ({"dma": ClockedDma(burst_bytes=12)}, Tiling(100, 1, 1), "12, no multiple of bus_bytes, 8"),
        ({"array": ARRAYS["os_8x4"]}, Tiling(100, 1, 3), "a multiple of the 8 rows of the array, or all"),
        ({"address_bits": 17}, Tiling(100, 1, 1), "address_bits: 17, but it must lie in 2 to 16"),
    ],
)
def test_what_it_does_not_take_is_refused(system, tiling, said):
    gemm = replace(draw_gemm(Stream(2), ARRAYS["ws_8x8"]), k_cuts=())
    gemm = replace(gemm, a=np.zeros((600, 3), np.int64), w=np.zeros((3, len(gemm.bias)), np.int64))
    gemm = replace(gemm, w=gemm.w[:, :1], **{name: getattr(gemm, name)[:1] for name in ("bias", "multiplier", "shift")})
    with pytest.raises(SpecError, match=said):
        run_system(replace(ClockedSystem(ARRAYS["ws_8x8"], ClockedDma()), **system), gemm, tiling)


def test_a_transfer_that_a_descriptor_cannot_hold_is_refused():
    zeros = {name: np.zeros(1, np.int64) for name in ("bias", "multiplier", "shift")}
    gemm = Gemm(np.zeros((9000, 3), np.int64), np.zeros((3, 1), np.int64), **zeros)
    system = ClockedSystem(ARRAYS["ws_8x8"], ClockedDma(), address_bits=16)
    with pytest.raises(SpecError, match="activation: segment_bytes is 72000, but must lie in 1 to 65535"):
        plan(system, gemm, Tiling(9000, 1, 1))
    assert len(plan(system, gemm, Tiling(4500, 1, 1)).rows) == 2


def test_convolutions_that_the_system_does_not_take_are_refused():
    system = CONVOLUTION_SYSTEMS["system_conv_3x5"]
    rng = np.random.default_rng(0)
    product = Gemm(np.zeros((0, 0), np.int64), rng.integers(-8, 8, (9, 5)), *(np.zeros(5, np.int64),) * 3)
    convolution, feature_map = Convolution((6, 6), 1, (3, 3), (4, 4)), rng.integers(-8, 8, (6, 6, 1))
    for change, tiling, said in (
        ({"pool": Pool(2, 2)}, Tiling(4, 1, 3), r"no window of the pool ends in the pixels \(0, 4\)"),
        ({}, Tiling(6, 1, 3), "pixels must be a multiple of the 4 outputs of a row"),
    ):
        with pytest.raises(SpecError, match=said):
            run_system_convolution(system, replace(convolution, **change), feature_map, product, tiling)
    with pytest.raises(SpecError, match="banks: 0, but it must be a power of two"):
        run_system_convolution(replace(system, banks=0), convolution, feature_map, product, Tiling(16, 1, 3))
    with pytest.raises(SpecError, match="runs convolutions; see run_system_convolution"):
        run_system(system, replace(product, a=np.zeros((4, 9), np.int64)), Tiling(4, 1, 3))


def test_windows_are_stored_with_the_band_in_which_they_end():
    system, zeros = CONVOLUTION_SYSTEMS["system_conv_3x5"], (np.zeros(5, np.int64),) * 3
    convolution = Convolution((8, 4), 1, (1, 1), (8, 4), pool=Pool(3, 2, padding=(1, 1)))
    product = Gemm(np.zeros((0, 0), np.int64), np.zeros((1, 5), np.int64), *zeros)
    gemm, laid = convolution_product(system, convolution, np.zeros((8, 4, 1), np.int64), product)
    program = plan(system, gemm, Tiling(3 * 4, 1, 1), laid)
    rows, word_bytes = rows_of(program), 8  # 5 x 8 bits, in beats of 4 bytes
    # Two windows side by side end in each of the rows 1, 3, 5 and 7.
    stored = [(row["store_address"], row["store_segment_bytes"]) for row in rows]
    output = program.layout.output_address
    assert stored == [
        (output + 2 * first * word_bytes, 2 * count * word_bytes) for first, count in ((0, 1), (1, 2), (3, 1))
    ]
    assert [row["pool_rows_to_go"] for row in rows] == [1, 0, 1]
    assert [row["pool_first_row"] for row in rows] == [0, 3, 6]


def test_pools_that_do_not_fit_are_refused():
    system = replace(CONVOLUTION_SYSTEMS["system_conv_3x5"], address_bits=6)
    convolution, feature_map = Convolution((4, 4), 1, (1, 1), (4, 4), pool=Pool(2, 2)), np.zeros((4, 4, 1), np.int64)
    for filters, said in (
        (85, "lines of 68 words are pooled, but 64 can wait"),
        (25, "80 accumulators in a tile, but"),
    ):
        zeros = (np.zeros(filters, np.int64),) * 3
        product = Gemm(np.zeros((0, 0), np.int64), np.zeros((1, filters), np.int64), *zeros)
        with pytest.raises(SpecError, match=said):
            run_system_convolution(system, convolution, feature_map, product, Tiling(16, 5, 1))


def test_cuts_of_a_product_are_refused():
    system = SYSTEMS["system_8x8"]
    gemm = next(g for g in (draw_gemm(Stream(seed), system.array) for seed in range(99)) if g.k_cuts)
    with pytest.raises(SpecError, match="the tiling cuts K"):
        plan(system, gemm, Tiling(1, 1, 1))
