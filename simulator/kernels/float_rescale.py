"""Vector operators whose scales are float32 numbers: sums, products and bilinear resize, as ONNX Runtime computes them.

Every float32 operation rounds once, to nearest, a tie to even; a fused multiply-add rounds once for both.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from simulator.kernels._jit import kernel

Ints = NDArray[Any]
Floats = NDArray[np.float32]


@kernel(inline=True)
def fused_multiply_add(a: Any, b: Any, c: Any) -> Any:
    """Round a * b + c once to float32; a is an integer of at most 17 bits, b and c are float32.

    The product is exact in float64. Where the sum is not, and float64 rounds it to halfway between two float32
    numbers, what was rounded away decides.
    """
    product = np.float64(a) * np.float64(b)
    addend = np.float64(c)
    total = product + addend
    nearest = np.float32(total)
    part = total - product
    lost = (product - (total - part)) + (addend - part)
    above = total - np.float64(nearest)
    if lost != 0.0 and above != 0.0 and (lost > 0.0) == (above > 0.0):
        other = np.nextafter(nearest, np.float32(np.inf) if above > 0.0 else np.float32(-np.inf))
        if np.float64(other) - total == above:
            return other
    return nearest


@kernel(parallel=True)
def add(a: Ints, b: Ints, rows: Ints, steps: Ints, constants: NDArray[np.float64], out: Ints) -> None:
    """Write clamp(rint(b * ratio_b + fixed, then a * ratio_a on top)), two fused multiply-adds.

    Parameters
    ----------
    a, b, rows, steps, out
        As in `simulator.kernels.elementwise.add`.
    constants
        float64 [6], float32 numbers: ratio of a, ratio of b, fixed part, minimum, maximum, 1 where a comes first.

    """
    ratio_a, ratio_b, fixed = np.float32(constants[0]), np.float32(constants[1]), np.float32(constants[2])
    low, high, a_first = constants[3], constants[4], constants[5] != 0.0
    step_a, step_b = steps[0], steps[1]
    for row in prange(out.shape[0]):
        start_a, start_b = rows[row, 0], rows[row, 1]
        for i in range(out.shape[1]):
            x, y = np.int64(a[start_a + i * step_a]), np.int64(b[start_b + i * step_b])
            if a_first:
                total = fused_multiply_add(y, ratio_b, fused_multiply_add(x, ratio_a, fixed))
            else:
                total = fused_multiply_add(x, ratio_a, fused_multiply_add(y, ratio_b, fixed))
            out[row, i] = np.int64(min(max(np.rint(np.float64(total)), low), high))


@kernel(parallel=True)
def multiply(a: Ints, b: Ints, rows: Ints, steps: Ints, constants: NDArray[np.float64], out: Ints) -> None:
    """Write clamp(rint((a - za) * (b - zb) * ratio + zo)): product and sum each rounded to float32; as in `add`.

    constants: float64 [6]: zero points of a and b, ratio, zero point of out, minimum, maximum.
    """
    zero_a, zero_b = np.int64(constants[0]), np.int64(constants[1])
    ratio, zero_out = np.float32(constants[2]), np.float32(constants[3])
    low, high = constants[4], constants[5]
    step_a, step_b = steps[0], steps[1]
    for row in prange(out.shape[0]):
        start_a, start_b = rows[row, 0], rows[row, 1]
        for i in range(out.shape[1]):
            product = (np.int64(a[start_a + i * step_a]) - zero_a) * (np.int64(b[start_b + i * step_b]) - zero_b)
            scaled = np.float32(np.float32(product) * ratio)
            total = np.float32(scaled + zero_out)
            out[row, i] = np.int64(min(max(np.rint(np.float64(total)), low), high))


@kernel(parallel=True)
def bilinear(
    x: Ints, top: Ints, bottom: Ints, down: Floats, left: Ints, right: Ints, across: Floats, nearest: bool, out: Ints
) -> None:
    """Interpolate in float32: each neighbour times the product of its two weights, summed in order.

    Parameters
    ----------
    x
        [batch, height, width, channels].
    top, bottom, left, right
        int64 per output row or column: the two neighbours, inside the image.
    down, across
        float32 [2, rows] and [2, columns]: weights of the two neighbours.
    nearest
        Round half to even; otherwise the fraction is dropped.
    out
        [batch, rows, columns, channels], written.

    """
    batch, rows, columns, channels = out.shape
    for line in prange(batch * rows):
        image, row = line // rows, line % rows
        above, below = x[image, top[row]], x[image, bottom[row]]
        for column in range(columns):
            first, second = left[column], right[column]
            w00 = np.float32(across[0, column] * down[0, row])
            w01 = np.float32(across[1, column] * down[0, row])
            w10 = np.float32(across[0, column] * down[1, row])
            w11 = np.float32(across[1, column] * down[1, row])
            for c in range(channels):
                total = np.float32(w00 * np.float32(above[first, c])) + np.float32(w01 * np.float32(above[second, c]))
                total = np.float32(total) + np.float32(w10 * np.float32(below[first, c]))
                total = np.float32(total) + np.float32(w11 * np.float32(below[second, c]))
                out[image, row, column, c] = np.int64(np.rint(total) if nearest else np.trunc(total))
