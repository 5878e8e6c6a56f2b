"""Which tensors of a network are alive at each node, and what they take."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.graph.graph import Graph, Tensor


@dataclass(frozen=True)
class LiveNode:
    """What is alive while one node runs."""

    node: str
    """Name of the node."""
    tensors: tuple[str, ...]
    """Inputs and intermediates alive, in the order in which they were written; no constants."""
    bytes: int
    """Their size as the network stores them, bytes."""
    host_bytes: int
    """Their size in whole NumPy elements, as an execution holds them, bytes."""


def live_plan(graph: Graph) -> tuple[LiveNode, ...]:
    """Return what is alive at each node, in the order of execution.

    A tensor lives from the node that writes it (an input: from the start) to its last reader (an output: to the end).
    One that nobody reads lives while its node runs; an input that nobody reads, to the end.
    """
    last_use = {name: index for index, node in enumerate(graph.nodes) for name in node.inputs if name}
    last_use |= dict.fromkeys(graph.outputs, len(graph.nodes))
    alive = {tensor.name: tensor for tensor in graph.input_tensors}
    plan = []
    for index, node in enumerate(graph.nodes):
        alive |= {name: graph.tensors[name] for name in node.outputs}
        stored = sum(tensor.bytes for tensor in alive.values())
        plan.append(LiveNode(node.name, tuple(alive), stored, sum(map(host_bytes, alive.values()))))
        for name in (*node.inputs, *node.outputs):
            if last_use.get(name, -1) <= index:
                alive.pop(name, None)
    return tuple(plan)


def live_bytes(graph: Graph) -> tuple[int, ...]:
    """Return the bytes alive at each node, in the order of execution, as the network stores them."""
    return tuple(step.bytes for step in live_plan(graph))


def weights_bytes(graph: Graph) -> int:
    """Size of all constants as the network stores them, bytes."""
    return sum(tensor.bytes for tensor in graph.tensors.values() if tensor.is_constant)


def host_bytes(tensor: Tensor) -> int:
    """Size of a tensor in whole NumPy elements, bytes."""
    return tensor.elements * tensor.format.dtype.itemsize
