"""Array, DMA and memory together: the model against the array alone, and against the tile machine."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from proof.system_cycles import judge
from simulator.errors import SpecError
from simulator.kernels import timeline
from simulator.timing.clocked_array import Gemm, run_gemm
from simulator.timing.clocked_dma import ClockedDma
from simulator.timing.clocked_layout import Words
from simulator.timing.clocked_program import ClockedSystem, Tiling, plan
from simulator.timing.clocked_system import run_system
from support.gemm_cases import ARRAYS, Stream, draw_gemm
from support.system_cases import SYSTEMS, draw_product
from support.system_machine import Kind


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


def test_the_tile_machine_takes_as_long():
    tally: Counter[str] = Counter()
    assert [text for text in (judge(seed, tally) for seed in range(1000)) if text] == []
    assert all(tally[kind] > 60 for kind in Kind), tally


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
    ],
)
def test_what_it_does_not_take_is_refused(system, tiling, said):
    gemm = replace(draw_gemm(Stream(2), ARRAYS["ws_8x8"]), k_cuts=())
    gemm = replace(gemm, a=np.zeros((600, 3), np.int64), w=np.zeros((3, len(gemm.bias)), np.int64))
    gemm = replace(gemm, w=gemm.w[:, :1], **{name: getattr(gemm, name)[:1] for name in ("bias", "multiplier", "shift")})
    with pytest.raises(SpecError, match=said):
        run_system(replace(ClockedSystem(ARRAYS["ws_8x8"], ClockedDma()), **system), gemm, tiling)


def test_cuts_of_a_product_are_refused():
    system = SYSTEMS["system_8x8"]
    gemm = next(g for g in (draw_gemm(Stream(seed), system.array) for seed in range(99)) if g.k_cuts)
    with pytest.raises(SpecError, match="the tiling cuts K"):
        plan(system, gemm, Tiling(1, 1, 1))
