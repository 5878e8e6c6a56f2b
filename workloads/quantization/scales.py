"""From ranges of real values to int8 scales and zero points, and which tensors have to share them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from simulator.graph import ops
from simulator.graph.graph import Graph
from simulator.numerics.formats import INT8, INT32, Float32
from simulator.numerics.quant import QuantParams

Range = tuple[float, float]
"""Least and greatest value of a tensor."""

SHARES_SCALE = (
    *(ops.MaxPool2D, ops.AveragePool2D, ops.ResizeBilinear, ops.ResizeNearest, ops.Maximum, ops.Minimum, ops.ReduceMax),
    *(ops.Reshape, ops.Slice, ops.Split, ops.Pad, ops.MirrorPad, ops.Tile, ops.Transpose, ops.Pack),
)
"""Operators that only pick or blend values: TFLite's int8 kernels want one scale for inputs and outputs."""
_FIXED: dict[type[ops.Op], QuantParams] = {
    ops.Softmax: QuantParams.per_tensor(1 / 256, -128),
    ops.Logistic: QuantParams.per_tensor(1 / 256, -128),
    ops.Tanh: QuantParams.per_tensor(1 / 128, 0),
}
"""Output scales that TFLite's int8 specification prescribes."""
_LEAST_SCALE = 1e-9
"""Keeps a tensor that is 0 on all calibration images representable."""


def affine_params(least: float, greatest: float) -> QuantParams:
    """Return int8 parameters for a range widened to hold 0; 0 is exact, and an end at most half a step outside."""
    low, high = min(0.0, least), max(0.0, greatest)
    scale = float(np.float32(max((high - low) / 255, _LEAST_SCALE)))
    zero_point = round(INT8.min - low / scale)
    return QuantParams.per_tensor(scale, max(INT8.min, min(INT8.max, zero_point)))


def filter_params(weights: NDArray[np.float32], bias: NDArray[np.float32] | None, input_scale: float) -> QuantParams:
    """Return symmetric int8 parameters per filter (axis 0): scale = greatest magnitude / 127.

    Where a bias would not fit int32 at scale input * weight (a filter of nearly nothing), the weight scale is raised.
    """
    greatest = np.abs(weights.reshape(weights.shape[0], -1)).max(axis=1).astype(np.float64)
    scales = np.maximum(greatest / INT8.max, _LEAST_SCALE)
    if bias is not None:
        scales = np.maximum(scales, np.abs(bias.astype(np.float64)) / (input_scale * (INT32.max >> 1)))
    stored = scales.astype(np.float32).astype(np.float64)
    return QuantParams(tuple(stored.tolist()), (0,) * len(stored), 0)


def activation_params(graph: Graph, ranges: Mapping[str, Range]) -> dict[str, QuantParams]:
    """Return int8 parameters of every float tensor that is no constant.

    Tensors joined by an operator that only moves values get one scale, from the union of their ranges; so do the inputs
    of a concatenation and its output.

    Parameters
    ----------
    graph
        A simplified float graph.
    ranges
        Range of every such tensor.

    """
    names = [t.name for t in graph.tensors.values() if isinstance(t.format, Float32) and not t.is_constant]
    fixed = {name: _FIXED[type(node.op)] for node in graph.nodes if type(node.op) in _FIXED for name in node.outputs}
    group = {name: name for name in names}

    def root(name: str) -> str:
        while group[name] != name:
            name = group[name]
        return name

    for node in graph.nodes:
        members = [root(name) for name in (*node.inputs, *node.outputs) if name in group]
        if isinstance(node.op, ops.Concat):
            # An input of prescribed scale is rescaled by the concatenation itself.
            members = [member for member in members if member not in fixed]
        elif not isinstance(node.op, SHARES_SCALE):
            continue
        leader = next((member for member in members if member in fixed), members[0])
        group.update(dict.fromkeys(members, leader))

    spans: dict[str, Range] = {}
    for name in names:
        low, high = spans.get(root(name), ranges[name])
        spans[root(name)] = min(low, ranges[name][0]), max(high, ranges[name][1])
    params = {name: fixed.get(name) or affine_params(*span) for name, span in spans.items()}
    return {name: params[root(name)] for name in names}
