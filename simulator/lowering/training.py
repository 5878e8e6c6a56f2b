"""Lower the operators of integer training: all on the vector unit, no constants but those of interpolation.

Lane operations, per element of what each is counted by (a pass that reads an element once is at least one): scale
quantizers 2 (greatest magnitude; shift and clip), fixed 1, flag 3; aligned sums 2 per operand (shift, add), concat 1;
mask, bias, channel sum 1, channel extremes 2; statistics 4 (sum, least, greatest; magnitude or square), normalising
2, affine 1, and 2 with its quantizer; batch norm backward 3 sums, 2 for dx and its greatest magnitude, 2 to quantize
it, and one more for each time L2 makes dx; running average 2; pooling a window's positions, per output or error;
interpolation 4 per output or error; sums over pixels 1; losses 6 per logit with softmax (greatest, power, table, sum,
product, subtract), 3 without; dropout 2; update 3 (product, subtract, clip), 2 more with decay, 3 more with momentum.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import prod
from typing import Any

from simulator.accelerator.spec import Accelerator
from simulator.graph import training_ops as ops
from simulator.graph.graph import Node, Tensor
from simulator.lowering import training_windows
from simulator.lowering.layer import Layer
from simulator.lowering.quantized import integer_format, operands, refuse, vector_layer
from simulator.lowering.table import LowererTable
from simulator.lowering.training_checks import check
from simulator.numerics.formats import INT64

Count = Callable[[Any, list[Tensor], tuple[Tensor, ...]], int]


def _per_input(lanes: int) -> Count:
    return lambda op, inputs, outputs: lanes * inputs[0].elements


def _per_output(lanes: int) -> Count:
    return lambda op, inputs, outputs: lanes * outputs[0].elements


def _gradient(op: ops.L1NormGradient | ops.L2NormGradient, inputs: list[Tensor], outputs: tuple[Tensor, ...]) -> int:
    passes = 1 if op.bits is None else 2
    lanes = 3 + 2 * passes + (passes if isinstance(op, ops.L2NormGradient) else 0)
    return lanes * inputs[0].elements


def _update(op: ops.Update | ops.MomentumUpdate, inputs: list[Tensor], outputs: tuple[Tensor, ...]) -> int:
    decay = 0 if op.decay_shift is None else 2
    return (3 + decay + (3 if isinstance(op, ops.MomentumUpdate) else 0)) * inputs[0].elements


def _window(tensor: int) -> Count:
    return lambda op, inputs, outputs: prod(op.kernel) * (outputs if tensor else inputs)[0].elements


LANES: Mapping[type[ops.TrainingOp], Count] = {
    ops.ScaleQuantize: _per_input(2),
    ops.FixedQuantize: _per_input(1),
    ops.FlagQuantize: _per_input(3),
    ops.CombineScales: lambda op, inputs, outputs: len(inputs),
    ops.AlignedAdd: lambda op, inputs, outputs: len(inputs) * outputs[0].elements,
    ops.AlignedConcat: _per_output(1),
    ops.ReluGradient: _per_input(1),
    ops.BiasChannels: _per_input(1),
    ops.ChannelSum: _per_input(1),
    ops.ChannelExtremes: _per_input(2),
    ops.L1Statistics: _per_input(4),
    ops.L2Statistics: _per_input(4),
    ops.NormalizeChannels: _per_input(2),
    ops.AffineChannels: _per_input(1),
    ops.AffineQuantize: _per_input(2),
    ops.L1NormGradient: _gradient,
    ops.L2NormGradient: _gradient,
    ops.RunningAverage: _per_input(2),
    ops.MaxPoolIndexed: _window(1),
    ops.MaxPoolGradient: _window(0),
    ops.BilinearForward: _per_output(4),
    ops.BilinearGradient: _per_input(4),
    ops.MeanForward: _per_input(1),
    ops.SumSpatial: _per_input(1),
    ops.MeanGradient: _per_output(1),
    ops.BroadcastSpatial: _per_output(1),
    ops.SoftmaxCrossEntropyGradient: _per_input(6),
    ops.SquaredErrorGradient: _per_input(3),
    ops.Dropout: _per_input(2),
    ops.Update: _update,
    ops.MomentumUpdate: _update,
}
"""Lane operations of each operator."""


def lower_training(
    node: Node, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], accelerator: Accelerator
) -> Layer:
    """Lower one operator of integer training."""
    op = node.op
    assert isinstance(op, ops.TrainingOp)
    present = operands(node, inputs, len(inputs))
    for tensor in (*present, *outputs):
        integer_format(node, tensor)
    check(node, op, present, outputs)
    constants = training_windows.interpolation(op, present, outputs)
    for tensor in present:
        if tensor.shape == (2,) and tensor.format != INT64 and tensor is not present[0]:
            refuse(node, f"scale {tensor.name} is {tensor.format}; a scale is int64 [2]")
    layer = vector_layer(node, inputs, outputs, constants, LANES[type(op)](op, present, outputs))
    reread = REREADS.get(type(op))
    return replace(layer, reread_bytes=reread(op, present)) if reread else layer


def _again(passes: int, *operands: int) -> Callable[[Any, list[Tensor]], int]:
    return lambda op, inputs: (passes - 1) * sum(inputs[index].bytes for index in operands)


REREADS: Mapping[type[ops.TrainingOp], Callable[[Any, list[Tensor]], int]] = {
    ops.ScaleQuantize: _again(2, 0),
    ops.FlagQuantize: _again(2, 0),
    ops.L1Statistics: _again(2, 0),
    ops.L2Statistics: _again(2, 0),
    ops.L1NormGradient: lambda op, inputs: _again(2 if op.bits is None else 3, 0, 2)(op, inputs),
    ops.L2NormGradient: lambda op, inputs: _again(2 if op.bits is None else 3, 0, 2)(op, inputs),
}
"""Bytes read after the first pass: greatest magnitude, then quantizing; mean, then deviation; sums, dx, quantizing."""

LOWERERS: LowererTable = dict.fromkeys(LANES, lower_training)
