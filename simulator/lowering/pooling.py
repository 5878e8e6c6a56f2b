"""Max and average pooling of quantized images. Lane operations: output elements x window elements."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.accelerator.spec import Accelerator
from simulator.graph.graph import Node, Tensor
from simulator.graph.ops import AveragePool2D, MaxPool2D
from simulator.lowering.float_rescale import FloatPoolConstants, computes_in_float32, pool_constants
from simulator.lowering.layer import Layer
from simulator.lowering.quantized import (
    activation_range,
    integer_format,
    is_vector_integer,
    lower_on_host,
    operands,
    refuse,
    require_same_format,
    require_same_quantization,
    vector_layer,
)
from simulator.lowering.table import LowererTable

SCALE_TOLERANCE = 1e-6
"""Greatest difference of input and output scale that TFLite's pools ignore."""


@dataclass(frozen=True)
class PoolConstants:
    """Window geometry and output range. Average: the sum over the image's part of the window, ties away from zero."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    offset: tuple[int, int]
    """Rows and columns of padding above and to the left."""
    minimum: int
    maximum: int
    real: FloatPoolConstants | None = None
    """Scales of an average in float32 arithmetic, which need not be the same on both sides."""


def _lower_pool(
    node: Node, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], accelerator: Accelerator
) -> Layer:
    """Source: pooling.cc, reference/pooling.h and integer_ops/pooling.h of TFLite."""
    op = node.op
    assert isinstance(op, MaxPool2D | AveragePool2D)
    if not is_vector_integer(inputs[0]):
        return lower_on_host(node, inputs, outputs, accelerator)
    (x,) = operands(node, inputs, 1)
    out = outputs[0]
    format = integer_format(node, out)
    single = isinstance(op, AveragePool2D) and computes_in_float32(op, accelerator) and x.quant is not None
    if not single:
        require_same_format(node, x, out)
        require_same_quantization(node, x, out, tolerance=SCALE_TOLERANCE)
        if isinstance(op, AveragePool2D) and op.count_padding:
            refuse(node, "count_padding; the reference kernel counts positions inside the image")
    padding = op.padding
    sides = (
        ("rows", x.shape[1], op.kernel[0], op.stride[0], padding.top, out.shape[1]),
        ("columns", x.shape[2], op.kernel[1], op.stride[1], padding.left, out.shape[2]),
    )
    for name, size, kernel, stride, before, count in sides:
        if before >= kernel or (count - 1) * stride - before >= size:
            refuse(
                node, f"a window lies wholly in the padding ({name}: size {size}, kernel {kernel}, padding {before})"
            )
    low, high = activation_range(op.activation, out, format)
    real = pool_constants(x, out, (low, high)) if single else None
    constants = PoolConstants(op.kernel, op.stride, (padding.top, padding.left), low, high, real)
    return vector_layer(node, inputs, outputs, constants, out.elements * op.kernel[0] * op.kernel[1])


LOWERERS: LowererTable = {MaxPool2D: _lower_pool, AveragePool2D: _lower_pool}
