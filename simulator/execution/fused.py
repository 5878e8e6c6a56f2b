"""A layer's requantizer in the form that vector kernels take, where they have it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from simulator.kernels import requantize_panels as kinds
from simulator.kernels.isa import InstructionSet
from simulator.kernels.requantize_tile import is_small
from simulator.numerics.formats import IntFormat
from simulator.numerics.modes import RequantizerKind, RoundingMode
from simulator.numerics.quant import RequantParams

_SMALL_SCALE = 0.5
"""int32 accumulators times less do not reach 2^30."""


@dataclass(frozen=True, eq=False)
class Fused:
    """A requantizer in the form that the tiles take."""

    kind: int
    first: NDArray[np.int32]
    """[filters], as is `second`: constants, see `simulator.kernels.requantize_tile`."""
    second: NDArray[np.int32]
    limits: tuple[int, int, int]
    """Least and greatest stored output, zero point."""
    format: IntFormat

    def plan(self, isa: InstructionSet) -> tuple[int, ...]:
        """As a plan of `requantize_panels` begins, on an instruction set and its panels."""
        return self.kind, *self.limits, kinds.requantizer_at(isa, self.kind), isa.channels, isa.lanes

    def within(self, least: int, greatest: int) -> Fused:
        """Return it for accumulators of a range, for which there may be a shorter way to the same bytes."""
        if self.kind == kinds.DOUBLE and is_small(least, greatest, self._greatest_exponent):
            return self._small
        return self

    @cached_property
    def _greatest_exponent(self) -> int:
        return int(self.second.max())

    @cached_property
    def _small(self) -> Fused:
        return replace(self, kind=kinds.DOUBLE_SMALL)

    def repeated(self, times: int) -> Fused:
        """Return it for as many times the filters."""
        return replace(self, first=np.tile(self.first, times), second=np.tile(self.second, times))


@lru_cache(maxsize=1024)
def fuse(params: RequantParams, format: IntFormat) -> Fused | None:
    """Return a layer's requantizer for vector kernels, or None where they do not have it."""
    if format.bits > 8:
        return None
    limits = (params.minimum, params.maximum, params.zero_point)
    exponent, multiplier = params.exponent.astype(np.int32), params.multiplier.astype(np.int32)
    least, greatest = int(exponent.min()), int(exponent.max())
    ties_up = params.rounding is RoundingMode.TIES_POS and least >= -31 and greatest <= 0
    match params.kind:
        case RequantizerKind.FIXED_POINT_DOUBLE if least >= -31 and greatest <= 31:
            return Fused(kinds.DOUBLE, multiplier, exponent, limits, format)
        case RequantizerKind.FIXED_POINT_SINGLE if ties_up:
            return Fused(kinds.SINGLE, multiplier, 31 - exponent, limits, format)
        case RequantizerKind.POWER_OF_TWO if ties_up:
            return Fused(kinds.POWER_OF_TWO, -exponent, -exponent, limits, format)
        case RequantizerKind.FLOAT32:
            scale = params.scale.view(np.int32)
            kind = kinds.FLOAT32_SMALL if params.scale.max() < _SMALL_SCALE else kinds.FLOAT32
            return Fused(kind, scale, scale, limits, format)
    return None
