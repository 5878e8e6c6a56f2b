"""Single-precision functions are the C library's own, compiled, interpreted and bounds-checked alike."""

from __future__ import annotations

import ctypes
import ctypes.util
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from simulator.kernels.host_math import libm, sum_in_order

FUNCTIONS = ["exp", "log", "sin", "cos", "tanh"]


def samples() -> np.ndarray:
    x = (np.random.default_rng(7).standard_normal(2000) * 20).astype(np.float32)
    x[:8] = [0.0, -0.0, 1e-40, 88.8, -104.0, np.inf, -np.inf, np.nan]
    return x


def bits(x: np.ndarray) -> np.ndarray:
    """Bit patterns, every NaN the same one."""
    return np.where(np.isnan(x), np.float32(np.nan), x).view(np.uint32)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_equals_the_c_library(function):
    call = getattr(ctypes.CDLL(ctypes.util.find_library("m")), f"{function}f")
    call.restype, call.argtypes = ctypes.c_float, [ctypes.c_float]
    expected = np.array([call(v) for v in samples()], np.float32)
    assert (bits(libm(function, samples())) == bits(expected)).all()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_shape_is_kept(function):
    assert libm(function, np.ones((2, 3, 4), np.float32)[:, ::2]).shape == (2, 2, 4)


def test_sum_adds_one_after_another():
    # 1e8 swallows each 1 that comes after it and none that comes before it.
    x = np.array([[1e8, 1, 1, 1, 1], [1, 1, 1, 1, 1e8]], np.float32)
    out = np.empty(2, np.float32)
    sum_in_order(x, out)
    assert out.tolist() == [1e8, float(np.float32(1e8) + np.float32(4))]


@pytest.mark.parametrize("mode", ["NUMBA_DISABLE_JIT", "NUMBA_BOUNDSCHECK"])
def test_every_mode_gives_the_same_bits(mode):
    folder = str(Path(__file__).parent)
    script = f"import sys; sys.path.insert(0, {folder!r}); import test_host_math as t; t.print_digest()"
    environment = {**os.environ, mode: "1"}
    result = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    assert result.stdout.strip() == digest()


def digest() -> str:
    out = np.empty(20, np.float32)
    sum_in_order(np.nan_to_num(samples(), posinf=1, neginf=1).reshape(20, 100), out)
    parts = [bits(libm(function, samples())).tobytes() for function in FUNCTIONS]
    return hashlib.sha256(b"".join([*parts, out.tobytes()])).hexdigest()


def print_digest() -> None:
    print(digest())  # noqa: T201
