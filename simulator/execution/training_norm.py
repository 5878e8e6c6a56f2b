"""Execute batch norm of integer training, forward and backward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InputError
from simulator.execution.context import ExecutionContext, ExecutorTable, LayerResult
from simulator.execution.training_plans import Longs, as_rows, longs, read_scale, scale_array, step_plan
from simulator.graph import training_ops as ops
from simulator.kernels import training_norm as forward
from simulator.kernels import training_norm_gradient as backward
from simulator.kernels.training_arith import QUOTIENT_BITS
from simulator.kernels.training_sums import ROWS
from simulator.lowering.layer import Layer
from simulator.numerics import training_norm as spec
from simulator.numerics.training_scale import Scale, combine, step_of, symmetric_limit

Arrays = Sequence[NDArray[Any] | None]


def _tasks(rows: NDArray[Any]) -> int:
    return -(-len(rows) // ROWS)


def _first_pass(layer: Layer, x: NDArray[Any]) -> tuple[Longs, Longs]:
    """Return sums and extremes of the channels; InputError where a sum could leave 62 bits."""
    totals = np.empty((_tasks(x), x.shape[1]), np.int64)
    least, most = np.empty(totals.shape, x.dtype), np.empty(totals.shape, x.dtype)
    forward.sums_and_extremes(x, totals, least, most)
    extremes = np.stack([least.min(axis=0), most.max(axis=0)]).astype(np.int64)
    bound = max(-int(extremes[0].min()), int(extremes[1].max()))
    if 2 * bound * len(x) >= 1 << 62:
        raise InputError(
            f"layer {layer.name}: values up to {bound}, {len(x)} a channel: their sum may need more than 62 bits; "
            f"use narrower operands or smaller batches"
        )
    return totals.sum(axis=0), extremes


def _statistics(layer: Layer, arrays: Arrays, context: ExecutionContext) -> LayerResult:
    op, x = layer.node.op, as_rows(arrays[0])
    assert isinstance(op, ops.L1Statistics | ops.L2Statistics)
    scale = read_scale(layer, arrays[1])
    totals, extremes = _first_pass(layer, x)
    count, limit = len(x), symmetric_limit(op.bits)
    mean = np.empty(x.shape[1], layer.outputs[0].format.dtype)
    deviation = np.empty_like(mean)
    centre = np.empty(x.shape[1], np.int64)
    forward.means(totals, count, scale_array(scale), op.exponent, limit, 0, mean)
    forward.centres(totals, count, centre)
    parts = np.empty((_tasks(x), x.shape[1]), np.int64)
    if isinstance(op, ops.L1Statistics):
        forward.magnitudes(x, centre, parts)
        magnitudes = parts.sum(axis=0)
        forward.means(magnitudes, count, scale_array(scale), op.exponent, limit, op.epsilon, deviation)
        np.maximum(deviation, 1, out=deviation)
        return LayerResult((mean, deviation, extremes))
    ends = zip(centre, *extremes, strict=True)
    shifts = np.array([spec.square_shift(*(int(value) for value in end)) for end in ends], np.int64)
    forward.squares(x, centre, shifts, parts)
    for c, squares in enumerate(parts.sum(axis=0)):
        constants = (scale, op.bits, op.exponent, op.epsilon)
        deviation[c] = spec.root_deviation(int(squares), count, int(shifts[c]), *constants)
    return LayerResult((mean, deviation, extremes))


def _normalize(layer: Layer, arrays: Arrays, context: ExecutionContext) -> LayerResult:
    op, x = layer.node.op, as_rows(arrays[0])
    assert isinstance(op, ops.NormalizeChannels)
    _, _, mean, deviation, given = arrays
    assert mean is not None
    assert deviation is not None
    scale, extremes = read_scale(layer, arrays[1]), longs(given).copy()
    if deviation.min() < 1:
        raise InputError(f"layer {layer.name}: a deviation of {deviation.min()}; it is at least 1")
    input_shift = spec.input_shift(int(extremes[0].min()), int(extremes[1].max()))
    table = np.empty((3, x.shape[1]), np.int64)
    most = forward.normalizers(scale_array(scale), mean, deviation, op.exponent, input_shift, extremes, table)
    step = step_of(int(most), op.bits, op.scale)
    plan = step_plan(step, op.bits)
    q = np.empty(x.shape, layer.outputs[0].format.dtype)
    forward.normalize(x, table, input_shift, plan, q)
    hat_scale = combine(((1, -spec.HAT_BITS), step))
    return LayerResult((q.reshape(layer.outputs[0].shape), scale_array(hat_scale), _to_steps(extremes, plan)))


def _to_steps(values: Longs, plan: Longs) -> Longs:
    """Divide by the step of a plan, as `kernels.training_arith.to_step`."""
    quotient = ((np.maximum(values, plan[5]) << plan[0]) + plan[1]) >> plan[2]
    if plan[3]:
        sign = quotient >> 63
        quotient = (((quotient ^ sign) * plan[3]) >> QUOTIENT_BITS) ^ sign
    clipped: Longs = np.clip(quotient, -plan[4], plan[4])
    return clipped


def channel_offsets(beta: NDArray[Any] | None, exponent: int, scale: Scale) -> Longs:
    """Biases of step 2^exponent in steps of `scale`, int64 [channels]."""
    assert beta is not None
    offsets = np.empty(beta.size, np.int64)
    forward.bias_offsets(beta, exponent, scale_array(scale), offsets)
    return offsets


def _affine_channels(layer: Layer, arrays: Arrays, context: ExecutionContext) -> LayerResult:
    op, q = layer.node.op, as_rows(arrays[0])
    assert isinstance(op, ops.AffineChannels)
    scale = spec.affine_scale(read_scale(layer, arrays[1]), op.gamma_exponent)
    out = np.empty(q.shape, np.int32)
    forward.affine(q, longs(arrays[2]), channel_offsets(arrays[3], op.beta_exponent, scale), out)
    return LayerResult((out.reshape(layer.outputs[0].shape), scale_array(scale)))


def _affine_quantize(layer: Layer, arrays: Arrays, context: ExecutionContext) -> LayerResult:
    op, q = layer.node.op, as_rows(arrays[0])
    assert isinstance(op, ops.AffineQuantize)
    scale = spec.affine_scale(read_scale(layer, arrays[1]), op.gamma_exponent)
    gamma, offsets, extremes = longs(arrays[2]), channel_offsets(arrays[3], op.beta_exponent, scale), longs(arrays[4])
    ends = np.clip(gamma * extremes + offsets, -(1 << 31), (1 << 31) - 1)  # monotone: the greatest is at an end
    most = int((np.maximum(ends, 0) if op.relu else np.abs(ends)).max())
    step = step_of(most, op.bits, op.scale)
    out = np.empty(q.shape, layer.outputs[0].format.dtype)
    forward.affine_quantize(q, gamma, offsets, step_plan(step, op.bits, relu=op.relu), out)
    return LayerResult((out.reshape(layer.outputs[0].shape), scale_array(combine((scale, step)))))


def _norm_gradient(layer: Layer, arrays: Arrays, context: ExecutionContext) -> LayerResult:
    op, error, hat = layer.node.op, as_rows(arrays[0]), as_rows(arrays[2])
    gamma, deviation = arrays[4], arrays[5]
    assert isinstance(op, ops.L1NormGradient | ops.L2NormGradient)
    assert gamma is not None
    assert deviation is not None
    assert layer.inputs[0] is not None
    error_scale, hat_scale = read_scale(layer, arrays[1]), read_scale(layer, arrays[3])
    is_l1 = isinstance(op, ops.L1NormGradient)
    parts = np.empty((_tasks(error), 3, error.shape[1]), np.int64)
    backward.gradient_sums(error, hat, parts)
    totals = parts.sum(axis=0)
    coefficients = np.zeros((5, error.shape[1]), np.int64)
    constants = (scale_array(hat_scale), gamma, deviation, layer.inputs[0].format.bits, is_l1)
    shift = backward.gradient_channels(totals, len(error), *constants, coefficients)
    scale = spec.gradient_scale(error_scale, int(shift), op.gamma_exponent, op.exponent)
    dx, step = _gradient(op, error, hat, coefficients)
    gradients = scale_array(combine((error_scale, hat_scale)))
    dx_scale = scale_array(combine((scale, step)))
    shaped = dx.reshape(layer.outputs[0].shape)
    return LayerResult((shaped, dx_scale, totals[2], gradients, totals[0], scale_array(error_scale)))


def _gradient(
    op: ops.L1NormGradient | ops.L2NormGradient, error: NDArray[Any], hat: NDArray[Any], coefficients: Longs
) -> tuple[NDArray[Any], Scale]:
    """Dx, and its step in units of the wide one."""
    is_l1 = isinstance(op, ops.L1NormGradient)
    most = np.empty(_tasks(error), np.int64)
    wide = np.empty(error.shape if op.bits is None else (0, 0), np.int32)
    (backward.l1_gradient if is_l1 else backward.l2_gradient)(error, hat, coefficients, wide, most)
    if op.bits is None:
        return wide, (1, 0)
    step = step_of(int(most.max()), op.bits, op.scale)
    out = np.empty(error.shape, np.int8 if op.bits <= 8 else np.int16)
    quantize = backward.l1_gradient_quantize if is_l1 else backward.l2_gradient_quantize
    quantize(error, hat, coefficients, step_plan(step, op.bits), out)
    return out, step


EXECUTORS: ExecutorTable = {
    ops.L1Statistics: _statistics,
    ops.L2Statistics: _statistics,
    ops.NormalizeChannels: _normalize,
    ops.AffineChannels: _affine_channels,
    ops.AffineQuantize: _affine_quantize,
    ops.L1NormGradient: _norm_gradient,
    ops.L2NormGradient: _norm_gradient,
}
