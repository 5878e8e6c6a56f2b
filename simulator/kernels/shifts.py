"""Two-operand arithmetic of a device that rescales by shifts alone; arguments as in `simulator.kernels.elementwise`.

Exact in int64 up to the one rounding at the end: operands have 16 bits at most and are shifted left by 40 at most.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from simulator.kernels import philox
from simulator.kernels._jit import kernel
from simulator.kernels.requantize import STOCHASTIC, shift_rounding

Ints = NDArray[Any]


@kernel(inline=True)
def _rounded(value: Any, constants: Any, index: Any) -> Any:
    """Shift, round, move to the output's zero point, clamp.

    constants: the last 8 of a kernel: zero point, exponent, minimum, maximum, rounding, and the key of random draws.
    """
    n = constants.size
    random = np.uint64(0)
    if constants[n - 4] == STOCHASTIC:
        seed, step, tensor = np.uint64(constants[n - 3]), np.uint64(constants[n - 2]), np.uint64(constants[n - 1])
        random = philox.draw(seed, step, tensor, np.uint64(index))
    scaled = shift_rounding(value, constants[n - 7], constants[n - 4], random) + constants[n - 8]
    return min(max(scaled, constants[n - 6]), constants[n - 5])


@kernel(parallel=True)
def shift_add(a: Ints, b: Ints, rows: Ints, steps: Ints, constants: Ints, out: Ints) -> None:
    """Align both operands by left shifts, add (or subtract), shift, round, clamp.

    constants: int64 [13]: sign, zero points of a and b, left shifts of a and b, then those of `_rounded`.
    """
    sign, zero_a, zero_b = constants[0], constants[1], constants[2]
    left_a, left_b = constants[3], constants[4]
    step_a, step_b = steps[0], steps[1]
    for row_index in prange(out.shape[0]):
        row = np.int64(row_index)  # unsigned in a parallel loop, and unsigned with signed makes float64
        start_a, start_b = rows[row, 0], rows[row, 1]
        for i in range(out.shape[1]):
            wide_a = (np.int64(a[start_a + i * step_a]) - zero_a) << left_a
            wide_b = (np.int64(b[start_b + i * step_b]) - zero_b) << left_b
            out[row, i] = _rounded(wide_a + sign * wide_b, constants, row * out.shape[1] + i)


@kernel(parallel=True)
def shift_multiply(a: Ints, b: Ints, rows: Ints, steps: Ints, constants: Ints, out: Ints) -> None:
    """Multiply, shift, round, clamp.

    constants: int64 [10]: zero points of a and b, then those of `_rounded`.
    """
    zero_a, zero_b = constants[0], constants[1]
    step_a, step_b = steps[0], steps[1]
    for row_index in prange(out.shape[0]):
        row = np.int64(row_index)  # unsigned in a parallel loop, and unsigned with signed makes float64
        start_a, start_b = rows[row, 0], rows[row, 1]
        for i in range(out.shape[1]):
            x = np.int64(a[start_a + i * step_a]) - zero_a
            y = np.int64(b[start_b + i * step_b]) - zero_b
            out[row, i] = _rounded(x * y, constants, row * out.shape[1] + i)
