"""Measured layers: a CSV with one layer a line and the cycles that the user's hardware took for it."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from bittrue.fitting.columns import (
    BIASES,
    COLUMNS,
    CONV,
    CONV_OPTIONS,
    DATAFLOWS,
    GEMM,
    TRAFFIC,
    is_test_row,
    own_names,
)
from simulator.accelerator.spec import Accelerator
from simulator.errors import BittrueError, InputError
from workloads.nets.single import conv2d, gemm
from workloads.network import Network


@dataclass(frozen=True, eq=False)
class MeasuredLayer:
    """One line of the file."""

    line: int
    name: str
    """Name of the one-layer network."""
    group: str
    """What is summed up together: column `group`, or kind, dataflow, output, bias and pool."""
    network: Network
    changes: Mapping[str, Any]
    """Fields of the accelerator that differ in this row, by dotted key."""
    cycles: int
    """Measured."""
    traffic: Mapping[str, int]
    """Measured `dram_read_bytes`, `dram_write_bytes` and `commands`, as far as the file has them."""


def read_rows(path: str | Path, accelerator: Accelerator, least: int = 2) -> tuple[MeasuredLayer, ...]:
    """Read measured layers.

    Parameters
    ----------
    path
        CSV with a header. Columns `cycles`, `kind` (gemm or conv; empty: gemm where there is an m), and the arguments
        of `bittrue.networks.gemm` (m, k, n, out, bias) or `conv2d` (height, width, channels, filters, kernel, stride,
        padding, dilation, groups, bias, and pool_size, pool_stride, pool_padding); `dataflow` (ws or os) and a column
        such as ``dram.latency_cycles`` change the accelerator for its row; `dram_read_bytes`, `dram_write_bytes` and
        `commands` are measured too; `group` names rows that belong together. An empty cell is the default. A header
        with M, N and K in capitals is that of Gemmini's test rows, see `bittrue.fitting.columns`.
    accelerator
        What dotted columns are checked against.
    least
        Rows that there must be.

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
            rows = [_row(str(path), reader.line_num, cells).layer(accelerator) for cells in reader]
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: is no CSV text ({error})") from None
    if len(rows) < least:
        raise InputError(f"{path}: {len(rows)} rows; fitting takes two at least")
    return tuple(rows)


def _check_header(path: str | Path, header: list[str]) -> None:
    if not header:
        raise InputError(f"{path}: the file is empty; its first line names the columns, cycles among them")
    if "cycles" not in header:
        parted = "; commas part columns" if len(header) == 1 else ""
        raise InputError(f"{path}:1: no column cycles; there are {', '.join(header)}{parted}")
    known = own_names(dict.fromkeys(header, "")) if is_test_row(header) else header
    unknown = [name for name in known if name not in COLUMNS and "." not in name]
    if unknown:
        raise InputError(
            f"{path}:1: column {unknown[0]!r} is unknown; there are {', '.join(COLUMNS)}, and dotted keys of the "
            "accelerator such as dram.latency_cycles"
        )


def _row(path: str, line: int, cells: dict[str, Any]) -> _Row:
    if None in cells or None in cells.values():
        raise InputError(f"{path}:{line}: more or fewer cells than the header has columns")
    cells = {name: text.strip() for name, text in cells.items()}
    return _Row(path, line, own_names(cells) if is_test_row(list(cells)) else cells)


@dataclass(frozen=True)
class _Row:
    path: str
    line: int
    cells: Mapping[str, Any]

    def layer(self, accelerator: Accelerator) -> MeasuredLayer:
        """Return the row as a one-layer network; InputError where it is none."""
        kind = self.text("kind") or ("gemm" if self.text("m") else "conv")
        if kind not in ("gemm", "conv"):
            self.refuse(f"kind: {kind!r} is neither gemm nor conv")
        changes = self._changes()
        try:
            network = self._gemm() if kind == "gemm" else self._conv()
            accelerator.evolve(changes)
        except InputError:
            raise
        except BittrueError as error:
            self.refuse(str(error))
        words = (kind, self.text("dataflow"), self.text("out"), self._bias_word(kind), self._pool_word())
        group = self.text("group") or " ".join(filter(None, words))
        traffic = {name: self.whole(name, least=0) for name in TRAFFIC if self.text(name)}
        return MeasuredLayer(self.line, network.name, group, network, changes, self.whole("cycles"), traffic)

    def _changes(self) -> dict[str, Any]:
        changes: dict[str, Any] = {name: self.number(name) for name in self.cells if "." in name and self.text(name)}
        word = self.text("dataflow").lower()
        if word:
            if word not in (*DATAFLOWS, *DATAFLOWS.values()):
                self.refuse(f"dataflow: {word!r} is none of {', '.join((*DATAFLOWS, *DATAFLOWS.values()))}")
            changes["array.dataflow"] = DATAFLOWS.get(word, word)
        return changes

    def _gemm(self) -> Network:
        m, k, n = (self.whole(name) for name in GEMM)
        bias: bool | str = "matrix" if self._bias() == "matrix" else bool(self._bias())
        return gemm(m, k, n, out=self.text("out") or "int8", bias=bias)

    def _conv(self) -> Network:
        if self.text("out") not in ("", "int8"):
            self.refuse(f"out: {self.text('out')!r}; convolutions give int8")
        height, width, channels, filters, kernel = (self.whole(name) for name in CONV)
        stride, padding, dilation, groups = (
            self.whole(name, least=0) if self.text(name) else default for name, default in CONV_OPTIONS.items()
        )
        pool = None
        if self.text("pool_size"):
            border = self.whole("pool_padding", least=0) if self.text("pool_padding") else 0
            pool = (self.whole("pool_size"), self.whole("pool_stride"), border)
        # Outputs of a convolution share their bias channel by channel, whatever the word.
        window = (kernel, stride, padding, dilation, groups)
        return conv2d(height, width, channels, filters, *window, bias=bool(self._bias()), pool=pool)

    def _bias(self) -> str:
        word = self.text("bias").lower()
        if word not in BIASES:
            self.refuse(f"bias: {word!r} is none of none, vector, matrix (matrix: gemm only)")
        return BIASES[word]

    def _bias_word(self, kind: str) -> str:
        if kind == "gemm" and self._bias() == "matrix":
            return "+ bias matrix"
        return "+ bias" if self._bias() else ""

    def _pool_word(self) -> str:
        return "+ pool" if self.text("pool_size") else ""

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
