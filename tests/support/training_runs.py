"""Run one operator of integer training on given values, through the graph, lowering and the executors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.execution.context import ExecutionContext
from simulator.execution.execute import run_layer
from simulator.graph.builder import GraphBuilder
from simulator.graph.graph import Graph
from simulator.graph.ops import Op
from simulator.kernels.threads import thread_count
from simulator.lowering.layer import Layer
from simulator.lowering.lower import lower
from support.devices import machine

CONTEXT = ExecutionContext(seed=11, step=3)
OUTPUT = "op"


def graph_of(op: Op, arrays: list[NDArray[Any]], first: str | None = None) -> Graph:
    builder = GraphBuilder("one operator")
    names = [builder.input(f"x{i}", a.shape, a.dtype.name) for i, a in enumerate(arrays)]
    return builder.build(builder.add_many(op, *names, name=OUTPUT, format=first))


def layer_of(op: Op, arrays: list[NDArray[Any]], first: str | None = None) -> Layer:
    (layer,) = lower(graph_of(op, arrays, first), machine())
    return layer


def run(
    op: Op, *arrays: NDArray[Any], first: str | None = None, threads: int | None = None
) -> tuple[NDArray[Any], ...]:
    """Outputs of `op`; `first`: format of its first output, where it is open."""
    layer = layer_of(op, list(arrays), first)
    with thread_count(threads):
        outputs = run_layer(layer, list(arrays), CONTEXT).outputs
    for value, tensor in zip(outputs, layer.outputs, strict=True):
        assert value.shape == tensor.shape
        assert value.dtype == tensor.format.dtype
    return outputs


def scale(mantissa: int, exponent: int) -> NDArray[np.int64]:
    return np.array([mantissa, exponent], np.int64)


def real(q: NDArray[Any], s: NDArray[Any]) -> NDArray[np.float64]:
    """Real values of a tensor and its scale."""
    return q.astype(np.float64) * float(s[0]) * 2.0 ** float(s[1])
