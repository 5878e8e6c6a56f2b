"""Gradients of array layers, as array layers: nothing but convolutions over transposed operands."""

from __future__ import annotations

from simulator.graph import ops
from simulator.graph.builder import GraphBuilder
from simulator.graph.graph import Node
from simulator.graph.ops import Padding
from simulator.numerics.formats import IntFormat


def sum_format(x_bits: int, w_bits: int, reduction: int) -> IntFormat:
    """Return a format that holds every sum of so many products of symmetric operands, +-(2^(bits - 1) - 1)."""
    return IntFormat(min(x_bits + w_bits - 1 + (reduction - 1).bit_length(), 64))


def _bits(builder: GraphBuilder, name: str) -> int:
    format = builder.tensor(name).format
    assert isinstance(format, IntFormat)
    return format.bits


def input_gradient(builder: GraphBuilder, node: Node, weights: str, error: str) -> str:
    """Emit the gradient of the input of a convolution, raw; return its name."""
    op, size = node.op, builder.shape(node.inputs[0])
    filters, height, width, _ = builder.shape(weights)
    name = f"{node.name}.dgrad"
    turned = builder.add(ops.Transpose((3, 1, 2, 0)), weights, name=f"{name}.weights")
    format = sum_format(_bits(builder, error), _bits(builder, weights), filters * height * width)
    back: ops.Op
    if isinstance(op, ops.Conv2D):
        pad = op.padding
        back = ops.TransposeConv2D(
            op.stride, (size[1], size[2]), Padding(pad.top, 0, pad.left, 0), dilation=op.dilation, raw_accumulator=True
        )
    else:
        assert isinstance(op, ops.TransposeConv2D)
        pads = _ends(op, size, builder.shape(error), (height, width))
        back = ops.Conv2D(op.stride, Padding(op.padding.top, pads[0], op.padding.left, pads[1]), raw_accumulator=True)
    return builder.add(back, error, turned, name=name, format=format)


def _ends(op: ops.TransposeConv2D, x: tuple[int, ...], y: tuple[int, ...], kernel: tuple[int, int]) -> tuple[int, int]:
    """Bottom and right padding of y that make the strided convolution give x's size exactly."""
    starts = (op.padding.top, op.padding.left)
    ends = [(x[axis + 1] - 1) * op.stride[axis] + kernel[axis] - y[axis + 1] - starts[axis] for axis in range(2)]
    return ends[0], ends[1]


def filter_gradient(builder: GraphBuilder, node: Node, x: str, error: str) -> str:
    """Emit the gradient of the filters of a convolution, raw; return its name."""
    op, name = node.op, f"{node.name}.wgrad"
    _, height, width, _ = builder.shape(node.inputs[1])
    image, small = (x, error) if isinstance(op, ops.Conv2D) else (error, x)
    batch, rows, columns, _ = builder.shape(small)
    turned = builder.add(ops.Transpose((3, 1, 2, 0)), image, name=f"{name}.image")
    filters = builder.add(ops.Transpose((3, 1, 2, 0)), small, name=f"{name}.filters")
    format = sum_format(_bits(builder, x), _bits(builder, error), batch * rows * columns)
    assert isinstance(op, ops.Conv2D | ops.TransposeConv2D)
    inside = builder.shape(image)[1:3]
    ends = []
    for axis, (taps, start) in enumerate(((height, op.padding.top), (width, op.padding.left))):
        span = (taps - 1) * op.dilation[axis] + ((rows, columns)[axis] - 1) * op.stride[axis] + 1
        ends.append(span - inside[axis] - start)
    padding = Padding(op.padding.top, ends[0], op.padding.left, ends[1])
    conv = ops.Conv2D(op.dilation, padding, op.stride, raw_accumulator=True)
    sums = builder.add(conv, turned, filters, name=name, format=format)  # [image channels, kh, kw, small channels]
    order = (3, 1, 2, 0) if isinstance(op, ops.Conv2D) else (0, 1, 2, 3)
    return builder.add(ops.Transpose(order), sums, name=f"{name}.turned") if order[0] else sums
