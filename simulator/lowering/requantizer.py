"""Scales of an array layer as the integer (or float32) constants of the device's requantizer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from simulator.errors import NetworkError
from simulator.graph.graph import Node, Tensor
from simulator.graph.ops import FullyConnected
from simulator.numerics.formats import IntFormat
from simulator.numerics.modes import RequantizerKind, RoundingMode
from simulator.numerics.multiplier import quantize_multipliers
from simulator.numerics.quant import QuantParams, Requantizer, RequantParams

_SHIFTS = range(-62, 32)
"""Exponents that a 64-bit register can be shifted by and keep its rounding exact."""


def _refuse(node: Node, reason: str) -> NoReturn:
    raise NetworkError(f"layer {node.name} ({node.op.kind}): {reason}")


def _params(node: Node, tensor: Tensor) -> QuantParams:
    if tensor.quant is None:
        _refuse(node, f"tensor {tensor.name} ({tensor.format}) has no scale; quantize the network first")
    return tensor.quant


def effective_scales(node: Node, x: Tensor, weights: Tensor, y: Tensor, filters: int) -> NDArray[np.float64]:
    """Real factor from accumulator to output of each filter, float64 [filters]: in * weights / out.

    Formed in float64, as PopulateConvolutionQuantizationParams does; but uint8 convolutions of one scale multiply
    the first two in float32, as GetQuantizedConvolutionMultipler does (both in tensorflow/lite/kernels/kernel_util.cc),
    where the scales are float32 numbers, as in a TFLite file they are. Fully connected layers of LiteRT use float64.
    """
    _params(node, x), _params(node, y)
    weight_scales = _params(node, weights).scale
    of_input, of_output = x.scale, y.scale
    unsigned = isinstance(x.format, IntFormat) and not x.format.signed
    legacy = unsigned and not isinstance(node.op, FullyConnected)
    single = (of_input, *weight_scales)
    if legacy and len(weight_scales) == 1 and all(float(np.float32(scale)) == scale for scale in single):
        factor = float(np.float32(of_input) * np.float32(weight_scales[0])) / of_output
        return np.full(filters, factor)
    return np.broadcast_to(of_input * np.asarray(weight_scales, np.float64) / of_output, (filters,)).copy()


def requantizer_constants(
    node: Node,
    requantizer: Requantizer,
    tensors: tuple[Tensor, Tensor, Tensor],
    filters: int,
    output_range: tuple[int, int],
) -> RequantParams:
    """Return the constants that take the layer's accumulators to its output.

    Parameters
    ----------
    node
        The layer, for messages.
    requantizer
        The device's.
    tensors
        Input, weights and output.
    filters
        Output channels.
    output_range
        Least and greatest stored output, after the fused activation.

    Raises
    ------
    NetworkError
        Missing scales, scales too far apart, or, for power_of_two, a ratio that is not an exact power of two.

    """
    x, weights, y = tensors
    requantizer = _as_the_file_rounds(node, requantizer)
    real = effective_scales(node, x, weights, y, filters)
    multiplier, exponent = np.ones(filters, np.int64), np.zeros(filters, np.int64)
    if requantizer.kind is RequantizerKind.POWER_OF_TWO:
        exponent[:] = [_power_of_two(node, value) for value in real]
    elif requantizer.kind is not RequantizerKind.FLOAT32:
        multiplier, exponent = _multipliers(node, real)
    return RequantParams(
        kind=requantizer.kind,
        rounding=requantizer.resolved_rounding,
        multiplier=multiplier,
        exponent=exponent,
        scale=_float32_scales(node, x.scale, _params(node, weights).scale, y.scale, filters),
        zero_point=y.zero_point,
        minimum=output_range[0],
        maximum=output_range[1],
    )


def _as_the_file_rounds(node: Node, requantizer: Requantizer) -> Requantizer:
    """Round once where the file's own reference does, on a device that follows that reference."""
    once = isinstance(node.op, FullyConnected) and node.op.single_rounding
    if once and requantizer.kind is RequantizerKind.FIXED_POINT_DOUBLE:
        return Requantizer(RequantizerKind.FIXED_POINT_SINGLE, RoundingMode.TIES_AWAY)
    return requantizer


def _float32_scales(
    node: Node, of_input: float, of_weights: Sequence[float], of_output: float, filters: int
) -> NDArray[np.float32]:
    """Form the factor in float32 arithmetic, as ONNX Runtime's QLinearConv and XNNPACK form it."""
    with np.errstate(over="ignore", under="ignore"):
        scales = np.float32(of_input) * np.asarray(of_weights, np.float32) / np.float32(of_output)
    if not np.all(scales < 2.0**31):
        _refuse(node, f"a scale ratio of {float(scales.max())!r} is not below 2^31; the scales lie too far apart")
    return np.broadcast_to(scales, (filters,)).astype(np.float32)


def _multipliers(node: Node, real: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    try:
        return quantize_multipliers(real)
    except ValueError as error:
        _refuse(node, str(error))


def _power_of_two(node: Node, real: float) -> int:
    fraction, exponent = math.frexp(real)
    if fraction != 0.5:
        _refuse(
            node,
            f"the scale ratio in * weights / out = {float(real)!r} is not a power of two, which the power_of_two "
            f"requantizer needs; quantize with scales that are powers of two, or use another arithmetic.requantizer",
        )
    if exponent - 1 not in _SHIFTS:
        _refuse(node, f"the scale ratio 2^{exponent - 1} is outside 2^{_SHIFTS[0]} to 2^{_SHIFTS[-1]}")
    return exponent - 1
