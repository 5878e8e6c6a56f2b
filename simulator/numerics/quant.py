"""Quantization parameters of tensors, and the integer constants of a requantizer."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.numerics.modes import RequantizerKind, RoundingMode


@dataclass(frozen=True, slots=True)
class QuantParams:
    """real = scale * (q - zero_point), for a whole tensor or for each index of one axis."""

    scale: tuple[float, ...]
    """One scale, or one for each index of `axis`. Float32-representable where the file stores float32."""
    zero_point: tuple[int, ...]
    """One zero point, or one for each index of `axis`."""
    axis: int | None = None
    """Axis of per-channel parameters; None = per tensor."""

    def __post_init__(self) -> None:
        if len(self.scale) != len(self.zero_point):
            raise ValueError(f"{len(self.scale)} scales but {len(self.zero_point)} zero points")
        if self.axis is None and len(self.scale) != 1:
            raise ValueError(f"per-tensor parameters hold one scale, not {len(self.scale)}; give axis=")
        bad = [s for s in self.scale if not (math.isfinite(s) and s > 0)]
        if bad:
            raise ValueError(f"a scale is positive and finite, not {bad[0]!r}")

    @classmethod
    def per_tensor(cls, scale: float, zero_point: int = 0) -> QuantParams:
        """Parameters that hold for the whole tensor."""
        return cls((float(scale),), (int(zero_point),))

    def scales(self, channels: int) -> NDArray[np.float64]:
        """Scale of each of `channels` channels, float64 [channels]."""
        return np.broadcast_to(np.asarray(self.scale, np.float64), (channels,)).copy()

    def zero_points(self, channels: int) -> NDArray[np.int64]:
        """Zero point of each of `channels` channels, int64 [channels]."""
        return np.broadcast_to(np.asarray(self.zero_point, np.int64), (channels,)).copy()


@dataclass(frozen=True, slots=True)
class Requantizer:
    """The device's way of scaling an accumulator down (YAML: ``requantizer: NAME`` or ``{kind:, rounding:}``)."""

    kind: RequantizerKind = RequantizerKind.FIXED_POINT_DOUBLE
    rounding: RoundingMode | None = None
    """Only `power_of_two` and `fixed_point_single` have a choice; None = the kind's own (see `resolved_rounding`)."""

    @property
    def resolved_rounding(self) -> RoundingMode:
        """Rounding in force: as given, or ties_away (double), ties_even (float32), ties_pos (single, power of two)."""
        if self.rounding is not None:
            return self.rounding
        return {
            RequantizerKind.FIXED_POINT_DOUBLE: RoundingMode.TIES_AWAY,
            RequantizerKind.FLOAT32: RoundingMode.TIES_EVEN,
        }.get(self.kind, RoundingMode.TIES_POS)


@dataclass(frozen=True, slots=True, eq=False)
class RequantParams:
    """Constants that take an n-bit accumulator to an output value, per output channel.

    out = clamp(zero_point + scaled(acc), minimum, maximum), where scaled() is, by `kind`:
    fixed_point_double  MultiplyByQuantizedMultiplier(acc, multiplier, exponent), gemmlowp double rounding
    fixed_point_single  round(acc * multiplier / 2^(31 - exponent)) in `rounding`
    float32             rint(float32(acc) * scale)
    power_of_two        round(acc * 2^exponent) in `rounding`
    """

    kind: RequantizerKind
    rounding: RoundingMode
    multiplier: NDArray[np.int64]
    """[channels]; 0 or in [2^30, 2^31) for the fixed-point kinds, 1 otherwise."""
    exponent: NDArray[np.int64]
    """[channels]; real scale = multiplier * 2^(exponent - 31) (fixed point) or 2^exponent (power of two)."""
    scale: NDArray[np.float32]
    """[channels]; the real scale, used by the float32 kind."""
    zero_point: int
    minimum: int
    """Least output, after the fused activation."""
    maximum: int
    """Greatest output, after the fused activation."""
