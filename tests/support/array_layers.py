"""One array layer lowered and run, from plain arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.accelerator.spec import Accelerator
from simulator.execution.array import run_array
from simulator.execution.context import ExecutionContext, LayerResult
from simulator.graph.graph import Node, Tensor
from simulator.graph.ops import Activation, Conv2D, FullyConnected, Op, Padding, TransposeConv2D
from simulator.graph.shapes import infer_shapes
from simulator.lowering.array import lower_array
from simulator.lowering.layer import Layer
from simulator.numerics.formats import INT8, IntFormat
from simulator.numerics.quant import QuantParams
from support.accelerators import device
from support.array_twin import Shape


@dataclass(frozen=True)
class Quant:
    """Formats and quantization of a layer's tensors."""

    x_format: IntFormat = INT8
    w_format: IntFormat = INT8
    y_format: IntFormat = INT8
    x_zero: int = 0
    w_zero: int | tuple[int, ...] = 0
    y_zero: int = 0
    x_scale: float = 0.5
    w_scale: float | tuple[float, ...] = 0.25
    y_scale: float = 16.0


def machine(
    rows: int, partial_sum: tuple[int, str] | None, accumulator: tuple[int, str], requantizer: object = "power_of_two"
) -> Accelerator:
    """Device with these registers (partial_sum None = output stationary) and 16-bit operands."""
    changes = {
        "array__dataflow": "weight_stationary" if partial_sum else "output_stationary",
        "array__rows": rows,
        "arithmetic__accumulator": {"bits": accumulator[0], "overflow": accumulator[1]},
        "arithmetic__requantizer": requantizer,
        "arithmetic__activation": "int16",
        "arithmetic__weight": "int16",
    }
    if partial_sum:
        changes["arithmetic__partial_sum"] = {"bits": partial_sum[0], "overflow": partial_sum[1]}
    return device(**changes)


def operator(shape: Shape, activation: Activation = Activation.NONE) -> Op:
    """Operator of a twin's shape."""
    padding = Padding(*shape.padding)
    if shape.transposed:
        return TransposeConv2D(shape.stride, shape.output_size, padding, activation, shape.dilation)
    return Conv2D(shape.stride, padding, shape.dilation, shape.groups, activation)


def lower_layer(op: Op, x, weights, bias, quant: Quant, accelerator: Accelerator) -> Layer:
    """Lower one operator on the given arrays (constants for weights and bias)."""
    w_zero = quant.w_zero if isinstance(quant.w_zero, tuple) else (quant.w_zero,)
    w_scale = quant.w_scale if isinstance(quant.w_scale, tuple) else (quant.w_scale,)
    size = max(len(w_zero), len(w_scale))
    w_quant = QuantParams(
        np.broadcast_to(w_scale, size).tolist() and tuple(np.broadcast_to(w_scale, size).tolist()),
        tuple(np.broadcast_to(w_zero, size).tolist()),
        axis=0 if size > 1 else None,
    )
    tensors = [
        Tensor("x", x.shape, quant.x_format, QuantParams.per_tensor(quant.x_scale, quant.x_zero)),
        Tensor("w", weights.shape, quant.w_format, w_quant, weights),
    ]
    if bias is not None:
        tensors.append(Tensor("b", bias.shape, IntFormat(bias.itemsize * 8), None, bias))
    (shape,) = infer_shapes(op, [tensor.shape for tensor in tensors])
    y = Tensor("y", shape, quant.y_format, QuantParams.per_tensor(quant.y_scale, quant.y_zero))
    node = Node("layer", op, tuple(tensor.name for tensor in tensors), ("y",))
    return lower_array(node, tuple(tensors), (y,), accelerator)


def run_layer(
    op: Op, x, weights, bias, quant: Quant, accelerator: Accelerator, context: ExecutionContext | None = None
) -> LayerResult:
    """Lower and run one operator."""
    layer = lower_layer(op, x, weights, bias, quant, accelerator)
    arrays = [x, weights] if bias is None else [x, weights, bias]
    return run_array(layer, arrays, context or ExecutionContext())


def raw_gemm(
    x, weights, bias, accelerator: Accelerator, quant: Quant | None = None, *, exact: bool = False
) -> LayerResult:
    """Fully connected layer that gives its accumulators."""
    op = FullyConnected(raw_accumulator=True)
    return run_layer(op, x, weights, bias, quant or Quant(), accelerator, ExecutionContext(exact_ledger=exact))
