"""Gemmini's execute pipe alone beside the array of the command machine: a part of `benchmarks.validation`.

A row issues `n_compute` preloads and computes of `rows` rows each, operands in the scratchpad, a command a cycle; with
`reuse_stationary` only the first preload brings weights (output stationary, none does either way).
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import bittrue
from benchmarks.plain_table import PlainTable
from bittrue.fitting.columns import DATAFLOWS
from simulator.timing.execute_only import execute_only_cycles

EXECUTE_ROWS = Path("validation") / "gemmini16_exec_only.csv"


@dataclass(frozen=True)
class ExecuteRow:
    """One row of the RTL beside ours."""

    dataflow: str
    blocks: int
    rows: int
    new_weights: bool
    rtl_cycles: int
    cycles: int

    @property
    def error_percent(self) -> float:
        """Return (ours - RTL) / RTL."""
        return 100 * (self.cycles - self.rtl_cycles) / self.rtl_cycles


def execute_rows(path: Path, accelerator: bittrue.Accelerator) -> list[ExecuteRow]:
    """Run every row of a file.

    Raises
    ------
    OSError
        The file cannot be read.

    """
    with path.open(newline="") as file:
        return [_execute_row(row, accelerator) for row in csv.DictReader(file)]


def _execute_row(row: dict[str, str], accelerator: bittrue.Accelerator) -> ExecuteRow:
    changes = {
        "array.dataflow": DATAFLOWS[row["dataflow"].lower()],
        "controller.host_cycles": 1 + int(row["host_gap"]),
    }
    blocks, rows, new_weights = int(row["n_compute"]), int(row["rows"]), row["reuse_stationary"] == "0"
    cycles = execute_only_cycles(accelerator.evolve(changes), blocks, rows, new_weights)
    return ExecuteRow(row["dataflow"], blocks, rows, new_weights, int(row["cycles"]), cycles)


def execute_tables(rows: Sequence[ExecuteRow]) -> Iterable[str]:
    """Lines of a table of every row, and how many are met."""
    names = ("dataflow", 9), ("blocks", 7), ("rows", 5), ("weights", 8), ("RTL", 6), ("ours", 6), ("error %", 8)
    table = PlainTable(*names)
    yield table.header()
    for row in rows:
        weights = "each" if row.new_weights else "kept"
        cells = (row.dataflow, str(row.blocks), str(row.rows), weights, str(row.rtl_cycles), str(row.cycles))
        yield table.row((*cells, f"{row.error_percent:+.2f}"))
    yield ""
    yield f"met to the cycle: {sum(row.cycles == row.rtl_cycles for row in rows)} of {len(rows)}"
