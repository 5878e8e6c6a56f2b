"""The SystemVerilog engines against their register-accurate model: values, events, cycles, and every cycle's edges."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from simulator.timing.clocked_array import Gemm, run_gemm
from simulator.timing.clocked_convolution import Convolution, run_convolution
from support.convolution_cases import ENGINES, draw_convolution
from support.gemm_cases import ARRAYS, Stream, differences, draw_gemm
from support.verilated import PRODUCTS, build_engine, engine_parameters, top_module
from support.verilator import RTL, lint, needs_verilator

pytestmark = needs_verilator

CASES = 85
"""For each array and engine: 13 arrays make 1,105 products, 4 engines 340 convolutions."""


@pytest.mark.slow
@pytest.mark.parametrize("name", ARRAYS)
def test_rtl_equals_the_model(name):
    array = ARRAYS[name]
    engine = build_engine(array)
    met: Counter[str] = Counter()
    for seed in range(CASES):
        gemm = draw_gemm(Stream(seed), array, matrix=seed % 3 == 2)
        rtl, model = run_gemm(array, gemm, engine), run_gemm(array, gemm)
        assert differences(rtl, model) == [], f"seed {seed}: M, K, N = {*gemm.a.shape, gemm.w.shape[1]}, {gemm.k_cuts}"
        met.update(
            cuts=bool(gemm.k_cuts),
            partial_sum_events=model.partial_sum_events > 0,
            accumulator_events=model.accumulator_events > 0,
            saturations=model.saturations > 0,
            calm=model.partial_sum_events + model.accumulator_events == 0,
        )
    assert met["cuts"] > CASES // 10
    assert met["saturations"] > CASES // 10
    assert met["accumulator_events"] > 0 or array.accumulator.bits > 32
    assert met["calm"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ENGINES)
def test_convolutions_on_rtl_equal_the_model(name):
    array, banks = ARRAYS[ENGINES[name][0]], ENGINES[name][1]
    engine = build_engine(array, banks)
    for seed in range(CASES):
        convolution, feature_map, product = draw_convolution(Stream(7, seed), array)
        execute = engine.convolve(feature_map, convolution.geometry)
        rtl, model = (run_convolution(array, convolution, banks, feature_map, product, run) for run in (execute, None))
        assert differences(rtl, model) == [], f"seed {seed}: {convolution}"


@pytest.mark.slow
def test_a_feature_map_may_have_more_elements_than_16_bits_count():
    array, rng = replace(ARRAYS["ws_7x1"], rows=1), np.random.default_rng(0)
    convolution = Convolution((300, 300), 1, (1, 1), (2, 2), stride=(255, 255))
    feature_map = rng.integers(-128, 128, (300, 300, 1))
    scales = np.zeros(1, np.int64), np.full(1, 1 << 30), np.full(1, 30)
    product = Gemm(feature_map[:0], np.full((1, 1), 1), *scales)
    execute = build_engine(array, (2, 1), ADDRESS_BITS=17).convolve(feature_map, convolution.geometry)
    rtl, model = (run_convolution(array, convolution, (2, 1), feature_map, product, run) for run in (execute, None))
    assert differences(rtl, model) == []
    assert [*model.accumulators[:, 0]] == [*feature_map[::255, ::255].ravel()]


@pytest.mark.parametrize(
    ("array", "banks"), [*((array, PRODUCTS) for array in ARRAYS), *ENGINES.values()], ids=lambda value: str(value)
)
def test_lint_finds_nothing(array, banks):
    assert lint(top_module(ARRAYS[array], banks), engine_parameters(ARRAYS[array], banks)) == ""


def test_no_warning_is_waived():
    assert [path.name for path in RTL.glob("*.sv") if "lint_off" in path.read_text()] == []
