"""Rates of the forward sums of array layers beside those of their gradients: `python -m benchmarks.training_kernels`.

    python -m benchmarks.training_kernels [--threads 1,2] [--repeats 9] [--statistic median] [--shapes 3x3]
                                          [--bits 8,16]

Batches of 8; activations and weights have 8 bits, errors 8 or 16. Every contender is `run` of a prepared network,
values only, raw sums: the convolution; the gradient of its input and that of its filters as `workloads.training` emits
them, transposes and packing included. `/ forward` is the rate over that of the forward sums, which takes 8 bits in both
rows. Sums are checked against each other: dgrad and wgrad both give sum(e * y) with the operands that they turn around.
A layer that reads images has no dgrad: images have no gradient, and a training step computes none.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import bittrue
from benchmarks.machine import describe_machine
from benchmarks.plain_table import PlainTable, positive_integers
from benchmarks.timing import Statistic, caption, interleave
from simulator.graph.builder import GraphBuilder
from simulator.graph.graph import Node
from simulator.graph.ops import Conv2D, Padding
from simulator.numerics.formats import INT8, IntFormat
from workloads.training.array_gradients import filter_gradient, input_gradient, sum_format

ACCELERATOR = "paper_device"
BATCH = 8
CONTENDERS = ("forward", "dgrad", "wgrad")
NOT_ASKED = "no gradient"
"""What stands for the gradient of an image."""
Arrays = Mapping[str, NDArray[Any]]
TABLE = PlainTable(
    ("shape", 27),
    ("errors", 7),
    ("GMAC", 5),
    *((name, 13) for name in CONTENDERS),
    ("dgrad / forward", 15),
    ("wgrad / forward", 15),
)


@dataclass(frozen=True)
class Shape:
    """A convolution of a batch whose padding is centred."""

    name: str
    height: int
    width: int
    channels: int
    filters: int
    kernel: int = 1
    stride: int = 1
    dilation: int = 1
    reads_images: bool = False
    """Whether its input is an image, which has no gradient: training never asks for one."""

    @property
    def contenders(self) -> tuple[str, ...]:
        """Which of CONTENDERS a training step has."""
        return tuple(name for name in CONTENDERS if name != "dgrad" or not self.reads_images)

    @property
    def op(self) -> Conv2D:
        """The convolution, giving its raw sums."""
        pad = (self.kernel - 1) * self.dilation // 2
        return Conv2D((self.stride,) * 2, Padding(*(pad,) * 4), (self.dilation,) * 2, raw_accumulator=True)

    @property
    def out_size(self) -> tuple[int, int]:
        """Height and width of the output."""
        return (self.height - 1) // self.stride + 1, (self.width - 1) // self.stride + 1

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the batch, padding taps counted; each gradient has as many."""
        height, width = self.out_size
        return BATCH * height * width * self.filters * self.channels * self.kernel**2


SHAPES = (
    Shape("7x7s2 3>32 @180x240", 180, 240, 3, 32, 7, stride=2, reads_images=True),
    Shape("1x1 128>32 @45x60", 45, 60, 128, 32),
    Shape("3x3 32>32 @45x60", 45, 60, 32, 32, 3),
    Shape("3x3s2 64>64 @45x60", 45, 60, 64, 64, 3, stride=2),
    Shape("3x3 64>64 @23x30", 23, 30, 64, 64, 3),
    Shape("1x1 128>512 @12x15", 12, 15, 128, 512),
    Shape("3x3 128>128 @12x15", 12, 15, 128, 128, 3),
    Shape("3x3 512>48 d6 @12x15", 12, 15, 512, 48, 3, dilation=6),
    Shape("3x3 64>64 @45x60 full", 45, 60, 64, 64, 3),
    Shape("3x3 256>256 d2 @23x30 full", 23, 30, 256, 256, 3, dilation=2),
    Shape("1x1 1024>256 @23x30 full", 23, 30, 1024, 256),
    Shape("3x3 512>512 @12x15 FCN", 12, 15, 512, 512, 3),
    Shape("3x3 256>256 @45x60 FCN", 45, 60, 256, 256, 3),
)
"""DeepLabv3-ResNet50 of half width on 180x240 (output stride 16), then of full width, and FCN-VGG16."""


