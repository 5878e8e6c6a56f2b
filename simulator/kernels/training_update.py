"""Updates of integer training, flat; `simulator.numerics.training_update` is the specification.

constants: int64 [6]: mantissa of the gradient, right shift to the step of dW, its limit, whether weights decay, right
shift of the decay, limit of the master.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from simulator.kernels._jit import kernel
from simulator.kernels.training_arith import CHUNK, clip, half_of, scaled, scaled_narrow

Ints = NDArray[Any]
Longs = NDArray[np.int64]

_INT32_MIN, _INT32_MAX = -(1 << 31), (1 << 31) - 1


@kernel(inline=True)
def _moved(master: Any, gradient: Any, constants: Any) -> Any:
    step = clip(scaled_narrow(gradient, constants[0], constants[1]), constants[2])
    if constants[3] != 0:
        step += scaled_narrow(master, np.int64(1), constants[4])
    return clip(master - step, constants[5])


@kernel(parallel=True)
def update(master: NDArray[np.int32], gradient: Ints, constants: Longs, out: NDArray[np.int32]) -> None:
    """Step of SGD; gradient: int8 to int32."""
    for index in prange(-(-out.size // CHUNK)):
        start: Any = np.int64(index) * CHUNK
        before, n, target = master[start : start + CHUNK], gradient[start : start + CHUNK], out[start : start + CHUNK]
        if constants[1] >= -16 and constants[3] == 0:  # 46 bits of a product, and 16
            mantissa, most, limit = constants[0], constants[2], constants[5]
            left, right = max(-constants[1], 0), min(max(constants[1], 0), 62)
            half = half_of(right)
            for i in range(target.size):
                step = clip((((np.int64(n[i]) * mantissa) << left) + half) >> right, most)
                target[i] = clip(np.int64(before[i]) - step, limit)
        else:
            for i in range(target.size):
                target[i] = _moved(np.int64(before[i]), np.int64(n[i]), constants)


@kernel(parallel=True)
def momentum_update(
    master: NDArray[np.int32],
    velocity: NDArray[np.int32],
    gradient: Ints,
    constants: Longs,
    momentum: Longs,
    out: NDArray[np.int32],
    out_velocity: NDArray[np.int32],
) -> None:
    """Step with momentum; constants[:2] are of the velocity.

    momentum: int64 [4], factor and its right shift, mantissa of the gradient and its right shift.
    """
    for index in prange(-(-out.size // CHUNK)):
        task: Any = np.int64(index)
        for i in range(task * CHUNK, min((task + 1) * CHUNK, out.size)):
            kept = scaled(np.int64(velocity[i]), momentum[0], momentum[1])
            speed = kept + scaled_narrow(np.int64(gradient[i]), momentum[2], momentum[3])
            speed = min(max(speed, _INT32_MIN), _INT32_MAX)
            out_velocity[i] = speed
            out[i] = _moved(np.int64(master[i]), speed, constants)
