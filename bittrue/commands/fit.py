"""`bittrue fit`: tune an accelerator's timing constants to measured layers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bittrue.commands.loading import load_device
from bittrue.console import refusals, stderr, stdout
from bittrue.progress import RunProgress

if TYPE_CHECKING:
    from bittrue.fitting.fit import Fit
    from simulator.accelerator.spec import Accelerator


@refusals
def fit(
    accelerator: Annotated[str, typer.Argument(help="A preset (`bittrue accelerators`) or a YAML file to start from.")],
    rows: Annotated[Path, typer.Argument(metavar="ROWS.csv", help="Measured layers, one a line (docs/fitting.md).")],
    free: Annotated[
        list[str] | None,
        typer.Option(
            "--free", metavar="KEY=LOW..HIGH", help="A constant to fit, e.g. dma.setup_cycles=0..200. Repeatable."
        ),
    ] = None,
    hold_back: Annotated[
        int,
        typer.Option("--hold-back", metavar="N", help="Judge by every N-th row of a group, fit the others; 0 = none."),
    ] = 4,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE.yaml", help="Write the fitted accelerator.")
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Change the accelerator before, e.g. array.rows=64. Repeatable."
        ),
    ] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Fit nothing: print ours, theirs and the error of every row.")
    ] = False,
) -> None:
    """Tune timing constants to cycles measured on your hardware; print the errors, on held-back rows too."""
    from accel_models.save import save_accelerator
    from bittrue.fitting.fit import fit as run_fit

    start = load_device(accelerator, changes or [])
    if compare:
        _refuse_options_of_a_fit(free, output)
        _print_rows(start, rows)
        return
    _refuse_no_folder(output)
    bounds = dict(map(_bounds, free)) if free else None
    with RunProgress(stderr()) as progress:
        progress.phase("fit", rows.name)
        found = run_fit(start, rows, bounds, hold_back, progress.update)
    _print(found)
    if output is not None:
        note = f"Fitted to {rows.name} by bittrue fit, starting from {start.name}."
        stdout().print(f"\nwrote {save_accelerator(found.accelerator, output, note)}")


def _refuse_options_of_a_fit(free: list[str] | None, output: Path | None) -> None:
    from simulator.errors import InputError

    if free or output is not None:
        raise InputError("--compare fits nothing: leave --free and --output out")


def _refuse_no_folder(output: Path | None) -> None:
    """Refuse before the work what cannot be written after it."""
    from simulator.errors import InputError

    if output is not None and not output.parent.is_dir():
        raise InputError(f"{output}: there is no folder {output.parent}")
    if output is not None and output.is_dir():
        raise InputError(f"{output}: it is a folder; name a file in it")


def _print_rows(accelerator: Accelerator, path: Path) -> None:
    from bittrue.fitting.compare import compare_rows, summary
    from bittrue.tables import draw

    with RunProgress(stderr()) as progress:
        progress.phase("compare", path.name)
        found = compare_rows(accelerator, path, progress.update)
    console = stdout()
    lines = [
        {
            "line": str(row.line),
            "layer": row.name,
            "rows": row.group,
            "ours": str(row.cycles),
            "theirs": str(row.measured_cycles),
            "error %": f"{row.error_percent:+.2f}",
            "traffic": "-" if not row.traffic else "equal" if row.traffic_is_equal else "DIFFERS",
        }
        for row in found
    ]
    draw(console, lines, flexible=("layer", "rows"))
    console.print()
    names = ("mean |error| %", "worst %")
    draw(
        console,
        [
            {"rows": group, "count": str(count)} | dict(zip(names, (f"{value:.2f}" for value in errors), strict=True))
            for group, count, *errors in summary(found)
        ],
    )


def _bounds(text: str) -> tuple[str, tuple[int, int]]:
    from simulator.errors import InputError

    key, _, span = text.partition("=")
    low, dots, high = span.partition("..")
    try:
        if key.strip() and dots:
            return key.strip(), (int(low), int(high))
    except ValueError:
        pass
    raise InputError(f"--free {text}: write KEY=LOW..HIGH in whole numbers, e.g. dma.setup_cycles=0..200")


def _print(found: Fit) -> None:
    from bittrue.tables import draw

    console = stdout()
    draw(
        console,
        [{"constant": key, "before": str(a), "fitted": str(b)} for key, (a, b) in found.constants.items()],
    )
    console.print()
    names = ("before: mean |error| %", "before: worst %", "fitted: mean |error| %", "fitted: worst %")
    draw(
        console,
        [
            {"rows": group, "count": str(count)} | dict(zip(names, (f"{value:.2f}" for value in errors), strict=True))
            for group, count, *errors in found.summary()
        ],
    )
    worst = sorted(found.rows, key=lambda row: -abs(row.error_percent))[:3]
    told = "; ".join(f"line {r.line} {r.name} {r.error_percent:+.1f} %" for r in worst)
    console.print(f"\n{found.evaluations} settings tried; furthest off: {told}")
