"""Hold presets of real devices to cycle counts of their RTL: a table, and a picture in docs/figures.

    BITTRUE_ASSETS=FOLDER python -m benchmarks.validation [--figure docs/figures/validation_gemmini.png]

FOLDER/validation/gemmini16_gemm_ws.csv holds matrix products simulated in Gemmini's generated RTL: sizes, output, bias,
memory latency, cycles, beats and commands.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import bittrue
from benchmarks.plain_table import PlainTable

FIGURE = Path(__file__).parents[1] / "docs" / "figures" / "validation_gemmini.png"
ROWS = Path("validation") / "gemmini16_gemm_ws.csv"


@dataclass(frozen=True)
class Comparison:
    """One row of the RTL beside ours."""

    m: int
    n: int
    k: int
    out: str
    bias: bool
    latency_cycles: int
    rtl_cycles: int
    cycles: int
    traffic_is_equal: bool
    """Beats read, beats written and commands."""

    @property
    def error_percent(self) -> float:
        """Return (ours - RTL) / RTL."""
        return 100 * (self.cycles - self.rtl_cycles) / self.rtl_cycles

    @property
    def group(self) -> str:
        """Output, bias and latency."""
        return f"{self.out}{' + bias' if self.bias else ''}, latency {self.latency_cycles}"

    @property
    def name(self) -> str:
        """Sizes, as M x N x K."""
        return f"{self.m}x{self.n}x{self.k}"


def compare(path: Path, accelerator: bittrue.Accelerator) -> list[Comparison]:
    """Run every row of a file.

    Raises
    ------
    OSError
        The file cannot be read.

    """
    with path.open(newline="") as file:
        return [_compare(row, accelerator) for row in csv.DictReader(file)]


def _compare(row: dict[str, str], accelerator: bittrue.Accelerator) -> Comparison:
    m, n, k, latency = (int(row[name]) for name in ("M", "N", "K", "mem_latency"))
    bias = row["bias"] != "none"
    net = bittrue.networks.gemm(m, k, n, out=row["out"], bias="matrix" if bias else False)
    device = accelerator.evolve({"dram.latency_cycles": latency})
    assert device.controller is not None
    layer = bittrue.simulate(net, device).layers[0]
    beat, loop = device.controller.bus_bytes, device.controller.commands_per_loop
    commands = device.controller.setup_commands + loop * layer.tile_ops
    ours = (layer.dram_read_bytes, layer.dram_write_bytes, commands)
    theirs = (beat * int(row["rd_beats16B"]), beat * int(row["wr_beats16B"]), int(row["rocc_cmds"]))
    return Comparison(m, n, k, row["out"], bias, latency, int(row["cycles"]), layer.total_cycles, ours == theirs)


def summary(rows: Sequence[Comparison]) -> list[tuple[str, int, float, float]]:
    """Return (group, rows, mean and worst absolute error in per cent) of every group, and of all."""
    groups: dict[str, list[float]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(abs(row.error_percent))
    groups["all"] = [abs(row.error_percent) for row in rows]
    return [(name, len(errors), float(np.mean(errors)), max(errors)) for name, errors in groups.items()]


def tables(rows: Sequence[Comparison]) -> Iterable[str]:
    """Lines of both tables: every row, then every group."""
    table = PlainTable(("M x N x K", 14), ("group", 26), ("RTL", 8), ("ours", 8), ("error %", 8), ("traffic", 8))
    yield table.header()
    for row in rows:
        traffic = "equal" if row.traffic_is_equal else "DIFFERS"
        cells = (row.name, row.group, str(row.rtl_cycles), str(row.cycles), f"{row.error_percent:+.2f}", traffic)
        yield table.row(cells)
    yield ""
    table = PlainTable(("group", 26), ("rows", 5), ("mean |error| %", 14), ("worst %", 8))
    yield table.header()
    for name, count, mean, worst in summary(rows):
        yield table.row((name, str(count), f"{mean:.2f}", f"{worst:.2f}"))
    yield ""
    for percent in (0, 0.1, 0.3, 1):
        yield f"within {percent} %: {sum(abs(row.error_percent) <= percent for row in rows)} of {len(rows)}"


def draw(rows: Sequence[Comparison], path: Path) -> None:
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
        points = [row.rtl_cycles for row in of_group], [row.cycles for row in of_group]
        cycles.loglog(*points, "o", color=colours[group], alpha=0.75, label=group)
    ends = [min(row.rtl_cycles for row in rows) * 0.8, max(row.rtl_cycles for row in rows) * 1.25]
    cycles.plot(ends, ends, color="#69707b", linewidth=0.8, zorder=0)
    cycles.set(xlabel="Gemmini RTL, cycles", ylabel="bittrue, cycles", title="Cycles of weight-stationary GEMMs")
    cycles.set_aspect("equal")
    cycles.legend(frameon=False)
    places = np.arange(len(rows))[::-1]
    errors.barh(places, [row.error_percent for row in rows], color=[colours[row.group] for row in rows], height=0.8)
    errors.axvline(0, color="#69707b", linewidth=0.8)
    errors.set_yticks(places, [f"{row.name}  L{row.latency_cycles}" for row in rows], fontsize=7)
    errors.set_ylim(-1, len(rows))
    errors.grid(axis="x", color="#d5d9e0", linewidth=0.7)
    errors.set_axisbelow(True)
    errors.set(xlabel="error, % of RTL cycles", title="Error per row (M x N x K, memory latency L in cycles)")
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
    rows = compare(Path(folder) / ROWS, bittrue.load_accelerator("gemmini_16x16"))
    for line in tables(rows):
        print(line)
    draw(rows, options.figure)
    return 0 if all(row.traffic_is_equal for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
