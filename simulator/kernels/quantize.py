"""Real numbers to quantized integers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from simulator.kernels._jit import kernel

CHUNK = 1 << 14
"""Elements of a task."""


@kernel(parallel=True)
def quantize(x: NDArray[np.float32], scale: Any, zero_point: int, low: int, high: int, out: NDArray[Any]) -> None:
    """Write clamp(round(x / scale) + zero_point), a tie away from zero.

    A quotient outside int32, or NaN, becomes -2^31, and the sum wraps in int32. In float64 the half is added exactly.

    Parameters
    ----------
    x
        Flat.
    scale
        float32.
    zero_point, low, high
        In the int32 range.
    out
        Flat, integer, written.

    """
    zero, least, greatest = np.int32(zero_point), np.int32(low), np.int32(high)
    for task in prange((x.size + CHUNK - 1) // CHUNK):
        source, target = x[task * CHUNK : (task + 1) * CHUNK], out[task * CHUNK : (task + 1) * CHUNK]
        for i in range(target.size):
            quotient = np.float64(source[i] / scale)
            rounded = np.floor(abs(quotient) + 0.5)
            whole = np.copysign(rounded, quotient) if rounded < 2147483648.0 else -2147483648.0
            target[i] = min(max(np.add(np.int32(whole), zero), least), greatest)
