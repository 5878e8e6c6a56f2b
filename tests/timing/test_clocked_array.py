"""The register-accurate array against the specification on Python ints, and against whole runs of the simulator."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import bittrue
from simulator.errors import InputError, SpecError
from simulator.numerics.modes import Dataflow, RequantizerKind, RoundingMode
from simulator.numerics.quant import Requantizer
from simulator.timing.clocked_array import ClockedArray, Gemm, run_gemm
from support.gemm_cases import ARRAYS, Stream, against_specification, draw_gemm, register

SMALL_CASES = 25
"""For each of 13 arrays."""


@pytest.mark.parametrize("name", ARRAYS)
def test_values_and_events_are_those_of_the_specification(name):
    array = ARRAYS[name]
    for seed in range(SMALL_CASES):
        gemm = draw_gemm(Stream(2, seed), array, most=14, matrix=seed % 5 == 4)
        assert against_specification(array, gemm, run_gemm(array, gemm)) == [], seed


@pytest.mark.parametrize("name", ["ws_2x3_single", "ws_8x8", "os_2x8", "os_4x6", "os_1x1"])
def test_the_simulator_gives_the_same_values_and_events(name):
    array = ARRAYS[name]
    changes: dict[str, object] = {
        "array.rows": array.rows,
        "array.cols": array.cols,
        "array.dataflow": array.dataflow.value,
        "array.weight_double_buffer": array.weight_double_buffer,
    }
    for key in ("partial_sum", "accumulator"):
        bits, mode = register(getattr(array, key))
        changes[f"arithmetic.{key}"] = {"bits": bits, "overflow": mode.value}
    spec = bittrue.load_accelerator("edge_32x32").evolve(changes)
    for seed in range(6):
        gemm = replace(draw_gemm(Stream(3, seed), array), activation_zero_point=0, weight_zero_point=0, k_cuts=())
        (m, k), n = gemm.a.shape, gemm.w.shape[1]
        network = bittrue.networks.gemm(m, k, n, out="int32", bias=True).with_weights(gemm.w, gemm.bias)
        run, clocked = bittrue.simulate(network, spec, [gemm.a.astype(np.int8)]), run_gemm(array, gemm)
        np.testing.assert_array_equal(run.outputs["output"], clocked.accumulators)
        overflow = run.layers[-1].overflow
        assert (overflow.partial_sum_events, overflow.accumulator_events) == (
            clocked.partial_sum_events,
            clocked.accumulator_events,
        )


@pytest.mark.parametrize("name", ARRAYS)
def test_a_bias_matrix_costs_an_output_stationary_array_its_rows(name):
    array = ARRAYS[name]
    gemm = replace(draw_gemm(Stream(8, 1), array, most=20, matrix=True), k_cuts=())
    vector = run_gemm(array, replace(gemm, bias=gemm.bias[0]))
    extra = array.rows if array.dataflow is Dataflow.OUTPUT_STATIONARY else 0
    assert run_gemm(array, gemm).cycles == [vector.cycles[0] + extra]
    # Rows that are alike say the same as one.
    alike = run_gemm(array, replace(gemm, bias=np.broadcast_to(gemm.bias[0], gemm.bias.shape)))
    np.testing.assert_array_equal(alike.outputs, vector.outputs)
    assert alike.accumulator_events == vector.accumulator_events


def test_stochastic_rounding_is_refused():
    requantizer = Requantizer(RequantizerKind.POWER_OF_TWO, RoundingMode.STOCHASTIC)
    array = ClockedArray(Dataflow.OUTPUT_STATIONARY, 4, 4, requantizer=requantizer)
    with pytest.raises(SpecError, match="rounding: stochastic, but the array has"):
        run_gemm(array, small_gemm())


def small_gemm() -> Gemm:
    return Gemm(*(np.zeros(shape, np.int64) for shape in ((3, 5), (5, 2), (2,), (2,), (2,))))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"a": np.full((3, 5), 128)}, InputError, "a: 128 to 128, but the array takes -128 to 127"),
        ({"w": np.zeros((4, 2), np.int64)}, InputError, "K must agree"),
        ({"shift": np.full(2, 64)}, InputError, "shift: 64 to 64, but the array takes -31 to 63"),
        ({"bias": np.zeros(3, np.int64)}, InputError, r"bias has shape \(3,\), not \(2,\) or \(3, 2\)"),
        ({"k_cuts": (3,)}, SpecError, "rising multiples of 4 between"),
        ({"k_cuts": (8,)}, SpecError, "between 0 and K = 5"),
    ],
)
def test_what_the_array_does_not_take_is_refused(change, error, message):
    with pytest.raises(error, match=message):
        run_gemm(ClockedArray(Dataflow.WEIGHT_STATIONARY, 4, 4), replace(small_gemm(), **change))
