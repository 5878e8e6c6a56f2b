"""Index of the greatest value along an axis."""

from __future__ import annotations

from typing import Any

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
        for inner in range(x.shape[2]):
            best = x[outer, 0, inner]
            index = 0
            for i in range(1, x.shape[1]):
                if x[outer, i, inner] > best:
                    best = x[outer, i, inner]
                    index = i
            out[outer, inner] = index
