"""`bittrue check`: hold networks on accelerators to a golden."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bittrue.commands.options import Threads
from bittrue.console import refusals, stderr, stdout


@refusals
def check(
    golden: Annotated[Path, typer.Argument(metavar="GOLDEN.yaml", help="What must come out (docs/regression.md).")],
    case: Annotated[
        list[str] | None, typer.Option("--case", metavar="NAME", help="Only this case. Repeatable.")
    ] = None,
    update: Annotated[
        bool, typer.Option("--update", help="Print old and new of what differs, then write it into the golden.")
    ] = False,
    threads: Threads = None,
) -> None:
    """Run the cases of a golden: values, cycles, energy, traffic, overflow. Exit status 1 where one fails."""
    from bittrue.golden.check import examine
    from bittrue.golden.rewrite import write_update
    from bittrue.progress import RunProgress

    with RunProgress(stderr()) as progress:
        progress.phase("check", str(golden))
        found = examine(golden, cases=case or (), recording=update, threads=threads, on_progress=progress.update)
    console = stdout()
    if not update:
        for line in found.lines():
            console.print(line)
        if not found.passed:
            raise typer.Exit(1)
        return
    for line in found.update_lines():
        console.print(line)
    if found.changed:
        write_update(found)
    console.print(f"{golden}: {'updated' if found.changed else 'nothing to update'}")
    unmet = [f"{golden}:{failure.line}: {failure.text}" for result in found.cases for failure in result.required]
    for line in unmet:
        console.print(line)
    if unmet:
        raise typer.Exit(1)
