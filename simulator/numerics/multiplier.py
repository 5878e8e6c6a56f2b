"""Real scale factors as integers: a 31-bit mantissa and a power of two."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def quantize_multiplier(real: float) -> tuple[int, int]:
    """Write `real` as mantissa * 2^(exponent - 31).

    Parameters
    ----------
    real
        A factor in float64: the quotient or product of scales that the caller formed in float64.

    Returns
    -------
    mantissa : int
        0, or of magnitude 2^30 to 2^31: the fraction rounded to 31 bits, a tie away from zero.
    exponent : int
        In [-31, 31]; a factor of magnitude below 2^-32 becomes (0, 0).

    Raises
    ------
    ValueError
        A factor that is not finite, or of 2^31 or more: no 32-bit register can be shifted so far.

    Source: QuantizeMultiplier, tensorflow/lite/kernels/internal/quantization_util.cc, double rounding.

    """
    if not math.isfinite(real):
        raise ValueError(f"a multiplier is finite, not {real!r}")
    fraction, exponent = math.frexp(real)
    magnitude = math.floor(abs(fraction) * (1 << 31) + 0.5)
    mantissa = magnitude if real > 0 else -magnitude
    if mantissa == 1 << 31:  # -2^31 fits an int32 and stays
        mantissa >>= 1
        exponent += 1
    if exponent < -31:
        return 0, 0
    if exponent > 31:
        raise ValueError(f"a multiplier of {real!r} is not below 2^31; the scales lie too far apart")
    return mantissa, exponent


def quantize_multipliers(reals: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Apply `quantize_multiplier` to every factor: a network has tens of thousands of channels.

    Raises
    ------
    ValueError
        As for the first factor that `quantize_multiplier` refuses.

    """
    fraction, exponent = np.frexp(reals)
    with np.errstate(invalid="ignore"):  # what is not finite is refused below
        magnitude = np.floor(np.abs(fraction) * (1 << 31) + 0.5)
    overflowed = (magnitude == 1 << 31) & (reals > 0)
    exponent = exponent + overflowed
    for real in reals[~np.isfinite(reals) | (exponent > 31)]:
        quantize_multiplier(float(real))
    mantissa = np.where(overflowed, 1 << 30, np.copysign(magnitude, reals))
    kept = exponent >= -31
    return np.where(kept, mantissa, 0).astype(np.int64), np.where(kept, exponent, 0).astype(np.int64)
