"""Which width each layer's weights and each tensor has, and rescales where one operator would see several."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase

from simulator.errors import InputError
from simulator.graph import ops
from simulator.graph.graph import Graph, Node, Tensor
from simulator.numerics.formats import INT8, Float32, IntFormat
from workloads.counting import ARRAY_OPS
from workloads.quantization.options import BitMap
from workloads.quantization.scales import SHARES_SCALE

_NAMES_TOLD = 5
_MIXES_FORMATS = (*ARRAY_OPS, ops.Quantize, ops.ArgMax)
"""Operators whose input and output may have different formats."""
_MIXES_BY_SHIFTS = (*_MIXES_FORMATS, ops.Add, ops.Sub, ops.Mul)
"""The same where the device rescales by shifts."""


@dataclass(frozen=True)
class Formats:
    """Format of every float tensor of a graph once it is integer."""

    tensors: Mapping[str, IntFormat]
    """Of activations, by tensor name."""
    weights: Mapping[str, IntFormat]
    """Of weights, by node name."""


def resolve_formats(graph: Graph, bits: BitMap, results: Mapping[str, str] | None = None) -> Formats:
    """Return the formats that `bits` asks for: int8 where it says nothing; of several matching patterns the last holds.

    A pattern (``*``, ``?``, ``[...]``) is matched against the names of nodes and of the network's inputs.
    `activation_bits` is the width of what a node writes; operators that only move values hand on their input's.
    `results` names, for a tensor that is only on the way to an activation, that activation.

    Raises
    ------
    InputError
        A pattern that no name matches (the nearest names are told), or weight bits for layers without weights.

    """
    weights: dict[str, int] = {}
    asked: dict[str, int] = {}
    for pattern, widths in bits.items():
        inputs, nodes = _matching(graph, pattern)
        filters = [node.name for node in nodes if isinstance(node.op, ARRAY_OPS)]
        if "weight_bits" in widths:
            if not filters:
                raise InputError(f"{graph.name}: no layer that matches {pattern!r} in bits has weights")
            weights.update(dict.fromkeys(filters, widths["weight_bits"]))
        if "activation_bits" in widths:
            names = [*inputs, *(name for node in nodes for name in node.outputs)]
            names += [results[name] for name in names if results and name in results]
            asked.update(dict.fromkeys(names, widths["activation_bits"]))
    tensors: dict[str, IntFormat] = {name: IntFormat(asked.get(name, 8)) for name in graph.inputs}
    for node in graph.nodes:
        handed = tensors.get(node.inputs[0], INT8) if isinstance(node.op, SHARES_SCALE) else INT8
        for name in node.outputs:
            if isinstance(graph.tensors[name].format, Float32):
                tensors[name] = IntFormat(asked[name]) if name in asked else handed
    array = [node.name for node in graph.nodes if isinstance(node.op, ARRAY_OPS)]
    return Formats(tensors, {name: IntFormat(weights.get(name, 8)) for name in array})


def _matching(graph: Graph, pattern: str) -> tuple[list[str], list[Node]]:
    inputs = [name for name in graph.inputs if fnmatchcase(name, pattern)]
    nodes = [node for node in graph.nodes if fnmatchcase(node.name, pattern)]
    if not inputs and not nodes:
        names = [*graph.inputs, *(node.name for node in graph.nodes)]
        close = get_close_matches(pattern.strip("*"), names, _NAMES_TOLD, 0.3) or names[:_NAMES_TOLD]
        raise InputError(f"{graph.name}: no layer matches {pattern!r} in bits; nearest: {', '.join(close)}")
    return inputs, nodes


def insert_rescales(graph: Graph, formats: Formats, *, shifts: bool) -> tuple[Graph, Formats, dict[str, str]]:
    """Insert a Quantize before every operator that needs one format and would see several.

    `shifts`: the network is for devices that rescale by shifts, whose sums and products take several.

    Returns
    -------
    graph : Graph
        With the new nodes, still float: a Quantize there is the identity.
    formats : Formats
        Those of the new tensors included.
    sources : dict
        New tensor -> the tensor whose values it has.

    """
    mixing = _MIXES_BY_SHIFTS if shifts else _MIXES_FORMATS
    tensors, widths = dict(graph.tensors), dict(formats.tensors)
    nodes: list[Node] = []
    sources: dict[str, str] = {}
    for node in graph.nodes:
        outputs = [widths[name] for name in node.outputs if name in widths]
        if isinstance(node.op, mixing) or not outputs:
            nodes.append(node)
            continue
        renamed = []
        for name in node.inputs:
            if name not in widths or widths[name] == outputs[0]:
                renamed.append(name)
                continue
            new = f"{name}.{outputs[0]}"
            if new not in tensors:
                tensors[new] = Tensor(new, tensors[name].shape, tensors[name].format)
                widths[new], sources[new] = outputs[0], name
                nodes.append(Node(f"{new}.rescale", ops.Quantize(), (name,), (new,)))
            renamed.append(new)
        nodes.append(replace(node, inputs=tuple(renamed)))
    changed = replace(graph, tensors=tensors, nodes=tuple(nodes))
    return changed, Formats(widths, formats.weights), sources
