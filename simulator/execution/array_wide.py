"""Run a layer that is proved free of events as one wide sum."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.execution.array_operands import Operands, geometry_vector
from simulator.execution.array_proof import Bounds
from simulator.execution.array_tiles import Fused, Tiles, choose_tiles, run_tiles
from simulator.execution.array_weights import Weights
from simulator.graph.ops import Padding
from simulator.kernels import wide
from simulator.lowering.layer import ConvGeometry
from simulator.numerics.scalar import needed_bits


@dataclass(frozen=True, eq=False)
class WideSums:
    """Outputs of a layer without events."""

    values: NDArray[Any]
    """[pixels, filters]: accumulators, int32 where the bounds allow it, else int64; or what the requantizer made of them."""
    saturations: int | None
    """Outputs that the requantizer clipped; None = `values` are accumulators."""


def run_wide(operands: Operands, bounds: Bounds, fused: Fused | None = None) -> WideSums:
    """Return every output as one exact sum.

    Parameters
    ----------
    operands, bounds
        The layer's.
    fused
        Its requantizer; used on the way where a kernel does so.

    """
    narrow = needed_bits(*bounds.accumulator) <= 32
    if operands.is_depthwise:
        return WideSums(_depthwise(operands, np.int32 if narrow else np.int64), None)
    convolve = _convolver(operands, narrow, fused)
    if operands.geometry.insertion == (1, 1):
        values, saturations = convolve(operands.geometry, operands.weights)
    else:
        values, saturations = _by_phases(operands, convolve)
    is_output = isinstance(convolve, _Tiled) and fused is not None
    return WideSums(values, saturations if is_output else None)


def _convolver(operands: Operands, narrow: bool, fused: Fused | None) -> Convolver:
    tiles = choose_tiles(operands) if narrow else None
    if tiles is not None:
        return _Tiled(operands, tiles, fused)
    fill = operands.x_zero_point - operands.x_format.min
    least, greatest = operands.weights.range
    on_bytes = narrow and operands.x_format.bits <= 8 and 0 <= fill < 256 and least >= -(1 << 15) and greatest < 1 << 15
    return _Bytes.prepare(operands, fill) if on_bytes else _Int64.prepare(operands)


def spread(operands: Operands, padded_filters: int) -> NDArray[np.int32]:
    """Activations of a depthwise layer, one column for each filter (the channel it reads), zeros up to the padding."""
    x = operands.centred_x()
    spread_x = np.zeros((x.shape[0], padded_filters), np.int32)
    spread_x[:, : operands.filters] = np.repeat(x, operands.geometry.filters, axis=1)
    return spread_x


def _depthwise(operands: Operands, dtype: type[np.int32] | type[np.int64]) -> NDArray[Any]:
    out = np.empty((operands.geometry.m, operands.filters), dtype)
    weights = np.ascontiguousarray(operands.weights.centred.T)
    x = spread(operands, operands.filters)
    wide.depthwise_wide(x, weights, operands.start.astype(dtype), geometry_vector(operands.geometry), out)
    return out


Convolver = Callable[[ConvGeometry, Weights], tuple[NDArray[Any], int]]
"""(geometry, weights) -> values [pixels, filters], saturations. The geometry is the layer's or that of one phase."""


@dataclass(frozen=True, eq=False)
class _Tiled:
    """Sums of an instruction set's register tiles, requantized where `fused` says how."""

    operands: Operands
    tiles: Tiles
    fused: Fused | None

    def __call__(self, geometry: ConvGeometry, weights: Weights) -> tuple[NDArray[Any], int]:
        return run_tiles(self.operands, geometry, weights, self.tiles, self.fused)


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

    def __call__(self, geometry: ConvGeometry, weights: Weights) -> tuple[NDArray[np.int32], int]:
        filled = -(-geometry.filters // wide.TILE) * wide.TILE
        packed = np.zeros((geometry.groups, filled, geometry.k), np.int16)
        packed[:, : geometry.filters] = weights.centred.reshape(geometry.groups, geometry.filters, geometry.k)
        # The kernel sums q * w; less z * w it is the sum of (q - z) * w. Exact modulo 2^32, and the result fits.
        start = (self.start - self.fill * weights.sums).astype(np.int32)
        out = np.empty((geometry.m, geometry.filters * geometry.groups), np.int32)
        wide.conv_wide(self.x, packed, start, geometry_vector(geometry), self.fill, out)
        return out, 0


@dataclass(frozen=True, eq=False)
class _Int64:
    """Wider operands, int64 sums."""

    x: NDArray[np.int32]
    start: NDArray[np.int64]

    @classmethod
    def prepare(cls, operands: Operands) -> _Int64:
        return cls(operands.centred_x(), operands.start)

    def __call__(self, geometry: ConvGeometry, weights: Weights) -> tuple[NDArray[np.int64], int]:
        packed = np.ascontiguousarray(weights.centred.reshape(geometry.groups, geometry.filters, geometry.k))
        out = np.empty((geometry.m, geometry.filters * geometry.groups), np.int64)
        wide.conv_wide_int64(self.x, packed, self.start, geometry_vector(geometry), out)
        return out, 0


# ---------------------------------------------------------------- transposed convolution


def _by_phases(operands: Operands, convolve: Convolver) -> tuple[NDArray[Any], int]:
    """Leave out the woven zeros: outputs of one phase (row and column modulo the stride) share their nonzero taps."""
    whole = operands.geometry
    size = (whole.batch, whole.out_height, whole.out_width, whole.filters)
    out, saturations = np.empty(0), 0
    for row in _phases(whole.out_height, whole.kernel[0], whole.padding.top, whole.insertion[0]):
        for column in _phases(whole.out_width, whole.kernel[1], whole.padding.left, whole.insertion[1]):
            taps = _taps(operands.weights, whole, row, column)
            part = replace(
                whole,
                out_height=row.outputs,
                out_width=column.outputs,
                kernel=(_tap_count(row, whole.kernel[0]), _tap_count(column, whole.kernel[1])),
                padding=Padding(top=row.padding, left=column.padding),
                insertion=(1, 1),
                transposed=False,
            )
            values, clipped = convolve(part, taps)
            saturations += clipped
            if not out.size:
                out = np.empty(size, values.dtype)
            shape = (whole.batch, row.outputs, column.outputs, whole.filters)
            out[:, row.phase :: row.stride, column.phase :: column.stride] = values.reshape(shape)
    return out.reshape(whole.m, whole.filters), saturations


def _taps(weights: Weights, whole: ConvGeometry, row: _Phase, column: _Phase) -> Weights:
    """Return the weights that meet real input in one phase; where none do, one tap of weights that count for nothing."""
    key = ("phase", row.first_tap, column.first_tap)
    if key not in weights.kept:
        filters = weights.stored.reshape(whole.filters, *whole.kernel, whole.channels)
        taps = filters[:, row.first_tap :: row.stride, column.first_tap :: column.stride]
        if not taps.size:
            shape = (whole.filters, max(1, taps.shape[1]), max(1, taps.shape[2]), whole.channels)
            taps = np.broadcast_to(weights.zero_points[:, None, None, None], shape).astype(filters.dtype)
        matrix = np.ascontiguousarray(taps).reshape(whole.filters, -1)
        weights.kept[key] = Weights(matrix, weights.zero_points)
    found: Weights = weights.kept[key]
    return found


def _tap_count(phase: _Phase, taps: int) -> int:
    return max(1, len(range(phase.first_tap, taps, phase.stride)))


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
