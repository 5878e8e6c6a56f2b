"""Table look-up."""

from __future__ import annotations

from typing import Any

from numba import prange
from numpy.typing import NDArray

from simulator.kernels._jit import kernel

Ints = NDArray[Any]


@kernel(parallel=True)
def look_up(x: Ints, table: Ints, out: Ints) -> None:
    """Write out[i] = table[x[i]].

    Parameters
    ----------
    x
        Flat, uint8 or uint16.
    table
        One entry for every value that x can hold.
    out
        Flat, dtype of `table`, written.

    """
    for i in prange(x.size):
        out[i] = table[x[i]]


@kernel(parallel=True)
def look_up_columns(x: Ints, table: Ints, first: int, out: Ints) -> None:
    """Write out[row, first + i] = table[x[row, i]]; x [rows, columns], out [rows, more columns]; the rest as above."""
    columns = x.shape[1]
    for row in prange(x.shape[0]):
        source, target = x[row], out[row, first : first + columns]
        for i in range(columns):
            target[i] = table[source[i]]
