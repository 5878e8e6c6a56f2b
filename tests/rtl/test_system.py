"""Array, DMA and memory in SystemVerilog against their model: outputs, events, cycles, and what passes in each."""

from __future__ import annotations

from collections import Counter

import pytest

from simulator.timing.clocked_system import run_system
from support.gemm_cases import Stream, differences
from support.system_cases import SYSTEMS, draw_product
from support.verilated import build_system, system_parameters
from support.verilator import lint, needs_verilator

pytestmark = needs_verilator

CASES = 100


@pytest.mark.slow
@pytest.mark.parametrize("name", SYSTEMS)
def test_rtl_equals_the_model(name):
    engine = build_system(SYSTEMS[name])
    met: Counter[str] = Counter()
    for seed in range(CASES):
        system, gemm, tiling = draw_product(Stream(11, seed), SYSTEMS[name])
        rtl, model = run_system(system, gemm, tiling, engine), run_system(system, gemm, tiling)
        assert differences(rtl, model) == [], f"seed {seed}: {system.dma}, {tiling}, {gemm.a.shape}, {gemm.w.shape}"
        k_folds = -(-gemm.a.shape[1] // system.array.fold_length)
        met.update(
            cut=tiling.k_folds < k_folds,
            inputs_stay=tiling.inputs_stay and tiling.k_folds >= k_folds,
            weights_stay=not tiling.inputs_stay and tiling.k_folds >= k_folds,
            several=tiling.pixels < gemm.a.shape[0],
        )
    assert min(met.values()) > CASES // 10


@pytest.mark.parametrize("name", SYSTEMS)
def test_lint_finds_nothing(name):
    assert lint("system_top", system_parameters(SYSTEMS[name])) == ""
