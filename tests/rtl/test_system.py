"""Array, DMA and memory in SystemVerilog against their model: outputs, events, cycles, and what passes in each."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from simulator.timing.clocked_dma import ClockedDma
from simulator.timing.clocked_program import ClockedSystem, Tiling
from simulator.timing.clocked_system import run_system, run_system_convolution
from support.gemm_cases import ARRAYS, Stream, differences
from support.system_cases import CONVOLUTION_SYSTEMS, SYSTEMS, draw_product, draw_system_convolution
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


@pytest.mark.slow
def test_counts_are_as_wide_as_what_they_count():
    # Constants of 293 beats; the setup of three descriptors has more cycles than 16 bits count.
    wide = replace(ARRAYS["ws_1x8"], cols=33)
    engine = build_system(ClockedSystem(wide, ClockedDma(bus_bytes=1)))
    for seed in range(5):
        system, gemm, tiling = draw_product(Stream(17, seed), ClockedSystem(wide, ClockedDma(bus_bytes=1)))
        if seed == 0:
            system, tiling = replace(system, dma=replace(system.dma, setup_cycles=22_000)), Tiling(26, 2, 14)
        rtl, model = run_system(system, gemm, tiling, engine), run_system(system, gemm, tiling)
        assert differences(rtl, model) == [], f"seed {seed}: {system.dma}, {tiling}, {gemm.a.shape}, {gemm.w.shape}"
        assert model.cycles > 3 * 22_000 or seed > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", CONVOLUTION_SYSTEMS)
def test_convolutions_on_rtl_equal_the_model(name):
    engine = build_system(CONVOLUTION_SYSTEMS[name])
    met: Counter[str] = Counter()
    for seed in range(CASES):
        case = draw_system_convolution(Stream(14, seed), CONVOLUTION_SYSTEMS[name], cuts_k=True, pools=True)
        rtl, model = run_system_convolution(*case, engine), run_system_convolution(*case)
        system, convolution, _, product, tiling = case
        assert differences(rtl, model) == [], f"seed {seed}: {system.dma}, {tiling}, {convolution}"
        met.update(
            rows=tiling.pixels < convolution.out_size[0] * convolution.out_size[1],
            filters=tiling.n_folds * system.array.cols < product.w.shape[1],
            woven=convolution.insertion != (1, 1),
            dilated=convolution.dilation != (1, 1),
            pooled=convolution.pool is not None,
            k_cut=tiling.k_folds * system.array.rows < convolution.k,
        )
    assert min(met.values()) > CASES // 10


@pytest.mark.parametrize("name", [*SYSTEMS, *CONVOLUTION_SYSTEMS])
def test_lint_finds_nothing(name):
    assert lint("system_top", system_parameters((SYSTEMS | CONVOLUTION_SYSTEMS)[name])) == ""
