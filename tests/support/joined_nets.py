"""Random small networks whose layers could save each other traffic: pools behind convolutions, concatenations."""

from __future__ import annotations

import numpy as np

from simulator.graph import ops
from simulator.graph.builder import GraphBuilder
from simulator.graph.graph import Graph
from simulator.graph.ops import Activation, Padding
from simulator.numerics.formats import INT8
from simulator.numerics.quant import QuantParams

ONE_SCALE = QuantParams.per_tensor(0.5)


class _Writer:
    """Writes one network; all tensors have one scale, so that they are joined by movement alone."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.net = GraphBuilder("joined")

    def number(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high))

    def conv(self, x: str, name: str, filters: int | None = None) -> str:
        channels = self.net.shape(x)[3]
        groups = channels if filters is None and self.rng.random() < 0.2 else 1
        filters, side = filters or groups * self.number(1, 9 if groups == 1 else 3), int(self.rng.choice([1, 3]))
        weights = self.rng.integers(-128, 128, (filters, side, side, channels // groups)).astype(np.int8)
        w = self.net.constant(f"{name}.w", weights, quant=QuantParams.per_tensor(2.0**-8))
        op = ops.Conv2D(padding=Padding(*[side // 2] * 4), groups=groups, activation=Activation.RELU)
        return self.net.add(op, x, w, None, name=name, quant=ONE_SCALE)

    def pool(self, x: str, name: str, *, keep_size: bool = False) -> str:
        size, stride, before = (
            (3, 1, 1) if keep_size else [(2, 2, 0), (3, 2, 1), (3, 3, 0), (3, 1, 1)][self.number(0, 4)]
        )
        size = min(size, *self.net.shape(x)[1:3])
        before = min(before, size - 1)
        after = before if size == 3 else 0
        kind = ops.MaxPool2D if self.rng.random() < 0.6 else ops.AveragePool2D
        op = kind((size, size), (stride, stride), Padding(before, after, before, after))
        return self.net.add(op, x, name=name)

    def joined(self, parts: list[str], name: str) -> str:
        axes = [3] + [
            a for a in (1, 2) if len({self.net.shape(p)[:a] + self.net.shape(p)[a + 1 :] for p in parts}) == 1
        ]
        return self.net.add(ops.Concat(int(self.rng.choice(axes))), *parts, name=name)


def joined_network(rng: np.random.Generator) -> Graph:
    """Branches of convolutions, some pooled, joined once or twice, some parts read by others; a pool at the end."""
    w = _Writer(rng)
    x = w.net.input("x", (w.number(1, 3), w.number(3, 14), w.number(3, 14), w.number(1, 7)), INT8, ONE_SCALE)
    stem = w.pool(w.conv(x, "stem"), "stem.pool") if rng.random() < 0.7 else w.conv(x, "stem")
    while min(w.net.shape(stem)[1:3]) < 3:
        stem = w.conv(x, "again")
    parts, outputs = [], []
    alike = w.number(1, 6) if rng.random() < 0.4 else None
    for index in range(w.number(2, 4)):
        part = w.conv(stem, f"branch{index}", alike)
        if rng.random() < 0.4:
            part = w.pool(part, f"branch{index}.pool", keep_size=True)
        if rng.random() < 0.3:
            outputs.append(w.conv(part, f"other{index}"))
        if rng.random() < 0.1:
            flat = (1, int(np.prod(w.net.shape(part))))
            outputs.append(w.net.add(ops.Reshape(flat), part, name=f"flat{index}"))
        parts.append(part)
    both = w.joined(parts, "join")
    if rng.random() < 0.4:
        side = w.net.add(ops.Add(), both, both, name="double", quant=ONE_SCALE)
        both = w.joined([both, side], "join.again")
    end = w.conv(both, "end")
    outputs.append(w.pool(end, "end.pool"))
    # What leaves the network is stored as it is.
    outputs += [name for name in (end, parts[0]) if rng.random() < 0.15]
    return w.net.build(outputs)
