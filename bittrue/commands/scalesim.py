"""`bittrue scalesim`: the reports of SCALE-Sim for SCALE-Sim's own files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from bittrue.console import refusals, stdout


@refusals
def scalesim(
    config: Annotated[Path, typer.Option("--config", "-c", metavar="CFG", help="SCALE-Sim configuration (.cfg).")],
    topology: Annotated[Path, typer.Option("--topology", "-t", metavar="CSV", help="SCALE-Sim topology (.csv).")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the three reports.")],
    kind: Annotated[
        Literal["conv", "gemm"], typer.Option("--input-type", "-i", help="Convolutions, or M, N, K.")
    ] = "conv",
) -> None:
    """Write SCALE-Sim's CALC reports, by closed forms, and the cycles of RTL beside its own (docs/scalesim.md)."""
    from reports.scalesim import write_scalesim_reports
    from simulator.timing.scalesim.closed_forms import report_layer
    from workloads.importers.scalesim import read_config, read_topology

    device = read_config(config)
    rows = [report_layer(layer, device) for layer in read_topology(topology, gemm=kind == "gemm")]
    console = stdout()
    for path in write_scalesim_reports(output, rows):
        console.print(str(path))
    cycles = sum(row.total_cycles for row in rows)
    console.print(f"{len(rows)} layers, {cycles:,} cycles as SCALE-Sim counts them, dataflow {device.dataflow}")
