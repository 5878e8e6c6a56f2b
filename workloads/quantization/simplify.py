"""Float graph to float graph, same function: batch norms folded into weights, ReLUs fused into what they follow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import Unsupported, UnsupportedOp
from simulator.graph import ops
from simulator.graph.graph import Graph, Node, Tensor
from simulator.graph.ops import Activation
from simulator.numerics.formats import FLOAT32
from workloads.counting import ARRAY_OPS
from workloads.quantization.float_ops import norm_affine

Statistics = Mapping[str, NDArray[np.float32]]
"""Mean and variance measured on images, by the names of a batch norm's constants, in place of the stored ones."""

_FUSED: dict[type[ops.Op], Activation] = {
    ops.Relu: Activation.RELU,
    ops.Relu6: Activation.RELU6,
    ops.ReluN1To1: Activation.RELU_N1_TO_1,
}
_FUSES_INTO = (*ARRAY_OPS, ops.Add, ops.Sub, ops.Mul)


@dataclass
class _Draft:
    """A graph while it is rewritten."""

    graph: Graph
    tensors: dict[str, Tensor]
    nodes: list[Node]

    def writers(self) -> dict[str, int]:
        """Index of the node that writes each tensor."""
        return {name: index for index, node in enumerate(self.nodes) for name in node.outputs}

    def readers(self) -> Counter[str]:
        """How often each tensor is read; being an output of the network counts."""
        counts = Counter(name for node in self.nodes for name in node.inputs if name)
        counts.update(self.graph.outputs)
        return counts

    def constant(self, name: str, shape: tuple[int, ...], data: NDArray[Any] | None) -> str:
        """Declare a constant, without values where `data` is None."""
        values = None if data is None else np.ascontiguousarray(data, np.float32)
        self.tensors[name] = Tensor(name, shape, FLOAT32, None, values, placeholder=data is None)
        return name

    def finish(self) -> Graph:
        """Return the graph, without the tensors that nothing uses any more."""
        used = {name for node in self.nodes for name in (*node.inputs, *node.outputs)}
        used.update(self.graph.inputs)
        tensors = {name: tensor for name, tensor in self.tensors.items() if name in used}
        return replace(self.graph, tensors=tensors, nodes=tuple(self.nodes))


def simplify(graph: Graph, statistics: Statistics | None = None) -> Graph:
    """Return the same function without batch norms and with fused activations.

    A batch norm after a convolution or product that nothing else reads is folded into its weights and bias; any other
    one, on [batch, height, width, channels], becomes a depthwise 1x1 convolution. Tensors that stay keep their names.

    Parameters
    ----------
    graph
        A float network, with or without weights.
    statistics
        Means and variances to use instead of the stored ones.

    Raises
    ------
    UnsupportedOp
        A batch norm that is neither.

    """
    draft = _Draft(graph, dict(graph.tensors), list(graph.nodes))
    _replace_norms(draft, statistics or {})
    _fuse_activations(draft)
    return draft.finish()


def _replace_norms(draft: _Draft, statistics: Statistics) -> None:
    problems = []
    for node in [node for node in draft.nodes if isinstance(node.op, ops.BatchNorm)]:
        writers, readers = draft.writers(), draft.readers()
        source = writers.get(node.inputs[0])
        here = writers[node.outputs[0]]
        affine = _affine(draft, node, statistics)
        if source is not None and readers[node.inputs[0]] == 1 and _takes_norm(draft, draft.nodes[source]):
            draft.nodes[source] = _fold(draft, draft.nodes[source], node, affine)
            del draft.nodes[here]
        elif len(draft.tensors[node.inputs[0]].shape) == 4:
            draft.nodes[here] = _as_depthwise(draft, node, affine)
        else:
            shape = draft.tensors[node.inputs[0]].shape
            reason = f"a batch norm on shape {shape} that follows no convolution is not quantized"
            problems.append(Unsupported(node.name, node.op.kind, reason))
    if problems:
        raise UnsupportedOp(problems, draft.graph.name)


Affine = tuple[NDArray[np.float64], NDArray[np.float64]]


def _affine(draft: _Draft, node: Node, statistics: Statistics) -> Affine | None:
    """Gain and offset of a batch norm; None where the network has no weights."""
    values = [statistics.get(name, draft.tensors[name].data) for name in node.inputs[1:]]
    present = [value for value in values if value is not None]
    assert isinstance(node.op, ops.BatchNorm)
    return norm_affine(node.op, *present) if len(present) == len(values) else None


def _takes_norm(draft: _Draft, node: Node) -> bool:
    constant = all(draft.tensors[name].is_constant for name in filter(None, node.inputs[1:]))
    return isinstance(node.op, ARRAY_OPS) and node.op.activation is Activation.NONE and constant


def _fold(draft: _Draft, node: Node, norm: Node, affine: Affine | None) -> Node:
    weights = draft.tensors[node.inputs[1]]
    bias = draft.tensors[node.inputs[2]] if len(node.inputs) > 2 and node.inputs[2] else None
    folded_weights = folded_bias = None
    if affine is not None and weights.data is not None:
        gain, offset = affine
        folded_weights = weights.data * gain.astype(np.float32).reshape(-1, *[1] * (weights.data.ndim - 1))
        folded_bias = offset if bias is None or bias.data is None else offset + gain * bias.data
    channels = weights.shape[:1]
    inputs = (
        node.inputs[0],
        draft.constant(f"{node.name}.folded_weight", weights.shape, folded_weights),
        draft.constant(f"{node.name}.folded_bias", channels, folded_bias),
    )
    return replace(node, inputs=inputs, outputs=norm.outputs)


def _as_depthwise(draft: _Draft, norm: Node, affine: Affine | None) -> Node:
    channels = draft.tensors[norm.inputs[0]].shape[3]
    gain, offset = (None, None) if affine is None else affine
    inputs = (
        norm.inputs[0],
        draft.constant(f"{norm.name}.gain", (channels, 1, 1, 1), None if gain is None else gain.reshape(-1, 1, 1, 1)),
        draft.constant(f"{norm.name}.offset", (channels,), offset),
    )
    return Node(norm.name, ops.Conv2D(groups=channels), inputs, norm.outputs)


def fuse_activations(graph: Graph) -> Graph:
    """Return the same function with ReLUs fused into what they follow, where nothing else reads that."""
    draft = _Draft(graph, dict(graph.tensors), list(graph.nodes))
    _fuse_activations(draft)
    return draft.finish()


def _fuse_activations(draft: _Draft) -> None:
    for node in [node for node in draft.nodes if type(node.op) in _FUSED]:
        writers, readers = draft.writers(), draft.readers()
        source = writers.get(node.inputs[0])
        if source is None or readers[node.inputs[0]] != 1:
            continue
        before = draft.nodes[source]
        if isinstance(before.op, _FUSES_INTO) and before.op.activation is Activation.NONE and not _raw(before.op):
            fused = replace(before.op, activation=_FUSED[type(node.op)])
            draft.nodes[source] = replace(before, op=fused, outputs=node.outputs)
            del draft.nodes[writers[node.outputs[0]]]


def _raw(op: ops.Op) -> bool:
    return isinstance(op, ops.Conv2D | ops.FullyConnected) and op.raw_accumulator
