"""The DMA in SystemVerilog against its register-accurate model: bytes, cycles, and what passes to memory in each."""

from __future__ import annotations

from collections import Counter

from simulator.timing.clocked_dma import run_dma
from support.dma_cases import dma_differences, draw_transfers
from support.verilated import DMA_PARAMETERS, build_dma
from support.verilator import lint, needs_verilator

pytestmark = needs_verilator

CASES = 600


def test_rtl_equals_the_model():
    engine = build_dma()
    met: Counter[str] = Counter()
    for seed in range(CASES):
        transfers = draw_transfers(seed)
        rtl, model = run_dma(*transfers, engine), run_dma(*transfers)
        assert dma_differences(rtl, model) == [], f"seed {seed}: {transfers[0]}, {transfers[3:]}"
        met.update(load=model.load_cycles > 0, store=model.store_cycles > 0)
        met.update(both=model.load_cycles > 0 and model.store_cycles > 0)
    assert min(met.values()) > CASES // 5


def test_lint_finds_nothing():
    assert lint("dma_scratchpad", DMA_PARAMETERS) == ""
    assert lint("dma", {"LOADS": 3, "INDEX_BITS": 2}) == ""
