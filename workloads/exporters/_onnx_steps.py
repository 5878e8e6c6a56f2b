"""Checks and nodes that several writers of ONNX operators share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from simulator.graph.graph import Node, Tensor
from simulator.graph.ops import Activation, Padding
from simulator.lowering.quantized import activation_range
from simulator.numerics.formats import IntFormat
from workloads.exporters._onnx_file import FileWriter, Refused

Writer = Callable[[FileWriter, Node], None]


def inputs_of(file: FileWriter, node: Node, count: int) -> list[Tensor]:
    """Return the first `count` inputs, all present."""
    given = [tensor for tensor in file.graph.tensors_of(node.inputs[:count]) if tensor is not None]
    if len(given) != count:
        raise Refused(f"it has {len(given)} inputs where {count} are written")
    return given


def output_of(file: FileWriter, node: Node) -> Tensor:
    """Return the first output."""
    return file.graph.tensors[node.outputs[0]]


def require_eight_bits(*tensors: Tensor) -> None:
    """Refuse all but quantized 8-bit integers of one format, one scale a tensor, as ONNX Runtime's operators take."""
    for tensor in tensors:
        if not isinstance(tensor.format, IntFormat) or tensor.format != tensors[-1].format or tensor.format.bits != 8:
            raise Refused(f"operands are {' and '.join(str(t.format) for t in tensors)}; 8-bit ones of one format are")
        if tensor.quant is None or tensor.quant.axis is not None:
            raise Refused(f"tensor {tensor.name} has no scale, or several")


def require_same_scale(file: FileWriter, node: Node) -> None:
    """Refuse a node that rescales, where ONNX's operator does not."""
    y = output_of(file, node)
    for x in file.graph.tensors_of(node.inputs):
        if x is not None and (x.quant, x.format) != (y.quant, y.format):
            raise Refused(f"input {x.name} has another scale than output {y.name}; ONNX's operator does not rescale")


def clamped(file: FileWriter, node: Node, made: str) -> str:
    """Write the fused activation where it narrows the output's format, and return what then stands."""
    y, activation = output_of(file, node), Activation(getattr(node.op, "activation", Activation.NONE))
    if activation is Activation.NONE:
        return made
    if not isinstance(y.format, IntFormat) or y.quant is None:
        raise Refused(f"output {y.name} ({y.format}) with activation {activation} has no scale")
    low, high = activation_range(activation, y, y.format)
    if (low, high) == (y.format.min, y.format.max):
        return made
    limits = [
        file.constant(f"{node.name}/{what}", np.asarray(v, y.format.dtype))
        for what, v in (("low", low), ("high", high))
    ]
    return file.emit("Clip", [made, *limits], node.name)


def reshaped(file: FileWriter, node: Node, x: str, shape: ArrayLike) -> str:
    """Write a Reshape and return its result."""
    return file.emit("Reshape", [x, integers(file, node, "shape", shape)], node.name)


def integers(file: FileWriter, node: Node, what: str, values: ArrayLike) -> str:
    """Enter int64 numbers that a node takes as an input."""
    return file.constant(f"{node.name}/{what}", np.asarray(values, np.int64))


def pads_of(padding: Padding) -> tuple[int, int, int, int]:
    """Return a padding as ONNX orders it: above, left, below, right."""
    return padding.top, padding.left, padding.bottom, padding.right
