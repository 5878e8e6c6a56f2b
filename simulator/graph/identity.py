"""What makes two networks the same: a hash over everything that decides a value or a cycle."""

from __future__ import annotations

import hashlib

import numpy as np

from simulator.graph.graph import Graph, Tensor
from simulator.graph.liveness import live_plan, weights_bytes


def network_hash(graph: Graph) -> str:
    """SHA-256 (hex) of operators, connections, shapes, formats, scales and weights."""
    digest = hashlib.sha256()
    for node in graph.nodes:
        digest.update(repr((node.op, node.inputs, node.outputs)).encode())
    for name in sorted(graph.tensors):
        _update(digest, graph.tensors[name])
    digest.update(repr((graph.inputs, graph.outputs)).encode())
    return digest.hexdigest()


def _update(digest: hashlib._Hash, tensor: Tensor) -> None:
    digest.update(repr((tensor.name, tensor.shape, str(tensor.format), tensor.quant)).encode())
    if tensor.data is not None:
        digest.update(np.ascontiguousarray(tensor.data).reshape(-1).view(np.uint8).data)  # its bytes, not copied


def peak_memory_bytes(graph: Graph) -> int:
    """Most memory that weights and the tensors alive at one time take, bytes.

    A tensor lives from the node that writes it (an input: from the start) to its last reader (an output: to the end).
    """
    inputs = sum(tensor.bytes for tensor in graph.input_tensors)
    return weights_bytes(graph) + max((step.bytes for step in live_plan(graph)), default=inputs)
