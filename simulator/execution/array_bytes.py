"""Sums of operands of 9 to 16 bits on the tiles for bytes: high and low bytes by themselves, then put together.

x = 256 * xh + xl and w = 256 * wh + wl, so that sum(x * w) is a sum of up to four sums of bytes, each exact in int32
where its bound says so. The low byte of a weight is taken from -128 to 127, as the tiles want weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from simulator.execution.array_operands import Operands
from simulator.execution.array_tiles import Tiles, choose_tiles, run_tiles
from simulator.execution.array_weights import Weights
from simulator.kernels.byte_parts import add_shifted, split_bytes
from simulator.numerics.formats import INT8, INT16, UINT8, IntFormat

_BYTE_BITS = 8


def sums_by_bytes(operands: Operands) -> NDArray[np.int64] | None:
    """Return every output as one exact sum, int64 [pixels, filters]; None where the tiles cannot give the parts."""
    if operands.is_depthwise or not _fit_int16(operands):
        return None
    plan = [(part, shift, _tiles(part)) for part, shift in _parts(operands)]
    if any(tiles is None for *_, tiles in plan):
        return None
    out = np.empty((operands.geometry.m, operands.filters), np.int64)
    for index, (part, shift, tiles) in enumerate(plan):
        assert tiles is not None
        values, _ = run_tiles(part, tiles, None)
        add_shifted(values.reshape(-1), shift, index == 0, out.reshape(-1))
    if operands.start.any():
        out += operands.start
    return out


def _fit_int16(operands: Operands) -> bool:
    least, greatest = operands.weights.range
    low, high = operands.x_format.min - operands.x_zero_point, operands.x_format.max - operands.x_zero_point
    return min(least, low) >= INT16.min and max(greatest, high) <= INT16.max


def _tiles(part: Operands) -> Tiles | None:
    return choose_tiles(part) if _fits_int32(part) else None


def _fits_int32(part: Operands) -> bool:
    """Whether no sum of products can leave int32."""
    positive, negative = (sums.astype(object) for sums in part.weights.fold_sums(part.geometry.k))
    least, greatest = part.x_range
    upper, lower = positive * greatest + negative * least, positive * least + negative * greatest
    return int(upper.max()) < 1 << 31 and int(lower.min()) >= -(1 << 31)


def _parts(operands: Operands) -> Iterator[tuple[Operands, int]]:
    """Yield operands of bytes, and the power of two that their sums count."""
    for x, format, zero, x_shift in _activations(operands):
        for weights, w_shift in _weights(operands.weights):
            start = np.zeros((1, operands.filters), np.int64)
            part = replace(operands, given=x, x_format=format, x_zero_point=zero, weights=weights, start=start)
            yield part, x_shift + w_shift


def _activations(operands: Operands) -> Iterator[tuple[NDArray[np.integer], IntFormat, int, int]]:
    format, zero = operands.x_format, operands.x_zero_point
    if format.bits <= _BYTE_BITS:
        yield operands.given, format, zero, 0
        return
    x = operands.x
    high, low = np.empty(x.shape, np.int8), np.empty(x.shape, np.uint8)
    split_bytes(x.reshape(-1), zero, False, high.reshape(-1), low.reshape(-1))
    yield high, INT8, 0, _BYTE_BITS
    yield low, UINT8, 0, 0


def _weights(weights: Weights) -> Iterator[tuple[Weights, int]]:
    least, greatest = weights.range
    if least >= INT8.min and greatest <= INT8.max:
        yield weights, 0
        return
    if "bytes" not in weights.kept:
        weights.kept["bytes"] = _split(weights)
    high, low = weights.kept["bytes"]
    yield high, _BYTE_BITS
    yield low, 0


def _split(weights: Weights) -> tuple[Weights, Weights]:
    centred = weights.stored if not weights.zero_points.any() else weights.centred
    flat = np.ascontiguousarray(centred).reshape(-1)
    # Only 32640 and more have a high part of 128, which int8 does not hold.
    wide = weights.range[1] > INT16.max - INT8.max - 1
    high, low = np.empty(centred.shape, np.int16 if wide else np.int8), np.empty(centred.shape, np.int8)
    split_bytes(flat, 0, True, high.reshape(-1), low.reshape(-1))
    zeros = np.zeros(len(centred), np.int64)
    return Weights(high, zeros), Weights(low, zeros)
