"""Simplified float graph to integer graph: integer values, symmetric weights, int32 biases."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import NetworkError, Unsupported, UnsupportedOp
from simulator.graph import ops
from simulator.graph.graph import Graph, Node, Tensor
from simulator.numerics.formats import INT8, INT16, INT32, Float32, IntFormat
from simulator.numerics.quant import QuantParams
from workloads.counting import ARRAY_OPS
from workloads.quantization.scales import SHARES_SCALE, ActivationRule

FilterParams = Callable[[Tensor, Tensor | None, float, IntFormat], QuantParams]
"""(weights, bias, input scale, format) -> parameters of the weights."""
BiasRule = Callable[[Node, Tensor, NDArray[np.float64], Tensor | None], NDArray[np.float32] | None]
"""(node, float weights, quantized weights as real numbers, float bias) -> the bias to store; None = none."""

_QUANTIZED_OPS = (
    ops.Quantize,
    *(*ARRAY_OPS, *SHARES_SCALE, ops.Add, ops.Sub, ops.Mul, ops.Concat, ops.Mean, ops.Sum, ops.ArgMax),
    *(ops.Relu, ops.Relu6, ops.ReluN1To1, ops.PRelu, ops.LeakyRelu, ops.HardSwish, ops.Logistic, ops.Tanh, ops.Softmax),
)


@dataclass(frozen=True, eq=False)
class Plan:
    """Formats and parameters of an integer network."""

    params: Mapping[str, QuantParams]
    """Of every float tensor that is no constant."""
    formats: Mapping[str, IntFormat]
    """Of the same tensors."""
    weight_formats: Mapping[str, IntFormat]
    """By node name."""
    filters: FilterParams
    """Chooses the parameters of weights."""
    constants: ActivationRule
    """Chooses those of constant operands of other operators, from least and greatest value."""
    wide_constants: frozenset[str] = frozenset()
    """Those of them that have 16 bits; the others have the format of what the operator writes."""
    half_up: bool = False
    """Weights are rounded half up, as the paper's are; else half to even."""
    bias: BiasRule | None = None
    """None = biases as they are."""


@dataclass
class _Rewrite:
    """The integer graph while it grows."""

    graph: Graph
    plan: Plan
    tensors: dict[str, Tensor] = field(default_factory=dict)

    @property
    def params(self) -> Mapping[str, QuantParams]:
        return self.plan.params


def rewrite(graph: Graph, plan: Plan) -> Graph:
    """Return the integer network.

    Parameters
    ----------
    graph
        A simplified float graph; constants without values stay so.
    plan
        Formats and parameters.

    Raises
    ------
    UnsupportedOp
        Listing every operator that is not quantized.

    """
    check_quantizable(graph)
    draft = _Rewrite(graph, plan)
    for tensor in graph.tensors.values():
        if not tensor.is_constant:
            floating = isinstance(tensor.format, Float32)
            name = tensor.name
            draft.tensors[name] = (
                replace(tensor, format=plan.formats[name], quant=plan.params[name]) if floating else tensor
            )
    nodes = tuple(_node(draft, node) for node in graph.nodes)
    return replace(graph, tensors=draft.tensors, nodes=nodes)


def check_quantizable(graph: Graph) -> None:
    """Raise UnsupportedOp where the graph has operators that are not quantized, listing them all."""
    problems = [
        Unsupported(node.name, node.op.kind, "not quantized; nets of convolutions, sums, pools and resizes are")
        for node in graph.nodes
        if not isinstance(node.op, _QUANTIZED_OPS)
    ]
    if problems:
        raise UnsupportedOp(problems, graph.name)


def _node(draft: _Rewrite, node: Node) -> Node:
    if isinstance(node.op, ARRAY_OPS):
        return _array_node(draft, node)
    op = node.op
    shared = draft.params.get(node.outputs[0]) if isinstance(op, (*SHARES_SCALE, ops.Concat)) else None
    inputs = tuple(_operand(draft, node, name, shared) for name in node.inputs)
    if isinstance(op, ops.Pad):
        # The border is stored as an integer from here on.
        quant, format = draft.params[node.inputs[0]], draft.plan.formats[node.inputs[0]]
        value = round(op.value / quant.scale[0]) + quant.zero_point[0]
        op = replace(op, value=float(max(format.min, min(format.max, value))))
    return replace(node, op=op, inputs=inputs)


