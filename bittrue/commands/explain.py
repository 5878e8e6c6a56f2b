"""`bittrue explain`: what a column of a report means."""

from __future__ import annotations

from itertools import groupby
from typing import Annotated

import typer
from rich.text import Text

from bittrue.console import refusals, stdout


@refusals
def explain(
    field: Annotated[
        str, typer.Argument(metavar="[FIELD]", help="A field or column, e.g. needed_bits, RunRecord.dram_bytes, MMACs.")
    ] = "",
) -> None:
    """Tell what a field of the results means, with its formula; without FIELD, list them all."""
    from reports.tables import FIELDS
    from simulator.records.explain import explain as find
    from simulator.records.explain import explanations

    console = stdout()
    if field:
        for item in find(FIELDS.get(field, field)):
            console.print(Text.assemble((item.path, "bold"), f"  {item.type}"))
            console.print(f"  {item.text}")
        return
    for record, items in groupby(explanations(), key=lambda item: item.record):
        console.print(Text(record, style="bold"))
        for item in items:
            console.print(Text.assemble("  ", (item.path, "bold"), f"  {item.type}  {item.text}"))
