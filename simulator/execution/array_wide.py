"""Run a layer that is proved free of events as one wide sum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.execution.array_bytes import sums_by_bytes
from simulator.execution.array_depthwise import run_depthwise
from simulator.execution.array_operands import Operands, geometry_vector
from simulator.execution.array_parts import plan_parts, sum_parts
from simulator.execution.array_phase_tiles import run_phase_tiles, takes_phases
from simulator.execution.array_phases import phase_operands, place_phases, plan_phases
from simulator.execution.array_proof import Bounds
from simulator.execution.array_tiles import choose_tiles, run_tiles
from simulator.execution.fused import Fused
from simulator.kernels import wide
from simulator.numerics.scalar import needed_bits


@dataclass(frozen=True, eq=False)
class WideSums:
    """Outputs of a layer without events."""

    values: NDArray[Any]
    """[pixels, filters]: accumulators, int32 where the bounds allow it, else int64; or what became of them."""
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
    if fused is not None:
        fused = fused.within(*bounds.accumulator)
    if operands.is_depthwise:
        return WideSums(*run_depthwise(operands, fused, narrow=narrow))
    if operands.geometry.insertion != (1, 1):
        return _by_phases(operands, narrow, fused)
    return _convolve(operands, narrow, fused)


def _convolve(operands: Operands, narrow: bool, fused: Fused | None) -> WideSums:
    tiles = choose_tiles(operands) if narrow else None
    if tiles is not None:
        values, saturations = run_tiles(operands, tiles.fitted(operands.geometry.filters), fused)
        return WideSums(values, saturations if fused else None)
    by_bytes = sums_by_bytes(operands)
    if by_bytes is not None:
        return WideSums(by_bytes, None)
    parts = None if narrow else plan_parts(operands)
    if parts is not None:
        return WideSums(sum_parts(operands, parts, lambda part: _convolve(part, True, None).values), None)
    fill = operands.x_zero_point - operands.x_format.min
    least, greatest = operands.weights.range
    on_bytes = narrow and operands.x_format.bits <= 8 and 0 <= fill < 256 and least >= -(1 << 15) and greatest < 1 << 15
    return WideSums(_on_bytes(operands, fill) if on_bytes else _on_int64(operands), None)


_FILTERS_APART = 48
"""Filters from which phases are run one by one."""


def _by_phases(operands: Operands, narrow: bool, fused: Fused | None) -> WideSums:
    """Run a transposed convolution as the convolutions of its phases, and lay their outputs out."""
    whole = operands.geometry
    is_apart = whole.filters >= _FILTERS_APART
    tiles = choose_tiles(operands) if narrow and fused is None and is_apart else None
    if tiles is not None and takes_phases(operands, tiles):
        return WideSums(run_phase_tiles(operands, tiles.fitted(whole.filters)), None)
    plan = plan_phases(whole, apart=is_apart)
    parts = [phase_operands(operands, group) for group in plan]
    # Tiles may take the taps of one phase and not those of another, and only they requantize: all parts, or none.
    if not narrow or any(choose_tiles(part) is None for part in parts):
        fused = None
    values: NDArray[Any] = np.empty(0)
    saturations: int | None = 0
    for group, part in zip(plan, parts, strict=True):
        sums = _convolve(part, narrow, fused.repeated(len(group.rows) * len(group.columns)) if fused else None)
        if not values.size:
            values = np.empty((whole.batch, whole.out_height, whole.out_width, whole.filters), sums.values.dtype)
        place_phases(sums.values, group, values)
        saturations = None if sums.saturations is None or saturations is None else saturations + sums.saturations
    return WideSums(values.reshape(whole.m, whole.filters), saturations)


def _on_bytes(operands: Operands, fill: int) -> NDArray[np.int32]:
    """Sum products of 8-bit activations on plain loops."""
    geometry, weights = operands.geometry, operands.weights
    x = (operands.x.astype(np.int16) - np.int16(operands.x_format.min)).astype(np.uint8)
    filled = -(-geometry.filters // wide.TILE) * wide.TILE
    packed = np.zeros((geometry.groups, filled, geometry.k), np.int16)
    packed[:, : geometry.filters] = weights.centred.reshape(geometry.groups, geometry.filters, geometry.k)
    # The kernel sums q * w; less z * w it is the sum of (q - z) * w. Exact modulo 2^32, and the result fits.
    start = (operands.start - fill * weights.sums).astype(np.int32)
    out = np.empty((geometry.m, operands.filters), np.int32)
    wide.conv_wide(x, packed, start, geometry_vector(geometry), fill, out)
    return out


def _on_int64(operands: Operands) -> NDArray[np.int64]:
    """Sum products of wider operands."""
    geometry = operands.geometry
    packed = np.ascontiguousarray(operands.weights.centred.reshape(geometry.groups, geometry.filters, geometry.k))
    out = np.empty((geometry.m, operands.filters), np.int64)
    wide.conv_wide_int64(operands.centred_x(), packed, operands.start, geometry_vector(geometry), out)
    return out