def graph_arrays(shape: Shape, error_bits: int) -> tuple[dict[str, bittrue.Graph], Arrays]:
    """Return the network of each contender, and random symmetric operands."""
    rng = np.random.default_rng(0)
    most = 2 ** (error_bits - 1) - 1
    arrays: dict[str, NDArray[Any]] = {
        "x": rng.integers(-127, 128, (BATCH, shape.height, shape.width, shape.channels)).astype(np.int8),
        "w": rng.integers(-127, 128, (shape.filters, shape.kernel, shape.kernel, shape.channels)).astype(np.int8),
        "e": rng.integers(-most, most + 1, (BATCH, *shape.out_size, shape.filters)).astype(f"int{error_bits}"),
    }
    formats = {"x": INT8, "w": INT8, "e": IntFormat(error_bits)}
    node = Node("y", shape.op, ("x", "w"), ("y",))
    sums = sum_format(8, 8, shape.channels * shape.kernel**2)
    emitters: dict[str, tuple[str, Callable[[GraphBuilder], str]]] = {
        "forward": ("xw", lambda builder: builder.add(shape.op, "x", "w", name="y", format=sums)),
        "dgrad": ("xwe", lambda builder: input_gradient(builder, node, "w", "e")),
        "wgrad": ("xwe", lambda builder: filter_gradient(builder, node, "x", "e")),
    }
    graphs = {}
    for name in shape.contenders:
        inputs, emit = emitters[name]
        builder = GraphBuilder(name)
        for source in inputs:
            builder.input(source, arrays[source].shape, formats[source])
        graphs[name] = builder.build([emit(builder)])
    return graphs, arrays


def contenders(shape: Shape, error_bits: int, threads: int) -> dict[str, Callable[[], NDArray[Any]]]:
    """Return a run of each contender that gives its sums."""
    wide = {"arithmetic.activation": "int16", "arithmetic.weight": "int16"}
    accelerator = bittrue.load_accelerator(ACCELERATOR).evolve(wide)
    graphs, arrays = graph_arrays(shape, error_bits)
    runs: dict[str, Callable[[], NDArray[Any]]] = {}
    for name, graph in graphs.items():
        prepared = bittrue.prepare(graph, accelerator, values_only=True, threads=threads)
        given = {source: arrays[source] for source in graph.inputs}
        runs[name] = lambda prepared=prepared, given=given: next(iter(prepared.run(given).outputs.values()))  # type: ignore[misc]
    check_sums(runs, arrays)
    return runs


def check_sums(runs: Mapping[str, Callable[[], NDArray[Any]]], arrays: Arrays) -> None:
    """Raise unless sum(e * y) = sum(x * dgrad) = sum(w * wgrad), exactly (on Python ints)."""
    pairs = {"forward": "e", "dgrad": "x", "wgrad": "w"}
    found = {name: _product(arrays[pairs[name]], run()) for name, run in runs.items()}
    if len(set(found.values())) != 1:
        raise ArithmeticError(f"gradients contradict each other: {found}")


def _product(a: NDArray[Any], b: NDArray[Any]) -> int:
    """Sum of products, exact: b in digits of 2^20, so that no sum of a few million leaves int64."""
    total, wide = 0, b.astype(np.int64)
    for digit in range(3):
        part = (wide & 0xFFFFF) if digit < 2 else wide
        total += int(np.einsum("i,i->", a.reshape(-1).astype(np.int64), part.reshape(-1))) << (20 * digit)
        wide >>= 20
    return total


def row(shape: Shape, error_bits: int, seconds: Mapping[str, float]) -> list[str]:
    """Return a row of the table."""
    rates = {name: shape.macs / seconds[name] / 1e9 for name in shape.contenders}
    times = {name: f"{seconds[name] * 1e3:.2f} ({rate:.0f})" for name, rate in rates.items()}
    ratios = {name: f"{rate / rates['forward']:.2f}x" for name, rate in rates.items()}
    return [
        shape.name,
        str(error_bits),
        f"{shape.macs / 1e9:.2f}",
        *(times.get(name, NOT_ASKED) for name in CONTENDERS),
        *(ratios.get(name, NOT_ASKED) for name in ("dgrad", "wgrad")),
    ]


def main() -> None:
    """Print a table for each number of threads."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training_kernels", description=__doc__)
    parser.add_argument("--threads", type=positive_integers, default=(1, 2), help="numbers of threads: 1,2")
    parser.add_argument("--repeats", type=int, default=9, help="timed runs of each contender")
    parser.add_argument("--statistic", type=Statistic, default=Statistic.MEDIAN, help="median, or least")
    parser.add_argument("--shapes", default="", help="only shapes whose name holds this text")
    parser.add_argument("--bits", type=positive_integers, default=(8, 16), help="of the errors: 8,16")
    options = parser.parse_args()
    print(f"{describe_machine()}\nbatch         {BATCH}; ms (GMAC/s) of each; rates over that of the forward sums")
    for threads in options.threads:
        print(f"\n{caption(threads, options.repeats, options.statistic)}\n{TABLE.header()}")
        ratios: dict[tuple[int, str], list[float]] = {}
        for shape in (shape for shape in SHAPES if options.shapes in shape.name):
            for bits in options.bits:
                runs = contenders(shape, bits, threads)
                seconds = interleave(runs, options.repeats, threads, options.statistic)
                print(TABLE.row(row(shape, bits, seconds)), flush=True)
                for name in shape.contenders[1:]:
                    ratios.setdefault((bits, name), []).append(seconds["forward"] / seconds[name])
        for (bits, name), values in ratios.items():
            below = sum(value < 0.6 for value in values)
            print(f"{name}, {bits} bits: {below} of {len(values)} shapes below 0.60x, least {min(values):.2f}x")


if __name__ == "__main__":
    main()
