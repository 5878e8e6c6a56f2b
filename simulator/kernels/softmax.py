"""Softmax in fixed point, row by row. Source: reference/softmax.h and common.h of TFLite, gemmlowp fixedpoint.h."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from simulator.kernels._jit import kernel
from simulator.kernels.fixed_point import (
    multiply_by_quantized_multiplier,
    rounding_divide_by_pot,
    shift_left_saturating,
    srdhm,
)

Ints = NDArray[Any]


@kernel(inline=True)
def _leading_zeros(value: int) -> int:
    """Leading zero bits of a positive value in 32 bits."""
    zeros = 32
    while value > 0:
        value >>= 1
        zeros -= 1
    return zeros


@kernel(inline=True)
def _one_over_one_plus_x(x: int) -> int:
    """1 / (1 + x) for x in [0, 1), 0 integer bits in and out: three Newton-Raphson steps on half the denominator."""
    half_denominator = (x + 0x7FFFFFFF + 1) // 2
    estimate = 1515870810 + srdhm(half_denominator, -1010580540)  # 48/17 - 32/17 d, 2 integer bits
    for _ in range(3):
        rest = (1 << 29) - srdhm(half_denominator, estimate)
        estimate = estimate + shift_left_saturating(srdhm(estimate, rest), 2)
    return shift_left_saturating(estimate, 1)


@kernel(parallel=True)
def softmax(x: Ints, exponentials: Ints, addends: Ints, output_bits: int, low: int, high: int, out: Ints) -> None:
    """Softmax of 8-bit rows.

    Parameters
    ----------
    x
        [rows, classes], int8 or uint8.
    exponentials, addends
        int64 [256] by distance from the row's greatest value: with 0 integer bits (-1: nothing), with 12.
    output_bits
        Bits of an output; 2^output_bits stands for 1.
    low, high
        Range of the output; `low` stands for 0.
    out
        [rows, classes], written.

    """
    for row in prange(x.shape[0]):
        greatest = np.int64(x[row, 0])
        for c in range(x.shape[1]):
            greatest = max(greatest, np.int64(x[row, c]))
        total = 0
        for c in range(x.shape[1]):
            total += addends[greatest - x[row, c]]
        headroom = _leading_zeros(total)
        scale = _one_over_one_plus_x((total << headroom) - (1 << 31))
        shift = 12 - headroom + 31 - output_bits
        for c in range(x.shape[1]):
            exponential = exponentials[greatest - x[row, c]]
            value = low
            if exponential >= 0:
                value = low + rounding_divide_by_pot(srdhm(scale, exponential), shift)
            out[row, c] = min(max(value, low), high)


@kernel(inline=True)
def _interpolate(value: int, table: Ints) -> int:
    """Table of 513 knots at a 16-bit signed position."""
    index = 256 + (value >> 7)
    base: int = table[index]
    slope: int = table[index + 1] - base
    return base + ((slope * (value & 0x7F) + 64) >> 7)


@kernel(parallel=True)
def softmax_wide(x: Ints, multiplier: int, exponent: int, exp_table: Ints, reciprocal_table: Ints, out: Ints) -> None:
    """Softmax of 16-bit rows.

    Parameters
    ----------
    x, out
        int16 [rows, classes]; out is written, Q0.15.
    multiplier, exponent
        Take a difference of inputs to steps of 10 / 65535.
    exp_table, reciprocal_table
        int64 [513], Q0.15: exp on [-10, 0], 1 / (1 + x) on [0, 1].

    """
    for row in prange(x.shape[0]):
        greatest = np.int64(x[row, 0])
        for c in range(x.shape[1]):
            greatest = max(greatest, np.int64(x[row, c]))
        total = 0
        for c in range(x.shape[1]):
            difference = multiply_by_quantized_multiplier(x[row, c] - greatest, multiplier, exponent) + 32767
            exponential = _interpolate(min(max(difference, -32768), 32767), exp_table)
            out[row, c] = exponential
            total += exponential
        headroom = _leading_zeros(total)
        position = (((total << (headroom - 1)) + (1 << 13)) >> 14) - ((1 << 15) + (1 << 16))
        reciprocal = _interpolate(min(max(position, -32768), 32767), reciprocal_table)
        shift = 31 - headroom
        for c in range(x.shape[1]):
            value = (out[row, c] * reciprocal + (1 << (shift - 1))) >> shift
            out[row, c] = min(max(value, 0), 32767)
