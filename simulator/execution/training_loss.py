"""Execute the losses and the updates of integer training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InputError
from simulator.execution.broadcast import flat
from simulator.execution.context import ExecutionContext, ExecutorTable, LayerResult
from simulator.execution.training_plans import Longs, as_rows, read_scale, scale_array
from simulator.graph import training_ops as ops
from simulator.kernels import training_loss, training_update
from simulator.lowering.layer import Layer
from simulator.numerics import training_loss as spec
from simulator.numerics.training_scale import Scale, combine, reciprocal, symmetric_limit

Arrays = Sequence[NDArray[Any] | None]

_NO_LABEL = -(1 << 40)
"""Equal to no label."""
_SHIFTS = (-512, 512)


def _ledger(layer: Layer, ledger: Longs, labels: NDArray[Any], classes: int, ignore: int | None) -> list[int]:
    """Add up what the tasks counted; InputError on a label that is no class."""
    bad = ledger[ledger[:, 3] >= 0, 3]
    if bad.size:
        where = tuple(int(i) for i in np.unravel_index(int(bad.min()), labels.shape))
        ignored = "nothing is ignored" if ignore is None else f"{ignore} is ignored"
        raise InputError(
            f"layer {layer.name}: label {labels[where]} at {where}; classes are 0 to {classes - 1}, and {ignored}"
        )
    return [int(value) for value in ledger[:, :3].sum(axis=0)]


def _cross_entropy(layer: Layer, arrays: Arrays, context: ExecutionContext) -> LayerResult:
    op, logits, labels = layer.node.op, as_rows(arrays[0]), arrays[2]
    assert isinstance(op, ops.SoftmaxCrossEntropyGradient)
    assert labels is not None
    scale = read_scale(layer, arrays[1])
    weights = np.array(op.class_weights or (1 << spec.WEIGHT_BITS,) * logits.shape[1], np.int64)
    table = np.empty((int(logits.max()) - int(logits.min()) + 1, 2), np.int64)
    training_loss.distance_table(scale_array(scale), np.array(spec.power_table(), np.int64), table)
    logarithms = np.array(spec.logarithm_table(), np.int64)
    out = np.empty(logits.shape, np.int32)
    ledger = np.empty((-(-len(logits) // training_loss.PIXELS), 4), np.int64)
    ignore = _NO_LABEL if op.ignore is None else op.ignore
    training_loss.cross_entropy(logits, table, flat(labels), ignore, weights, logarithms, out, ledger)
    sums = _ledger(layer, ledger, labels, logits.shape[1], op.ignore)
    error_scale = combine(((1, -spec.PROBABILITY_BITS), reciprocal(max(sums[1], 1))))
    return LayerResult((out.reshape(layer.outputs[0].shape), scale_array(error_scale), np.array(sums, np.int64)))


def _squared_error(layer: Layer, arrays: Arrays, context: ExecutionContext) -> LayerResult:
    op, logits, labels = layer.node.op, as_rows(arrays[0]), arrays[2]
    assert isinstance(op, ops.SquaredErrorGradient)
    assert labels is not None
    assert layer.inputs[0] is not None
    scale = read_scale(layer, arrays[1])
    if not -21 <= scale[1] + scale[0].bit_length() - 1 <= 8:
        raise InputError(f"layer {layer.name}: logits of scale {scale}; the squared error takes 2^-21 to 2^8")
    one = spec.one_in_steps(scale)
    shift = spec.square_shift(one, layer.inputs[0].format.bits)
    out = np.empty(logits.shape, np.int32)
    ledger = np.empty((-(-len(logits) // training_loss.PIXELS), 4), np.int64)
    ignore = _NO_LABEL if op.ignore is None else op.ignore
    training_loss.squared_error(logits, flat(labels), ignore, one, shift, out, ledger)
    squares, weights, valid = _ledger(layer, ledger, labels, logits.shape[1], op.ignore)
    error_scale = combine((scale, (1, -spec.GUARD_BITS), reciprocal(max(valid, 1))))
    sums = np.array([spec.squared_loss(squares, shift, scale), weights, valid], np.int64)
    return LayerResult((out.reshape(layer.outputs[0].shape), scale_array(error_scale), sums))


def _shift(shift: int) -> int:
    """Return a shift, cut to where it changes nothing any more."""
    return min(max(shift, _SHIFTS[0]), _SHIFTS[1])


def _constants(op: ops.Update | ops.MomentumUpdate, scale: Scale, rate: int) -> Longs:
    limit = symmetric_limit(op.bits)
    decay = 0 if op.decay_shift is None else _shift(op.decay_shift - rate)
    values = [scale[0], _shift(op.exponent - scale[1] - rate), limit, op.decay_shift is not None, decay]
    return np.array([*values, limit if op.limit is None else op.limit], np.int64)


def _update(layer: Layer, arrays: Arrays, context: ExecutionContext) -> LayerResult:
    op, (master, gradient, _, rate) = layer.node.op, arrays
    assert isinstance(op, ops.Update)
    assert master is not None
    assert gradient is not None
    assert rate is not None
    constants = _constants(op, read_scale(layer, arrays[2]), int(rate[0]))
    out = np.empty(master.size, np.int32)
    training_update.update(flat(master), flat(gradient), constants, out)
    return LayerResult((out.reshape(master.shape),))


def _momentum_update(layer: Layer, arrays: Arrays, context: ExecutionContext) -> LayerResult:
    op, (master, velocity, gradient, _, rate) = layer.node.op, arrays
    assert isinstance(op, ops.MomentumUpdate)
    assert master is not None
    assert velocity is not None
    assert gradient is not None
    assert rate is not None
    scale = read_scale(layer, arrays[3])
    constants = _constants(op, (1, op.velocity_exponent), int(rate[0]))
    momentum = [op.momentum, op.momentum_shift, scale[0], _shift(op.velocity_exponent - scale[1])]
    out, speed = np.empty(master.size, np.int32), np.empty(master.size, np.int32)
    training_update.momentum_update(
        flat(master), flat(velocity), flat(gradient), constants, np.array(momentum, np.int64), out, speed
    )
    return LayerResult((out.reshape(master.shape), speed.reshape(master.shape)))


EXECUTORS: ExecutorTable = {
    ops.SoftmaxCrossEntropyGradient: _cross_entropy,
    ops.SquaredErrorGradient: _squared_error,
    ops.Update: _update,
    ops.MomentumUpdate: _momentum_update,
}
