"""Pretrained float weights in a network to be trained: a file of its own arrays, or one of two known backbones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import NetworkError
from simulator.graph import ops
from simulator.graph.graph import Graph, Node
from workloads.nets.weight_files import read_weights

_RESNET_FIRST = (1, 11, 24, 43)
"""Number of the first convolution of each stage of ResNet-50; that of its shortcut stands before the block's own."""
_LEAST_VARIANCE = np.float32(1 - 1e-5)


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
    given = _renamed(graph, arrays)
    found: dict[str, NDArray[Any]] = {}
    for name, values in given.items():
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


def _renamed(graph: Graph, arrays: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
    """Return arrays by the names of the network's constants."""
    return dict(_resnet(graph, arrays)) if "conv00.weight" in arrays else arrays


def _resnet(graph: Graph, arrays: Mapping[str, NDArray[Any]]) -> Iterator[tuple[str, NDArray[Any]]]:
    """Folded batch norm comes back as gamma 1, beta the bias, mean 0, variance 1."""
    places = {"backbone.conv1": 0}
    for stage, first in enumerate(_RESNET_FIRST, 1):
        for block in range((3, 4, 6, 3)[stage - 1]):
            name, number = f"backbone.layer{stage}.{block}", first + 3 * block + (block > 0)
            if block == 0:
                places[f"{name}.downsample.0"] = number
                number += 1
            places |= {f"{name}.conv{index + 1}": number + index for index in range(3)}
    followers = {node.inputs[0]: node for node in graph.nodes if isinstance(node.op, ops.BatchNorm)}
    for layer, number in places.items():
        if layer not in followers or f"conv{number:02d}.weight" not in arrays:
            continue
        bias = arrays[f"conv{number:02d}.bias"].astype(np.float32)
        yield f"{layer}.weight", arrays[f"conv{number:02d}.weight"]
        ones = np.ones_like(bias)
        values = ones, bias, np.zeros_like(bias), ones * _LEAST_VARIANCE
        yield from zip(followers[layer].inputs[1:], values, strict=True)


def _own_layout(values: NDArray[Any]) -> NDArray[Any]:
    """Bring [filters, channels, height, width] into our layout."""
    return values.transpose(0, 2, 3, 1) if values.ndim == 4 else values
