"""Scales and zero points, which ONNX's operators take as inputs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from simulator.graph import ops
from simulator.graph.graph import Tensor
from simulator.numerics.quant import QuantParams
from workloads.importers._onnx_draft import Value, turned
from workloads.importers._onnx_node import NodeView, Refused
from workloads.importers._onnx_reader import RawModel, RawNode


def params_at(
    view: NodeView, scale_at: int | None, zero_at: int, of: Value, channel_axis: int | None = None
) -> QuantParams:
    """Return the parameters that two inputs hold.

    Parameters
    ----------
    view
        The operator.
    scale_at, zero_at
        Positions of its inputs; None = scale 1, an absent zero point is 0.
    of
        What they belong to.
    channel_axis
        Axis of one scale each, where there are several; None = several are refused.

    """
    scales = np.ones(1) if scale_at is None else view.constant(scale_at, "scale").astype(np.float64).ravel()
    zeros = view.optional_constant(zero_at, "zero point")
    zero_points = np.zeros(1, np.int64) if zeros is None else zeros.astype(np.int64).ravel()
    count = max(scales.size, zero_points.size)
    if not (scales.size in (1, count) and zero_points.size in (1, count)):
        raise ValueError(f"{scales.size} scales and {zero_points.size} zero points of {of.name}")
    if count == 1:
        return QuantParams.per_tensor(float(scales[0]), int(zero_points[0]))
    if channel_axis is None or of.shape[channel_axis] != count:
        raise Refused(f"{count} scales for {of.name} {list(of.shape)}; one per tensor is read here")
    scales, zero_points = np.broadcast_to(scales, count), np.broadcast_to(zero_points, count)
    return QuantParams(tuple(map(float, scales)), tuple(map(int, zero_points)), channel_axis)


def single_params(view: NodeView, scale_at: int, zero_at: int) -> QuantParams:
    """Return the parameters of an output, which has one scale."""
    scale = view.constant(scale_at, "scale")
    zero = view.optional_constant(zero_at, "zero point")
    if scale.size != 1 or (zero is not None and zero.size != 1):
        raise Refused(f"{scale.size} scales of the output; one is read")
    return QuantParams.per_tensor(float(scale.ravel()[0]), 0 if zero is None else int(zero.ravel()[0]))


def as_read(view: NodeView, value: Value, quant: QuantParams) -> Value:
    """Return a value with the parameters that its reader states; a tensor of others is given these by a reshape."""
    if value.quant == quant:
        return value
    if value.data is not None:
        return replace(value, quant=quant, held={})
    layout = value.layout
    source = view.draft.read(value, layout)
    tensor = view.draft.tensors[source]
    name = view.draft.fresh(f"{value.name}/as_read")
    alias = Tensor(name, tensor.shape, tensor.format, turned(quant, layout))
    view.draft.emit(f"{value.name}/as_read", ops.Reshape(tensor.shape), [source], [alias])
    return replace(value, quant=quant, held={layout: name})


_FIRST = ("QLinearConv", "QLinearMatMul", "QGemm", "DequantizeLinear", "QLinearSigmoid", "QLinearLeakyRelu")
_POOLS = ("QLinearGlobalAveragePool", "QLinearAveragePool")
_MOVES = ("Transpose", "Identity", "Reshape", "Slice", "MaxPool")


def stated_params(model: RawModel, name: str) -> QuantParams | None:
    """Return the scale and zero point with which the first operator that states any reads an input of the network.

    Before it may stand operators that only move values.
    """
    names = {name}
    for node in model.nodes:
        if node.op in _MOVES and not node.domain and node.inputs[:1] and node.inputs[0] in names:
            names.update(node.outputs)
        for position in _places(node):
            if position >= len(node.inputs) or node.inputs[position] not in names:
                continue
            scale, zero = (model.constants.get(n) for n in (*node.inputs[position + 1 : position + 3], "", "")[:2])
            if scale is not None and scale.size == 1:
                return QuantParams.per_tensor(float(scale.ravel()[0]), 0 if zero is None else int(zero.ravel()[0]))
    return None


def _places(node: RawNode) -> tuple[int, ...]:
    """Positions of an operator's inputs that are followed by their scale and zero point."""
    if node.op in (*_FIRST, *_POOLS):
        return (0,)
    if node.op in ("QLinearAdd", "QLinearMul", "QLinearSub"):
        return (0, 3)
    if node.op == "QLinearConcat":
        return tuple(range(2, len(node.inputs), 3))
    return ()
