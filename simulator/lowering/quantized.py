"""What lowering of every vector-unit operator shares: which tensors qualify, checks, and fused activation ranges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn, TypeGuard

import numpy as np

from simulator.accelerator.spec import Accelerator
from simulator.errors import NetworkError, Unsupported, UnsupportedOp
from simulator.graph.graph import Node, Tensor
from simulator.graph.ops import Activation
from simulator.lowering import host
from simulator.lowering.layer import Engine, Layer
from simulator.numerics.formats import IntFormat
from simulator.numerics.multiplier import quantize_multiplier

VECTOR_BITS = 16
"""Widest operand of the vector unit; wider integers and floats are host post-processing."""

_ACTIVATION_RANGE: dict[Activation, tuple[float | None, float | None]] = {
    Activation.NONE: (None, None),
    Activation.RELU: (0.0, None),
    Activation.RELU6: (0.0, 6.0),
    Activation.RELU_N1_TO_1: (-1.0, 1.0),
}


def refuse(node: Node, reason: str) -> NoReturn:
    """Raise UnsupportedOp for one node."""
    raise UnsupportedOp([Unsupported(node.name, node.op.kind, reason)])


def is_vector_integer(tensor: Tensor | None) -> bool:
    """Whether the vector unit takes the tensor: an integer of at most 16 bits."""
    return tensor is not None and isinstance(tensor.format, IntFormat) and tensor.format.bits <= VECTOR_BITS


def is_quantized(tensor: Tensor | None) -> TypeGuard[Tensor]:
    """Whether the tensor is an integer of at most 16 bits that carries scale and zero point."""
    return tensor is not None and is_vector_integer(tensor) and tensor.quant is not None


def operands(node: Node, inputs: Sequence[Tensor | None], count: int | None = None) -> list[Tensor]:
    """Return the inputs, all present; NetworkError where one is absent or the number is not `count`."""
    present = [tensor for tensor in inputs if tensor is not None]
    if len(present) != len(inputs) or len(present) != (count or max(len(inputs), 1)):
        raise NetworkError(
            f"node {node.name} ({node.op.kind}) takes {count or 'one or more'} inputs, got {node.inputs}"
        )
    return present


def integer_format(node: Node, tensor: Tensor) -> IntFormat:
    """Return the tensor's integer format; refuse the node where it is another."""
    if not isinstance(tensor.format, IntFormat):
        refuse(node, f"tensor {tensor.name} is {tensor.format}, which the vector unit does not compute in")
    return tensor.format


def require_quantized(node: Node, *tensors: Tensor) -> None:
    """Refuse the node unless every tensor has one scale, one zero point and at most 16 bits."""
    for tensor in tensors:
        if not is_quantized(tensor):
            refuse(node, f"tensor {tensor.name} is {tensor.format} without scale and zero point, or wider than 16 bits")
        if tensor.quant is not None and len(tensor.quant.scale) != 1:
            refuse(node, f"tensor {tensor.name} is quantized per channel; the vector unit takes one scale per tensor")


def require_same_format(node: Node, *tensors: Tensor) -> IntFormat:
    """Return the one format of all tensors; refuse the node where they differ."""
    formats = {str(tensor.format) for tensor in tensors}
    if len(formats) != 1:
        refuse(node, f"operands and result have formats {sorted(formats)}; they must be the same")
    return integer_format(node, tensors[0])


def require_same_quantization(node: Node, *tensors: Tensor, tolerance: float = 0.0) -> None:
    """Refuse the node unless all tensors have the scale (within `tolerance`) and zero point of the first."""
    first = tensors[0].quant
    for tensor in tensors[1:]:
        other = tensor.quant
        if first is None and other is None:
            continue
        if (
            first is None
            or other is None
            or first.zero_point != other.zero_point
            or _far(first.scale, other.scale, tolerance)
        ):
            refuse(node, f"{tensors[0].name} has {first}, {tensor.name} has {other}; this operator does not rescale")


def _far(a: Sequence[float], b: Sequence[float], tolerance: float) -> bool:
    return len(a) != len(b) or any(abs(x - y) > tolerance for x, y in zip(a, b, strict=True))


def multiplier(node: Node, real: float) -> tuple[int, int]:
    """Mantissa and exponent of a rescale; refuse the node where the scales lie too far apart."""
    try:
        return quantize_multiplier(float(real))
    except ValueError as error:
        refuse(node, str(error))


def scale32(tensor: Tensor) -> np.float32:
    """Scale as TFLite stores it: several kernels form their factors in float32."""
    return np.float32(tensor.scale)


def round_half_away(value: float) -> int:
    """Nearest integer, a tie away from zero (TfLiteRound). Exact: the float32 value is doubled in float64."""
    magnitude = int(np.floor(abs(float(value)) + 0.5))
    return magnitude if value >= 0 else -magnitude


def activation_range(activation: Activation, tensor: Tensor, format: IntFormat) -> tuple[int, int]:
    """Least and greatest stored value after a fused activation.

    Source: CalculateActivationRangeQuantized, tensorflow/lite/kernels/kernel_util.cc (division in float32).
    """
    least, greatest = _ACTIVATION_RANGE[activation]
    low, high = format.min, format.max
    if least is not None:
        low = max(low, tensor.zero_point + round_half_away(float(np.float32(least) / scale32(tensor))))
    if greatest is not None:
        high = min(high, tensor.zero_point + round_half_away(float(np.float32(greatest) / scale32(tensor))))
    return low, high


def lower_on_host(
    node: Node, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], accelerator: Accelerator
) -> Layer:
    """Lower a node whose operands the vector unit does not take: the file's own int32 and float32 post-processing."""
    return host.lower_host(node, inputs, outputs, accelerator)


def vector_layer(
    node: Node, inputs: Sequence[Tensor | None], outputs: Sequence[Tensor], constants: object, vector_ops: int
) -> Layer:
    """Layer on the vector unit that does `vector_ops` lane operations."""
    return Layer(
        name=node.name,
        node=node,
        engine=Engine.VECTOR,
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        constants=constants,
        vector_ops=vector_ops,
    )
