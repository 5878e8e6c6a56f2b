"""`bittrue report`: look at a saved run again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bittrue.console import refusals, stdout


@refusals
def report(directory: Annotated[Path, typer.Argument(help="Folder of a saved run.")]) -> None:
    """Print the tables of a saved run and draw its report.html again."""
    from bittrue.run_tables import show_record
    from reports.folder import rebuild_report
    from simulator.records.store import read_run

    console = stdout()
    show_record(console, read_run(directory).record)
    console.print(f"\n{rebuild_report(directory)}")
