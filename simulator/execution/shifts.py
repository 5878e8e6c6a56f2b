"""Execute sums, products and rescales of a device that rescales by shifts alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.execution.broadcast import broadcast_rows, flat
from simulator.execution.context import ExecutionContext
from simulator.execution.requantize import ROUNDING, random_key
from simulator.graph.graph import Tensor
from simulator.kernels import shifts as kernels
from simulator.lowering.shifts import Rounded, ShiftAddConstants, ShiftMulConstants, ShiftRescaleConstants

_NOTHING = np.zeros(1, np.int8)


def shifted_sum(
    c: ShiftAddConstants, a: NDArray[Any], b: NDArray[Any], out: Tensor, context: ExecutionContext
) -> NDArray[Any]:
    """Return a + b (or a - b), broadcast, in the format of `out`."""
    values = (c.sign, *c.zero_points, *c.left_shifts, *_rounded(c.result, out.name, context))
    return _run(kernels.shift_add, a, b, values, out)


def shifted_product(
    c: ShiftMulConstants, a: NDArray[Any], b: NDArray[Any], out: Tensor, context: ExecutionContext
) -> NDArray[Any]:
    """Return a * b, broadcast, in the format of `out`."""
    return _run(kernels.shift_multiply, a, b, (*c.zero_points, *_rounded(c.result, out.name, context)), out)


def rescaled(
    c: ShiftRescaleConstants, x: NDArray[Any], out: Tensor, context: ExecutionContext, stream: str = ""
) -> NDArray[Any]:
    """Return x in the format and scale of `out`, shape of x; `stream` tells draws for several inputs apart."""
    values = (1, c.zero_point, 0, 0, 0, *_rounded(c.result, out.name + stream, context))
    return _run(kernels.shift_add, x, _NOTHING, values, out, x.shape)


def _rounded(result: Rounded, tensor: str, context: ExecutionContext) -> tuple[int, ...]:
    key = random_key(context, tensor).view(np.int64).tolist()
    limits = (result.zero_point, result.exponent, result.minimum, result.maximum)
    return (*limits, ROUNDING[result.rounding], *key)


def _run(
    kernel: Any,
    a: NDArray[Any],
    b: NDArray[Any],
    constants: tuple[int, ...],
    out: Tensor,
    out_shape: tuple[int, ...] | None = None,
) -> NDArray[Any]:
    wanted = out.shape if out_shape is None else out_shape
    rows, steps, shape = broadcast_rows(a.shape, b.shape, wanted)
    result = np.empty(shape, out.format.dtype)
    kernel(flat(a), flat(b), rows, steps, np.array(constants, np.int64), result)
    return result.reshape(wanted)
