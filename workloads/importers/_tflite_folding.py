"""Compute at import what a file computes from constants alone: shape arithmetic, and weights it rearranges.

Converters write `reshape to [batch, -1]` as SHAPE, STRIDED_SLICE, PACK and RESHAPE. The shapes are static here, so
such a chain is known; the same executors that would run it are asked.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from simulator.graph.graph import Node
from simulator.lowering.layer import Engine, Layer
from simulator.numerics.formats import INT32, INT64
from workloads.importers._tflite_node import Converted, NodeView


def fold(view: NodeView, converted: Converted) -> tuple[NDArray[Any], ...] | None:
    """Values of the operator's outputs if they are known now, else None.

    Movement of constants is done for any format, arithmetic for plain int32 and int64 only: no quantized or float
    value is ever computed here.
    """
    inputs, outputs = view.inputs, view.outputs
    if converted.constants or any(tensor is None or tensor.data is None for tensor in inputs):
        return None
    # Executors bring Numba along, which importing most files does not need.
    from simulator.execution import host, movement
    from simulator.execution.context import ExecutionContext

    kind = type(converted.op)
    plain = all(t is not None and t.format in (INT32, INT64) and t.quant is None for t in (*inputs, *outputs))
    executor = movement.EXECUTORS.get(kind) or (host.EXECUTORS.get(kind) if plain else None)
    if executor is None:
        return None
    if not view.tensors.afford(sum(tensor.elements * tensor.format.dtype.itemsize for tensor in outputs)):
        return None
    by_name = {tensor.name: tensor for tensor in inputs if tensor is not None}
    operands = tuple(by_name[name] for name in converted.inputs)
    node = Node(outputs[0].name, converted.op, converted.inputs, tuple(tensor.name for tensor in outputs))
    layer = Layer(node.name, node, Engine.HOST, operands, outputs)
    return executor(layer, [tensor.data for tensor in operands], ExecutionContext()).outputs
