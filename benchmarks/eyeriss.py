"""DRAM traffic of VGG-16 on `eyeriss_like` beside what the Eyeriss chip was measured to move, layer by layer.

    python -m benchmarks.eyeriss eyeriss-vgg16.csv

The file has a row for each of the 13 convolutions and the columns Layer, Zeros and DRAM Accesses (MB); batch 3. The
chip run-length codes feature maps (five bits of run to each 16-bit value, three pairs in 64 bits), the simulator does
not: the last columns put the published shares of zeros on the simulator's traffic.
"""

from __future__ import annotations

import csv
import sys
from dataclasses import dataclass
from pathlib import Path

import bittrue
from benchmarks.plain_table import PlainTable
from simulator.accelerator.spec import Accelerator
from simulator.graph.builder import GraphBuilder
from simulator.graph.ops import Conv2D, Padding
from simulator.numerics.quant import QuantParams
from simulator.records.layer import LayerRecord

BATCH = 3
LAYERS = {
    "CONV1-1": (224, 3, 64),
    "CONV1-2": (224, 64, 64),
    "CONV2-1": (112, 64, 128),
    "CONV2-2": (112, 128, 128),
    "CONV3-1": (56, 128, 256),
    "CONV3-2": (56, 256, 256),
    "CONV3-3": (56, 256, 256),
    "CONV4-1": (28, 256, 512),
    "CONV4-2": (28, 512, 512),
    "CONV4-3": (28, 512, 512),
    "CONV5-1": (14, 512, 512),
    "CONV5-2": (14, 512, 512),
    "CONV5-3": (14, 512, 512),
}
"""Height and width, input channels, filters; all 3 x 3, padded to the same size."""
CODED_BITS = 64 / 3
"""Bits of one 16-bit value that is not zero, run-length coded."""


@dataclass(frozen=True)
class Comparison:
    """One layer: megabytes (10^6 bytes) of DRAM traffic."""

    layer: str
    published_mb: float
    """Measured on the chip, feature maps coded."""
    input_mb: float
    weight_mb: float
    output_mb: float
    unique_mb: float
    """Input, weights and output, each once, not coded."""
    coded_mb: float
    """input_mb and output_mb at the published shares of zeros, and weight_mb."""

    @property
    def ours_mb(self) -> float:
        """The simulator's traffic, not coded."""
        return self.input_mb + self.weight_mb + self.output_mb

    @property
    def error(self) -> float:
        """ours_mb against published_mb."""
        return self.ours_mb / self.published_mb - 1

    @property
    def coded_error(self) -> float:
        """coded_mb against published_mb."""
        return self.coded_mb / self.published_mb - 1


def compare(path: Path, accelerator: Accelerator | None = None) -> list[Comparison]:
    """Compare every layer of the file."""
    accelerator = accelerator or bittrue.load_accelerator("eyeriss_like")
    with path.open(newline="") as file:
        rows = {row["Layer"]: row for row in csv.DictReader(file)}
    zeros = [float(rows[name]["Zeros"].rstrip("%")) / 100 for name in LAYERS]
    after = [*zeros[1:], zeros[-1]]  # the zeros of an output are those of the next input; of the last, unknown
    return [
        _comparison(name, float(rows[name]["DRAM Accesses (MB)"]), layer_record(name, accelerator), before, behind)
        for name, before, behind in zip(LAYERS, zeros, after, strict=True)
    ]


def layer_record(name: str, accelerator: Accelerator) -> LayerRecord:
    """Time one layer of LAYERS alone, without values."""
    size, channels, filters = LAYERS[name]
    builder, quant = GraphBuilder(name), QuantParams.per_tensor(1.0)
    x = builder.input("x", (BATCH, size, size, channels), "int16", quant)
    weights = builder.placeholder("weights", (filters, 3, 3, channels), "int16", quant)
    y = builder.add(Conv2D(padding=Padding(1, 1, 1, 1)), x, weights, name=name, quant=quant)
    (record,) = bittrue.simulate(builder.build(outputs=[y]), accelerator, timing_only=True).layers
    return record


def _comparison(name: str, published: float, record: LayerRecord, zeros: float, zeros_after: float) -> Comparison:
    size, _, filters = LAYERS[name]
    inputs, weights = record.input_scratchpad_write_bytes, record.weight_scratchpad_write_bytes
    outputs = record.dram_write_bytes
    assert inputs + weights == record.dram_read_bytes
    coded = inputs * _coded(zeros) + outputs * _coded(zeros_after) + weights
    unique = record.unique_bytes + BATCH * size * size * filters * 2
    return Comparison(name, published, *(count / 1e6 for count in (inputs, weights, outputs, unique, coded)))


def _coded(zeros: float) -> float:
    """Size of a run-length coded feature map by its size without; never above 1: it is then left as it is."""
    return min(1.0, (1 - zeros) * CODED_BITS / 16)


def main(path: Path) -> None:
    """Print the table."""
    headers = ("chip MB", "ours MB", "error", "input", "weights", "output", "each once", "ours coded", "error")
    table = PlainTable(("layer", 8), *((header, 8) for header in headers))
    print(table.header())
    for row in compare(path):
        traffic = (row.input_mb, row.weight_mb, row.output_mb, row.unique_mb, row.coded_mb)
        cells = [row.layer, f"{row.published_mb:.1f}", f"{row.ours_mb:.1f}", f"{100 * row.error:+.0f} %"]
        print(table.row([*cells, *(f"{mb:.1f}" for mb in traffic), f"{100 * row.coded_error:+.0f} %"]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
