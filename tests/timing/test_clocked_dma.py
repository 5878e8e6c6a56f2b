"""The DMA's register-accurate model against a request-by-request twin and the closed form."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.errors import InputError, SpecError
from simulator.timing.clocked_dma import ClockedDma, Descriptor, run_dma
from simulator.timing.dma import Transfer, transfer
from support.dma_cases import bus_sizes, draw_transfers, twin_bytes, twin_cycles

CASES = 1500


def test_alone_it_takes_what_the_twin_and_the_closed_form_say():
    alone = closed = alike = whole_bus = 0
    for seed in range(CASES):
        dma, memory, words, load, store = draw_transfers(seed)
        if load and store:
            continue
        run = run_dma(dma, memory, words, load, store)
        expected = twin_cycles(dma, load), twin_cycles(dma, store)
        assert (run.load_cycles, run.store_cycles) == expected, (seed, dma, load, store)
        for ours, theirs in zip((run.memory, run.scratchpad), twin_bytes(dma, memory, words, load, store), strict=True):
            np.testing.assert_array_equal(ours, theirs, f"seed {seed}")
        moved = load or store
        sizes = bus_sizes(dma, moved)
        if dma.burst_bytes % dma.bus_bytes == 0:
            closed, alike = closed + 1, alike + (len(set(sizes)) == 1)
            assert sum(expected) == on_bus(dma, moved).cycles, (seed, dma, moved)
        alone, whole_bus = alone + 1, whole_bus + (sizes == [size for _, size in moved.requests(dma.burst_bytes)])
    assert closed > alone // 2
    assert 0 < alike < closed
    assert whole_bus > alone // 3


def on_bus(dma: ClockedDma, moved: Descriptor) -> Transfer:
    """A transfer as the tile machine sees it, of whole bus words."""
    return transfer(((sum(bus_sizes(dma, moved)), moved.segments),), dma.path)


def test_both_at_once_share_the_path_as_the_tile_machine_says():
    waited = told = 0
    for seed in range(CASES):
        dma, memory, words, load, store = draw_transfers(seed)
        if not (load and store):
            continue
        run = run_dma(dma, memory, words, load, store)
        loading, storing = twin_cycles(dma, load), twin_cycles(dma, store)
        assert run.load_cycles == loading, seed  # the load's requests go first
        assert storing <= run.store_cycles <= loading + storing, (seed, dma, load, store)
        waited += run.store_cycles > storing
        if dma.burst_bytes % dma.bus_bytes == 0:
            first, second = on_bus(dma, load), on_bus(dma, store)
            begin = first.issued(dma.setup_cycles, 0)
            assert run.store_cycles == second.end(begin, first.end(dma.setup_cycles, 0)), (seed, dma, load, store)
            told += 1
    assert waited > CASES // 4
    assert told > CASES // 6


def test_what_is_stored_comes_back_when_it_is_loaded():
    dma = ClockedDma(burst_bytes=32, max_outstanding=3, setup_cycles=4, latency_cycles=17, interval_cycles=2)
    words = np.arange(12 * 8, dtype=np.uint8).reshape(12, 8)
    there = Descriptor(address=40, segments=3, segment_bytes=32, stride=100)
    stored = run_dma(dma, np.zeros(400, np.uint8), words, store=there)
    loaded = run_dma(dma, stored.memory, np.zeros_like(words), load=there)
    np.testing.assert_array_equal(loaded.scratchpad, words)
    assert stored.store_cycles == loaded.load_cycles == 4 + 17 + 3 * 4 * 2


@pytest.mark.parametrize(
    ("dma", "load", "error", "said"),
    [
        (ClockedDma(latency_cycles=0), Descriptor(0, 1, 8, 8), SpecError, "latency_cycles: 0"),
        (ClockedDma(max_outstanding=0), Descriptor(0, 1, 8, 8), SpecError, "max_outstanding: 0"),
        (ClockedDma(), Descriptor(0, 0, 8, 8), SpecError, "segments is 0"),
        (ClockedDma(), Descriptor(0, 2, 8, 60), InputError, "0 to 68"),
        (ClockedDma(bus_bytes=4), Descriptor(0, 1, 8, 8), InputError, "words of 8 bytes"),
        (ClockedDma(burst_bytes=1), Descriptor(0, 1, 9, 8), InputError, "9 words"),
    ],
)
def test_what_it_does_not_take_is_refused(dma, load, error, said):
    with pytest.raises(error, match=said):
        run_dma(dma, np.zeros(64, np.uint8), np.zeros((4, 8), np.uint8), load)
