"""Hold presets that stand for a real design to the counts that are published of it: ours, theirs, error.

    BITTRUE_ASSETS=... python -m benchmarks.published_counts [docs/accelerators.md]

Given the page, writes them into it. Reads validation/published_counts.csv there (columns source, machine, workload,
metric, value, unit). Nothing is fitted to these figures but what the page says; where a publication does not say what
ran, there is no row but a line that says what is missing.
"""

from __future__ import annotations

import csv
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import bittrue
from benchmarks.plain_table import PlainTable
from benchmarks.scalesim import resnet50
from simulator.accelerator.spec import Accelerator
from simulator.records.layer import LayerRecord

Counts = Mapping[tuple[str, str, str], float]
"""(machine, workload, metric) -> published value."""

_BEGIN = "<!-- written by `python -m benchmarks.published_counts docs/accelerators.md` -->"
_END = "<!-- end -->"
_TPU = "TPU v1 256x256 int8 WS 700MHz"
_MLPS = {"MLP0": (5, 2000, 200), "MLP1": (4, 1118, 168)}
"""Fully connected layers, their width, batch. Jouppi et al. (ISCA 2017), Table 1: 5 layers, 20 M weights, batch 200; 4
layers, 5 M weights, batch 168. That the layers are square and alike is assumed."""

_NVDLA = {32: (8, 4), 64: (8, 8), 128: (16, 8), 256: (32, 8), 512: (32, 16), 1024: (64, 16), 2048: (64, 32)}
"""MACs -> input x output channels a cycle: nvdla/hw, spec/defs/*.spec, atomic C and K; of 32 and 128 there is no file,
so theirs are assumed."""

_AI85 = {
    # height, width, channels, filters, padding of a 3x3 convolution -> cycles
    (32, 32, 3, 64, 1): 67981,
    (32, 32, 3, 64, 0): 59773,
    (31, 7, 5, 11, 1): 3062,
    (28, 28, 1, 8, 1): 8189,
    (11, 11, 79, 1, 0): 687,
    (8, 8, 128, 16, 1): 2485,
    (8, 8, 128, 16, 0): 1437,
}
"""Every 3x3 convolution without pooling or transposition, of more than one pixel, in analogdevicesinc/ai8x-synthesis,
izer/test/test_cycles.py: what the vendor's latency calculator must say of a MAX78000 (START cycle included)."""

NOT_COMPARABLE = (
    ("TPU v1 LSTM0, LSTM1, CNN0, CNN1", "the paper tells layers, weights and batch, no layer's shape"),
    ("TPU v4i", "no cycle count of a layer is published"),
    (
        "VTA (tvm-vta PR 30)",
        "no preset of its class: its weights change every cycle; what ran off the core is not told",
    ),
    ("Gemmini on FPGA (luffca.com)", "the array size of that build is not told"),
    ("tinyTPU", "the number of input vectors is not told"),
    ("ONNXim, SCALE-Sim v3", "errors of other simulators, no counts"),
    ("edge_npu_256, paper_device", "no chip behind them; edge_npu_256 stands beside NVDLA's row of 256 MACs above"),
)
"""What is published but cannot be held to a preset, and why."""


@dataclass(frozen=True)
class Row:
    """One figure of ours beside one of theirs."""

    what: str
    metric: str
    ours: float
    theirs: float

    @property
    def error(self) -> float:
        """Relative error of ours."""
        return self.ours / self.theirs - 1


def read_counts(path: Path) -> Counts:
    """Read the published counts."""
    with path.open(newline="", encoding="utf-8") as file:
        return {(row["machine"], row["workload"], row["metric"]): float(row["value"]) for row in csv.DictReader(file)}


def tpu_rows(counts: Counts) -> Iterator[Row]:
    """Fully connected networks on tpu_v1, by the counters of the paper's Table 3; percents of all cycles."""
    accelerator = bittrue.load_accelerator("tpu_v1")
    for name, (layers, width, batch) in _MLPS.items():
        record = _gemm(accelerator, batch, width, width)
        cycles = record.total_cycles
        seconds = layers * cycles / accelerator.clock_mhz / 1e6
        active = record.folds * batch
        ours = {
            "useful_MACs_of_peak": 100 * record.utilization,
            "array_active": 100 * active / cycles,
            # Shifts that no computation hides are counted with the array's cycles here.
            "weight_stall + weight_shift": 100 * (record.load_stall_cycles + record.compute_cycles - active) / cycles,
            "TOPS": 2 * layers * record.macs / seconds / 1e12,
        }
        for metric, value in ours.items():
            theirs = sum(counts[_TPU, name, part] for part in metric.split(" + "))
            yield Row(f"{name}: {layers} x {width} x {width}, batch {batch}", metric, value, theirs)


def nvdla_accelerator(macs: int, buffer_kib: int, gigabytes_per_second: float) -> Accelerator:
    """Return nvdla_small in another size: the buffer split as there, accumulators for as many pixels."""
    small = bittrue.load_accelerator("nvdla_small")
    rows, cols = _NVDLA[macs]
    return small.evolve(
        {
            "array.rows": rows,
            "array.cols": cols,
            "memories.input_scratchpad.size": buffer_kib * 1024 * 3 // 4,
            "memories.weight_scratchpad.size": buffer_kib * 1024 // 4,
            "memories.accumulator.size": small.memories.accumulator.size * cols // small.array.cols,
            "dram.bandwidth": gigabytes_per_second * 1e9,
            # Enough to cover latency x bandwidth, as 16 are at 1 GB/s.
            "dma.max_outstanding": 64,
        }
    )


