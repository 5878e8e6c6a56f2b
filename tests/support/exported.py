"""Random int8 chains of the operators that exports cover, built by hand with drawn shapes, scales and paddings."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from simulator.graph import ops
from simulator.graph.builder import GraphBuilder
from simulator.graph.graph import Graph
from simulator.graph.ops import Activation, Padding
from simulator.numerics.formats import INT8, INT32, IntFormat
from simulator.numerics.quant import QuantParams
from workloads.network import Network

Q = QuantParams.per_tensor


def scale(draw):
    return float(np.float32(draw(st.floats(0.003, 0.03))))


def quant(draw):
    return Q(scale(draw), draw(st.integers(-100, 100)))


def padding(draw, limit):
    return Padding(*(draw(st.integers(0, limit)) for _ in range(4)))


def conv(draw, b, x, rng):
    channels = b.shape(x)[3]
    kernel, dilation = draw(st.sampled_from([1, 2, 3])), draw(st.sampled_from([1, 1, 2]))
    groups = draw(st.sampled_from([1, channels]))
    filters = channels if groups > 1 else draw(st.integers(1, 5))
    border = padding(draw, dilation * (kernel - 1))
    op = ops.Conv2D(
        (draw(st.integers(1, 2)),) * 2, border, (dilation,) * 2, groups, draw(st.sampled_from(list(Activation)))
    )
    shape = (filters, kernel, kernel, channels // groups)
    scales = tuple(scale(draw) for _ in range(filters)) if draw(st.booleans()) else (scale(draw),)
    axis = 0 if len(scales) == filters else None
    w = b.constant(
        f"{x}.w", rng.integers(-127, 128, shape).astype(np.int8), INT8, QuantParams(scales, (0,) * len(scales), axis)
    )
    bias = (
        b.constant(f"{x}.b", rng.integers(-2000, 2000, filters).astype(np.int32), INT32)
        if draw(st.booleans())
        else None
    )
    return b.add(op, x, w, bias, quant=quant(draw))


def transposed(draw, b, x, rng):
    _, height, width, channels = b.shape(x)
    kernel, stride = draw(st.integers(2, 4)), draw(st.integers(1, 2))
    top, left = draw(st.integers(0, kernel - 1)), draw(st.integers(0, kernel - 1))
    full = [(n - 1) * stride + kernel for n in (height, width)]
    size = (max(1, full[0] - top - draw(st.integers(0, 1))), max(1, full[1] - left - draw(st.integers(0, 1))))
    border = Padding(top, max(0, full[0] - top - size[0]), left, max(0, full[1] - left - size[1]))
    w = b.constant(
        f"{x}.w", rng.integers(-127, 128, (2, kernel, kernel, channels)).astype(np.int8), INT8, Q(scale(draw))
    )
    return b.add(ops.TransposeConv2D((stride, stride), size, border), x, w, quant=quant(draw))


def max_pool(draw, b, x, rng):
    return b.add(ops.MaxPool2D((2, 3), (1, 2), Padding(1, draw(st.integers(0, 1)), 1, 1)), x)


def add(draw, b, x, rng):
    other = b.constant(f"{x}.c", rng.integers(-128, 128, b.shape(x)).astype(np.int8), INT8, quant(draw))
    return b.add(ops.Add(draw(st.sampled_from(list(Activation)))), x, other, quant=quant(draw))


def concat(draw, b, x, rng):
    return b.add(ops.Concat(3), x, x)


def mean(draw, b, x, rng):
    return b.add(ops.Mean((1, 2), keep_dims=True), x, quant=quant(draw))


STEPS = [conv, conv, transposed, max_pool, add, concat, mean]


@st.composite
def networks(draw, steps=STEPS) -> Network:
    """A chain of one to four drawn operators on an int8 image."""
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    b = GraphBuilder("drawn")
    x = b.input("x", (1, draw(st.integers(4, 9)), draw(st.integers(4, 9)), draw(st.integers(1, 4))), INT8, quant(draw))
    for step in draw(st.lists(st.sampled_from(steps), min_size=1, max_size=4)):
        if min(b.shape(x)[1:3]) < 4:
            break
        x = step(draw, b, x, rng)
    if x == "x":
        x = add(draw, b, x, rng)
    graph: Graph = b.build([x])
    return Network(graph)


def noise(network: Network) -> dict[str, np.ndarray]:
    """Seeded values over the whole range of every input, of a float one normal ones."""
    rng = np.random.default_rng(1)
    return {
        t.name: rng.integers(t.format.min, t.format.max + 1, t.shape).astype(t.format.dtype)
        if isinstance(t.format, IntFormat)
        else rng.standard_normal(t.shape, np.float32)
        for t in network.graph.input_tensors
    }
