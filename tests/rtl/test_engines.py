"""The SystemVerilog engines against their register-accurate model: values, events, cycles, and every cycle's edges."""

from __future__ import annotations

import subprocess
from collections import Counter

import pytest

from simulator.timing.clocked_array import run_gemm
from support.gemm_cases import ARRAYS, Stream, differences, draw_gemm
from support.verilated import RTL, VerilatedEngine, build, engine_parameters, literal, needs_verilator, top_module

pytestmark = needs_verilator

CASES = 85
"""For each array; 13 arrays make 1,105."""


@pytest.mark.slow
@pytest.mark.parametrize("name", ARRAYS)
def test_rtl_equals_the_model(name):
    array = ARRAYS[name]
    engine = VerilatedEngine(build(array))
    met: Counter[str] = Counter()
    for seed in range(CASES):
        gemm = draw_gemm(Stream(seed), array)
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


@pytest.mark.parametrize("name", ARRAYS)
def test_lint_finds_nothing(name):
    array = ARRAYS[name]
    parameters = [f"-G{key}={literal(value)}" for key, value in engine_parameters(array).items()]
    sources = sorted(str(path) for path in RTL.glob("*.sv"))
    command = ["verilator", "--lint-only", "-Wall", "--top-module", top_module(array), *parameters, *sources]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""


def test_no_warning_is_waived():
    assert [path.name for path in RTL.glob("*.sv") if "lint_off" in path.read_text()] == []
