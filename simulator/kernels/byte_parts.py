"""Numbers of up to 16 bits as two bytes each, and sums of products of the parts put together again."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from simulator.kernels._jit import kernel

_CHUNK = 1 << 15


@kernel(parallel=True)
def split_bytes(x: Any, less: Any, balanced: Any, high: Any, low: Any) -> None:
    """Write high and low with x - less = 256 * high + low, high rounded down.

    Parameters
    ----------
    x
        Flat integers; x - less fits int16.
    less
        Subtracted from every value.
    balanced
        low is -128 to 127 instead of 0 to 255; high is then up to 128.
    high, low
        Flat, written; their dtypes hold the parts.

    """
    offset = 128 if balanced else 0
    for index in numba.prange(-(-x.shape[0] // _CHUNK)):
        begin = np.int64(index) * _CHUNK
        for i in range(begin, min(begin + _CHUNK, x.shape[0])):
            value = np.int64(x[i]) - less + offset
            high[i] = value >> 8
            low[i] = (value & 255) - offset


@kernel(parallel=True)
def add_shifted(part: Any, shift: Any, first: Any, out: Any) -> None:
    """Add part * 2^shift to out, or write it there.

    Parameters
    ----------
    part
        int32, flat.
    shift
        0, 8 or 16.
    first
        Whether out is written instead of added to.
    out
        int64, flat.

    """
    for index in numba.prange(-(-part.shape[0] // _CHUNK)):
        begin = np.int64(index) * _CHUNK
        end = min(begin + _CHUNK, part.shape[0])
        if first:
            for i in range(begin, end):
                out[i] = np.int64(part[i]) << shift
        else:
            for i in range(begin, end):
                out[i] += np.int64(part[i]) << shift
