"""Specification of the updates of integer training, on Python ints. Source: arXiv 2011.14504, eq. 19."""

from __future__ import annotations

from simulator.numerics.scalar import saturate
from simulator.numerics.training_scale import Scale, clip, scaled, symmetric_limit


def rate_step(gradient: int, scale: Scale, rate: int, bits: int, exponent: int) -> int:
    """Return dW = clip(round(n * sn * 2^rate / 2^exponent))."""
    return clip(scaled(gradient, scale[0], exponent - scale[1] - rate), symmetric_limit(bits))


def decayed(master: int, rate: int, decay_shift: int | None) -> int:
    """Weight decay of a master, in its steps."""
    return 0 if decay_shift is None else scaled(master, 1, decay_shift - rate)


def update(
    master: int,
    gradient: int,
    scale: Scale,
    rate: int,
    bits: int,
    exponent: int,
    limit: int,
    decay_shift: int | None = None,
) -> int:
    """Return the new master (`Update`)."""
    return clip(master - rate_step(gradient, scale, rate, bits, exponent) - decayed(master, rate, decay_shift), limit)


def velocity(before: int, gradient: int, scale: Scale, momentum: int, momentum_shift: int, exponent: int) -> int:
    """Return the new velocity (`MomentumUpdate`), int32."""
    return saturate(scaled(before, momentum, momentum_shift) + scaled(gradient, scale[0], exponent - scale[1]), 32)
