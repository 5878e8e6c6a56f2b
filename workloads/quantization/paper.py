"""The paper's data path as a float graph: batch norms apart from the weights, as fixed-point affine maps per channel.

With frozen statistics an L1 batch norm is z = gamma_q * (x - mu_q) / sigma_q + beta_q; mu_q and sigma_q have 16 bits,
gamma_q and beta_q 8 (paper eq. 12 to 14, Table I). Folded: z = G * x + O per channel, G and O of 16 bits each, G * x of
16 bits as x_hat, so that the device multiplies, adds and shifts. A network that was trained with L2 batch norms keeps
its function: its deviation sqrt(variance + epsilon) stands for sigma, whatever norm it was measured in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from simulator.graph import ops
from simulator.graph.graph import Graph, Node, Tensor
from simulator.numerics.formats import FLOAT32
from workloads.quantization.scales import ceil_log2
from workloads.quantization.simplify import Statistics, fuse_activations

STATISTICS_BITS = 16
"""Of mu and sigma."""
AFFINE_BITS = 8
"""Of gamma and beta."""
_SCALED = ".scaled"


def paper_graph(graph: Graph, statistics: Statistics) -> Graph:
    """Return the graph with every batch norm as a product and a sum with constants, and ReLUs fused.

    Parameters
    ----------
    graph
        A float network with weights.
    statistics
        Means and variances to use instead of the stored ones.

    """
    tensors = dict(graph.tensors)
    nodes: list[Node] = []
    for node in graph.nodes:
        if not isinstance(node.op, ops.BatchNorm):
            nodes.append(node)
            continue
        values = [statistics.get(name, graph.tensors[name].data) for name in node.inputs[1:]]
        gain, offset = fixed_point_norm(node.op, *(np.asarray(value, np.float64) for value in values))
        x = graph.tensors[node.inputs[0]]
        names = [f"{node.name}{suffix}" for suffix in (".gain", ".offset", _SCALED)]
        tensors[names[0]] = Tensor(names[0], gain.shape, FLOAT32, None, gain.astype(np.float32))
        tensors[names[1]] = Tensor(names[1], offset.shape, FLOAT32, None, offset.astype(np.float32))
        tensors[names[2]] = Tensor(names[2], x.shape, FLOAT32)
        nodes.append(Node(names[2], ops.Mul(), (x.name, names[0]), (names[2],)))
        nodes.append(Node(node.name, ops.Add(), (names[2], names[1]), node.outputs))
    return fuse_activations(replace(graph, tensors=tensors, nodes=tuple(nodes)))


def fixed_point_norm(
    op: ops.BatchNorm,
    gamma: NDArray[np.float64],
    beta: NDArray[np.float64],
    mean: NDArray[np.float64],
    variance: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (G, O) of z = G * x + O from a batch norm's quantized parameters, float64 [channels]."""
    sigma = on_grid(np.sqrt(variance + op.epsilon), STATISTICS_BITS, least=1)
    gain = on_grid(gamma, AFFINE_BITS) / sigma
    return gain, on_grid(beta, AFFINE_BITS) - gain * on_grid(mean, STATISTICS_BITS)


def on_grid(values: NDArray[np.float64], bits: int, least: int | None = None) -> NDArray[np.float64]:
    """Return 2 * UQ(x / 2, bits): multiples of 2^(2 - bits) within +-2, half up; coarser where +-2 is too little.

    `least` is the least multiple, 1 where the values divide. Source: paper eq. 2 and 14. The values stay within +-2 in
    networks trained so; others take the least power of two that holds them.
    """
    exponent = max(1, ceil_log2(float(np.abs(values).max()))) - (bits - 1)
    greatest = (1 << (bits - 1)) - 1
    stored = np.clip(np.floor(np.ldexp(values, -exponent) + 0.5), -greatest if least is None else least, greatest)
    return np.asarray(np.ldexp(stored, exponent), np.float64)


@dataclass(frozen=True)
class NormTensors:
    """The tensors of the batch norms of a `paper_graph`."""

    wide: frozenset[str]
    """Of 16 bits: the products, and convolutions' outputs that only their norm reads, which never become 8 bits."""
    constants: frozenset[str]
    """Gains and offsets, of 16 bits."""
    result: Mapping[str, str]
    """Such an output of a convolution -> the norm's, which carries the activation's width."""


def norm_tensors(graph: Graph) -> NormTensors:
    """Return which tensors of a `paper_graph` belong to batch norms."""
    writers = {name: node for node in graph.nodes for name in node.outputs}
    uses = Counter(name for node in graph.nodes for name in node.inputs if name)
    uses.update(graph.outputs)
    reader = {name: node for node in graph.nodes for name in node.inputs if name}
    wide, constants, result = set(), set(), {}
    for node in graph.nodes:
        if not (isinstance(node.op, ops.Mul) and node.name.endswith(_SCALED)):
            continue
        x, gain = node.inputs
        shift = reader[node.outputs[0]]
        wide.add(node.outputs[0])
        constants |= {gain, shift.inputs[1]}
        before = writers.get(x)
        if uses[x] == 1 and before is not None and isinstance(before.op, ops.Conv2D | ops.TransposeConv2D):
            wide.add(x)
            result[x] = shift.outputs[0]
    return NormTensors(frozenset(wide), frozenset(constants), result)
