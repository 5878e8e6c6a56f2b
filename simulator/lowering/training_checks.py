"""What the operators of integer training refuse: widths, rules and sums that their kernels do not take."""

from __future__ import annotations

from simulator.graph import training_ops as ops
from simulator.graph.graph import Node, Tensor
from simulator.lowering.quantized import refuse
from simulator.lowering.training_windows import interpolation
from simulator.numerics.formats import INT32, UINT8, IntFormat
from simulator.numerics.modes import RoundingMode
from simulator.numerics.training_scale import RandomSource, ScaleRule

_SCALE_BITS = (2, 16)
_STATISTICS_BITS = (2, 24)
_QUANTIZERS = (
    ops.ScaleQuantize,
    ops.NormalizeChannels,
    ops.AffineQuantize,
    ops.L1NormGradient,
    ops.L2NormGradient,
)


def check(node: Node, op: ops.TrainingOp, inputs: list[Tensor], outputs: tuple[Tensor, ...]) -> None:
    """Refuse the node where an attribute or a format is not one its kernel takes."""
    if isinstance(op, _QUANTIZERS) and op.bits is not None:
        _range(node, "bits", op.bits, *_SCALE_BITS)
    match op:
        case ops.ScaleQuantize():
            _check_rounding(node, op)
        case ops.FixedQuantize():
            _range(node, "bits", op.bits, 2, 32)
        case ops.FlagQuantize():
            _range(node, "bits", op.bits, 2, 8)
            if op.scale is ScaleRule.MAX:
                refuse(node, "two grids need a step that is a power of two: scale round or ceil")
        case ops.L1Statistics() | ops.L2Statistics():
            _range(node, "bits", op.bits, *_STATISTICS_BITS)
            _range(node, "epsilon", op.epsilon, 0, 1 << 20)
        case ops.L1NormGradient() | ops.L2NormGradient() | ops.AffineChannels() | ops.AffineQuantize():
            _narrow(node, 16, *(tensor for tensor in inputs if tensor.shape != (2,) and tensor is not inputs[-1]))
        case ops.RunningAverage():
            _range(node, "shift", op.shift, 1, 31)
            _range(node, "guard_bits", op.guard_bits, 0, 31)
        case ops.Dropout():
            _range(node, "keep_shift", op.keep_shift, 0, 16)
        case ops.Update() | ops.MomentumUpdate():
            _check_update(node, op, inputs)
        case ops.SoftmaxCrossEntropyGradient() | ops.SquaredErrorGradient():
            _check_loss(node, op, inputs)
        case _:
            _check_window(node, op, inputs, outputs)


def _range(node: Node, name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        refuse(node, f"{name} = {value}; it is {least} to {most}")


def _narrow(node: Node, bits: int, *tensors: Tensor) -> None:
    for tensor in tensors:
        if not isinstance(tensor.format, IntFormat) or tensor.format.bits > bits or not tensor.format.signed:
            refuse(node, f"tensor {tensor.name} is {tensor.format}; it is a signed integer of at most {bits} bits")


def _check_rounding(node: Node, op: ops.ScaleQuantize) -> None:
    if op.rounding not in (RoundingMode.TIES_POS, RoundingMode.STOCHASTIC):
        refuse(node, f"rounding {op.rounding}; it is {RoundingMode.TIES_POS} or {RoundingMode.STOCHASTIC}")
    if op.random is RandomSource.FRACTION and op.scale is ScaleRule.MAX:
        refuse(node, "random bits from the fraction need a step that is a power of two: scale round or ceil")


def _check_update(node: Node, op: ops.Update | ops.MomentumUpdate, inputs: list[Tensor]) -> None:
    _range(node, "bits", op.bits, 2, 32)
    if op.limit is not None:
        _range(node, "limit", op.limit, 1, (1 << (op.bits - 1)) - 1)
    gradient = inputs[2] if isinstance(op, ops.MomentumUpdate) else inputs[1]
    _narrow(node, 32, gradient)
    for tensor in inputs[: 2 if isinstance(op, ops.MomentumUpdate) else 1]:
        if tensor.format != INT32:
            refuse(node, f"tensor {tensor.name} is {tensor.format}; masters and velocities are int32")
    if isinstance(op, ops.MomentumUpdate):
        _range(node, "momentum_shift", op.momentum_shift, 0, 15)
        _range(node, "momentum", op.momentum, 0, 1 << op.momentum_shift)


def _check_loss(
    node: Node, op: ops.SoftmaxCrossEntropyGradient | ops.SquaredErrorGradient, inputs: list[Tensor]
) -> None:
    _narrow(node, 16, inputs[0])
    classes = inputs[0].shape[-1]
    _range(node, "number of classes", classes, 2, 256)
    if isinstance(op, ops.SoftmaxCrossEntropyGradient):
        for weight in op.class_weights:
            _range(node, "class weight", weight, 0, 4095)
    elif inputs[0].elements > 1 << 26:
        refuse(node, f"{inputs[0].elements} logits; the sum of squares takes 2^26: use smaller batches")


def _check_window(node: Node, op: ops.TrainingOp, inputs: list[Tensor], outputs: tuple[Tensor, ...]) -> None:
    """Refuse sums that their format may not hold."""
    factor = None
    if isinstance(op, ops.BilinearForward | ops.BilinearGradient):
        _range(node, "weight_bits", op.weight_bits, 1, 8)
        _narrow(node, 16 if isinstance(op, ops.BilinearForward) else 32, inputs[0])
        constants = interpolation(op, inputs, outputs)
        assert constants is not None
        factor = constants.greatest_sum(op.weight_bits)
        if isinstance(op, ops.BilinearForward):
            return
    elif isinstance(op, ops.MeanForward | ops.SumSpatial):
        factor = inputs[0].shape[1] * inputs[0].shape[2]
    elif isinstance(op, ops.MaxPoolGradient):
        if inputs[1].format != UINT8:
            refuse(node, f"positions {inputs[1].name} are {inputs[1].format}; MaxPoolIndexed gives uint8")
        factor = -(-op.kernel[0] // op.stride[0]) * -(-op.kernel[1] // op.stride[1])
    if factor is not None and (factor << (inputs[0].format.bits - 1)) >= 1 << (outputs[0].format.bits - 1):
        refuse(
            node,
            f"sums of up to {factor} times {inputs[0].format} may not fit {outputs[0].format}; "
            f"ask for int64 or quantize first",
        )
