"""What SCALE-Sim is told: an array with buffers, and layers; and how it lays a layer out on the array."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ScaleSimDataflow(StrEnum):
    """SCALE-Sim's names. It has input stationary, which our array has not."""

    WS = "ws"
    OS = "os"
    IS = "is"


@dataclass(frozen=True)
class ScaleSimConfig:
    """The part of a SCALE-Sim configuration that its CALC mode reads."""

    run_name: str
    rows: int
    cols: int
    ifmap_bytes: int
    """SRAM, both halves; a word is a byte."""
    filter_bytes: int
    ofmap_bytes: int
    dataflow: ScaleSimDataflow
    weight_double_buffer: bool = True
    """Of the array in `rtl/` that the further column counts for; SCALE-Sim's own has one set of weights."""


@dataclass(frozen=True)
class ScaleSimLayer:
    """A convolution whose sizes include padding; a GEMM M x N x K is one with filters of one row."""

    name: str
    ifmap_height: int
    ifmap_width: int
    filter_height: int
    filter_width: int
    channels: int
    filters: int
    stride: int

    @property
    def ofmap_height(self) -> int:
        """Rows of outputs, rounded up: the last windows may hang over the edge (topology_utils.py)."""
        return -(-(self.ifmap_height - self.filter_height) // self.stride) + 1

    @property
    def ofmap_width(self) -> int:
        """Columns of outputs, rounded up."""
        return -(-(self.ifmap_width - self.filter_width) // self.stride) + 1

    @property
    def pixels(self) -> int:
        """M of the GEMM."""
        return self.ofmap_height * self.ofmap_width

    @property
    def window(self) -> int:
        """K of the GEMM: products of one output."""
        return self.filter_height * self.filter_width * self.channels

    @property
    def macs(self) -> int:
        """Multiply-accumulates, those of overhanging windows too."""
        return self.pixels * self.window * self.filters

    @property
    def touched_ifmap_words(self) -> int:
        """Different ifmap elements that some window covers."""
        rows = _touched(self.ifmap_height, self.filter_height, self.ofmap_height, self.stride)
        cols = _touched(self.ifmap_width, self.filter_width, self.ofmap_width, self.stride)
        return rows * cols * self.channels

    def inside(self, pixel: int, k: int) -> bool:
        """Tell whether product `k` of output `pixel` lies in the ifmap; SCALE-Sim requests nothing for others."""
        oh, ow = divmod(pixel, self.ofmap_width)
        kh, rest = divmod(k, self.filter_width * self.channels)
        row, col = oh * self.stride + kh, ow * self.stride + rest // self.channels
        return row < self.ifmap_height and col < self.ifmap_width


def _touched(size: int, window: int, outputs: int, stride: int) -> int:
    if stride <= window:
        return min(size, (outputs - 1) * stride + window)
    # Only the last window can hang over, perhaps with all it has.
    last = max(0, min(window, size - (outputs - 1) * stride))
    return (outputs - 1) * window + last


@dataclass(frozen=True)
class Folds:
    """A layer on the array: Sr x Sc of it in space, T in time, cut into folds of rows x cols."""

    spatial_rows: int
    spatial_cols: int
    time: int
    rows: int
    cols: int
    fold_cycles: int

    @classmethod
    def of(cls, layer: ScaleSimLayer, config: ScaleSimConfig) -> Folds:
        """Lay out a layer; a fold costs as much at the edge as elsewhere."""
        m, n, k = layer.pixels, layer.filters, layer.window
        rows, cols = config.rows, config.cols
        if config.dataflow is ScaleSimDataflow.OS:
            return cls(m, n, k, rows, cols, k + rows + cols - 2)
        if config.dataflow is ScaleSimDataflow.WS:
            return cls(k, n, m, rows, cols, m + 2 * rows + cols - 2)
        return cls(k, m, n, rows, cols, n + 2 * rows + cols - 2)

    @property
    def row_folds(self) -> int:
        """Folds over the rows; they run innermost."""
        return -(-self.spatial_rows // self.rows)

    @property
    def col_folds(self) -> int:
        """Folds over the columns."""
        return -(-self.spatial_cols // self.cols)

    @property
    def count(self) -> int:
        """Number of folds."""
        return self.row_folds * self.col_folds

    @property
    def total_cycles(self) -> int:
        """The last cycle, counted from 0."""
        return self.count * self.fold_cycles - 1

    def rows_of(self, fold: int) -> range:
        """Sr indices on the array in a fold."""
        start = fold % self.row_folds * self.rows
        return range(start, min(start + self.rows, self.spatial_rows))

    def cols_of(self, fold: int) -> range:
        """Sc indices on the array in a fold."""
        start = fold // self.row_folds * self.cols
        return range(start, min(start + self.cols, self.spatial_cols))
