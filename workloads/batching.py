"""Several images in one run: a network whose inputs and outputs are stacked along their first axis.

Every tensor that depends on an input then holds, one image after the other, what it held for each image alone. That is
so where each operator treats the rows of the first axis apart; one that does not is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from simulator.errors import InputError, Unsupported, UnsupportedOp
from simulator.graph import ops
from simulator.graph.graph import Graph, Node, Tensor
from simulator.graph.ops import Op
from simulator.graph.shapes import infer_shapes
from workloads.network import Network

Shape = tuple[int, ...]


def batched(network: Network, images: int) -> Network:
    """Return `network` for `images` times as much along the first axis of every input and output.

    Raises
    ------
    InputError
        `images` is no whole number from 1, or an input has no axis to stack along.
    UnsupportedOp
        Lists every node that does not treat the rows of its first axis apart, with the reason.

    """
    if isinstance(images, bool) or not isinstance(images, int) or images < 1:
        raise InputError(f"a batch is a whole number of images from 1, not {images!r}")
    if images == 1:
        return network
    graph = _stack(network.graph, images)
    macs, parameters = network.macs, network.parameters
    note = f"{images} images in one run: every figure but frames/s is of all of them together"
    stacked = network.with_graph(graph, [note])
    return replace(stacked, counts=(images * macs, parameters), seeded=network.seeded, images=images * network.images)


def _stack(graph: Graph, images: int) -> Graph:
    if graph.state:
        raise InputError(f"{graph.name} keeps state from run to run: it takes one batch as it is")
    tensors = dict(graph.tensors)
    stacked = set(graph.inputs)
    for tensor in graph.input_tensors:
        if not tensor.shape:
            raise InputError(f"{graph.name}: input {tensor.name} is a scalar: it has no axis to stack images along")
        tensors[tensor.name] = _repeated(tensor, images)
    nodes: list[Node] = []
    refused: list[Unsupported] = []
    for node in graph.nodes:
        if not stacked.intersection(node.inputs):
            nodes.append(node)
            continue
        old = [graph.tensors[name] if name else None for name in node.inputs]
        op, reason = _stacked_op(_Use(node, old, [name in stacked for name in node.inputs], images))
        for name in node.outputs:
            tensors[name] = _repeated(graph.tensors[name], images)
        reason = reason or _wrong_shape(op, node, tensors)
        if reason:
            refused.append(Unsupported(node.name, node.op.kind, reason))
        nodes.append(replace(node, op=op))
        stacked.update(node.outputs)
    if refused:
        raise UnsupportedOp(refused, f"{graph.name} for {images} images at once (one by one it runs)")
    return replace(graph, tensors=tensors, nodes=tuple(nodes))


def _repeated(tensor: Tensor, images: int) -> Tensor:
    return replace(tensor, shape=(images * tensor.shape[0], *tensor.shape[1:])) if tensor.shape else tensor


def _wrong_shape(op: Op, node: Node, tensors: dict[str, Tensor]) -> str:
    """Return why the operator does not give each image its rows, by the shapes; empty where it does."""
    shapes = infer_shapes(op, [tensors[name].shape if name else None for name in node.inputs])
    for name, shape in zip(node.outputs, shapes, strict=True):
        if tensors[name].shape != shape:
            return f"{name} would be {shape}, not {tensors[name].shape}"
    return ""


@dataclass(frozen=True)
class _Use:
    """An operator of the graph for one image, and which of its inputs are stacked."""

    node: Node
    inputs: Sequence[Tensor | None]
    stacked: Sequence[bool]
    images: int

    @property
    def rank(self) -> int:
        """Axes of the first input."""
        return len(self.shape)

    @property
    def shape(self) -> Shape:
        """Of the first input."""
        first = self.inputs[0]
        return () if first is None else first.shape

    def only_first(self) -> str:
        """Return a complaint where a further input depends on the images."""
        return "weights or indices depend on the images" if any(self.stacked[1:]) or not self.stacked[0] else ""

    def spares(self, axis: int) -> str:
        """Return a complaint where `axis` is the first one."""
        return "it works along the first axis" if axis % self.rank == 0 else ""


Answer = tuple[Op, str]
"""The operator for the stacked tensors, and why there is none, or ''."""


def _stacked_op(use: _Use) -> Answer:
    rule = _RULES.get(type(use.node.op))
    if rule is None:
        return use.node.op, "nothing says that it treats the rows of the first axis apart"
    if any(tensor is not None and not tensor.shape for tensor, on in zip(use.inputs, use.stacked, strict=True) if on):
        return use.node.op, "a scalar that depends on the images"
    return rule(use.node.op, use)


def _first(op: Op, use: _Use) -> Answer:
    """Allow images along the first axis of the first input; the others are constant."""
    return op, use.only_first()


def _pointwise(op: Op, use: _Use) -> Answer:
    """Allow inputs that depend on the images where they have the same rank and the same rows."""
    stacked = {(len(t.shape), t.shape[0]) for t, on in zip(use.inputs, use.stacked, strict=True) if on and t}
    rank = max(len(t.shape) for t in use.inputs if t)
    if len(stacked) != 1 or next(iter(stacked))[0] != rank:
        return op, "its inputs do not have the images along the same axis"
    return op, ""


def _rows(op: Op, use: _Use) -> Answer:
    """Allow what is computed along the last axis, where that is not the first."""
    return op, use.only_first() or use.spares(-1)


def _reduction(op: Any, use: _Use) -> Answer:
    return op, use.only_first() or next(filter(None, map(use.spares, op.axes)), "")


def _along(op: Any, use: _Use) -> Answer:
    return op, use.only_first() or use.spares(op.axis)


def _joined(op: ops.Concat, use: _Use) -> Answer:
    return op, use.spares(op.axis) or ("" if all(use.stacked) else "it joins a constant to every image")


def _packed(op: ops.Pack, use: _Use) -> Answer:
    complaint = "it works along the first axis" if op.axis % (use.rank + 1) == 0 else ""
    return op, complaint or ("" if all(use.stacked) else "it joins a constant to every image")


def _padded(op: Any, use: _Use) -> Answer:
    return op, use.only_first() or ("" if tuple(op.paddings[0]) == (0, 0) else "it pads the first axis")


def _reshaped(op: ops.Reshape, use: _Use) -> Answer:
    # Row-major, so each image stays in one piece whatever its shape becomes.
    shape = op.shape
    if not shape:
        return op, "its result is a scalar"
    rows = shape[0] if shape[0] == -1 else use.images * shape[0]
    return replace(op, shape=(rows, *shape[1:])), use.only_first()


def _sliced(op: ops.Slice, use: _Use) -> Answer:
    rows = use.shape[0]
    whole = range(rows)[slice(op.begin[0], op.end[0], op.step[0])] == range(rows)
    if not whole or any(axis % use.rank == 0 for axis in op.squeeze):
        return op, "it cuts the first axis"
    return replace(op, begin=(0, *op.begin[1:]), end=(use.images * rows, *op.end[1:])), use.only_first()


def _tiled(op: ops.Tile, use: _Use) -> Answer:
    return op, use.only_first() or ("" if op.multiples[0] == 1 else "it repeats the first axis")


def _transposed(op: ops.Transpose, use: _Use) -> Answer:
    return op, use.only_first() or ("" if op.permutation[0] == 0 else "it moves the first axis")


def _gathered(op: ops.Gather, use: _Use) -> Answer:
    return op, use.only_first() or use.spares(op.axis) or ("indices of each image" if op.batch_dims else "")


_RULES: dict[type[Op], Callable[[Any, _Use], Answer]] = {
    **dict.fromkeys((ops.Conv2D, ops.TransposeConv2D, ops.MaxPool2D, ops.AveragePool2D), _first),
    **dict.fromkeys((ops.ResizeBilinear, ops.ResizeNearest, ops.SpaceToDepth, ops.DepthToSpace), _first),
    **dict.fromkeys((ops.Add, ops.Sub, ops.Mul, ops.Div, ops.FloorDiv, ops.Maximum, ops.Minimum), _pointwise),
    **dict.fromkeys((ops.Unary, ops.Relu, ops.Relu6, ops.ReluN1To1, ops.LeakyRelu, ops.Logistic, ops.Tanh), _first),
    **dict.fromkeys((ops.HardSwish, ops.Quantize, ops.Dequantize, ops.Cast), _first),
    ops.PRelu: _pointwise,
    **dict.fromkeys((ops.FullyConnected, ops.BatchNorm, ops.Softmax), _rows),
    **dict.fromkeys((ops.Mean, ops.Sum, ops.ReduceMax), _reduction),
    **dict.fromkeys((ops.ArgMax, ops.Split, ops.Unpack), _along),
    ops.Concat: _joined,
    ops.Pack: _packed,
    **dict.fromkeys((ops.Pad, ops.MirrorPad), _padded),
    ops.Reshape: _reshaped,
    ops.Slice: _sliced,
    ops.Tile: _tiled,
    ops.Transpose: _transposed,
    ops.Gather: _gathered,
}
"""Operators that treat the rows of the first axis apart, and on what condition."""