def nvdla_rows(counts: Counts) -> Iterator[Row]:
    """ResNet-50 at 224 x 224, convolutions and scores alone, by NVDLA's own estimator."""
    for (machine, workload, metric), theirs in counts.items():
        if not machine.startswith("NVDLA ") or (workload, metric) != ("ResNet-50", "throughput"):
            continue
        numbers = [float(word) for word in machine.replace(",", "").split() if word.replace(".", "").isdigit()]
        macs, buffer_kib, bandwidth = int(numbers[0]), int(numbers[1]), numbers[2]
        accelerator = nvdla_accelerator(macs, buffer_kib, bandwidth)
        size = f"{accelerator.array.rows} x {accelerator.array.cols}"
        what = f"{macs} MACs as {size}, {buffer_kib} KiB, {bandwidth:g} GB/s"
        yield Row(what, "frames/s", _resnet50_frames(accelerator), theirs)
        edge = bittrue.load_accelerator("edge_npu_256")
        if macs == edge.peak_macs_per_cycle:
            yield Row("edge_npu_256 beside it", "frames/s", _resnet50_frames(edge), theirs)


def max78000_rows() -> tuple[list[Row], list[Row]]:
    """Cycles of layers whose data and weights are on the chip, so with an external memory that never waits.

    Those with output pixels enough to hide that weights shift in, which they do not do on the chip, and the others.
    """
    accelerator = bittrue.load_accelerator("max78000_like").evolve(
        {"dram.bytes_per_cycle": 4096, "dram.latency_cycles": 0, "dma.setup_cycles": 0}
    )
    large: list[Row] = []
    small: list[Row] = []
    for (height, width, channels, filters, padding), theirs in _AI85.items():
        network = bittrue.networks.conv2d(height, width, channels, filters, 3, padding=padding)
        record = _only_layer(network, accelerator)
        row = Row(
            f"{height} x {width} x {channels} > {filters}, padding {padding}", "cycles", record.compute_cycles, theirs
        )
        _, rows, columns, _ = record.output_shape
        (large if rows * columns >= accelerator.array.rows else small).append(row)
    return large, small


def _resnet50_frames(accelerator: Accelerator) -> float:
    cycles = sum(_resnet50_layer(accelerator, *shape) for _, *shape in resnet50())
    return accelerator.clock_mhz * 1e6 / cycles


def _resnet50_layer(accelerator: Accelerator, ifmap: int, window: int, channels: int, filters: int, stride: int) -> int:
    """Cycles of one layer; `ifmap` holds the padding."""
    if ifmap == 1:
        return _gemm(accelerator, 1, channels, filters).total_cycles
    return _conv_cycles(accelerator, ifmap, window, channels, filters, stride)


@cache
def _conv_cycles(accelerator: Accelerator, ifmap: int, window: int, channels: int, filters: int, stride: int) -> int:
    padding = window // 2
    side = ifmap - 2 * padding
    network = bittrue.networks.conv2d(side, side, channels, filters, window, stride=stride, padding=padding)
    return _only_layer(network, accelerator).total_cycles


def _gemm(accelerator: Accelerator, m: int, k: int, n: int) -> LayerRecord:
    return _only_layer(bittrue.networks.gemm(m, k, n, bias=True), accelerator)


def _only_layer(network: bittrue.Network, accelerator: Accelerator) -> LayerRecord:
    (record,) = bittrue.simulate(network, accelerator).layers
    return record


def _table(title: str, rows: Sequence[Row]) -> list[str]:
    table = PlainTable((title, 44), ("", 27), ("ours", 8), ("theirs", 7), ("error", 8))
    lines = [table.header()]
    for row in rows:
        figures = [f"{figure:,.0f}" if figure >= 1000 else f"{figure:.3g}" for figure in (row.ours, row.theirs)]
        lines.append(table.row([row.what, row.metric, *figures, f"{100 * row.error:+.1f} %"]))
    errors = [100 * abs(row.error) for row in rows]
    return [*lines, f"mean |error| {sum(errors) / len(errors):.1f} %, worst {max(errors):.1f} %", ""]


def report(counts: Counts) -> str:
    """Return every comparison, and what cannot be compared."""
    lines = _table("TPU v1, performance counters", list(tpu_rows(counts)))
    lines += _table("NVDLA, ResNet-50 by its estimator, not RTL", list(nvdla_rows(counts)))
    large, small = max78000_rows()
    lines += _table("MAX78000, 576 output pixels and more", large)
    lines += _table("MAX78000, smaller outputs", small)
    return "\n".join([*lines, "Not comparable:", *(f"  {what}: {why}" for what, why in NOT_COMPARABLE)])


def update(page: str, text: str) -> str:
    """Return the page with `text` between its markers."""
    pattern = re.compile(re.escape(_BEGIN) + ".*?" + re.escape(_END), re.DOTALL)
    return pattern.sub(lambda _: f"{_BEGIN}\n\n```\n{text}\n```\n\n{_END}", page)


def main(arguments: Sequence[str]) -> int:
    """Print the report, or write it into a page."""
    path = Path(os.environ.get("BITTRUE_ASSETS", "")) / "validation" / "published_counts.csv"
    if not path.is_file():
        print("set BITTRUE_ASSETS to the folder that holds validation/published_counts.csv", file=sys.stderr)
        return 1
    text = report(read_counts(path))
    if not arguments:
        print(text)
    for page in map(Path, arguments):
        page.write_text(update(page.read_text(encoding="utf-8"), text), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
