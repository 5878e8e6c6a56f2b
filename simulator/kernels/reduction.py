"""Sum over a run of axes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from simulator.kernels._jit import kernel

Ints = NDArray[Any]

ROWS = 512
"""Rows of a task; a multiple of 4."""


@kernel(parallel=True)
def partial_sums(x: Ints, out: NDArray[np.int32]) -> None:
    """Sum every ROWS rows: 512 values of at most 16 bits fit int32, of which a CPU adds several at once.

    Parameters
    ----------
    x
        [outer, rows, inner], at most 16 bits.
    out
        [outer, ceil(rows / ROWS), inner], written.

    """
    tasks = out.shape[1]
    rows, inner = x.shape[1], x.shape[2]
    for index in prange(out.shape[0] * tasks):
        outer, task = index // tasks, index % tasks
        sums = out[outer, task]
        sums[:] = 0
        first, last = task * ROWS, min((task + 1) * ROWS, rows)
        fours = first + (last - first) // 4 * 4
        for row in range(first, fours, 4):  # four at a time: the sums are loaded and stored once for them
            a, b, c, d = x[outer, row], x[outer, row + 1], x[outer, row + 2], x[outer, row + 3]
            for i in range(inner):
                sums[i] += np.int32(a[i]) + np.int32(b[i]) + np.int32(c[i]) + np.int32(d[i])
        for row in range(fours, last):
            values = x[outer, row]
            for i in range(inner):
                sums[i] += values[i]
