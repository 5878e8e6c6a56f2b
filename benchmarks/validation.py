"""Hold presets of real devices to cycle counts of their RTL: a table, and a picture in docs/figures.

    BITTRUE_ASSETS=FOLDER python -m benchmarks.validation [--figure docs/figures/validation_gemmini.png]

FOLDER/validation/gemmini16_gemm_ws.csv holds matrix products simulated in Gemmini's generated RTL: sizes, output, bias,
memory latency, cycles, beats and commands. gemmini16_exec_only.csv beside it holds its execute pipe alone, of both
dataflows. `bittrue fit gemmini_16x16 ROWS.csv --compare` does the same for any rows of yours.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

import bittrue
from benchmarks.execute_rows import EXECUTE_ROWS, execute_rows, execute_tables
from benchmarks.plain_table import PlainTable
from bittrue.fitting.compare import ComparedRow, compare_rows, summary
from bittrue.fitting.rows import read_rows

FIGURE = Path(__file__).parents[1] / "docs" / "figures" / "validation_gemmini.png"
ROWS = Path("validation") / "gemmini16_gemm_ws.csv"


def compare(path: Path, accelerator: bittrue.Accelerator) -> list[ComparedRow]:
    """Run every row of a file, grouped by memory latency too.

    Raises
    ------
    InputError
        A file that cannot be read, or a row that is no layer.

    """
    rows = read_rows(path, accelerator)
    apart = (replace(row, group=f"{row.group}, latency {row.changes['dram.latency_cycles']}") for row in rows)
    return list(compare_rows(accelerator, tuple(apart)))


def tables(rows: Sequence[ComparedRow]) -> Iterable[str]:
    """Lines of both tables: every row, then every group."""
    table = PlainTable(("M x K x N", 18), ("group", 40), ("RTL", 8), ("ours", 8), ("error %", 8), ("traffic", 8))
    yield table.header()
    for row in rows:
        traffic = "equal" if row.traffic_is_equal else "DIFFERS"
        cells = (row.name, row.group, str(row.measured_cycles), str(row.cycles), f"{row.error_percent:+.2f}", traffic)
        yield table.row(cells)
    yield ""
    table = PlainTable(("group", 40), ("rows", 5), ("mean |error| %", 14), ("worst %", 8))
    yield table.header()
    for name, count, mean, worst in summary(rows):
        yield table.row((name, str(count), f"{mean:.2f}", f"{worst:.2f}"))
    yield ""
    for percent in (0, 0.1, 0.3, 1):
        yield f"within {percent} %: {sum(abs(row.error_percent) <= percent for row in rows)} of {len(rows)}"


def draw(rows: Sequence[ComparedRow], path: Path) -> None:
    """Draw ours against RTL, and the error of every row, as a PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (cycles, errors) = plt.subplots(
        1, 2, figsize=(13, 11), gridspec_kw={"width_ratios": [1, 1.25]}, layout="constrained"
    )
    groups = list(dict.fromkeys(row.group for row in rows))
    colours = dict(zip(groups, ("#2b7bba", "#85bde6", "#d95f02", "#1a9e77"), strict=False))
    for group in groups:
        of_group = [row for row in rows if row.group == group]
        points = [row.measured_cycles for row in of_group], [row.cycles for row in of_group]
        cycles.loglog(*points, "o", color=colours[group], alpha=0.75, label=group)
    ends = [min(row.measured_cycles for row in rows) * 0.8, max(row.measured_cycles for row in rows) * 1.25]
    cycles.plot(ends, ends, color="#69707b", linewidth=0.8, zorder=0)
    cycles.set(xlabel="Gemmini RTL, cycles", ylabel="bittrue, cycles", title="Cycles of weight-stationary GEMMs")
    cycles.set_aspect("equal")
    cycles.legend(frameon=False)
    places = np.arange(len(rows))[::-1]
    errors.barh(places, [row.error_percent for row in rows], color=[colours[row.group] for row in rows], height=0.8)
    errors.axvline(0, color="#69707b", linewidth=0.8)
    errors.set_yticks(places, [f"{row.name}  L{row.group.split()[-1]}" for row in rows], fontsize=7)
    errors.set_ylim(-1, len(rows))
    errors.grid(axis="x", color="#d5d9e0", linewidth=0.7)
    errors.set_axisbelow(True)
    errors.set(xlabel="error, % of RTL cycles", title="Error per row (M x K x N, memory latency L in cycles)")
    for axes in (cycles, errors):
        axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100, metadata={"Software": None})
    plt.close(figure)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables and draw the picture; 1 where traffic differs, 2 without data."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.validation", description=__doc__)
    parser.add_argument("--figure", type=Path, default=FIGURE, help="PNG to write")
    options = parser.parse_args(arguments)
    folder = os.environ.get("BITTRUE_ASSETS")
    if not folder or not (Path(folder) / ROWS).is_file():
        print(f"set BITTRUE_ASSETS to the folder that holds {ROWS}", file=sys.stderr)
        return 2
    accelerator = bittrue.load_accelerator("gemmini_16x16")
    rows = compare(Path(folder) / ROWS, accelerator)
    for line in tables(rows):
        print(line)
    draw(rows, options.figure)
    if (Path(folder) / EXECUTE_ROWS).is_file():
        print()
        for line in execute_tables(execute_rows(Path(folder) / EXECUTE_ROWS, accelerator)):
            print(line)
    return 0 if all(row.traffic_is_equal for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
