"""Time single convolutions against ONNX Runtime and XNNPACK, by turns in one process.

    python -m benchmarks.layers [--threads 1,2] [--repeats 15] [--statistic median]
                                [--shapes 3x3] [--requantizer fixed_point_double,float32] [--new-range]

Ours is what a user waits for: `run` of a prepared one-layer network, values only, checks and record included. Theirs is
one inference from array to array: ONNX Runtime's QLinearConv on NHWC (uint8 activations, int8 weights per filter), and
LiteRT's default kernels (int8). The operands are the same numbers. `differing` counts the outputs in which ONNX Runtime
and ours with the float32 requantizer, which has ONNX Runtime's arithmetic, are not equal. Runs of ours are of the same
activations, so that each after the first does without a proof of its own; with --new-range no run has the range of the
one before, and each is proved anew.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle

import numpy as np
from numpy.typing import NDArray

import bittrue
from benchmarks.convolution import ConvCase, ConvShape, onnx_model, our_graph, random_case, tflite_model
from benchmarks.litert import default_interpreter, invoke
from benchmarks.machine import describe_machine
from benchmarks.onnx_runtime import Setting, open_session, settings
from benchmarks.plain_table import PlainTable, positive_integers, words
from benchmarks.timing import Statistic, caption, interleave
from simulator.numerics.modes import RequantizerKind

ACCELERATOR = "edge_16x16_os"
SHAPES = (
    ConvShape("1x1 256>1024 @65", 65, 256, 1024, 1),
    ConvShape("1x1 1024>256 @65", 65, 1024, 256, 1),
    ConvShape("3x3 256>256 d2 @65", 65, 256, 256, 3, dilation=2),
    ConvShape("3x3 512>512 d4 @65", 65, 512, 512, 3, dilation=4),
    ConvShape("3x3 2048>256 d12 @65", 65, 2048, 256, 3, dilation=12),
    ConvShape("3x3 512>512 @33", 33, 512, 512, 3),
    ConvShape("3x3 64>64 @513", 513, 64, 64, 3),
    ConvShape("3x3 128>128 @257", 257, 128, 128, 3),
    ConvShape("7x7 512>4096 @17 fc6", 17, 512, 4096, 7),
    ConvShape("3x3 3>64 @513 stem", 513, 3, 64, 3),
    ConvShape("7x7s2 3>64 @513 stem", 513, 3, 64, 7, stride=2),
)
"""Of DeepLabv3-ResNet50 (output stride 8) and FCN-VGG16 at 513 x 513: channels > filters, dilation, side."""
_XNNPACK = "XNNPACK"


@dataclass(frozen=True, eq=False)
class Measurement:
    """One shape on some number of threads."""

    case: ConvCase
    seconds: dict[str, float]
    """Time by contender: requantizers of ours, settings of ONNX Runtime, XNNPACK."""
    differing: dict[str, int]
    """Outputs that are not ours with the float32 requantizer, by rival."""


def our_run(
    case: ConvCase, requantizer: str, threads: int, *, new_range: bool = False
) -> Callable[[], NDArray[np.int8]]:
    """Return our convolution, prepared; every other run is of activations that reach less far, if `new_range`."""
    accelerator = bittrue.load_accelerator(ACCELERATOR).evolve({"arithmetic.requantizer": requantizer})
    prepared = bittrue.prepare(our_graph(case), accelerator, values_only=True, threads=threads)
    x = case.x_int8
    images = cycle((x, np.clip(x, -100, 100)) if new_range else (x,))
    return lambda: prepared.run([next(images)]).outputs["output"]


def onnx_run(case: ConvCase, setting: Setting, threads: int) -> Callable[[], NDArray[np.uint8]]:
    """Return ONNX Runtime's convolution.

    Its precise setting re-centres weights to uint8, but not those of its operator on NHWC: we do it here.
    """
    session = open_session(onnx_model(case, unsigned_weights=setting is Setting.PRECISE), threads, setting)
    return lambda: session.run(None, {"x": case.x})[0]


def xnnpack_run(case: ConvCase, threads: int) -> Callable[[], NDArray[np.int8]]:
    """Return LiteRT's convolution."""
    interpreter, x = default_interpreter(tflite_model(case), threads), case.x_int8
    return lambda: invoke(interpreter, x)


