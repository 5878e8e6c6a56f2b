"""Cross-layer equalization: channels between two layers scaled so that their filters use the same range on both sides.

Source: Nagel, van Baalen, Blankevoort, Welling, Data-Free Quantization Through Weight Equalization and Bias Correction,
ICCV 2019, section 4.1, eq. 11.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.graph import ops
from simulator.graph.graph import Graph, Node, Tensor
from simulator.graph.ops import Activation

_CONVOLUTIONS = (ops.Conv2D, ops.TransposeConv2D)
_COMMUTES = (ops.MaxPool2D, ops.AveragePool2D, ops.ResizeBilinear, ops.ResizeNearest, ops.Relu)
"""Operators that a positive factor per channel passes through."""
_ROUNDS = 20
_CONVERGED = 1e-3
"""Greatest relative change of a round that ends the search."""


def equalize(graph: Graph) -> Graph:
    """Return the same function with equalized filters.

    Parameters
    ----------
    graph
        A simplified float graph with weights. Pairs of convolutions are equalized between which there is at most a
        ReLU and pools or resizes, and nothing else reads what lies between; groups are one or depthwise.

    """
    pairs = list(_pairs(graph))
    constants = {name: tensor.data.copy() for name, tensor in _weights(graph, pairs)}
    for _ in range(_ROUNDS):
        change = max((_equalize_pair(constants, first, second) for first, second in pairs), default=0.0)
        if change < _CONVERGED:
            break
    changed = {name: replace(graph.tensors[name], data=data) for name, data in constants.items()}
    return replace(graph, tensors={**graph.tensors, **changed})


def _weights(graph: Graph, pairs: list[tuple[Node, Node]]) -> Iterator[tuple[str, Any]]:
    for node in (node for pair in pairs for node in pair):
        for name in filter(None, node.inputs[1:]):
            yield name, graph.tensors[name]


def _pairs(graph: Graph) -> Iterator[tuple[Node, Node]]:
    """Pairs of convolutions that can be equalized, in the graph's order."""
    uses = Counter(name for node in graph.nodes for name in node.inputs if name)
    uses.update(graph.outputs)
    reader = {name: node for node in graph.nodes for name in node.inputs if name}
    for node in graph.nodes:
        if not _is_suitable(graph, node, uses) or not _is_homogeneous(node):
            continue
        name = node.outputs[0]
        while uses[name] == 1 and name in reader and _passes(reader[name]):
            name = reader[name].outputs[0]
        follower = reader.get(name)
        if uses[name] == 1 and follower is not None and _is_suitable(graph, follower, uses):
            yield node, follower


def _passes(node: Node) -> bool:
    return isinstance(node.op, _COMMUTES) and _is_homogeneous(node)


def _is_homogeneous(node: Node) -> bool:
    """Whether a positive factor passes through the fused activation."""
    return getattr(node.op, "activation", Activation.NONE) in (Activation.NONE, Activation.RELU)


def _is_suitable(graph: Graph, node: Node, uses: Counter[str]) -> bool:
    """Whether a node is a convolution of one group, or depthwise with one filter a channel, with its own constants."""
    if not isinstance(node.op, _CONVOLUTIONS):
        return False
    constants: list[Tensor] = [graph.tensors[name] for name in filter(None, node.inputs[1:])]
    if any(tensor.data is None or uses[tensor.name] > 1 for tensor in constants):
        return False
    groups = getattr(node.op, "groups", 1)
    return groups in (1, constants[0].shape[0])


def _equalize_pair(constants: dict[str, NDArray[Any]], first: Node, second: Node) -> float:
    """Scale the channels between two layers; return the greatest relative change."""
    before, after = constants[first.inputs[1]], constants[second.inputs[1]]
    depthwise = getattr(second.op, "groups", 1) > 1
    out_range = np.abs(before).reshape(before.shape[0], -1).max(axis=1).astype(np.float64)
    by_channel = after.reshape(after.shape[0], -1) if depthwise else np.moveaxis(after, -1, 0)
    in_range = np.abs(by_channel).reshape(len(by_channel), -1).max(axis=1).astype(np.float64)
    live = (out_range > 0) & (in_range > 0)
    divisor = np.ones_like(out_range)
    divisor[live] = np.sqrt(out_range[live] / in_range[live])
    before /= divisor.reshape(-1, *[1] * (before.ndim - 1)).astype(np.float32)
    if len(first.inputs) > 2 and first.inputs[2]:
        constants[first.inputs[2]] /= divisor.astype(np.float32)
    after *= (divisor.reshape(-1, *[1] * (after.ndim - 1)) if depthwise else divisor).astype(np.float32)
    return float(np.abs(divisor - 1).max())
