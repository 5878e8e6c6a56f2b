"""Time whole networks against ONNX Runtime and XNNPACK, and narrow accumulators against wide ones.

    python -m benchmarks.networks [--threads 1,2] [--repeats 7] [--statistic median] [--size 513]
                                  [--networks deeplabv3_resnet50,fcn_vgg16,mnv2] [--narrow]

DeepLabv3-ResNet50 and FCN-VGG16 (32s) have seeded weights and are calibrated on a photograph. Ours is `run` of the
prepared network, values only, from int8 image to label map. ONNX Runtime gets the same quantized network as a QDQ
model, uint8 image to label map; the operators it was optimised to are printed, and a convolution left in float32 is an
error. The real MobileNetV2-DeepLab runs against LiteRT's default kernels, where $BITTRUE_ASSETS names the folder that
holds assets/.

--narrow adds a section on register widths, for DeepLabv3-ResNet50; `--networks none --narrow` prints it alone.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import bittrue
from benchmarks.breakdown import BOOKKEEPING, PARTS, break_down
from benchmarks.machine import describe_machine
from benchmarks.narrow import OUTPUT_STATIONARY_BITS, ROWS, WEIGHT_STATIONARY_BITS, narrow_points, print_narrow
from benchmarks.peak_memory import MEBIBYTE, PeakMemory, measure_apart
from benchmarks.plain_table import PlainTable, positive_integers, words
from benchmarks.rivals import NetworkCase, calibrated_network, differing_share, mnv2_case, seeded_case
from benchmarks.timing import Statistic, clock_name, interleave
from simulator.numerics.modes import RequantizerKind
from workloads.images import demo_photo, prepare_image

_OURS = "ours"
_SEEDED = ("deeplabv3_resnet50", "fcn_vgg16")
_MNV2 = "mnv2"
_NONE = "none"


def cases(names: Sequence[str], size: int, folder: Path) -> Iterator[NetworkCase]:
    """Yield the networks asked for, one in memory at a time."""
    for name in names:
        if name in _SEEDED:
            yield seeded_case(name, size, folder)
        elif name == _MNV2:
            case = mnv2_case()
            if case is None:
                print("mnv2: skipped, set BITTRUE_ASSETS to the folder that holds assets/", file=sys.stderr)
            else:
                yield case


def print_case(case: NetworkCase, options: argparse.Namespace) -> None:
    """Print what the rivals run, the times on each number of threads, the memory, and where our time goes."""
    print(f"\n{case.name}: {case.network.macs / 1e9:.2f} GMAC, from {_signature(case)}")
    for rival in case.rivals:
        if rival.operators:
            counted = ", ".join(f"{name} {count}" for name, count in rival.operators.most_common())
            print(f"{rival.name} runs {counted}")
    base = bittrue.load_accelerator(options.accelerator)
    accelerator = base.evolve({"arithmetic.requantizer": options.requantizer})
    _print_agreement(case, base)
    table = PlainTable(
        ("threads", 7),
        *(("clock", 14), ("rival", 12), ("ours ms", 9), ("rival ms", 9), ("time / rival", 9), ("target", 7)),
        *(("peak MiB", 8), ("of the run", 8)),
    )
    print(table.header())
    for threads in options.threads:
        runners = {rival.name: rival.start(threads) for rival in case.rivals}
        contenders = {_OURS: case.our_runner(accelerator, threads), **runners}
        seconds = interleave(contenders, options.repeats, threads, options.statistic)
        memory = measure_apart(case.source, options.accelerator, options.requantizer, threads)
        for rival in case.rivals:
            print(table.row(_row(case, threads, seconds, rival.name, memory)), flush=True)
    _print_breakdown(case, accelerator, options)


def _signature(case: NetworkCase) -> str:
    graph = case.network.graph
    x, y = graph.input_tensors[0], graph.output_tensors[0]
    return f"{x.name} {x.format} {list(x.shape)} to {y.name} {list(y.shape)}"


def _print_agreement(case: NetworkCase, base: bittrue.Accelerator) -> None:
    """Say how far label maps agree where convolutions have the same arithmetic: with our float32 requantizer."""
    same = base.evolve({"arithmetic.requantizer": RequantizerKind.FLOAT32})
    ours = case.our_runner(same, None)()
    shares = (f"{rival.name} {differing_share(ours, rival.start(1)()):.2%}" for rival in case.rivals)
    print(f"labels that are not ours with the float32 requantizer: {', '.join(shares)}")


def _row(
    case: NetworkCase, threads: int, seconds: dict[str, float], rival: str, memory: PeakMemory | None
) -> list[str]:
    target = case.targets.get(threads)
    return [
        str(threads),
        clock_name(threads),
        rival,
        f"{seconds[_OURS] * 1e3:.1f}",
        f"{seconds[rival] * 1e3:.1f}",
        f"{seconds[_OURS] / seconds[rival]:.2f}x",
        "" if target is None else f"{target:.2f}x",
        "" if memory is None else f"{memory.peak_bytes / MEBIBYTE:.0f}",
        "" if memory is None else f"{memory.run_bytes / MEBIBYTE:.0f}",
    ]


def _print_breakdown(case: NetworkCase, accelerator: bittrue.Accelerator, options: argparse.Namespace) -> None:
    table = PlainTable(("threads", 7), *((f"{part} ms", 10) for part in (*PARTS.values(), BOOKKEEPING)))
    print(f"where our time goes\n{table.header()}")
    for threads in options.threads:
        parts = break_down(case.our_runner(accelerator, threads), options.repeats, threads, options.statistic)
        cells = [f"{parts[part] * 1e3:.2f}" for part in (*PARTS.values(), BOOKKEEPING)]
        print(table.row([str(threads), *cells]), flush=True)


def _print_narrow_section(options: argparse.Namespace) -> None:
    network = calibrated_network(_SEEDED[0], options.size)
    inputs = prepare_image(network, demo_photo())
    points = list(narrow_points(options.bits, options.ws_bits, options.ws_rows))
    for threads in options.threads:
        print_narrow(network, inputs, points, threads, options.repeats, options.statistic)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--threads", type=positive_integers, default=(1, 2), help="numbers of threads: 1,2")
    parser.add_argument("--repeats", type=int, default=7, help="timed runs of each contender")
    parser.add_argument("--statistic", type=Statistic, default=Statistic.MEDIAN, help="median, or least")
    parser.add_argument("--size", type=int, default=513, help="side of the image of the seeded networks")
    parser.add_argument("--networks", type=words, default=(*_SEEDED, _MNV2), help=f"by commas, or {_NONE}")
    parser.add_argument("--accelerator", default="edge_16x16_os", help="preset or YAML file")
    parser.add_argument("--requantizer", default="fixed_point_double", help="of ours while it is timed")
    parser.add_argument("--narrow", action="store_true", help="add the section on narrow accumulators")
    parser.add_argument("--bits", type=positive_integers, default=OUTPUT_STATIONARY_BITS, help="output stationary")
    parser.add_argument("--ws-bits", type=positive_integers, default=WEIGHT_STATIONARY_BITS, help="weight stationary")
    parser.add_argument("--ws-rows", type=positive_integers, default=ROWS, help="rows of weight-stationary arrays")
    options = parser.parse_args()
    unknown = set(options.networks) - {*_SEEDED, _MNV2, _NONE}
    if unknown:
        parser.error(f"no network {sorted(unknown)}; there are {', '.join((*_SEEDED, _MNV2, _NONE))}")
    return options


def main() -> None:
    """Print everything that was asked for."""
    options = _options()
    print(describe_machine())
    print(f"ours on       {options.accelerator}, requantizer {options.requantizer}")
    print(f"times         {options.statistic} of {options.repeats} runs, by turns")
    with tempfile.TemporaryDirectory() as folder:
        for case in cases(options.networks, options.size, Path(folder)):
            print_case(case, options)
    if options.narrow:
        _print_narrow_section(options)


if __name__ == "__main__":
    main()
