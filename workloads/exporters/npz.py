"""A network as one .npz: a JSON header and one array per constant. No pickle; opens with numpy.load."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.graph.graph import Graph, Node, Tensor
from simulator.graph.ops import Op
from workloads.exporters.files import whole_file
from workloads.network import Network

FORMAT = "bittrue graph"
"""Value of the header's `format`."""
VERSION = 1
"""Value of the header's `version`; a reader refuses what it does not know."""
HEADER = "header"
"""Array with the JSON text as bytes."""


def save_network(network: Network | Graph, path: str | Path) -> Path:
    """Write a network to `path` (suffix .npz), whole or not at all, and return the path.

    The same network gives the same bytes.

    Raises
    ------
    OSError
        The file cannot be written.

    """
    whole = network if isinstance(network, Network) else Network(network)
    graph = whole.graph
    arrays = {f"tensor_{i}": t.data for i, t in enumerate(graph.tensors.values()) if t.data is not None}
    header = {
        "format": FORMAT,
        "version": VERSION,
        "name": graph.name,
        "inputs": graph.inputs,
        "outputs": graph.outputs,
        "notes": graph.notes,
        **({"state": graph.state} if graph.state else {}),
        "tensors": [_tensor(index, tensor) for index, tensor in enumerate(graph.tensors.values())],
        "nodes": [_node(node) for node in graph.nodes],
        "network": {
            "image": None if whole.image is None else asdict(whole.image),
            "segmentation": None if whole.segmentation is None else asdict(whole.segmentation),
            "notes": whole.notes,
            "seeded": whole.seeded,
            "counts": whole.counts,
            "images": whole.images,
        },
    }
    text = np.frombuffer(json.dumps(header).encode(), np.uint8)
    target = Path(path)
    with whole_file(target) as file:
        members: dict[str, NDArray[Any]] = {HEADER: text, **arrays}
        np.savez(file, **members)  # type: ignore[arg-type]
    return target


def _tensor(index: int, tensor: Tensor) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "shape": tensor.shape,
        "format": str(tensor.format),
        "quant": None if tensor.quant is None else asdict(tensor.quant),
        "array": None if tensor.data is None else f"tensor_{index}",
        "placeholder": tensor.placeholder,
    }


def _node(node: Node) -> dict[str, Any]:
    return {
        "name": node.name,
        "op": node.op.kind,
        "attributes": _attributes(node.op),
        "inputs": node.inputs,
        "outputs": node.outputs,
    }


def _attributes(op: Op) -> dict[str, Any]:
    values = asdict(op)
    return {field.name: values[field.name] for field in fields(op)}
