"""Quantizers of integer training over flat tensors; `simulator.numerics.training_quant` is their specification.

x: int8 to int64, magnitudes below 2^62. plan: see `training_arith.to_step`. out: same size as x, written.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from simulator.kernels import philox
from simulator.kernels._jit import kernel
from simulator.kernels.training_arith import (
    CHUNK,
    QUOTIENT_BITS,
    clip,
    half_of,
    scaled,
    scaled_narrow,
    shift_down,
    to_step,
)

Ints = NDArray[Any]


@kernel(parallel=True)
def greatest(x: Ints, floor: int, tasks: NDArray[np.int64]) -> None:
    """Greatest magnitude of max(x, floor) of each CHUNK; tasks: int64 [ceil(size / CHUNK)], written."""
    for index in prange(tasks.size):
        start: Any = np.int64(index) * CHUNK
        values = x[start : start + CHUNK]  # a slice: with the whole tensor's index LLVM would not vectorise
        low = high = values[0]
        for i in range(values.size):
            low = min(low, values[i])
            high = max(high, values[i])
        least: Any = max(np.int64(low), floor)
        tasks[index] = max(np.int64(high), -least, 0)


@kernel(parallel=True)
def quantize(x: Ints, plan: NDArray[np.int64], out: Ints) -> None:
    """Nearest step, a tie up."""
    for index in prange(-(-x.size // CHUNK)):
        start: Any = np.int64(index) * CHUNK
        values, target = x[start : start + CHUNK], out[start : start + CHUNK]
        left, addend, right, limit, floor = plan[0], plan[1], plan[2], plan[4], plan[5]
        if plan[3] == 0:
            for i in range(values.size):
                value = ((max(np.int64(values[i]), floor) << left) + addend) >> right
                target[i] = clip(value, limit)
        else:
            for i in range(values.size):
                target[i] = to_step(np.int64(values[i]), plan)


@kernel(inline=True)
def _stochastic(value: Any, draw: Any, mantissa: Any, exponent: Any, reciprocal: Any) -> Any:
    low = np.int64(draw & np.uint64(0xFFFFFFFF))
    if mantissa == 1:
        low = np.int64(draw & ((np.uint64(1) << np.uint64(max(exponent, 0))) - np.uint64(1)))
        return (value + low) >> exponent if exponent > 0 else value << -exponent
    if exponent > 32:
        value >>= exponent - 32
        exponent = np.int64(32)
    if exponent > 0:
        value = (value + (low & ((np.int64(1) << exponent) - 1))) >> exponent
    else:
        value <<= -exponent
    value += (mantissa * np.int64(draw >> np.uint64(32))) >> 32
    sign = value >> 63
    return (((value ^ sign) * reciprocal) >> QUOTIENT_BITS) ^ sign


@kernel(parallel=True)
def quantize_stochastic(
    x: Ints, plan: NDArray[np.int64], mantissa: int, exponent: int, key: NDArray[np.uint64], out: Ints
) -> None:
    """Up with a probability equal to the fraction; key: uint64 [3], (seed, step, tensor)."""
    for index in prange(-(-x.size // CHUNK)):
        start: Any = np.int64(index) * CHUNK
        values, target = x[start : start + CHUNK], out[start : start + CHUNK]
        for i in range(values.size):
            random = philox.draw(key[0], key[1], key[2], np.uint64(start + i))
            value = max(np.int64(values[i]), plan[5])
            target[i] = clip(_stochastic(value, random, mantissa, exponent, plan[3]), plan[4])


@kernel(parallel=True)
def quantize_pseudo(x: Ints, plan: NDArray[np.int64], exponent: int, out: Ints) -> None:
    """Up iff the upper half of the dropped bits exceeds the lower half."""
    half = max(exponent, 0) // 2
    for index in prange(-(-x.size // CHUNK)):
        start: Any = np.int64(index) * CHUNK
        values, target = x[start : start + CHUNK], out[start : start + CHUNK]
        for i in range(values.size):
            value = max(np.int64(values[i]), plan[5])
            if exponent <= 0:
                rounded = value << -exponent
            else:
                dropped = value & ((np.int64(1) << exponent) - 1)
                is_up = (dropped >> (exponent - half)) > (dropped & ((np.int64(1) << half) - 1))
                rounded = (value >> exponent) + np.int64(is_up)
            target[i] = clip(rounded, plan[4])


@kernel(parallel=True)
def quantize_fixed(x: Ints, mantissa: int, shift: int, limit: int, out: Ints) -> None:
    """Round x * mantissa / 2^shift and clip."""
    is_narrow = x.itemsize <= 4
    right = min(max(shift, 0), 62)
    half = half_of(right)
    for index in prange(-(-x.size // CHUNK)):
        start: Any = np.int64(index) * CHUNK
        values, target = x[start : start + CHUNK], out[start : start + CHUNK]
        if is_narrow and shift >= 0:
            for i in range(values.size):
                target[i] = clip((np.int64(values[i]) * mantissa + half) >> right, limit)
        elif is_narrow:
            for i in range(values.size):
                target[i] = clip(scaled_narrow(np.int64(values[i]), mantissa, shift), limit)
        else:
            for i in range(values.size):
                target[i] = clip(scaled(np.int64(values[i]), mantissa, shift), limit)


@kernel(parallel=True)
def quantize_flag(x: Ints, exponent: int, bits: int, out: Ints) -> None:
    """Two grids: steps of 2^exponent from there on, of 2^(exponent + 1 - bits) below; the result in fine steps."""
    threshold = np.int64(1) << max(exponent, 0)
    limit = (np.int64(1) << (bits - 1)) - 1
    fine = exponent - (bits - 1)
    for index in prange(-(-x.size // CHUNK)):
        start: Any = np.int64(index) * CHUNK
        values, target = x[start : start + CHUNK], out[start : start + CHUNK]
        for i in range(values.size):
            value = np.int64(values[i])
            if value >= threshold or -value >= threshold:
                coarse = shift_down(value, exponent) if exponent >= 0 else value << -exponent
                target[i] = clip(coarse, limit) << (bits - 1)
            else:
                target[i] = shift_down(value, fine) if fine >= 0 else value << -fine
