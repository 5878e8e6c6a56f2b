"""Execute quantize and dequantize."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.execution.broadcast import flat
from simulator.execution.context import ExecutionContext, ExecutorTable, LayerResult
from simulator.execution.lookup import apply_table
from simulator.execution.shifts import rescaled
from simulator.graph.ops import Dequantize, Quantize
from simulator.kernels.quantize import quantize
from simulator.kernels.rescale import rescale
from simulator.lowering.layer import Layer
from simulator.lowering.lookup import LookupConstants
from simulator.lowering.quantize import AffineConstants, RescaleConstants
from simulator.lowering.shifts import ShiftRescaleConstants
from simulator.numerics.formats import IntFormat
from simulator.numerics.quant import QuantParams

Arrays = Sequence[NDArray[Any] | None]


def _along(values: Sequence[float], dtype: type, quant: QuantParams, rank: int) -> NDArray[Any]:
    """Per-tensor or per-channel parameters, shaped to broadcast against a tensor of `rank` axes."""
    shape = [1] * rank
    if quant.axis is not None:
        shape[quant.axis] = len(values)
    return np.asarray(values, dtype).reshape(shape)


def quantize_real(x: NDArray[np.float32], quant: QuantParams, format: IntFormat) -> NDArray[Any]:
    """Return round(x / scale) + zero_point, clamped; division in float32, a tie away from zero.

    A quotient outside int32, or NaN, becomes -2^31 as x86's conversion has it, and the sum wraps in int32.
    Source: AffineQuantize, tensorflow/lite/kernels/internal/reference/quantize.h.
    """
    if quant.axis is None:
        return _quantize_per_tensor(x, quant, format)
    scale = _along(quant.scale, np.float32, quant, x.ndim)
    zero_point = _along(quant.zero_point, np.int64, quant, x.ndim)
    with np.errstate(over="ignore", invalid="ignore"):
        quotient = (x / scale).astype(np.float64)
        rounded = np.copysign(np.floor(np.abs(quotient) + 0.5), quotient)
    whole = np.where(np.abs(rounded) < 2.0**31, rounded, -(2.0**31)).astype(np.int64)
    sums = (whole + zero_point).astype(np.int32)  # to a narrower integer NumPy keeps the low bits: it wraps
    result: NDArray[Any] = np.clip(sums, format.min, format.max).astype(format.dtype)
    return result


def quantize_half_even(x: NDArray[np.float32], quant: QuantParams, format: IntFormat) -> NDArray[Any]:
    """Return rint(clamp(x / scale)) + zero_point, in float32, half to even; NaN gives the least value.

    Source: MlasQuantizeLinear (mlas/lib/quantize.cpp of ONNX Runtime).
    """
    scale = _along(quant.scale, np.float32, quant, x.ndim)
    zero_point = _along(quant.zero_point, np.int64, quant, x.ndim)
    low, high = ((end - zero_point).astype(np.float32) for end in (format.min, format.max))
    with np.errstate(over="ignore", invalid="ignore"):
        quotient = x / scale
    bounded = np.where(quotient > low, quotient, low)
    whole = np.rint(np.where(bounded < high, bounded, high)).astype(np.int64)
    result: NDArray[Any] = (whole + zero_point).astype(format.dtype)
    return result


def _quantize_per_tensor(x: NDArray[np.float32], quant: QuantParams, format: IntFormat) -> NDArray[Any]:
    result = np.empty(x.shape, format.dtype)
    with np.errstate(over="ignore", invalid="ignore"):  # interpreted, the kernel would warn of what it means to do
        quantize(flat(x), np.float32(quant.scale[0]), quant.zero_point[0], format.min, format.max, result.reshape(-1))
    return result


def dequantize_integer(x: NDArray[Any], quant: QuantParams) -> NDArray[np.float32]:
    """Return float32 of scale * (x - zero_point), rounded once; 8-bit values by a table of all results."""
    if quant.axis is None and x.dtype.itemsize == 1 and x.size > 256:
        values = np.arange(256, dtype=np.uint8).view(x.dtype)
        return apply_table(x, dequantize_integer(values, quant), x.shape)
    scale = _along(quant.scale, np.float32, quant, x.ndim).astype(np.float64)
    zero_point = _along(quant.zero_point, np.int64, quant, x.ndim)
    result: NDArray[np.float32] = (scale * (x.astype(np.int64) - zero_point)).astype(np.float32)
    return result


def _quantize(layer: Layer, arrays: Arrays, context: ExecutionContext) -> LayerResult:
    x, out, c = arrays[0], layer.outputs[0], layer.constants
    assert x is not None
    assert isinstance(out.format, IntFormat)
    if isinstance(c, AffineConstants):
        rounded = quantize_half_even if c.ties_even else quantize_real
        return LayerResult((rounded(x, c.quant, out.format),))
    if isinstance(c, ShiftRescaleConstants):
        return LayerResult((rescaled(c, x, out, context),))
    if isinstance(c, LookupConstants):
        return LayerResult((apply_table(x, c.table, out.shape),))
    assert isinstance(c, RescaleConstants)
    result = np.empty(out.elements, out.format.dtype)
    values = [c.zero_in, c.multiplier, c.exponent, c.zero_out, c.minimum, c.maximum]
    rescale(flat(x), np.array(values, np.int64), result)
    return LayerResult((result.reshape(out.shape),))


def _dequantize(layer: Layer, arrays: Arrays, context: ExecutionContext) -> LayerResult:
    assert isinstance(layer.constants, AffineConstants)
    assert arrays[0] is not None
    return LayerResult((dequantize_integer(arrays[0], layer.constants.quant),))


EXECUTORS: ExecutorTable = {Quantize: _quantize, Dequantize: _dequantize}
