"""Lower a whole graph: every node becomes a Layer, or one error lists all that cannot."""

from __future__ import annotations

from simulator.accelerator.spec import Accelerator
from simulator.errors import Unsupported, UnsupportedOp
from simulator.graph.graph import Graph, Node
from simulator.graph.ops import Op
from simulator.lowering import array, host, movement, vector
from simulator.lowering.layer import Layer
from simulator.lowering.table import Lowerer

LOWERERS: dict[type[Op], Lowerer] = {
    **host.LOWERERS,
    **movement.LOWERERS,
    **vector.LOWERERS,
    **array.LOWERERS,
}


def lower(graph: Graph, accelerator: Accelerator) -> tuple[Layer, ...]:
    """Turn every node of `graph` into a layer for `accelerator`, in the graph's order.

    Raises
    ------
    UnsupportedOp
        Listing every node that cannot be lowered, with the reason.
    NetworkError
        A node whose tensors contradict each other.

    """
    layers: list[Layer] = []
    problems: list[Unsupported] = []
    for node in graph.nodes:
        try:
            layers.append(_lower_node(graph, node, accelerator))
        except UnsupportedOp as error:
            problems.extend(error.problems)
    if problems:
        raise UnsupportedOp(problems, graph.name)
    return tuple(layers)


def _lower_node(graph: Graph, node: Node, accelerator: Accelerator) -> Layer:
    lowerer = LOWERERS.get(type(node.op))
    if lowerer is None:
        raise UnsupportedOp([Unsupported(node.name, node.op.kind, "no accelerator engine executes this operator")])
    outputs = tuple(graph.tensors[name] for name in node.outputs)
    return lowerer(node, graph.tensors_of(node.inputs), outputs, accelerator)
