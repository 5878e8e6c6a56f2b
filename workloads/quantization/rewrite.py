"""Simplified float graph to integer graph: int8 values, int8 weights per filter, int32 biases."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import NetworkError, Unsupported, UnsupportedOp
from simulator.graph import ops
from simulator.graph.graph import Graph, Node, Tensor
from simulator.numerics.formats import INT8, INT32, Float32
from simulator.numerics.quant import QuantParams
from workloads.counting import ARRAY_OPS
from workloads.quantization.scales import SHARES_SCALE, affine_params, filter_params

FilterParams = Callable[[Tensor, Tensor | None, float], QuantParams]
"""(weights, bias, input scale) -> parameters per filter."""

_QUANTIZED_OPS = (
    *(*ARRAY_OPS, *SHARES_SCALE, ops.Add, ops.Sub, ops.Mul, ops.Concat, ops.Mean, ops.Sum, ops.ArgMax),
    *(ops.Relu, ops.Relu6, ops.ReluN1To1, ops.PRelu, ops.LeakyRelu, ops.HardSwish, ops.Logistic, ops.Tanh, ops.Softmax),
)


@dataclass
class _Rewrite:
    """The integer graph while it grows."""

    graph: Graph
    params: Mapping[str, QuantParams]
    filter_params: FilterParams
    tensors: dict[str, Tensor] = field(default_factory=dict)


def rewrite(graph: Graph, params: Mapping[str, QuantParams], weights: FilterParams | None = None) -> Graph:
    """Return the integer network.

    Parameters
    ----------
    graph
        A simplified float graph; constants without values stay so.
    params
        int8 parameters of every float tensor that is no constant.
    weights
        Chooses the parameters of filters; None = symmetric by greatest magnitude.

    Raises
    ------
    UnsupportedOp
        Listing every operator that is not quantized.

    """
    problems = [
        Unsupported(node.name, node.op.kind, "not quantized; nets of convolutions, sums, pools and resizes are")
        for node in graph.nodes
        if not isinstance(node.op, _QUANTIZED_OPS)
    ]
    if problems:
        raise UnsupportedOp(problems, graph.name)
    draft = _Rewrite(graph, params, weights or _measured_filter_params)
    for tensor in graph.tensors.values():
        if not tensor.is_constant:
            floating = isinstance(tensor.format, Float32)
            draft.tensors[tensor.name] = replace(tensor, format=INT8, quant=params[tensor.name]) if floating else tensor
    nodes = tuple(_node(draft, node) for node in graph.nodes)
    return replace(graph, tensors=draft.tensors, nodes=nodes)


def _measured_filter_params(weights: Tensor, bias: Tensor | None, input_scale: float) -> QuantParams:
    assert weights.data is not None
    return filter_params(weights.data, None if bias is None else bias.data, input_scale)


def _node(draft: _Rewrite, node: Node) -> Node:
    if isinstance(node.op, ARRAY_OPS):
        return _array_node(draft, node)
    op = node.op
    shared = draft.params.get(node.outputs[0]) if isinstance(op, (*SHARES_SCALE, ops.Concat)) else None
    inputs = tuple(_operand(draft, node, name, shared) for name in node.inputs)
    if isinstance(op, ops.Pad):
        # The border is stored as an integer from here on.
        quant = draft.params[node.inputs[0]]
        value = round(op.value / quant.scale[0]) + quant.zero_point[0]
        op = replace(op, value=float(max(INT8.min, min(INT8.max, value))))
    return replace(node, op=op, inputs=inputs)


def _operand(draft: _Rewrite, node: Node, name: str, shared: QuantParams | None) -> str:
    """Name of an operand; a constant one becomes int8, at scale `shared` where the operator's tensors share one."""
    tensor = draft.graph.tensors.get(name)
    if tensor is None or not tensor.is_constant:
        return name
    if not isinstance(tensor.format, Float32):
        draft.tensors[name] = tensor
        return name
    if tensor.data is None:
        return _add(draft, node, tensor, INT8, shared or affine_params(-1, 1), None)
    quant = shared or affine_params(float(tensor.data.min()), float(tensor.data.max()))
    stored = np.rint(tensor.data / quant.scale[0]) + quant.zero_point[0]
    return _add(draft, node, tensor, INT8, quant, np.clip(stored, INT8.min, INT8.max).astype(np.int8))


def _array_node(draft: _Rewrite, node: Node) -> Node:
    tensors = draft.graph.tensors
    weights = tensors[node.inputs[1]]
    bias = tensors[node.inputs[2]] if len(node.inputs) > 2 and node.inputs[2] else None
    if not weights.is_constant or (bias is not None and not bias.is_constant):
        raise NetworkError(f"{draft.graph.name}: node {node.name}: only constant weights and biases are quantized")
    input_scale = draft.params[node.inputs[0]].scale[0]
    quant = draft.filter_params(weights, bias, input_scale)
    names = [node.inputs[0], _add(draft, node, weights, INT8, quant, _stored_weights(weights, quant))]
    if bias is not None:
        scales = tuple(input_scale * scale for scale in quant.scale)
        bias_quant = QuantParams(scales, (0,) * len(scales), quant.axis)
        names.append(_add(draft, node, bias, INT32, bias_quant, _stored_bias(bias, bias_quant)))
    return replace(node, inputs=tuple(names))


def _add(
    draft: _Rewrite, node: Node, tensor: Tensor, format: Any, quant: QuantParams, data: NDArray[Any] | None
) -> str:
    """Declare the integer version of a constant; one that several nodes share gets a version for each."""
    name = tensor.name if tensor.name not in draft.tensors else f"{node.name}/{tensor.name}"
    draft.tensors[name] = Tensor(name, tensor.shape, format, quant, data, placeholder=data is None)
    return name


def _stored_weights(weights: Tensor, quant: QuantParams) -> NDArray[np.int8] | None:
    if weights.data is None:
        return None
    stored = np.empty(weights.shape, np.int8)
    for index, values in enumerate(weights.data):  # one filter at a time: the whole in float64 may be a gigabyte
        scaled = np.rint(values / quant.scale[index if quant.axis is not None else 0])
        stored[index] = np.clip(scaled, -INT8.max, INT8.max)
    return stored


def _stored_bias(bias: Tensor, quant: QuantParams) -> NDArray[np.int32] | None:
    if bias.data is None:
        return None
    stored = np.rint(bias.data.astype(np.float64) / np.asarray(quant.scale))
    return np.asarray(np.clip(stored, INT32.min, INT32.max), np.int32)
