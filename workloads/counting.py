"""How much work and how many parameters a graph holds."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from math import prod

from simulator.graph import ops
from simulator.graph.graph import Graph, Node, Tensor

ARRAY_OPS = (ops.Conv2D, ops.TransposeConv2D, ops.FullyConnected)
"""Operators that multiply activations by weights: inputs x, weights, [bias]."""


def count_macs(graph: Graph) -> int:
    """Multiply-accumulates of all convolutions and products.

    Convolution: output values * kernel area * channels / groups, padding taps counted. Transposed convolution:
    batch * h_in * w_in * kernel area * channels * filters. Fully connected: m * k * n.
    """
    return sum(node_macs(graph, node) for node in graph.nodes)


def node_macs(graph: Graph, node: Node) -> int:
    """Multiply-accumulates of one node; 0 where it is no convolution or product."""
    if not isinstance(node.op, ARRAY_OPS):
        return 0
    x, weights = graph.tensors[node.inputs[0]], graph.tensors[node.inputs[1]]
    if isinstance(node.op, ops.TransposeConv2D):
        return prod(x.shape[:3]) * weights.elements
    return graph.tensors[node.outputs[0]].elements * prod(weights.shape[1:])


def count_parameters(graph: Graph, left_out: Collection[str] = ()) -> int:
    """Constant weights and biases of convolutions and products, gamma and beta of batch norms; each counted once.

    What only the outputs `left_out` need is not counted.
    """
    return sum({tensor.name: tensor.elements for tensor in parameter_tensors(graph, left_out)}.values())


def parameter_tensors(graph: Graph, left_out: Collection[str] = ()) -> Iterator[Tensor]:
    """Constants that training would learn, in the graph's order; a shared one comes up more than once."""
    needed = {name for name in graph.outputs if name not in left_out}
    for node in reversed(graph.nodes):
        if needed.intersection(node.outputs):
            needed.update(node.inputs)
    for node in graph.nodes:
        if isinstance(node.op, (*ARRAY_OPS, ops.BatchNorm)) and needed.intersection(node.outputs):
            for name in filter(None, node.inputs[1:3]):
                if graph.tensors[name].is_constant:
                    yield graph.tensors[name]
