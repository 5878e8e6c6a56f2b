"""Stimuli and expected results of a network or a layer, for the test bench of somebody's hardware."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bittrue.api import Inputs, prepare
from reports.units import short_name
from simulator.accelerator.spec import Accelerator
from simulator.errors import InputError
from simulator.graph.graph import Graph, Tensor
from simulator.lowering.array import ArrayConstants
from simulator.lowering.layer import Layer
from simulator.numerics.modes import RequantizerKind
from simulator.numerics.quant import RequantParams
from simulator.records.vectors.files import Vector, VectorFormat, write_vectors
from simulator.records.vectors.manifest import Manifest, Role
from workloads.network import Network

Arrays = Mapping[str, NDArray[Any]]


def export_vectors(
    net: Network | Graph,
    acc: Accelerator,
    inputs: Inputs,
    folder: str | Path,
    *,
    layer: str | None = None,
    format: VectorFormat | None = None,
    threads: int | None = None,
    seed: int = 0,
) -> Manifest:
    """Run a network and write what goes in and what must come out, with manifest.json.

    Parameters
    ----------
    net, acc, inputs
        As for `simulate`.
    folder
        Absent, empty, or a folder of vectors, which is replaced.
    layer
        Name of one layer: what it reads (its activations, weights, bias, and on the array the constants of its
        requantizer) and what it writes. None = inputs and outputs of the whole network.
    format
        .npz, raw binaries or $readmemh; None = .npz.
    threads, seed
        As for `simulate`.

    Raises
    ------
    InputError
        No such layer; inputs that do not suit the network; words that do not hold the values.
    RunFolderError
        `folder` holds something else, or cannot be written.
    BittrueError
        What `simulate` raises.

    """
    prepared = prepare(net, acc, values_only=True, keep_tensors=layer is not None, threads=threads, seed=seed)
    chosen = None if layer is None else _layer(prepared.engine.layers, layer)
    run = prepared.run(inputs)
    tensors = run.network.graph.tensors
    if chosen is None:
        stimuli = {name: np.asarray((run.inputs or {})[name]) for name in run.network.graph.inputs}
        vectors = [_vector(tensors[name], "stimulus", value) for name, value in stimuli.items()]
        vectors += [_vector(tensors[name], "expected", value) for name, value in run.outputs.items()]
    else:
        vectors = _layer_vectors(chosen, run.tensors | run.outputs)
    about = {
        "tool_version": run.record.tool_version,
        "network": run.record.network,
        "network_hash": run.record.network_hash,
        "accelerator": run.record.accelerator,
        "spec_hash": run.record.spec_hash,
        "layer": None if chosen is None else chosen.name,
        "layer_constants": {} if chosen is None else _constants(chosen),
    }
    return write_vectors(Path(folder), vectors, format or VectorFormat(), about)


def _layer(layers: tuple[Layer, ...], name: str) -> Layer:
    """Return the layer of that name, or of that short name, which tables print."""
    found = [layer for layer in layers if layer.name == name] or [x for x in layers if short_name(x.name) == name]
    if len(found) == 1:
        return found[0]
    if found:
        full = ", ".join(repr(layer.name) for layer in found)
        raise InputError(f"{len(found)} layers are called {name!r}; write one of {full}")
    known = [short_name(layer.name) for layer in layers]
    near = get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known[:20])}"
    raise InputError(f"no layer is called {name!r}; {hint}")


def _layer_vectors(layer: Layer, values: Arrays) -> list[Vector]:
    found = []
    for tensor in dict.fromkeys(filter(None, layer.inputs)):
        role: Role = "constant" if tensor.is_constant else "stimulus"
        data = tensor.data if tensor.is_constant else values[tensor.name]
        assert data is not None  # `prepare` refuses weights without values
        found.append(_vector(tensor, role, data))
    if isinstance(layer.constants, ArrayConstants) and layer.constants.requantizer is not None:
        for part, array in _requantizer_arrays(layer.constants.requantizer).items():
            found.append(Vector(f"{layer.name}/requantizer.{part}", "constant", array, 32))
    return [*found, *(_vector(tensor, "expected", values[tensor.name]) for tensor in layer.outputs)]


def _requantizer_arrays(params: RequantParams) -> dict[str, NDArray[Any]]:
    """Return what scales each channel, [channels]."""
    if params.kind is RequantizerKind.FLOAT32:
        return {"scale": params.scale}
    exponent = {"exponent": params.exponent.astype(np.int32)}
    if params.kind is RequantizerKind.POWER_OF_TWO:
        return exponent
    return {"multiplier": params.multiplier.astype(np.int32), **exponent}


_FACTOR = {
    RequantizerKind.FLOAT32: "scale",
    RequantizerKind.POWER_OF_TWO: "2^exponent",
}
"""Real factor of a channel, in terms of the tensors written; for the fixed-point kinds as below."""


def _vector(tensor: Tensor, role: Role, values: NDArray[Any]) -> Vector:
    single = tensor.quant is not None and len(tensor.quant.scale) == 1
    bits = tensor.format.bits if values.dtype == tensor.format.dtype else values.dtype.itemsize * 8
    return Vector(
        tensor.name, role, values, bits, tensor.scale if single else None, tensor.zero_point if single else None
    )


def _constants(layer: Layer) -> dict[str, Any]:
    """Return what a layer is told besides tensors, as plain data."""
    found: dict[str, Any] = {"op": layer.kind, "engine": str(layer.engine)}
    if layer.geometry is not None:
        found["geometry"] = asdict(layer.geometry)  # sizes and pairs only
    if layer.fold_order is not None:
        found["fold_order"] = _plain(asdict(layer.fold_order))
    constants = layer.constants
    if isinstance(constants, ArrayConstants):
        found["input_zero_point"] = constants.input_zero_point
        points = [int(value) for value in constants.weight_zero_points]
        found["weight_zero_points"] = points if len(set(points)) > 1 else points[:1]
        if constants.requantizer is not None:
            found["requantizer"] = {
                "kind": str(constants.requantizer.kind),
                "rounding": str(constants.requantizer.rounding),
                "zero_point": constants.requantizer.zero_point,
                "minimum": constants.requantizer.minimum,
                "maximum": constants.requantizer.maximum,
                "factor": _FACTOR.get(constants.requantizer.kind, "multiplier * 2^(exponent - 31)"),
            }
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return str(value) if isinstance(value, str) else value
