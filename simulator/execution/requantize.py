"""Accumulators of a layer to its output tensor."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.execution.context import ExecutionContext
from simulator.execution.fused import Fused, fuse
from simulator.kernels import isa, requantize_panels
from simulator.kernels import requantize as kernels
from simulator.numerics.formats import IntFormat
from simulator.numerics.modes import RequantizerKind, RoundingMode
from simulator.numerics.quant import RequantParams

ROUNDING = {
    RoundingMode.TIES_AWAY: kernels.TIES_AWAY,
    RoundingMode.TIES_EVEN: kernels.TIES_EVEN,
    RoundingMode.TIES_POS: kernels.TIES_POS,
    RoundingMode.TO_NEG: kernels.TO_NEG,
    RoundingMode.TO_ZERO: kernels.TO_ZERO,
    RoundingMode.STOCHASTIC: kernels.STOCHASTIC,
}
"""A rounding mode as kernels know it."""


def random_key(context: ExecutionContext, tensor: str) -> NDArray[np.uint64]:
    """Key of a tensor's random draws: (seed, step, CRC-32 of its name), uint64 [3]."""
    return np.array([context.seed % (1 << 64), context.step % (1 << 32), zlib.crc32(tensor.encode())], np.uint64)


def requantize(
    accumulators: NDArray[np.int32] | NDArray[np.int64],
    bits: int,
    params: RequantParams,
    format: IntFormat,
    key: NDArray[np.uint64],
) -> tuple[NDArray[Any], int]:
    """Scale accumulators to output values.

    Parameters
    ----------
    accumulators
        [pixels, channels].
    bits
        Width of the register.
    params
        Constants of the layer.
    format
        Output format, at most 16 bits.
    key
        `random_key`, for stochastic rounding.

    Returns
    -------
    output : ndarray
        [pixels, channels], dtype of `format`.
    saturations : int
        Outputs that were clipped.

    """
    fused = fuse(params, format) if accumulators.dtype == np.int32 else None
    name = isa.chosen()
    if fused is not None and name != isa.PLAIN:
        return _requantize_on_vectors(accumulators, fused, name)
    out = np.empty(accumulators.shape, format.dtype)
    raw = out.view(np.uint8 if out.itemsize == 1 else np.uint16)
    clipped = np.empty(len(accumulators), np.int64)
    limits = (params.zero_point, params.minimum, params.maximum)
    rounding = ROUNDING[params.rounding]
    match params.kind:
        case RequantizerKind.FIXED_POINT_DOUBLE:
            kernels.fixed_point_double(accumulators, bits, params.multiplier, params.exponent, *limits, raw, clipped)
        case RequantizerKind.FIXED_POINT_SINGLE:
            shifts = params.exponent - 31
            kernels.shifted(accumulators, bits, params.multiplier, shifts, *limits, rounding, key, raw, clipped)
        case RequantizerKind.POWER_OF_TWO:
            whole = min(bits, 32)  # takes all bits of any register
            constants = (params.multiplier, params.exponent)
            kernels.shifted(accumulators, whole, *constants, *limits, rounding, key, raw, clipped)
        case RequantizerKind.FLOAT32:
            kernels.float32(accumulators, bits, params.scale, *limits, raw, clipped)
    return out, int(clipped.sum())


def _requantize_on_vectors(accumulators: NDArray[Any], fused: Fused, name: str) -> tuple[NDArray[Any], int]:
    chosen = isa.INSTRUCTION_SETS[name]
    padded = np.zeros((3, -(-accumulators.shape[1] // chosen.channels) * chosen.channels), np.int32)
    padded[1:, : accumulators.shape[1]] = fused.first, fused.second
    out = np.empty(accumulators.shape, fused.format.dtype)
    clipped = np.zeros(-(-len(accumulators) // requantize_panels.ROWS), np.int64)
    plan = np.array(fused.plan(chosen), np.int64)
    raw = out.reshape(-1).view(np.uint8)
    requantize_panels.requantize_matrix(
        plan, np.ascontiguousarray(accumulators), padded[0], padded[1], padded[2], raw, clipped
    )
    return out, int(clipped.sum())
