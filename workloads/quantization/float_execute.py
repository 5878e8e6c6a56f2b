"""Run a float network on values: the baseline of quantization, and where calibration looks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InputError, NetworkError, Unsupported, UnsupportedOp
from simulator.graph import ops
from simulator.graph.graph import Graph, Node
from workloads.quantization.float_ops import FUNCTIONS

OnTensor = Callable[[str, NDArray[Any]], None]
Progress = Callable[[int, int, str], None]

_LEAST_VARIANCE = 1e-3
"""Of a measured channel, relative to the mean of all: a channel that is still on one image is not amplified."""


@dataclass(frozen=True)
class FloatRun:
    """Values of a float run."""

    outputs: dict[str, NDArray[Any]]
    """The network's outputs, in its order."""
    statistics: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    """Measured mean and variance by the names of the batch norms' constants; empty unless they were asked for."""


def run_float(
    graph: Graph,
    inputs: Mapping[str, NDArray[Any]],
    *,
    on_tensor: OnTensor | None = None,
    on_progress: Progress | None = None,
    measure_norms: bool = False,
) -> FloatRun:
    """Compute a float network with NumPy.

    Parameters
    ----------
    graph
        A float network with weights.
    inputs
        float32 arrays by input name, in the inputs' shapes.
    on_tensor
        Called with the name and values of every input and every operator's output; the values may be overwritten
        after the call.
    on_progress
        Called with (done, total, node name).
    measure_norms
        Normalise by the statistics of these very inputs instead of the stored ones, and return them.

    Raises
    ------
    UnsupportedOp
        Listing every operator without a float implementation.
    InputError
        An input that is missing or of another shape.
    NetworkError
        A network without weights.

    """
    values = _start(graph, inputs)
    readers = Counter(name for node in graph.nodes for name in node.inputs if name)
    readers.update(graph.outputs)
    statistics: dict[str, NDArray[np.float32]] = {}
    for name in graph.inputs:
        if on_tensor:
            on_tensor(name, values[name])
    for index, node in enumerate(graph.nodes):
        if on_progress:
            on_progress(index, len(graph.nodes), node.name)
        arrays = [values[name] if name else None for name in node.inputs]
        if measure_norms and isinstance(node.op, ops.BatchNorm):
            measured = _measure(arrays[0])
            statistics.update(zip(node.inputs[3:], measured, strict=True))
            arrays[3:] = measured
        for name, result in zip(node.outputs, _compute(graph, node, arrays), strict=True):
            values[name] = result
            if on_tensor:
                on_tensor(name, result)
        _release(values, readers, node)
    if on_progress:
        on_progress(len(graph.nodes), len(graph.nodes), "done")
    return FloatRun({name: values[name] for name in graph.outputs}, statistics)


def _start(graph: Graph, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    problems = [
        Unsupported(node.name, node.op.kind, "the float executor does not know this operator")
        for node in graph.nodes
        if type(node.op) not in FUNCTIONS and not isinstance(node.op, ops.Split)
    ]
    if problems:
        raise UnsupportedOp(problems, graph.name)
    values: dict[str, NDArray[Any]] = {}
    for tensor in graph.tensors.values():
        if tensor.is_constant:
            if tensor.data is None:
                raise NetworkError(
                    f'{graph.name}: constant {tensor.name} has no values; load weights (weights="seeded")'
                )
            values[tensor.name] = tensor.data
    for tensor in graph.input_tensors:
        if tensor.name not in inputs:
            raise InputError(f"{graph.name}: input {tensor.name} {list(tensor.shape)} is missing")
        value = np.asarray(inputs[tensor.name], tensor.format.dtype)
        if value.shape != tensor.shape:
            raise InputError(f"{graph.name}: input {tensor.name} has shape {value.shape}, not {tensor.shape}")
        values[tensor.name] = value
    return values


def _compute(graph: Graph, node: Node, arrays: list[NDArray[Any] | None]) -> list[NDArray[Any]]:
    if isinstance(node.op, ops.Split):
        assert arrays[0] is not None
        return np.split(arrays[0], np.cumsum(node.op.sizes)[:-1], node.op.axis)
    output = graph.tensors[node.outputs[0]]
    return [FUNCTIONS[type(node.op)](node.op, arrays, output.shape).astype(output.format.dtype, copy=False)]


def _measure(x: NDArray[Any] | None) -> list[NDArray[np.float32]]:
    """Mean and variance of every channel; of a single position: 0 and the mean square of all channels."""
    assert x is not None
    rows = x.reshape(-1, x.shape[-1])
    if len(rows) == 1:
        mean = np.zeros(rows.shape[1])
        variance = np.full(rows.shape[1], np.mean(np.square(rows, dtype=np.float64)))
    else:
        mean = rows.mean(axis=0, dtype=np.float64)
        variance = rows.var(axis=0, dtype=np.float64)
        variance = np.maximum(variance, _LEAST_VARIANCE * variance.mean())
    return [mean.astype(np.float32), variance.astype(np.float32)]


def _release(values: dict[str, NDArray[Any]], readers: Counter[str], node: Node) -> None:
    for name in filter(None, node.inputs):
        readers[name] -= 1
    for name in (*node.inputs, *node.outputs):
        if name in values and readers[name] <= 0:
            del values[name]
