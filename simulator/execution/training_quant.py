"""Execute the quantizers, scales, sums of differently scaled tensors, and updates of integer training."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.execution.broadcast import flat
from simulator.execution.context import ExecutionContext, ExecutorTable, LayerResult
from simulator.execution.training_norm import channel_offsets
from simulator.execution.training_plans import (
    as_rows,
    draw_key,
    greatest_magnitude,
    longs,
    read_scale,
    scale_array,
    step_plan,
)
from simulator.graph import training_ops as ops
from simulator.kernels import training_quant, training_sums
from simulator.lowering.layer import Layer
from simulator.numerics.formats import IntFormat
from simulator.numerics.modes import RoundingMode
from simulator.numerics.training_scale import RandomSource, combine, common_exponent, step_of, symmetric_limit

Arrays = Sequence[NDArray[Any] | None]


def _scale_quantize(layer: Layer, arrays: Arrays, context: ExecutionContext) -> LayerResult:
    op, x = layer.node.op, arrays[0]
    assert isinstance(op, ops.ScaleQuantize)
    assert x is not None
    scale = read_scale(layer, arrays[1])
    step = step_of(greatest_magnitude(layer, x, relu=op.relu), op.bits, op.scale)
    plan = step_plan(step, op.bits, relu=op.relu)
    q = np.empty(x.size, layer.outputs[0].format.dtype)
    if op.rounding is RoundingMode.TIES_POS:
        training_quant.quantize(flat(x), plan, q)
    elif op.random is RandomSource.FRACTION:
        training_quant.quantize_pseudo(flat(x), plan, step[1], q)
    else:
        key = draw_key(layer, arrays[2] if len(arrays) > 2 else None, context)
        training_quant.quantize_stochastic(flat(x), plan, *step, key, q)
    result = combine((scale, step)) if op.keep_scale else (1, op.dropped_exponent)
    return LayerResult((q.reshape(x.shape), scale_array(result)))


def _fixed_quantize(layer: Layer, arrays: Arrays, context: ExecutionContext) -> LayerResult:
    op, x = layer.node.op, arrays[0]
    assert isinstance(op, ops.FixedQuantize)
    assert x is not None
    mantissa, exponent = read_scale(layer, arrays[1])
    q = np.empty(x.size, layer.outputs[0].format.dtype)
    training_quant.quantize_fixed(flat(x), mantissa, op.exponent - exponent, symmetric_limit(op.bits), q)
    return LayerResult((q.reshape(x.shape),))


def _flag_quantize(layer: Layer, arrays: Arrays, context: ExecutionContext) -> LayerResult:
    op, x = layer.node.op, arrays[0]
    assert isinstance(op, ops.FlagQuantize)
    assert x is not None
    step = step_of(greatest_magnitude(layer, x), op.bits, op.scale)
    q = np.empty(x.size, np.int16)
    training_quant.quantize_flag(flat(x), step[1], op.bits, q)
    scale = combine((read_scale(layer, arrays[1]), (1, step[1] - (op.bits - 1))))
    return LayerResult((q.reshape(x.shape), scale_array(scale)))


def _combine_scales(layer: Layer, arrays: Arrays, context: ExecutionContext) -> LayerResult:
    return LayerResult((scale_array(combine(read_scale(layer, scale) for scale in arrays)),))


def _alignment(layer: Layer, arrays: Arrays, terms: int) -> tuple[int, list[tuple[int, int]]]:
    """Exponent of the result, and mantissa and right shift of each tensor."""
    scales = [read_scale(layer, scale) for scale in arrays[1::2]]
    bits = [tensor.format.bits for tensor in layer.inputs[::2] if tensor is not None]
    exponent = common_exponent(scales, bits, terms, layer.outputs[0].format.bits)
    return exponent, [(mantissa, exponent - source) for mantissa, source in scales]


def _aligned_add(layer: Layer, arrays: Arrays, context: ExecutionContext) -> LayerResult:
    values = [flat(x) for x in arrays[::2] if x is not None]
    exponent, parts = _alignment(layer, arrays, len(values))
    out = np.empty(values[0].size, layer.outputs[0].format.dtype)
    training_sums.aligned_pair(values[0], values[1], np.array([*parts[0], *parts[1]], np.int64), out)
    for x, (mantissa, shift) in zip(values[2:], parts[2:], strict=True):
        length = layer.outputs[0].shape[-1]
        training_sums.align_rows(x.reshape(-1, length), mantissa, shift, True, 0, out.reshape(-1, length))
    return LayerResult((out.reshape(layer.outputs[0].shape), scale_array((1, exponent))))


def _aligned_concat(layer: Layer, arrays: Arrays, context: ExecutionContext) -> LayerResult:
    op, output = layer.node.op, layer.outputs[0]
    assert isinstance(op, ops.AlignedConcat)
    values = [x for x in arrays[::2] if x is not None]
    exponent, parts = _alignment(layer, arrays, 1)
    axis = op.axis % len(output.shape)
    out = np.empty((prod(output.shape[:axis]), prod(output.shape[axis:])), output.format.dtype)
    offset = 0
    for x, (mantissa, shift) in zip(values, parts, strict=True):
        rows = np.ascontiguousarray(x).reshape(len(out), -1)
        training_sums.align_rows(rows, mantissa, shift, False, offset, out)
        offset += rows.shape[1]
    return LayerResult((out.reshape(output.shape), scale_array((1, exponent))))


def _relu_gradient(layer: Layer, arrays: Arrays, context: ExecutionContext) -> LayerResult:
    error, activation = arrays
    assert error is not None
    assert activation is not None
    out = np.empty(error.size, error.dtype)
    training_sums.relu_gradient(flat(error), flat(activation), out)
    return LayerResult((out.reshape(error.shape),))


def _bias_channels(layer: Layer, arrays: Arrays, context: ExecutionContext) -> LayerResult:
    op, x, bias = layer.node.op, as_rows(arrays[0]), arrays[2]
    format = layer.outputs[0].format
    assert isinstance(op, ops.BiasChannels)
    assert isinstance(format, IntFormat)
    scale = read_scale(layer, arrays[1])
    offsets = channel_offsets(bias, op.exponent, scale)
    out = np.empty(x.shape, x.dtype)
    training_sums.add_channels(x, offsets, format.min, format.max, out)
    return LayerResult((out.reshape(layer.outputs[0].shape),))


def _channel_sum(layer: Layer, arrays: Arrays, context: ExecutionContext) -> LayerResult:
    x = as_rows(arrays[0])
    totals = np.empty((-(-len(x) // training_sums.ROWS), x.shape[1]), np.int64)
    training_sums.sums(x, totals)
    return LayerResult((totals.sum(axis=0),))


def channel_extremes(x: NDArray[Any]) -> NDArray[np.int64]:
    """Least and greatest of each channel of [rows, channels], int64 [2, channels]."""
    least = np.empty((-(-len(x) // training_sums.ROWS), x.shape[1]), x.dtype)
    most = np.empty_like(least)
    training_sums.extremes(x, least, most)
    return np.stack([least.min(axis=0), most.max(axis=0)]).astype(np.int64)


def _channel_extremes(layer: Layer, arrays: Arrays, context: ExecutionContext) -> LayerResult:
    return LayerResult((channel_extremes(as_rows(arrays[0])),))


def _running_average(layer: Layer, arrays: Arrays, context: ExecutionContext) -> LayerResult:
    op = layer.node.op
    assert isinstance(op, ops.RunningAverage)
    average, value = longs(arrays[0]), longs(arrays[1])
    difference = (value << op.guard_bits) - average
    doubled = difference >> (op.shift - 1)
    moved = average + (doubled >> 1) + (doubled & 1)
    return LayerResult((np.clip(moved, -(1 << 31), (1 << 31) - 1).astype(np.int32),))


EXECUTORS: ExecutorTable = {
    ops.ScaleQuantize: _scale_quantize,
    ops.FixedQuantize: _fixed_quantize,
    ops.FlagQuantize: _flag_quantize,
    ops.CombineScales: _combine_scales,
    ops.AlignedAdd: _aligned_add,
    ops.AlignedConcat: _aligned_concat,
    ops.ReluGradient: _relu_gradient,
    ops.BiasChannels: _bias_channels,
    ops.ChannelSum: _channel_sum,
    ops.ChannelExtremes: _channel_extremes,
    ops.RunningAverage: _running_average,
}
