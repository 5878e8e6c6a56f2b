"""Kernels of integer training equal specification and twin: compiled, interpreted, bounds-checked, on any threads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

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
    environment["NUMBA_OPT"] = "0"  # half the time to compile; an index does not depend on it
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    run = subprocess.run(
        [sys.executable, "-m", "support.training_cases"], env=environment, cwd=ROOT, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr[-3000:]
    assert run.stdout.split() == [case.__name__ for case in CASES]


def _big_cases() -> list[tuple[ops.TrainingOp, list[NDArray[Any]]]]:
    """Tensors that several tasks share, of formats that other tests compile too."""
    rng = np.random.default_rng(7)
    shape = (3, 40, 50, 16)
    x = rng.integers(-(2**24), 2**24, shape).astype(np.int32)
    error, q = (rng.integers(-(2 ** (b - 1)) + 1, 2 ** (b - 1), shape).astype(f"int{b}") for b in (8, 16))
    gamma = rng.integers(-128, 128, 16).astype(np.int8)
    deviation = rng.integers(1, 32767, 16).astype(np.int16)
    s, ends = scale(1, -20), np.stack([np.full(16, -(2**24)), np.full(16, 2**24)])
    pool = ((2, 2), (2, 2))
    pooled, index = run(ops.MaxPoolIndexed(*pool), error)
    labels = rng.integers(0, 16, shape[:-1]).astype(np.uint8)
    return [
        (ops.ScaleQuantize(), [x, s]),
        (ops.ScaleQuantize(8, rounding=RoundingMode.STOCHASTIC), [x, s]),
        (ops.ScaleQuantize(8, ops.ScaleRule.MAX, RoundingMode.STOCHASTIC), [x, s]),
        (ops.AlignedAdd(), [x, s, error, s]),
        (ops.ChannelSum(), [x]),
        (ops.L1Statistics(), [x, s]),
        (ops.L2Statistics(), [x, s]),
        (ops.NormalizeChannels(), [x, s, deviation, deviation, ends]),
        (ops.AffineChannels(), [q, s, gamma, gamma]),
        (ops.L1NormGradient(), [error, s, q, s, gamma, deviation]),
        (ops.L2NormGradient(), [error, s, q, s, gamma, deviation]),
        (ops.MaxPoolIndexed(*pool), [error]),
        (ops.MaxPoolGradient(*pool, (40, 50)), [pooled.astype(np.int16), index]),
        (ops.BilinearGradient((10, 25)), [error, s]),
        (ops.SoftmaxCrossEntropyGradient(), [error, scale(1, -5), labels]),
        (ops.Dropout(), [q, s]),
        (ops.Update(), [x // 4, error, scale(1, -14), np.array([-3])]),
    ]


def test_any_number_of_threads_gives_the_same_bits():
    for op, arrays in _big_cases():
        pairs = zip(run(op, *arrays, threads=1), run(op, *arrays, threads=2), strict=True)
        for one, two in pairs:
            np.testing.assert_array_equal(one, two, err_msg=str(op))
