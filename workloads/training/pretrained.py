"""Pretrained float weights in a network to be trained: a file of its own arrays, or one of two known backbones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import NetworkError
from simulator.graph import ops
from simulator.graph.graph import Graph, Node
from workloads.nets.weight_files import read_weights


@dataclass(frozen=True, eq=False)
class Pretrained:
    """A float network and which of its layers were trained before."""

    graph: Graph
    layers: frozenset[str]
    """Names of convolutions with pretrained weights; all others are seeded."""


def with_pretrained(graph: Graph, path: Path | None) -> Pretrained:
    """Put the weights of a file into a seeded network.

    Parameters
    ----------
    graph
        A float network with seeded weights.
    path
        A .npz. Either arrays ``conv00.w``, ``conv00.b`` ...: a ResNet-50 in the order of its file, batch norm folded;
        or ``conv1_1.w`` ...: a VGG16; both [filters, channels, height, width] for BGR images; or arrays named as the
        network's constants. None = nothing is pretrained.

    Raises
    ------
    NetworkError
        A file that is missing or damaged, or holds nothing that fits the network.

    """
    if path is None:
        return Pretrained(graph, frozenset())
    file = read_weights(path)
    if file.torch_layout and not file.partial:
        raise NetworkError(f"pretrained weights {path}: give a .npz of a backbone, or of arrays named as the network's")
    arrays = {name: _own_layout(values) for name, values in file.arrays.items()} if file.partial else file.arrays
    found: dict[str, NDArray[Any]] = {}
    for name, values in arrays.items():
        if name not in graph.tensors:
            continue
        wanted = graph.tensors[name].shape
        if values.shape != wanted or values.dtype.kind != "f" or not np.isfinite(values).all():
            raise NetworkError(
                f"pretrained weights {path}: {name} is {values.dtype} {values.shape}, finite float {wanted} fits "
                f"{graph.name}"
            )
        found[name] = np.ascontiguousarray(values, np.float32)
    layers = frozenset(node.name for node in _convolutions(graph) if node.inputs[1] in found)
    if not layers:
        raise NetworkError(
            f"pretrained weights {path}: no array fits {graph.name}; it has {', '.join(list(arrays)[:3])} ..."
        )
    tensors = {
        name: replace(tensor, data=found[name], placeholder=False) if name in found else tensor
        for name, tensor in graph.tensors.items()
    }
    return Pretrained(replace(graph, tensors=tensors), layers)


def _convolutions(graph: Graph) -> Iterator[Node]:
    return (node for node in graph.nodes if isinstance(node.op, ops.Conv2D | ops.TransposeConv2D))


def _own_layout(values: NDArray[Any]) -> NDArray[Any]:
    """Bring [filters, channels, height, width] into our layout."""
    return values.transpose(0, 2, 3, 1) if values.ndim == 4 else values
