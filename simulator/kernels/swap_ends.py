"""Transpose the first axis with the last, what lies between staying: images to channels and back."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from simulator.kernels._jit import kernel
from simulator.kernels.turn_block import ROW_BYTES, ROWS, turn_block

_POSITIONS = 64
_COLUMNS = 64
"""What lies between, and numbers of the last axis, that are moved together: both sides stay in the cache."""


@kernel(inline=True)
def _swap_rest(x: Any, out: Any, p: Any, first: Any, last: Any, begin: Any, end: Any) -> None:
    for b in range(begin, end):
        for a in range(first, last):
            out[b, p, a] = x[a, p, b]


@kernel(parallel=True)
def swap_ends(x: Any, out: Any) -> None:
    """Write out[b, p, a] = x[a, p, b].

    Parameters
    ----------
    x
        [A, P, B], unsigned integers of any size.
    out
        [B, P, A], the same dtype, written.

    """
    outer, positions, inner = x.shape
    size = x.itemsize
    width = ROW_BYTES // size
    rows = outer - outer % ROWS
    shares = -(-inner // _COLUMNS)
    for index in numba.prange(-(-positions // _POSITIONS) * shares):
        task = np.int64(index)  # unsigned in a parallel loop, and unsigned with signed makes float64
        block = task // shares
        begin = (task - block * shares) * _COLUMNS
        end = min(begin + _COLUMNS, inner)
        columns = end - (end - begin) % width
        for p in range(block * _POSITIONS, min((block + 1) * _POSITIONS, positions)):
            for b in range(begin, columns, width):
                for a in range(0, rows, ROWS):
                    source = x.ctypes.data + ((a * positions + p) * inner + b) * size
                    target = out.ctypes.data + ((b * positions + p) * outer + a) * size
                    turn_block(x, source, positions * inner * size, target, positions * outer * size)
            _swap_rest(x, out, p, rows, outer, begin, columns)
            _swap_rest(x, out, p, np.int64(0), outer, columns, end)
