"""Rescale a flat array of integers to another zero point and scale."""

from __future__ import annotations

from typing import Any

from numba import prange
from numpy.typing import NDArray

from simulator.kernels._jit import kernel
from simulator.kernels.fixed_point import multiply_by_quantized_multiplier, wrap_int32

Ints = NDArray[Any]


@kernel(parallel=True)
def rescale(x: Ints, constants: Ints, out: Ints) -> None:
    """Write out[i] = clamp(zero_out + M(x[i] - zero_in)).

    Parameters
    ----------
    x
        Flat integers; x - zero_in wraps in int32.
    constants
        int64 [6]: zero_in, multiplier, exponent, zero_out, minimum, maximum.
    out
        Flat, as long as x, written.

    """
    zero_in, mantissa, exponent, zero_out = constants[0], constants[1], constants[2], constants[3]
    low, high = constants[4], constants[5]
    for i in prange(out.size):
        value = wrap_int32(x[i] - zero_in)
        scaled = wrap_int32(zero_out + multiply_by_quantized_multiplier(value, mantissa, exponent))
        out[i] = min(max(scaled, low), high)
