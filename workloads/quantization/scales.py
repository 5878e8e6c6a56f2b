"""From ranges of real values to scales and zero points, by the rule of each scheme."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from simulator.graph import ops
from simulator.numerics.formats import INT8, INT32, IntFormat
from simulator.numerics.quant import QuantParams
from workloads.quantization.options import QuantizeOptions

Range = tuple[float, float]
"""Least and greatest value of a tensor."""
ActivationRule = Callable[[float, float, IntFormat], QuantParams]
"""(least, greatest, format) -> parameters of a tensor."""

SHARES_SCALE = (
    *(ops.MaxPool2D, ops.AveragePool2D, ops.ResizeBilinear, ops.ResizeNearest, ops.Maximum, ops.Minimum, ops.ReduceMax),
    *(ops.Reshape, ops.Slice, ops.Split, ops.Pad, ops.MirrorPad, ops.Tile, ops.Transpose, ops.Pack),
)
"""Operators that only pick or blend values: TFLite's int8 kernels want one scale for inputs and outputs."""
_LEAST_SCALE = 1e-9
"""Keeps a tensor that is 0 on all calibration images representable."""
_LEAST_EXPONENT = -30
"""The same where scales are powers of two: 2^-30."""


def affine_params(least: float, greatest: float, format: IntFormat = INT8) -> QuantParams:
    """Return parameters for a range widened to hold 0; 0 is exact, and an end at most half a step outside.

    Of more than 8 bits: symmetric, as TFLite's 16-bit activations are and as the vector unit takes them.
    """
    if format.bits > 8:
        return symmetric_params(least, greatest, format)
    low, high = min(0.0, least), max(0.0, greatest)
    scale = float(np.float32(max((high - low) / (format.max - format.min), _LEAST_SCALE)))
    zero_point = round(format.min - low / scale)
    return QuantParams.per_tensor(scale, max(format.min, min(format.max, zero_point)))


def symmetric_params(least: float, greatest: float, format: IntFormat = INT8) -> QuantParams:
    """Return parameters with zero point 0: scale = greatest magnitude / greatest stored value."""
    scale = max(abs(least), abs(greatest)) / format.max
    return QuantParams.per_tensor(float(np.float32(max(scale, _LEAST_SCALE))))


def power_of_two_params(least: float, greatest: float, format: IntFormat = INT8) -> QuantParams:
    """Return scale 2^(ceil(log2 M) - (bits - 1)), M the greatest magnitude: what is clipped is less than a step."""
    return QuantParams.per_tensor(_shifted(ceil_log2(max(abs(least), abs(greatest))), format))


def nearest_power_of_two_params(least: float, greatest: float, format: IntFormat = INT8) -> QuantParams:
    """Return scale 2^(round(log2 M) - (bits - 1)): the paper's SQ with R(x); M may be sqrt(2) times the range held.

    Source: paper eq. 4, its author's code for R(x).
    """
    return QuantParams.per_tensor(_shifted(nearest_log2(max(abs(least), abs(greatest))), format))


def ceil_log2(magnitude: float) -> int:
    """Least e with magnitude <= 2^e, at least -30; exact."""
    if magnitude <= 0:
        return _LEAST_EXPONENT
    fraction, exponent = math.frexp(magnitude)
    return max(exponent - 1 if fraction == 0.5 else exponent, _LEAST_EXPONENT)


def nearest_log2(magnitude: float) -> int:
    """Return round(log2 magnitude), at least -30; exact: the leading bit's place p, and 1 more if m^2 > 2^(2p + 1)."""
    if magnitude <= 0:
        return _LEAST_EXPONENT
    fraction, exponent = math.frexp(magnitude)  # magnitude = 2 * fraction * 2^(exponent - 1), 1 <= 2 * fraction < 2
    return max(exponent - 1 + int(Fraction(2 * fraction) ** 2 > 2), _LEAST_EXPONENT)


def _shifted(exponent: int, format: IntFormat) -> float:
    return math.ldexp(1.0, exponent - (format.bits - 1))


def activation_rule(options: QuantizeOptions) -> ActivationRule:
    """Return the rule of a scheme for activations."""
    if options.scheme == "paper" and options.scale_rounding == "nearest":
        return nearest_power_of_two_params
    return {"affine": affine_params, "symmetric": symmetric_params}.get(options.scheme, power_of_two_params)


def filter_params(
    weights: NDArray[np.float32],
    bias: NDArray[np.float32] | None,
    input_scale: float,
    format: IntFormat = INT8,
    *,
    per_tensor: bool = False,
    power_of_two: bool = False,
) -> QuantParams:
    """Return symmetric parameters of weights, per filter (axis 0): scale = greatest magnitude / greatest stored value.

    Powers of two: the least scale that is not smaller than that. Where a bias would not fit int32 at scale input *
    weight (a filter of nearly nothing), the weight scale is raised.
    """
    greatest = np.abs(weights.reshape(weights.shape[0], -1)).max(axis=1).astype(np.float64)
    scales = np.maximum(greatest / format.max, _LEAST_SCALE)
    if bias is not None:
        scales = np.maximum(scales, np.abs(bias.astype(np.float64)) / (input_scale * (INT32.max >> 1)))
    if per_tensor:
        scales = scales.max(keepdims=True)
    if power_of_two:
        scales = np.array([math.ldexp(1.0, ceil_log2(scale)) for scale in scales])
    stored = tuple(scales.astype(np.float32).astype(np.float64).tolist())
    return QuantParams(stored, (0,) * len(stored), None if per_tensor else 0)


def grid_params(
    weights: NDArray[np.float32],
    bias: NDArray[np.float32] | None,
    input_scale: float,
    format: IntFormat = INT8,
    *,
    shifted: bool,
) -> QuantParams:
    """Return the paper's weight grid, 2^(1 - bits) for [-1, 1], times one power of two for the layer where `shifted`.

    The shift takes the greatest weight into (1/2, 1]. Source: paper eq. 2 and Table I (W_q = UQ(W, 8), no scale).
    """
    exponent = ceil_log2(float(np.abs(weights).max())) if shifted else 0
    scale = _shifted(exponent, format)
    if bias is not None:
        least = float(np.abs(bias).max()) / (input_scale * (INT32.max >> 1))
        scale = max(scale, math.ldexp(1.0, ceil_log2(least)) if least > 0 else 0.0)
    return QuantParams.per_tensor(scale)