def _operand(draft: _Rewrite, node: Node, name: str, shared: QuantParams | None) -> str:
    """Name of an operand; a constant one becomes int8, at scale `shared` where the operator's tensors share one."""
    tensor = draft.graph.tensors.get(name)
    if tensor is None or not tensor.is_constant:
        return name
    if not isinstance(tensor.format, Float32):
        draft.tensors[name] = tensor
        return name
    format = INT16 if name in draft.plan.wide_constants else draft.plan.formats.get(node.outputs[0], INT8)
    if tensor.data is None:
        return _add(draft, node, tensor, format, shared or draft.plan.constants(-1, 1, format), None)
    quant = shared or draft.plan.constants(float(tensor.data.min()), float(tensor.data.max()), format)
    stored = np.rint(tensor.data / quant.scale[0]) + quant.zero_point[0]
    return _add(draft, node, tensor, format, quant, np.clip(stored, format.min, format.max).astype(format.dtype))


def _array_node(draft: _Rewrite, node: Node) -> Node:
    tensors, plan = draft.graph.tensors, draft.plan
    weights = tensors[node.inputs[1]]
    bias = tensors[node.inputs[2]] if len(node.inputs) > 2 and node.inputs[2] else None
    if not weights.is_constant or (bias is not None and not bias.is_constant):
        raise NetworkError(f"{draft.graph.name}: node {node.name}: only constant weights and biases are quantized")
    input_scale, format = draft.params[node.inputs[0]].scale[0], plan.weight_formats[node.name]
    quant = plan.filters(weights, bias, input_scale, format)
    stored = _stored_weights(weights, quant, format, half_up=plan.half_up)
    if plan.bias is not None and stored is not None:
        values = plan.bias(node, weights, _real(stored, quant), bias)
        if values is not None:
            name = f"{node.name}.corrected_bias"
            bias = Tensor(name, values.shape, weights.format, None, values)
            # A greater bias may need a greater scale, and weights stored by that.
            quant = plan.filters(weights, bias, input_scale, format)
            stored = _stored_weights(weights, quant, format, half_up=plan.half_up)
    names = [node.inputs[0], _add(draft, node, weights, format, quant, stored)]
    if bias is not None:
        scales = tuple(input_scale * scale for scale in quant.scale)
        bias_quant = QuantParams(scales, (0,) * len(scales), quant.axis)
        names.append(_add(draft, node, bias, INT32, bias_quant, _stored_bias(bias, bias_quant)))
    return replace(node, inputs=tuple(names))


def _real(stored: NDArray[Any], quant: QuantParams) -> NDArray[np.float64]:
    return np.asarray(stored * np.asarray(quant.scale).reshape(-1, *[1] * (stored.ndim - 1)), np.float64)


def _add(
    draft: _Rewrite, node: Node, tensor: Tensor, format: Any, quant: QuantParams, data: NDArray[Any] | None
) -> str:
    """Declare the integer version of a constant; one that several nodes share gets a version for each."""
    name = tensor.name if tensor.name not in draft.tensors else f"{node.name}/{tensor.name}"
    draft.tensors[name] = Tensor(name, tensor.shape, format, quant, data, placeholder=data is None)
    return name


def _stored_weights(
    weights: Tensor, quant: QuantParams, format: IntFormat, *, half_up: bool
) -> NDArray[np.signedinteger[Any]] | None:
    if weights.data is None:
        return None
    stored: NDArray[Any] = np.empty(weights.shape, format.dtype)
    for index, values in enumerate(weights.data):  # one filter at a time: the whole in float64 may be a gigabyte
        scaled = values / quant.scale[index if quant.axis is not None else 0]
        rounded = np.floor(scaled + 0.5) if half_up else np.rint(scaled)
        stored[index] = np.clip(rounded, -format.max, format.max)
    return stored


def _stored_bias(bias: Tensor, quant: QuantParams) -> NDArray[np.int32] | None:
    if bias.data is None:
        return None
    stored = np.rint(bias.data.astype(np.float64) / np.asarray(quant.scale))
    return np.asarray(np.clip(stored, INT32.min, INT32.max), np.int32)
