"""A small segmentation network of every array layer, all scales powers of two."""

from __future__ import annotations

import numpy as np

from simulator.graph import ops
from simulator.graph.builder import GraphBuilder
from simulator.graph.ops import Activation, Padding
from simulator.numerics.formats import INT8
from simulator.numerics.quant import QuantParams
from simulator.records.run import Segmentation
from workloads.network import Network

SHAPE = (1, 7, 6, 8)
SAME = Padding(1, 1, 1, 1)


def conv_chain(seed: int = 0) -> Network:
    """Convolution, depthwise, two branches, addition; scores, their labels, and raw accumulators as outputs."""
    rng = np.random.default_rng(seed)
    net = GraphBuilder("chain")

    def constants(name: str, shape: tuple[int, ...]) -> tuple[str, str]:
        w = net.constant(f"{name}.w", rng.integers(-128, 128, shape).astype(np.int8), quant=_scale(0.25))
        return w, net.constant(f"{name}.b", rng.integers(-3000, 3000, shape[0]).astype(np.int32))

    def conv(x: str, name: str, shape: tuple[int, ...], scale: float, op: ops.Conv2D) -> str:
        return net.add(op, x, *constants(name, shape), name=name, quant=_scale(scale, -4))

    x = net.input("x", SHAPE, INT8, _scale(0.5, 3))
    stem = conv(x, "stem", (16, 3, 3, 8), 128.0, ops.Conv2D(padding=SAME, activation=Activation.RELU))
    spread = conv(stem, "spread", (16, 3, 3, 1), 2.0**13, ops.Conv2D(padding=SAME, groups=16))
    left = conv(spread, "left", (12, 1, 1, 16), 2.0**18, ops.Conv2D())
    right = conv(stem, "right", (12, 1, 1, 16), 2.0**12, ops.Conv2D())
    both = net.add(ops.Add(), left, right, name="both", quant=_scale(2.0**18))
    scores = conv(both, "scores", (5, 1, 1, 12), 2.0**22, ops.Conv2D())
    labels = net.add(ops.ArgMax(3), scores, name="labels")
    raw = net.add(ops.FullyConnected(raw_accumulator=True), both, *constants("raw", (3, 12)), name="raw")
    return Network(net.build([scores, labels, raw]), segmentation=Segmentation(scores))


def chain_input(seed: int = 1) -> np.ndarray:
    """Input of `conv_chain`."""
    return np.random.default_rng(seed).integers(-128, 128, SHAPE).astype(np.int8)


def _scale(scale: float, zero_point: int = 0) -> QuantParams:
    return QuantParams.per_tensor(scale, zero_point)
