"""Layers of the systolic array: geometry, order of additions, requantizer constants."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from simulator.accelerator.spec import Accelerator, Register
from simulator.errors import NetworkError
from simulator.graph.graph import Node, Tensor
from simulator.graph.ops import Conv2D, FullyConnected, Padding, TransposeConv2D
from simulator.graph.shapes import infer_shapes
from simulator.lowering.layer import ConvGeometry, Engine, FoldOrder, Layer, RegisterSpec
from simulator.lowering.quantized import activation_range
from simulator.lowering.requantizer import requantizer_constants
from simulator.lowering.table import LowererTable
from simulator.numerics.formats import INT32, INT64, IntFormat
from simulator.numerics.modes import Dataflow
from simulator.numerics.quant import RequantParams

ArrayOp = Conv2D | TransposeConv2D | FullyConnected
OUTPUT_BITS = 16
"""Widest requantized output."""


@dataclass(frozen=True, eq=False)
class ArrayConstants:
    """What the array is told about one layer, besides its geometry and fold order."""

    input_zero_point: int
    """Subtracted from every activation; padding and woven zeros stand for it."""
    weight_zero_points: NDArray[np.int64]
    """[filters of all groups]; subtracted from every weight of the filter."""
    requantizer: RequantParams | None
    """None = the accumulator itself is the output."""


def lower_array(
    node: Node, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], accelerator: Accelerator
) -> Layer:
    """Lower a convolution, transposed convolution or fully connected node.

    Raises
    ------
    NetworkError
        Float tensors, operands wider than the device's, shapes that contradict each other, or scales that the device's
        requantizer cannot represent.

    """
    op = node.op
    assert isinstance(op, ArrayOp)
    x, weights, bias = _operands(node, inputs)
    (y,) = outputs
    _check_operand(node, x, accelerator.arithmetic.activation, "activation")
    _check_operand(node, weights, accelerator.arithmetic.weight, "weight")
    _check_bias(node, bias)
    _check_shapes(node, (x, weights, bias), y)
    filters = weights.shape[0]
    weight_zero_points = _weight_zero_points(node, weights)
    if op.raw_accumulator:
        requantizer = None
        is_product = isinstance(op, FullyConnected)
        if is_product or bias is not None or any(weight_zero_points) or not _holds_every_sum(x, weights, y):
            y = replace(y, format=INT32 if accelerator.arithmetic.accumulator.bits <= 32 else INT64)
    else:
        limits = activation_range(op.activation, y, _output_format(node, y))
        kind = accelerator.arithmetic.requantizer.requantizer
        requantizer = requantizer_constants(node, kind, (x, weights, y), filters, limits)
    return Layer(
        name=node.name,
        node=node,
        engine=Engine.ARRAY,
        inputs=inputs,
        outputs=(y,),
        constants=ArrayConstants(x.zero_point, weight_zero_points, requantizer),
        geometry=array_geometry(op, x.shape, weights.shape, y.shape),
        fold_order=fold_order(accelerator),
    )


def _holds_every_sum(x: Tensor, weights: Tensor, y: Tensor) -> bool:
    """Whether the declared format holds every sum of symmetric operands, +-(2^(bits - 1) - 1): it is then kept."""
    assert isinstance(y.format, IntFormat)
    reduction = prod(weights.shape[1:])
    return x.zero_point == 0 and y.format.bits >= x.format.bits + weights.format.bits - 1 + (reduction - 1).bit_length()


def fold_order(accelerator: Accelerator) -> FoldOrder:
    """Order and widths of the device's additions; the same for every layer."""
    partial_sum = accelerator.partial_sum
    return FoldOrder(
        dataflow=accelerator.array.dataflow,
        fold_length=accelerator.array.rows if accelerator.array.dataflow is Dataflow.WEIGHT_STATIONARY else 0,
        partial_sum=_register(partial_sum) if partial_sum else None,
        accumulator=_register(accelerator.arithmetic.accumulator),
    )


def _register(register: Register) -> RegisterSpec:
    return RegisterSpec(register.bits, register.overflow)


