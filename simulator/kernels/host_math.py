"""Transcendental functions in single precision, as the C library computes them.

The TFLite reference kernels call std::exp and its like on float. NumPy's vectorised ones differ from the C library in
the last bit; compiled by Numba, `math.exp` of a float32 is the C library's own `expf`.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import math
from collections.abc import Callable

import numpy as np
from numba import config
from numpy.typing import NDArray

from simulator.kernels._jit import kernel

Float = NDArray[np.float32]


@kernel()
def _exp(x: Float, out: Float) -> None:
    for i in range(x.size):
        out[i] = math.exp(x[i])


@kernel()
def _log(x: Float, out: Float) -> None:
    for i in range(x.size):
        out[i] = math.log(x[i])


@kernel()
def _sin(x: Float, out: Float) -> None:
    for i in range(x.size):
        out[i] = math.sin(x[i])


@kernel()
def _cos(x: Float, out: Float) -> None:
    for i in range(x.size):
        out[i] = math.cos(x[i])


@kernel()
def _tanh(x: Float, out: Float) -> None:
    for i in range(x.size):
        out[i] = math.tanh(x[i])


_KERNELS: dict[str, Callable[[Float, Float], None]] = {
    "exp": _exp,
    "log": _log,
    "sin": _sin,
    "cos": _cos,
    "tanh": _tanh,
}


def libm(function: str, x: Float) -> Float:
    """Apply `exp`, `log`, `sin`, `cos` or `tanh` to each value of a float32 array of any shape."""
    flat = np.ascontiguousarray(x, np.float32).ravel()
    out = np.empty_like(flat)
    if config.DISABLE_JIT:  # type: ignore[attr-defined]
        # Interpreted, math.exp would work in double precision and round once more.
        call = getattr(ctypes.CDLL(ctypes.util.find_library("m")), f"{function}f")
        call.restype, call.argtypes = ctypes.c_float, [ctypes.c_float]
        out[:] = [call(value) for value in flat]
    else:
        _KERNELS[function](flat, out)
    return out.reshape(x.shape)


@kernel()
def sum_in_order(x: Float, out: Float) -> None:
    """Sum float32 [rows, terms] over the terms, one addition after another, into out [rows]."""
    rows, terms = x.shape
    for i in range(rows):
        total = np.float32(0.0)
        for j in range(terms):
            total = np.float32(total + x[i, j])
        out[i] = total
