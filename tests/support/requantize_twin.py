"""Twin of the requantizer for bulk data: whole arrays at once, in int64, or on Python ints where int64 may not do.

Written from docs/numerics.md, "Requantizer" and "Rounding"; held to `simulator.numerics.scalar` by
tests/proof/test_requantize_twin.py.
"""

from __future__ import annotations

import numpy as np

from simulator.numerics.quant import RequantParams

_WORD = np.uint64(0xFFFFFFFF)
_HALF_WORD = np.uint64(32)


def draws(seed: int, step: int, tensor: int, count: int) -> np.ndarray:
    """Philox 4x32-10 (Salmon et al., SC 2011): 64 random bits for each of the indices 0 .. count - 1."""
    index = np.arange(count, dtype=np.uint64)
    c0, c1 = index & _WORD, index >> _HALF_WORD
    c2, c3 = np.full(count, tensor, np.uint64), np.full(count, step, np.uint64)
    k0, k1 = seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF
    for _ in range(10):
        p0, p1 = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)
        c0, c1 = (p1 >> _HALF_WORD) ^ c1 ^ np.uint64(k0), p1 & _WORD
        c2, c3 = (p0 >> _HALF_WORD) ^ c3 ^ np.uint64(k1), p0 & _WORD
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c1 << _HALF_WORD | c0


def requantize(
    accumulators: np.ndarray, bits: int, params: RequantParams, random: np.ndarray | None = None
) -> tuple[np.ndarray, int]:
    """Output values of registers [pixels, channels], int64, and how many of them were clipped.

    `random`: uint64, 64 bits for each value, where the rounding is stochastic.
    """
    kind = str(params.kind)
    value = accumulators.astype(object if bits > 32 else np.int64)
    narrowed = value
    if bits > 32 and kind != "power_of_two":
        narrowed = np.minimum(np.maximum(value, -(1 << 31)), (1 << 31) - 1)
    multiplier = params.multiplier.astype(value.dtype)[None, :]
    exponent = params.exponent.astype(value.dtype)[None, :]
    match kind:
        case "fixed_point_double":
            scaled = _double(narrowed, multiplier, exponent)
        case "fixed_point_single":
            scaled = _shift(narrowed * multiplier, exponent - 31, str(params.rounding), random)
        case "power_of_two":
            scaled = _shift(narrowed, exponent, str(params.rounding), random)
        case "float32":
            scaled = _float32(narrowed, params.scale).astype(value.dtype)
    scaled = scaled + params.zero_point
    output = np.minimum(np.maximum(scaled, params.minimum), params.maximum)
    clipped = (output != scaled) | (narrowed != value)
    return output.astype(np.int64), int(np.count_nonzero(clipped))


def _double(value: np.ndarray, multiplier: np.ndarray, exponent: np.ndarray) -> np.ndarray:
    """h = floor((acc * 2^max(e, 0) * m + 2^30) / 2^31), then h / 2^max(-e, 0), ties away; the left shift wraps."""
    half_range = 1 << 31
    shifted = ((value << np.maximum(exponent, 0)) + half_range) % (1 << 32) - half_range
    product = shifted * multiplier
    high = (product + (1 << 30)) >> 31
    right = np.maximum(-exponent, 0)
    magnitude = np.where(high < 0, -high, high)
    rounded = (magnitude + ((1 << right if right.dtype == object else np.int64(1) << right) >> 1)) >> right
    return np.where(high < 0, -rounded, rounded)


def _shift(value: np.ndarray, exponent: np.ndarray, rounding: str, random: np.ndarray | None) -> np.ndarray:
    """value * 2^exponent, rounded."""
    left, right = np.maximum(exponent, 0), np.maximum(-exponent, 0)
    value = value << left
    down = value >> right
    rest = value - (down << right)
    unit = np.ones_like(right) << right
    above_half, tie = rest > unit - rest, rest == unit - rest
    match rounding:
        case "to_neg":
            up = rest != rest
        case "to_zero":
            up = (value < 0) & (rest != 0)
        case "stochastic":
            assert random is not None
            low_bits = (random.reshape(value.shape) & (unit - 1).astype(np.uint64)).astype(np.int64)
            up = low_bits >= unit - rest
        case "ties_pos":
            up = above_half | tie
        case "ties_away":
            up = above_half | (tie & (value >= 0))
        case "ties_even":
            up = above_half | (tie & (down % 2 == 1))
    up &= rest != 0
    return down + up.astype(bool)


def _float32(value: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """rint(float32(acc) * float32(s)), ties to even."""
    # A float64 holds the product of two float32 exactly; it is rounded once, to float32.
    exact = value.astype(np.int64).astype(np.float32).astype(np.float64) * scale.astype(np.float64)[None, :]
    return np.rint(exact.astype(np.float32)).astype(np.int64)
