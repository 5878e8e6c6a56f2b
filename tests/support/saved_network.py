"""A small network of many kinds of attributes, saved in `tests/workloads/data` by each version of the .npz format."""

from __future__ import annotations

import numpy as np

from simulator.graph import ops
from simulator.graph.builder import GraphBuilder
from simulator.graph.ops import Activation, Padding
from simulator.numerics.formats import INT8, INT32
from simulator.numerics.quant import QuantParams
from workloads.network import ImageInput, Network
from workloads.segmentation import segmentation_of


def a_network() -> Network:
    """The network in `saved_version_1.npz`; what is changed here needs another function."""
    rng = np.random.default_rng(0)
    builder = GraphBuilder("saved")
    out = QuantParams.per_tensor(0.1, -3)
    x = builder.input("x", (1, 9, 8, 3), INT8, QuantParams.per_tensor(0.05, 7))
    per_channel = QuantParams((0.1, 0.2, 0.3, 1e-7), (0, 0, 0, 0), 0)
    w = builder.constant("w", rng.integers(-127, 128, (4, 3, 3, 3), np.int8), quant=per_channel)
    b = builder.constant("b", rng.integers(-9, 9, 4), INT32)
    conv = ops.Conv2D((2, 1), Padding(1, 0, 2, 1), (2, 1), activation=Activation.RELU6)
    y = builder.add(conv, x, w, b, name="conv", quant=out)
    cut = builder.add(ops.Slice((0, None, -3, 1), (None, None, -1, 3), (1, 1, 1, 1)), y, name="cut")
    fc = builder.add(
        ops.FullyConnected(), cut, builder.placeholder("v", (5, 2), "int4", QuantParams.per_tensor(1)), None, quant=out
    )
    builder.add(ops.LeakyRelu(0.1), fc, name="leaky")
    builder.output("leaky")
    builder.output(builder.add(ops.ArgMax(-1), y, name="labels"))
    graph = builder.build(notes=["a note"])
    return Network(
        graph,
        image=ImageInput((1.5, 2.0, 3.0), (4.0, 5.0, 6.0)),
        segmentation=segmentation_of("labels", 4),
        notes=("of the network",),
        counts=(123, 45),
    )
