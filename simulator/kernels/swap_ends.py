"""Transpose the first axis with the last, what lies between staying: images to channels and back."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from simulator.kernels._jit import kernel

_BLOCK = 64
"""Positions in between that are moved together: both sides then stay in the first cache."""


@kernel(parallel=True)
def swap_ends(x: Any, out: Any) -> None:
    """Write out[b, p, a] = x[a, p, b].

    Parameters
    ----------
    x
        [A, P, B], any dtype.
    out
        [B, P, A], the same dtype, written.

    """
    outer, positions, inner = x.shape
    for index in numba.prange(-(-positions // _BLOCK)):
        begin = np.int64(index) * _BLOCK
        end = min(begin + _BLOCK, positions)
        for b in range(inner):
            for p in range(begin, end):
                for a in range(outer):
                    out[b, p, a] = x[a, p, b]
