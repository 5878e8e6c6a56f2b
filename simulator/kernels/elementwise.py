"""Two-operand arithmetic with broadcasting: a row of the output reads each operand from a start, in steps of 0 or 1.

Each value is computed in int64 and lies in the int32 range at every point where the modelled register is 32 bits wide.
"""

from __future__ import annotations

from typing import Any

from numba import prange
from numpy.typing import NDArray

from simulator.kernels._jit import kernel
from simulator.kernels.fixed_point import multiply_by_quantized_multiplier, wrap_int32

Ints = NDArray[Any]


@kernel(parallel=True)
def add(a: Ints, b: Ints, rows: Ints, steps: Ints, constants: Ints, out: Ints) -> None:
    """Rescale both operands to a common scale, add (or subtract), rescale, clamp.

    Parameters
    ----------
    a, b
        Flat operands.
    rows
        int64 [rows, 2]: where each output row starts in a and in b.
    steps
        int64 [2]: 1 where the operand moves along a row, 0 where one element serves the whole row.
    constants
        int64 [13]: sign, left_shift, zero points of a, b, out, multipliers, exponents, minimum, maximum.
    out
        [rows, length], written.

    """
    sign, left_shift = constants[0], constants[1]
    zero_a, zero_b, zero_out = constants[2], constants[3], constants[4]
    mult_a, mult_b, mult_out = constants[5], constants[6], constants[7]
    exp_a, exp_b, exp_out = constants[8], constants[9], constants[10]
    low, high = constants[11], constants[12]
    step_a, step_b = steps[0], steps[1]
    for row in prange(out.shape[0]):
        start_a, start_b = rows[row, 0], rows[row, 1]
        for i in range(out.shape[1]):
            wide_a = (a[start_a + i * step_a] - zero_a) << left_shift
            wide_b = (b[start_b + i * step_b] - zero_b) << left_shift
            scaled_a = multiply_by_quantized_multiplier(wide_a, mult_a, exp_a)
            scaled_b = multiply_by_quantized_multiplier(wide_b, mult_b, exp_b)
            total = wrap_int32(scaled_a + sign * scaled_b)
            value = zero_out + multiply_by_quantized_multiplier(total, mult_out, exp_out)
            out[row, i] = min(max(value, low), high)


@kernel(parallel=True)
def multiply(a: Ints, b: Ints, rows: Ints, steps: Ints, constants: Ints, out: Ints) -> None:
    """Multiply, rescale, clamp; arguments as in `add`.

    constants: int64 [7]: zero points of a, b, out, multiplier, exponent, minimum, maximum.
    """
    zero_a, zero_b, zero_out = constants[0], constants[1], constants[2]
    mantissa, exponent, low, high = constants[3], constants[4], constants[5], constants[6]
    step_a, step_b = steps[0], steps[1]
    for row in prange(out.shape[0]):
        start_a, start_b = rows[row, 0], rows[row, 1]
        for i in range(out.shape[1]):
            product = (a[start_a + i * step_a] - zero_a) * (b[start_b + i * step_b] - zero_b)
            value = zero_out + multiply_by_quantized_multiplier(product, mantissa, exponent)
            out[row, i] = min(max(value, low), high)


@kernel(parallel=True)
def extremum(a: Ints, b: Ints, rows: Ints, steps: Ints, constants: Ints, out: Ints) -> None:
    """Greater (or lesser) of two values; arguments as in `add`.

    constants: int64 [1]: 1 for the greater, 0 for the lesser.
    """
    greatest = constants[0] == 1
    step_a, step_b = steps[0], steps[1]
    for row in prange(out.shape[0]):
        start_a, start_b = rows[row, 0], rows[row, 1]
        for i in range(out.shape[1]):
            x = a[start_a + i * step_a]
            y = b[start_b + i * step_b]
            out[row, i] = x if (x > y) == greatest else y


@kernel(parallel=True)
def prelu(x: Ints, alpha: Ints, rows: Ints, steps: Ints, constants: Ints, out: Ints) -> None:
    """Rescale x where it is not negative, else alpha * x; arguments as in `add`.

    constants: int64 [9]: zero points of x, alpha, out, multiplier and exponent of x, of alpha * x, minimum, maximum.
    """
    zero_x, zero_alpha, zero_out = constants[0], constants[1], constants[2]
    mult_x, exp_x, mult_slope, exp_slope = constants[3], constants[4], constants[5], constants[6]
    low, high = constants[7], constants[8]
    step_x, step_alpha = steps[0], steps[1]
    for row in prange(out.shape[0]):
        start_x, start_alpha = rows[row, 0], rows[row, 1]
        for i in range(out.shape[1]):
            value = x[start_x + i * step_x] - zero_x
            slope = alpha[start_alpha + i * step_alpha] - zero_alpha
            positive = value >= 0  # selected, not branched on: signs are hard to predict
            operand = value if positive else value * slope
            mantissa = mult_x if positive else mult_slope
            exponent = exp_x if positive else exp_slope
            scaled = multiply_by_quantized_multiplier(operand, mantissa, exponent)
            out[row, i] = min(max(zero_out + scaled, low), high)
