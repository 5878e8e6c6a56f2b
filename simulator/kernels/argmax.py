"""Index of the greatest value along an axis."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from simulator.kernels._jit import kernel

Ints = NDArray[Any]


@kernel(parallel=True)
def arg_max(x: Ints, out: Ints) -> None:
    """Write the index of the first greatest value.

    Parameters
    ----------
    x
        [outer, axis, inner].
    out
        [outer, inner], written.

    """
    for outer in prange(x.shape[0]):
        best = x[outer, 0].copy()
        index = out[outer]
        index[:] = 0
        for i in range(1, x.shape[1]):
            values = x[outer, i]
            for inner in range(index.size):
                greater = values[inner] > best[inner]
                index[inner] = i if greater else index[inner]
                best[inner] = max(values[inner], best[inner])


@kernel(parallel=True)
def arg_max_last(x: Ints, out: Ints) -> None:
    """Write the index of the first greatest value along the last axis.

    The greatest of value * 2^16 + (65535 - index) holds both answers, and finding it needs no branch. NumPy's
    functions keep it in int32, which Numba's operators would widen to half as many lanes.

    Parameters
    ----------
    x
        [outer, axis], values that int16 holds, at most 65536 along the axis.
    out
        [outer], written.

    """
    sixteen = np.int32(16)
    for outer in prange(x.shape[0]):
        values = x[outer]
        best = np.int32(-(1 << 31))
        for i in range(values.size):
            best = max(best, np.add(np.left_shift(np.int32(values[i]), sixteen), np.int32(0xFFFF - i)))
        out[outer] = 0xFFFF - (best & 0xFFFF)
