"""Speed of the operators of integer training beside a copy of memory: `python -m benchmarks.training_ops`.

Activations of 8 images of 60 x 45 with 128 channels; bytes are those of the operator's inputs and outputs, once.
"""

from __future__ import annotations

import argparse
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

import bittrue
from benchmarks.plain_table import PlainTable
from simulator.execution.context import ExecutionContext
from simulator.execution.execute import run_layer
from simulator.graph import training_ops as ops
from simulator.graph.builder import GraphBuilder
from simulator.kernels.threads import thread_count
from simulator.lowering.lower import lower
from simulator.numerics.modes import RoundingMode

Arrays = list[NDArray[Any]]
TABLE = PlainTable(("operator", 34), ("ms", 8), ("elements/ns", 11), ("GB/s", 7))
SHAPE = (8, 45, 60, 128)
REPEATS = 7


def _scale(exponent: int) -> NDArray[np.int64]:
    return np.array([1, exponent], np.int64)


def measure(name: str, op: ops.TrainingOp, arrays: Arrays) -> tuple[NDArray[Any], ...]:
    """Print the least time of an operator, and return its outputs."""
    builder = GraphBuilder(name)
    inputs = [builder.input(f"x{i}", array.shape, array.dtype.name) for i, array in enumerate(arrays)]
    graph = builder.build(builder.add_many(op, *inputs))
    (layer,) = lower(graph, bittrue.load_accelerator("edge_32x32"))
    outputs = run_layer(layer, arrays, ExecutionContext()).outputs
    seconds = []
    for _ in range(REPEATS):
        start = perf_counter()
        run_layer(layer, arrays, ExecutionContext())
        seconds.append(perf_counter() - start)
    count = max(arrays[0].size, outputs[0].size)
    moved = sum(array.nbytes for array in (*arrays, *outputs))
    _print(name, min(seconds), count, moved)
    return outputs


def _print(name: str, seconds: float, count: int, moved: int) -> None:
    cells = [name, f"{seconds * 1e3:.2f}", f"{count / seconds / 1e9:.2f}", f"{moved / seconds / 1e9:.1f}"]
    print(TABLE.row(cells), flush=True)


def _norms(x: NDArray[np.int32], error: NDArray[np.int8], rng: np.random.Generator) -> None:
    s, gamma = _scale(-20), rng.integers(-127, 128, SHAPE[3]).astype(np.int8)
    mean, deviation, ends = measure("L1Statistics", ops.L1Statistics(), [x, s])
    hat, sh, bounds = measure("NormalizeChannels 16", ops.NormalizeChannels(), [x, s, mean, deviation, ends])
    measure("AffineChannels", ops.AffineChannels(), [hat, sh, gamma, gamma])
    measure("AffineQuantize 8", ops.AffineQuantize(), [hat, sh, gamma, gamma, bounds])
    measure("L1NormGradient 16", ops.L1NormGradient(16), [error, s, hat, sh, gamma, deviation])
    measure("L1NormGradient 8", ops.L1NormGradient(8), [error, s, hat, sh, gamma, deviation])


def _others(rng: np.random.Generator) -> None:
    logits = rng.integers(-127, 128, (8, 180, 240, 11)).astype(np.int8)
    labels = rng.integers(0, 11, (8, 180, 240)).astype(np.uint8)
    measure("SoftmaxCrossEntropyGradient, 11", ops.SoftmaxCrossEntropyGradient(), [logits, _scale(-4), labels])
    small = rng.integers(-127, 128, (8, 12, 15, 11)).astype(np.int8)
    half = {"half_pixel_centers": True}
    measure("BilinearForward x16", ops.BilinearForward((180, 240), **half), [small, _scale(-4)])
    measure("BilinearGradient x16", ops.BilinearGradient((12, 15), **half), [logits, _scale(-4)])
    master = rng.integers(-(2**22), 2**22, (3_000_000,)).astype(np.int32)
    n = rng.integers(-127, 128, master.shape).astype(np.int8)
    measure("Update", ops.Update(), [master, n, _scale(-14), np.array([-4])])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training_ops", description=__doc__)
    parser.add_argument("--threads", type=int, default=None, help="default: all cores")
    threads = parser.parse_args().threads
    rng = np.random.default_rng(0)
    x = (rng.normal(0, 1, SHAPE) * 2**20).astype(np.int32)
    error = np.clip(rng.normal(0, 20, SHAPE), -127, 127).astype(np.int8)
    s = _scale(-20)
    print(TABLE.header())
    with thread_count(threads):
        copies = []
        for _ in range(REPEATS):
            start = perf_counter()
            np.copyto(np.empty_like(x), x)
            copies.append(perf_counter() - start)
        _print("copy of int32, NumPy, 1 thread", min(copies), x.size, 2 * x.nbytes)
        measure("ScaleQuantize 8, round", ops.ScaleQuantize(), [x, s])
        measure("ScaleQuantize 8, max", ops.ScaleQuantize(8, ops.ScaleRule.MAX), [x, s])
        stochastic = {"rounding": RoundingMode.STOCHASTIC}
        measure("ScaleQuantize 8, round, stochastic", ops.ScaleQuantize(8, **stochastic), [x, s])
        measure("FixedQuantize 8", ops.FixedQuantize(8, -7), [x, s])
        measure("AlignedAdd", ops.AlignedAdd(), [x, s, x, _scale(-19)])
        measure("ReluGradient", ops.ReluGradient(), [error, error])
        measure("Dropout", ops.Dropout(), [error, s])
        _norms(x, error, rng)
        pool = ((3, 3), (2, 2))
        _, index = measure("MaxPoolIndexed 3x3/2", ops.MaxPoolIndexed(*pool), [error])
        pooled = np.ascontiguousarray(error[:, :22, :29])
        measure("MaxPoolGradient 3x3/2", ops.MaxPoolGradient(*pool, SHAPE[1:3]), [pooled, index])
        _others(rng)


if __name__ == "__main__":
    main()
