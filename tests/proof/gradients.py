"""Hold gradients of convolutions, of geometry as wild as the operators allow, to products added where they belong.

    PYTHONPATH=tests python -m proof.gradients [--cases 1000] [--seed 0] [--log FILE]

Gradients are emitted as a training step emits them (`workloads.training.array_gradients`), and run on arrays beside
pages without access (`support.guarded_memory`). Exit status 1 where anything differs.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from dataclasses import replace

import numpy as np

from proof.drawn import prove
from proof.wild import Geometry, pick, wild_convolution, wild_product, wild_transposed
from simulator.errors import NetworkError
from simulator.graph.builder import GraphBuilder
from simulator.graph.graph import Node
from simulator.kernels.threads import thread_count
from simulator.numerics.formats import INT8, IntFormat
from support.array_layers import operator
from support.array_twin import Shape
from support.guarded_memory import END, FRONT, guarded_arrays
from support.step_twin import output_size, patches
from support.training_runs_of_steps import prepared
from workloads.training.array_gradients import filter_gradient, input_gradient

MOST_MACS = 400_000


def _geometry(rng: np.random.Generator) -> Geometry:
    most = MOST_MACS * 2.0 ** -rng.uniform(0, 6)
    while True:
        family = pick(rng, wild_convolution, wild_convolution, wild_product, wild_transposed)
        x_shape, w_shape, shape = family(rng)
        if x_shape[0] * math.prod(output_size(x_shape, shape)) * math.prod(w_shape) <= most:
            return x_shape, w_shape, shape


def by_definition(x: np.ndarray, w: np.ndarray, e: np.ndarray, shape: Shape) -> dict[str, np.ndarray]:
    """Gradients of input and filters, int64: each product of the layer sends the error to both of its operands."""
    numbers = np.arange(1, x.size + 1).reshape(x.shape)
    source = patches(numbers, shape, np.arange(e.size // e.shape[3]))[:, 0]  # [K, pixels], 0 = padding
    errors = e.reshape(-1, e.shape[3]).astype(np.int64)
    values = np.concatenate([[0], x.reshape(-1)]).astype(np.int64)
    taps = (w[:, ::-1, ::-1] if shape.transposed else w).reshape(len(w), -1).astype(np.int64)
    of_filters = (values[source] @ errors).T.reshape(w.shape)
    of_input = np.zeros(x.size + 1, np.int64)
    np.add.at(of_input, source, (errors @ taps).T)
    return {
        "input": of_input[1:].reshape(x.shape),
        "filters": of_filters[:, ::-1, ::-1] if shape.transposed else of_filters,
    }


def judge(seed: int, tally: Counter[str]) -> str | None:
    """Run the gradients of a layer; return what differs, if anything does."""
    rng = np.random.default_rng([41, seed])
    x_shape, w_shape, shape = _geometry(rng)
    x, w = (rng.integers(-127, 128, size).astype(np.int8) for size in (x_shape, w_shape))
    op = replace(operator(shape), raw_accumulator=True)
    builder = GraphBuilder("gradients")
    builder.input("x", x_shape, INT8)
    builder.input("w", w_shape, INT8)
    size = builder.shape(builder.add(op, "x", "w", name="y", format=IntFormat(32)))
    bits = pick(rng, 8, 16)
    most = 2 ** (bits - 1) - 1
    e = rng.integers(-most, most + 1, size).astype(f"int{bits}")
    builder.input("e", size, IntFormat(bits))
    node = Node("y", op, ("x", "w"), ("y",))
    names = {"filters": filter_gradient(builder, node, "x", "e")}
    try:
        names["input"] = input_gradient(builder, node, "w", "e")
    except NetworkError:
        tally["no pixel is read: without gradient of the input"] += 1
    graph = builder.build(tuple(names.values()))
    with thread_count(int(rng.integers(1, 3))), guarded_arrays(pick(rng, END, FRONT)) as memory:
        outputs = prepared(graph).run({"x": x.copy(), "w": w.copy(), "e": e.copy()}).outputs
    tally["transposed" if shape.transposed else "convolution"] += 1
    expected = by_definition(x, w, e, shape)
    wrong = {what: int((np.asarray(outputs[name]) != expected[what]).sum()) for what, name in names.items()}
    found = [*(f"{count} of {what} differ" for what, count in wrong.items() if count), *memory.overwritten]
    if "input" not in names and expected["input"].any():
        found.append("the gradient of the input was refused")
    return f"case {seed}: x {x_shape}, w {w_shape}, {shape}, errors of {bits} bits: {found}" if found else None


def _summary(wrong: int, seed: int, tally: Counter[str]) -> list[str]:
    return [f"{tally['transposed'] + tally['convolution']} layers from seed {seed}, gradients of {wrong} differ"]


if __name__ == "__main__":
    sys.exit(prove(__doc__ or "", 1000, judge, _summary))