def measure(
    case: ConvCase,
    requantizers: Sequence[str],
    threads: int,
    repeats: int,
    statistic: Statistic = Statistic.MEDIAN,
    *,
    new_range: bool = False,
) -> Measurement:
    """Time all contenders on one shape, and count in how many outputs the rivals differ from us."""
    contenders: dict[str, Callable[[], NDArray[np.int8] | NDArray[np.uint8]]] = {
        **{setting: onnx_run(case, setting, threads) for setting in settings()},
        _XNNPACK: xnnpack_run(case, threads),
    }
    reference = our_run(case, RequantizerKind.FLOAT32, threads)().astype(np.int16)
    recentring = {_XNNPACK: 0}
    differing = {
        name: int(np.count_nonzero(run().astype(np.int16) - recentring.get(name, 128) != reference))
        for name, run in contenders.items()
    }
    ours = {requantizer: our_run(case, requantizer, threads, new_range=new_range) for requantizer in requantizers}
    return Measurement(case, interleave({**ours, **contenders}, repeats, threads, statistic), differing)


def table() -> PlainTable:
    """Return the table, with a column of ONNX Runtime for each of its settings."""
    rivals = [*settings(), _XNNPACK]
    return PlainTable(
        ("shape", 21),
        ("requantizer", 18),
        ("GMAC", 5),
        *((name, 13) for name in ("ours", *rivals)),
        *((f"/ {name}", 6) for name in rivals),
        *((f"!= {name}", 6) for name in rivals),
    )


def rows(measured: Measurement, requantizers: Sequence[str]) -> list[list[str]]:
    """Return a row for each requantizer of ours."""
    shape, seconds = measured.case.shape, measured.seconds
    rivals = [*settings(), _XNNPACK]
    return [
        [
            shape.name,
            requantizer,
            f"{shape.macs / 1e9:.2f}",
            *(f"{seconds[name] * 1e3:.2f} ({shape.macs / seconds[name] / 1e9:.0f})" for name in (requantizer, *rivals)),
            *(f"{seconds[name] / seconds[requantizer]:.2f}x" for name in rivals),
            *(str(measured.differing[name]) for name in rivals),
        ]
        for requantizer in requantizers
    ]


def main() -> None:
    """Print a table for each number of threads."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--threads", type=positive_integers, default=(1, 2), help="numbers of threads: 1,2")
    parser.add_argument("--repeats", type=int, default=15, help="timed runs of each contender")
    parser.add_argument("--statistic", type=Statistic, default=Statistic.MEDIAN, help="median, or least")
    parser.add_argument("--shapes", default="", help="only shapes whose name holds this text")
    parser.add_argument("--requantizer", type=words, default=("fixed_point_double", "float32"), help="ours, by commas")
    parser.add_argument("--new-range", action="store_true", help="no run of ours has the range of the one before")
    options = parser.parse_args()
    print(describe_machine())
    print(f"ours on       {ACCELERATOR}, requantizers {', '.join(options.requantizer)}")
    print(f"settings      {', '.join(settings())}, of ONNX Runtime: uint8 activations, int8 weights per filter")
    print(
        "columns       ms (GMAC/s) of each; / our speed over theirs; != outputs of theirs that are not ours (float32)"
    )
    columns = table()
    shapes = [shape for shape in SHAPES if options.shapes in shape.name]
    for threads in options.threads:
        print(f"\n{caption(threads, options.repeats, options.statistic)}\n{columns.header()}")
        for shape in shapes:
            given = options.requantizer, threads, options.repeats, options.statistic
            measured = measure(random_case(shape), *given, new_range=options.new_range)
            for row in rows(measured, options.requantizer):
                print(columns.row(row), flush=True)


if __name__ == "__main__":
    main()
