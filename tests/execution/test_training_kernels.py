"""Kernels of integer training equal specification and twin: compiled, interpreted, bounds-checked, on any threads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from simulator.graph import training_ops as ops
from simulator.kernels.training_arith import scaled, shift_up
from simulator.numerics import training_scale
from simulator.numerics.modes import RoundingMode
from support.training_cases import CASES, check
from support.training_runs import run, scale

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_kernels_equal_specification_and_twin(case):
    check(case())


def test_products_of_78_bits_equal_the_specification():
    values = [0, 1, -1, 2**16 - 1, -(2**16), 2**44, -(2**45), 2**45, 2**61 + 5, 2**63 - 1, -(2**63), 987654321987654321]
    for value in values:
        for mantissa in (1, 3, 16384, 32767):
            for shift in (-70, -61, -17, -1, 0, 1, 15, 16, 17, 18, 40, 77, 78, 79, 200):
                expected = training_scale.scaled(value, mantissa, shift)
                assert scaled(np.int64(value), np.int64(mantissa), np.int64(shift)) == expected
    for value in (-3, 0, 5):
        assert shift_up(np.int64(value), np.int64(100)) == np.sign(value) * training_scale.FAR


@pytest.mark.slow
@pytest.mark.parametrize("variable", ["NUMBA_DISABLE_JIT", "NUMBA_BOUNDSCHECK"])
def test_cases_hold_in_the_other_modes(variable, tmp_path):
    environment = {**os.environ, variable: "1", "NUMBA_CACHE_DIR": str(tmp_path)}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    run = subprocess.run(
        [sys.executable, "-m", "support.training_cases"], env=environment, cwd=ROOT, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr[-3000:]
    assert run.stdout.split() == [case.__name__ for case in CASES]


def test_any_number_of_threads_gives_the_same_bits():
    rng = np.random.default_rng(7)
    x = rng.integers(-(2**24), 2**24, (3, 40, 50, 16)).astype(np.int32)
    s = scale(1, -20)
    error = rng.integers(-127, 128, x.shape).astype(np.int8)
    gamma = rng.integers(-128, 128, 16).astype(np.int8)
    results = []
    for threads in (1, 2):
        mean, deviation, ends = run(ops.L1Statistics(), x, s, threads=threads)
        hat, sh, bounds = run(ops.NormalizeChannels(), x, s, mean, deviation, ends, threads=threads)
        gradient = run(ops.L1NormGradient(), error, s, hat, sh, gamma, deviation, threads=threads)
        drawn = run(ops.ScaleQuantize(8, rounding=RoundingMode.STOCHASTIC), x, s, threads=threads)
        activation = run(ops.AffineQuantize(), hat, sh, gamma, gamma, bounds, threads=threads)
        results.append([mean, deviation, hat, sh, *gradient, *drawn, *activation])
    for one, two in zip(*results, strict=True):
        np.testing.assert_array_equal(one, two)
