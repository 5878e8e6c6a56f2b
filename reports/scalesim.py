"""The three reports of SCALE-Sim with its column names, and one column more."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from simulator.errors import RunFolderError
from simulator.records.scalesim import ScaleSimRow

Cell = int | float | str | None
LEFT_OUT = ""
"""What stands where SCALE-Sim's own figure needs a replay of its trace."""
NO_RTL = "n/a"
"""RTL Cycles of input stationary."""

_COMPUTE = (
    *("LayerID", "Total Cycles (incl. prefetch)", "Total Cycles", "Stall Cycles"),
    *("Overall Util %", "Mapping Efficiency %", "Compute Util %", "RTL Cycles"),
)
_BANDWIDTH = (
    *("LayerID", "Avg IFMAP SRAM BW", "Avg FILTER SRAM BW", "Avg OFMAP SRAM BW"),
    *("Avg IFMAP DRAM BW", "Avg FILTER DRAM BW", "Avg OFMAP DRAM BW"),
)
_ACCESS = (
    "LayerID",
    *(
        f"{memory} {operand} {what}"
        for memory in ("SRAM", "DRAM")
        for operand, count in (("IFMAP", "Reads"), ("Filter", "Reads"), ("OFMAP", "Writes"))
        for what in ("Start Cycle", "Stop Cycle", count)
    ),
)


def compute_cells(row: ScaleSimRow) -> list[Cell]:
    """Return a row of COMPUTE_REPORT.csv without its LayerID; percentages."""
    overall = None if row.overall_utilization is None else 100 * row.overall_utilization
    rtl = NO_RTL if row.rtl_cycles is None else row.rtl_cycles
    efficiency, utilization = 100 * row.mapping_efficiency, 100 * row.compute_utilization
    return [row.total_cycles_with_prefetch, row.total_cycles, 0, overall, efficiency, utilization, rtl]


def bandwidth_cells(row: ScaleSimRow) -> list[Cell]:
    """Return a row of BANDWIDTH_REPORT.csv without its LayerID; words per cycle."""
    sram = [access.words / row.total_cycles if row.total_cycles and access.words else None for access in row.sram]
    return [*sram, *(access.words_per_cycle for access in row.dram)]


def access_cells(row: ScaleSimRow) -> list[Cell]:
    """Return a row of DETAILED_ACCESS_REPORT.csv without its LayerID; cycles and words."""
    accesses = (*row.sram, *row.dram)
    return [cell for access in accesses for cell in (access.start_cycle, access.stop_cycle, access.words)]


_REPORTS = {
    "COMPUTE_REPORT.csv": (_COMPUTE, compute_cells),
    "BANDWIDTH_REPORT.csv": (_BANDWIDTH, bandwidth_cells),
    "DETAILED_ACCESS_REPORT.csv": (_ACCESS, access_cells),
}


def write_scalesim_reports(directory: Path, rows: Sequence[ScaleSimRow]) -> tuple[Path, ...]:
    """Write the reports into `directory`, replacing those of before, and return their paths.

    Raises
    ------
    RunFolderError
        The folder cannot be written. No report is left half-written.

    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        # Drafts first, so that nothing stands under a report's name before it is whole.
        with tempfile.TemporaryDirectory(prefix=".scalesim-", dir=directory) as drafts:
            for name, (header, cells) in _REPORTS.items():
                lines = [_line(header), *(_line([number, *cells(row)]) for number, row in enumerate(rows))]
                (Path(drafts) / name).write_text("".join(lines), encoding="utf-8")
            return tuple((Path(drafts) / name).replace(directory / name) for name in _REPORTS)
    except OSError as error:
        raise RunFolderError(f"{directory} cannot be written: {error.strerror or error}") from None


def _line(cells: Sequence[Cell]) -> str:
    """Return a line in SCALE-Sim's manner: a comma and a space between cells, a comma at the end."""
    return ", ".join(LEFT_OUT if cell is None else str(cell) for cell in cells) + ",\n"
