"""Run a layer that is proved free of events as one wide sum."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.execution.array_operands import Operands, geometry_vector
from simulator.execution.array_proof import Bounds
from simulator.graph.ops import Padding
from simulator.kernels import wide
from simulator.lowering.layer import ConvGeometry
from simulator.numerics.scalar import needed_bits


def run_wide(operands: Operands, bounds: Bounds) -> NDArray[np.int32] | NDArray[np.int64]:
    """Return the final accumulators [pixels, filters], exact; int32 where the bounds allow it."""
    narrow = needed_bits(*bounds.accumulator) <= 32
    if operands.is_depthwise:
        return _depthwise(operands, np.int32 if narrow else np.int64)
    fill = operands.x_zero_point - operands.x_format.min
    on_bytes = narrow and operands.x_format.bits <= 8 and 0 <= fill < 256 and _fits_int16(operands.weights)
    convolve = _Bytes.prepare(operands, fill) if on_bytes else _Int64.prepare(operands)
    if operands.geometry.insertion == (1, 1):
        return convolve.run(operands.geometry, operands.weights)
    return _by_phases(operands, convolve)


def _fits_int16(weights: NDArray[np.int32]) -> bool:
    return bool(weights.min() >= -(1 << 15) and weights.max() < 1 << 15)


def spread(operands: Operands, padded_filters: int) -> NDArray[np.int32]:
    """Activations of a depthwise layer, one column for each filter (the channel it reads), zeros up to the padding."""
    x = operands.centred_x()
    spread_x = np.zeros((x.shape[0], padded_filters), np.int32)
    spread_x[:, : operands.filters] = np.repeat(x, operands.geometry.filters, axis=1)
    return spread_x


def _depthwise(operands: Operands, dtype: type[np.int32] | type[np.int64]) -> NDArray[Any]:
    out = np.empty((operands.geometry.m, operands.filters), dtype)
    weights = np.ascontiguousarray(operands.weights.T)
    x = spread(operands, operands.filters)
    wide.depthwise_wide(x, weights, operands.start.astype(dtype), geometry_vector(operands.geometry), out)
    return out


@dataclass(frozen=True, eq=False)
class _Bytes:
    """8-bit activations, int32 sums."""

    x: NDArray[np.uint8]
    fill: int
    start: NDArray[np.int64]

    @classmethod
    def prepare(cls, operands: Operands, fill: int) -> _Bytes:
        x = (operands.x.astype(np.int16) - np.int16(operands.x_format.min)).astype(np.uint8)
        return cls(x, fill, operands.start)

    def run(self, geometry: ConvGeometry, weights: NDArray[np.int32]) -> NDArray[np.int32]:
        filled = -(-geometry.filters // wide.TILE) * wide.TILE
        packed = np.zeros((geometry.groups, filled, geometry.k), np.int16)
        packed[:, : geometry.filters] = weights.reshape(geometry.groups, geometry.filters, geometry.k)
        # The kernel sums q * w; less z * w it is the sum of (q - z) * w. Exact modulo 2^32, and the result fits.
        start = (self.start - self.fill * weights.sum(axis=1, dtype=np.int64)).astype(np.int32)
        out = np.empty((geometry.m, geometry.filters * geometry.groups), np.int32)
        wide.conv_wide(self.x, packed, start, geometry_vector(geometry), self.fill, out)
        return out


@dataclass(frozen=True, eq=False)
class _Int64:
    """Wider operands, int64 sums."""

    x: NDArray[np.int32]
    start: NDArray[np.int64]

    @classmethod
    def prepare(cls, operands: Operands) -> _Int64:
        return cls(operands.centred_x(), operands.start)

    def run(self, geometry: ConvGeometry, weights: NDArray[np.int32]) -> NDArray[np.int64]:
        packed = np.ascontiguousarray(weights.reshape(geometry.groups, geometry.filters, geometry.k))
        out = np.empty((geometry.m, geometry.filters * geometry.groups), np.int64)
        wide.conv_wide_int64(self.x, packed, self.start, geometry_vector(geometry), out)
        return out


# ---------------------------------------------------------------- transposed convolution


def _by_phases(operands: Operands, convolve: _Bytes | _Int64) -> NDArray[Any]:
    """Leave out the woven zeros: outputs of one phase (row and column modulo the stride) share their nonzero taps."""
    whole = operands.geometry
    filters = operands.weights.reshape(whole.filters, *whole.kernel, whole.channels)
    dtype = np.int32 if isinstance(convolve, _Bytes) else np.int64
    out = np.empty((whole.batch, whole.out_height, whole.out_width, whole.filters), dtype)
    for row in _phases(whole.out_height, whole.kernel[0], whole.padding.top, whole.insertion[0]):
        for column in _phases(whole.out_width, whole.kernel[1], whole.padding.left, whole.insertion[1]):
            taps = np.ascontiguousarray(filters[:, row.first_tap :: row.stride, column.first_tap :: column.stride])
            part = replace(
                whole,
                out_height=row.outputs,
                out_width=column.outputs,
                kernel=(taps.shape[1], taps.shape[2]),
                padding=Padding(top=row.padding, left=column.padding),
                insertion=(1, 1),
                transposed=False,
            )
            sums = convolve.run(part, taps.reshape(whole.filters, -1))
            shape = (whole.batch, row.outputs, column.outputs, whole.filters)
            out[:, row.phase :: row.stride, column.phase :: column.stride] = sums.reshape(shape)
    return out.reshape(whole.m, whole.filters)


@dataclass(frozen=True)
class _Phase:
    phase: int
    stride: int
    outputs: int
    first_tap: int
    """The taps phase, phase + stride ... of the flipped filter meet real input."""
    padding: int
    """Input rows above the first output's first tap; may be negative."""


def _phases(outputs: int, taps: int, padding: int, stride: int) -> Iterator[_Phase]:
    for phase in range(min(stride, outputs)):
        first_tap = (padding - phase) % stride
        before = (padding - phase - first_tap) // stride
        yield _Phase(phase, stride, -(-(outputs - phase) // stride), min(first_tap, taps), before)
