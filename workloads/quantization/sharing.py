"""Which tensors have to share a scale, and the parameters of every activation."""

from __future__ import annotations

import math
from collections.abc import Mapping

from simulator.graph import ops
from simulator.graph.graph import Graph, Node
from simulator.numerics.formats import Float32, IntFormat
from simulator.numerics.quant import QuantParams
from workloads.quantization.options import QuantizeOptions
from workloads.quantization.scales import SHARES_SCALE, Range, activation_rule

_RECTIFIERS = (ops.Relu, ops.Relu6, ops.ReluN1To1)
"""At scales that are powers of two they keep the scale, and so need no arithmetic but the comparison."""
_FIXED_OPS = (ops.Softmax, ops.Logistic, ops.Tanh)


def fixed_params(op: ops.Op, format: IntFormat) -> QuantParams | None:
    """Return the output parameters that TFLite's specification prescribes for an operator; None where it does not.

    All powers of two: 2^-bits from the least stored value for probabilities, 2^-(bits - 1) around 0 for tanh and for
    everything of more than 8 bits.
    """
    if not isinstance(op, _FIXED_OPS):
        return None
    if format.bits > 8 or isinstance(op, ops.Tanh):
        return QuantParams.per_tensor(math.ldexp(1.0, 1 - format.bits))
    return QuantParams.per_tensor(math.ldexp(1.0, -format.bits), format.min)


def activation_params(
    graph: Graph, ranges: Mapping[str, Range], formats: Mapping[str, IntFormat], options: QuantizeOptions
) -> dict[str, QuantParams]:
    """Return the parameters of every float tensor that is no constant.

    Tensors joined by an operator that only moves values get one scale, from the union of their ranges; so do the inputs
    of a concatenation and its output, except in the paper's scheme, where the concatenation shifts.

    Parameters
    ----------
    graph
        A simplified float graph.
    ranges
        Range of every such tensor.
    formats
        Its format; the same for all that share a scale.
    options
        The scheme.

    """
    names = [t.name for t in graph.tensors.values() if isinstance(t.format, Float32) and not t.is_constant]
    fixed: dict[str, QuantParams] = {}
    for node in graph.nodes:
        for name in node.outputs:
            prescribed = fixed_params(node.op, formats[name]) if name in formats else None
            if prescribed is not None:
                fixed[name] = prescribed
    leader = _leaders(graph, names, set(fixed), options)
    spans: dict[str, Range] = {}
    for name in names:
        low, high = spans.get(leader[name], ranges[name])
        spans[leader[name]] = min(low, ranges[name][0]), max(high, ranges[name][1])
    rule = activation_rule(options)
    params = {name: fixed.get(name) or rule(*span, formats[name]) for name, span in spans.items()}
    return {name: params[leader[name]] for name in names}


def _leaders(graph: Graph, names: list[str], fixed: set[str], options: QuantizeOptions) -> dict[str, str]:
    """Return, for every tensor, the one that stands for all that share its scale."""
    group = {name: name for name in names}

    def root(name: str) -> str:
        while group[name] != name:
            name = group[name]
        return name

    for node in graph.nodes:
        members = [root(name) for name in (*node.inputs, *node.outputs) if name in group]
        if isinstance(node.op, ops.Concat) and options.scheme != "paper":
            # An input of prescribed scale is rescaled by the concatenation itself.
            members = [member for member in members if member not in fixed]
        elif not _keeps_scale(node, options):
            continue
        leader = next((member for member in members if member in fixed), members[0])
        group.update(dict.fromkeys(members, leader))
    return {name: root(name) for name in names}


def _keeps_scale(node: Node, options: QuantizeOptions) -> bool:
    return isinstance(node.op, SHARES_SCALE) or (options.is_power_of_two and isinstance(node.op, _RECTIFIERS))
