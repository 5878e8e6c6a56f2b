"""Measured layers: a CSV with one layer a line and the cycles that the user's hardware took for it."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from simulator.accelerator.spec import Accelerator
from simulator.errors import BittrueError, InputError
from workloads.nets.single import conv2d, gemm
from workloads.network import Network

_GEMM = ("m", "k", "n")
_CONV = ("height", "width", "channels", "filters", "kernel")
_CONV_OPTIONS = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}
COLUMNS = {
    "cycles": "Measured; needed.",
    "kind": "`gemm` or `conv`; empty = gemm where the row has an `m`.",
    "group": "Rows of one name are summed up together; default: kind, output and bias.",
    "m": "gemm: rows of the product.",
    "k": "gemm: length of the sums.",
    "n": "gemm: columns of the product.",
    "out": "gemm: `int8` (default) or `int32`, the accumulators as they are.",
    "bias": "`none` (default), `vector`; gemm also `matrix`.",
    "height": "conv: of the input, pixels.",
    "width": "conv: of the input, pixels.",
    "channels": "conv: of the input.",
    "filters": "conv: channels of the output.",
    "kernel": "conv: height and width of a filter.",
    "stride": "conv: default 1.",
    "padding": "conv: rows and columns of zeros on each side; default 0.",
    "dilation": "conv: default 1.",
    "groups": "conv: default 1.",
    "pool_size": "conv: height and width of a max pool behind it; empty = none.",
    "pool_stride": "conv: of that pool; needed with it.",
    "pool_padding": "conv: of that pool; default 0.",
}
"""Columns that a file may have, with their meaning; besides these, any dotted key of the accelerator holds for its row
alone."""


@dataclass(frozen=True, eq=False)
class MeasuredLayer:
    """One line of the file."""

    line: int
    name: str
    """Name of the one-layer network."""
    group: str
    """What is summed up together: column `group`, or kind, output and bias."""
    network: Network
    changes: Mapping[str, Any]
    """Fields of the accelerator that differ in this row, by dotted key."""
    cycles: int
    """Measured."""


def read_rows(path: str | Path, accelerator: Accelerator) -> tuple[MeasuredLayer, ...]:
    """Read measured layers.

    Parameters
    ----------
    path
        CSV with a header. Columns `cycles`, `kind` (gemm or conv; empty: gemm where there is an m), and the arguments
        of `bittrue.networks.gemm` (m, k, n, out, bias) or `conv2d` (height, width, channels, filters, kernel, stride,
        padding, dilation, groups, bias, and pool_size, pool_stride, pool_padding); `group` names rows that belong
        together; a column such as ``dram.latency_cycles`` changes the accelerator for its row. An empty cell is the
        default.
    accelerator
        What dotted columns are checked against.

    Raises
    ------
    InputError
        No such file, no rows, an unknown column, or a row that is no layer; names file, line, column and value.

    """
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            header = [name.strip() for name in reader.fieldnames or ()]
            _check_header(path, header)
            reader.fieldnames = header
            rows = [_Row(str(path), reader.line_num, cells).layer(accelerator) for cells in reader]
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: is no CSV text ({error})") from None
    if len(rows) < 2:
        raise InputError(f"{path}: {len(rows)} rows; fitting takes two at least")
    return tuple(rows)


def _check_header(path: str | Path, header: list[str]) -> None:
    if "cycles" not in header:
        raise InputError(f"{path}:1: no column cycles; there are {', '.join(header) or 'none'}")
    unknown = [name for name in header if name not in COLUMNS and "." not in name]
    if unknown:
        raise InputError(
            f"{path}:1: column {unknown[0]!r} is unknown; there are {', '.join(COLUMNS)}, and dotted keys of the "
            "accelerator such as dram.latency_cycles"
        )


@dataclass(frozen=True)
class _Row:
    path: str
    line: int
    cells: Mapping[str, Any]

    def layer(self, accelerator: Accelerator) -> MeasuredLayer:
        """Return the row as a one-layer network; InputError where it is none."""
        if None in self.cells or None in self.cells.values():
            self.refuse("more or fewer cells than the header has columns")
        kind = self.text("kind") or ("gemm" if self.text("m") else "conv")
        if kind not in ("gemm", "conv"):
            self.refuse(f"kind: {kind!r} is neither gemm nor conv")
        changes = {name: self.number(name) for name in self.cells if "." in name and self.text(name)}
        try:
            network = self._gemm() if kind == "gemm" else self._conv()
            accelerator.evolve(changes)
        except InputError:
            raise
        except BittrueError as error:
            self.refuse(str(error))
        group = self.text("group") or " ".join(filter(None, (kind, self.text("out"), self._bias_word())))
        return MeasuredLayer(self.line, network.name, group, network, changes, self.whole("cycles", least=1))

    def _gemm(self) -> Network:
        m, k, n = (self.whole(name) for name in _GEMM)
        bias: bool | str = "matrix" if self.text("bias") == "matrix" else self._has_bias()
        return gemm(m, k, n, out=self.text("out") or "int8", bias=bias)

    def _conv(self) -> Network:
        height, width, channels, filters, kernel = (self.whole(name) for name in _CONV)
        stride, padding, dilation, groups = (
            self.whole(name, least=0) if self.text(name) else default for name, default in _CONV_OPTIONS.items()
        )
        pool = None
        if self.text("pool_size"):
            size, stride = self.whole("pool_size"), self.whole("pool_stride")
            pool = (size, stride, self.whole("pool_padding", least=0) if self.text("pool_padding") else 0)
        window = (kernel, stride, padding, dilation, groups)
        return conv2d(height, width, channels, filters, *window, bias=self._has_bias(), pool=pool)

    def _has_bias(self) -> bool:
        word = self.text("bias").lower()
        if word not in ("", "none", "0", "false", "no", "1", "true", "yes", "vector"):
            self.refuse(f"bias: {word!r} is none of none, vector, matrix (matrix: gemm only)")
        return word in ("1", "true", "yes", "vector")

    def _bias_word(self) -> str:
        matrix = self.text("bias") == "matrix"
        return "+ bias matrix" if matrix else "+ bias" if self._has_bias() else ""

    def text(self, name: str) -> str:
        """Cell of a column, '' where there is none."""
        return str(self.cells.get(name) or "").strip()

    def whole(self, name: str, least: int = 1) -> int:
        """Cell of a column as a whole number."""
        value = self.number(name)
        if not isinstance(value, int) or value < least:
            self.refuse(f"{name}: {self.text(name)!r} is not a whole number of at least {least}")
        return value

    def number(self, name: str) -> int | float:
        """Cell of a column as a number."""
        text = self.text(name)
        try:
            return int(text) if text.lstrip("+-").isdigit() else float(text)
        except ValueError:
            self.refuse(f"{name}: {text!r} is not a number")

    def refuse(self, reason: str) -> NoReturn:
        """Raise InputError with the place."""
        raise InputError(f"{self.path}:{self.line}: {reason}")