def array_geometry(op: ArrayOp, x: tuple[int, ...], weights: tuple[int, ...], y: tuple[int, ...]) -> ConvGeometry:
    """Geometry of the implicit GEMM, from the shapes of input, weights and output."""
    if isinstance(op, FullyConnected):
        n, k = weights
        m = prod(x) // k
        return ConvGeometry(batch=1, in_height=m, in_width=1, out_height=m, out_width=1, channels=k, filters=n)
    filters, kernel_h, kernel_w, channels = weights
    kernel = (kernel_h, kernel_w)
    if isinstance(op, TransposeConv2D):
        return ConvGeometry(
            *(x[0], x[1], x[2], y[1], y[2], channels, filters),
            kernel=kernel,
            padding=_transposed_padding(op, x, kernel),
            dilation=op.dilation,
            insertion=op.stride,
            transposed=True,
        )
    return ConvGeometry(
        *(x[0], x[1], x[2], y[1], y[2], channels, filters // op.groups, op.groups),
        kernel=kernel,
        stride=op.stride,
        dilation=op.dilation,
        padding=op.padding,
    )


def _transposed_padding(op: TransposeConv2D, x: tuple[int, ...], kernel: tuple[int, int]) -> Padding:
    """Return the padding of the stride-1 convolution with the flipped filter over the zero-inserted input.

    Negative at the end (bottom, right) where the output is cropped there.
    """
    begins, ends = [], []
    for axis, crop in enumerate((op.padding.top, op.padding.left)):
        inserted = (x[axis + 1] - 1) * op.stride[axis] + 1
        span = (kernel[axis] - 1) * op.dilation[axis]
        begin = span - crop
        begins.append(begin)
        ends.append(op.output_size[axis] + span - inserted - begin)
    return Padding(top=begins[0], bottom=ends[0], left=begins[1], right=ends[1])


# ---------------------------------------------------------------- checks


def _refuse(node: Node, reason: str) -> NoReturn:
    raise NetworkError(f"layer {node.name} ({node.op.kind}): {reason}")


def _operands(node: Node, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, Tensor, Tensor | None]:
    x, weights, bias = (*inputs, *[None] * (3 - len(inputs)))[:3]
    if len(inputs) > 3 or x is None or weights is None:
        _refuse(node, f"takes input, weights and an optional bias, got {node.inputs}")
    return x, weights, bias


def _check_operand(node: Node, tensor: Tensor, widest: IntFormat, what: str) -> None:
    if not isinstance(tensor.format, IntFormat):
        _refuse(
            node,
            f"{what} tensor {tensor.name} is {tensor.format}, and the array multiplies integers; quantize the network "
            f"first: net.quantize(images)",
        )
    if tensor.format.bits > widest.bits:
        _refuse(
            node,
            f"{what} tensor {tensor.name} is {tensor.format}, the device takes {what}s of at most {widest.bits} bits "
            f"(arithmetic.{what}: {widest})",
        )


def _check_bias(node: Node, bias: Tensor | None) -> None:
    if bias is None:
        return
    if not isinstance(bias.format, IntFormat):
        _refuse(node, f"bias tensor {bias.name} is {bias.format}; the array starts from integers (int32 or int64)")
    if bias.quant is not None and any(bias.quant.zero_point):
        _refuse(node, f"bias tensor {bias.name} has a zero point other than 0: {bias.quant.zero_point}")


def _check_shapes(node: Node, inputs: tuple[Tensor, Tensor, Tensor | None], y: Tensor) -> None:
    shapes = tuple(None if tensor is None else tensor.shape for tensor in inputs)
    try:
        (expected,) = infer_shapes(node.op, shapes)
    except NetworkError as error:
        _refuse(node, str(error))
    same = prod(expected) == prod(y.shape) if isinstance(node.op, FullyConnected) else expected == y.shape
    if not same:
        _refuse(node, f"output {y.name} is declared {y.shape}, the inputs make it {expected}")


def _output_format(node: Node, y: Tensor) -> IntFormat:
    if not isinstance(y.format, IntFormat) or y.format.bits > OUTPUT_BITS:
        _refuse(node, f"output {y.name} is {y.format}; the requantizer gives integers of at most {OUTPUT_BITS} bits")
    return y.format


def _weight_zero_points(node: Node, weights: Tensor) -> NDArray[np.int64]:
    filters = weights.shape[0]
    quant = weights.quant
    if quant is None:
        return np.zeros(filters, np.int64)
    if len(quant.scale) not in (1, filters) or (quant.axis not in (None, 0)):
        _refuse(
            node,
            f"weights {weights.name} have {len(quant.scale)} scales along axis {quant.axis}; "
            f"one, or one for each of {filters} filters along axis 0, would work",
        )
    return quant.zero_points(filters)


LOWERERS: LowererTable = {Conv2D: lower_array, TransposeConv2D: lower_array, FullyConnected: lower_array}
