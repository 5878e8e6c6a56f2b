"""`bittrue report`: look at a saved run again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from bittrue.console import refusals, stdout

Format = Literal["html", "md", "csv", "parquet", "trace", "model-explorer"]
"""Names of the formats, those of `reports.formats`."""


@refusals
def report(
    directory: Annotated[Path, typer.Argument(help="Folder of a saved run.")],
    form: Annotated[
        Format | None,
        typer.Option(
            "--format",
            help="md: for a pull request; csv, parquet: a row a layer; trace: for Perfetto (.json.gz); "
            "model-explorer: colours for the graph of the network's file. Texts are printed without -o.",
            show_default=False,
        ),
    ] = None,
    field: Annotated[
        str, typer.Option(help="With --format model-explorer: what a layer's colour shows, e.g. energy_pj.")
    ] = "total_cycles",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write, for any format.")] = None,
) -> None:
    """Print the tables of a saved run and draw its report.html again; or write the run in another format."""
    from bittrue.run_tables import show_record
    from reports.folder import rebuild_report
    from simulator.errors import InputError
    from simulator.records.store import read_run

    stored = read_run(directory)
    if form is None and output is None:
        console = stdout()
        show_record(console, stored.record)
        console.print(f"\n{rebuild_report(directory)}")
        return
    from reports.formats import BINARY, made

    form = form or "html"
    if output is None and form in BINARY:
        raise InputError(f"--format {form} is no text: give -o FILE")
    content = made(stored, form, field)
    if output is None:
        typer.echo(content.decode(), nl=False)
    else:
        _write(output, content)
        stdout().print(str(output))


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    from simulator.errors import InputError

    draft = path.with_name(f".{path.name}.new")
    try:
        draft.write_bytes(content)
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from None
