"""Philox 4x32-10, the random bits of stochastic rounding; `simulator.numerics.philox` is its specification."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.kernels._jit import kernel
from simulator.numerics.philox import MULTIPLIERS, ROUNDS, WEYL

_M0, _M1 = np.uint64(MULTIPLIERS[0]), np.uint64(MULTIPLIERS[1])
_W0, _W1 = np.uint64(WEYL[0]), np.uint64(WEYL[1])
_MASK = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


@kernel(inline=True)
def draw(seed: Any, step: Any, tensor: Any, index: Any) -> Any:
    """Return the uint64 of random bits of one element; parameters as `stochastic_draw` of the specification, uint64."""
    c0, c1 = np.uint64(index) & _MASK, np.uint64(index) >> _HALF
    c2, c3 = np.uint64(tensor) & _MASK, np.uint64(step) & _MASK
    k0, k1 = np.uint64(seed) & _MASK, np.uint64(seed) >> _HALF
    for _ in range(ROUNDS):
        p0, p1 = _M0 * c0, _M1 * c2
        c0, c1, c2, c3 = (p1 >> _HALF) ^ c1 ^ k0, p1 & _MASK, (p0 >> _HALF) ^ c3 ^ k1, p0 & _MASK
        k0, k1 = (k0 + _W0) & _MASK, (k1 + _W1) & _MASK
    return (c1 << _HALF) | c0
