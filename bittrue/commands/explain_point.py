"""`bittrue explain-point`: what a point of a sweep is, and where its time goes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bittrue.console import refusals, stdout

if TYPE_CHECKING:
    from rich.console import Console

    from bittrue.sweeping.store import StoredPoint


@refusals
def explain_point(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a sweep.")],
    point: Annotated[
        str, typer.Argument(metavar="POINT", help="Beginning of its key: column `point` of points.csv and front.csv.")
    ],
    most: Annotated[int, typer.Option("--layers", min=1, help="Layers to show, the longest first.")] = 20,
) -> None:
    """Tell the settings and figures of a point of a sweep, and its bottleneck layer by layer."""
    from bittrue.sweeping.store import FILE, SweepStore
    from bittrue.tables import draw
    from reports.layer_shares import share_rows
    from simulator.errors import InputError

    if not (folder / FILE).is_file():
        raise InputError(f"{folder} is not the folder of a sweep: it holds no {FILE}")
    with SweepStore(folder) as store:
        found = store.point(point)
        layers = store.layer_shares(found.key)
    console = stdout()
    _print_point(console, found)
    if layers:
        console.print()
        draw(console, share_rows(layers, most), flexible=["layer"])
    elif found.figures is not None:
        console.print("its layers are not known: an earlier version evaluated it")


def _print_point(console: Console, point: StoredPoint) -> None:
    from bittrue.sweeping.metrics import OBJECTIVES, bottleneck
    from reports.figures_pareto import figure_text

    words = [f"{key}={value}" for key, value in point.keywords.items()]
    console.print(f"{point.short_key}: {' '.join([point.network, *words])}")
    for key, value in point.changes.items():
        console.print(f"  {key} = {value}")
    if point.figures is None:
        console.print(f"not evaluated, {point.attempts} attempts: {point.error or 'not tried yet'}")
        return
    for name in OBJECTIVES:
        if name in point.figures:
            console.print(f"{name:<18} {figure_text(name, point.figures[name])}")
    console.print(f"{'bottleneck':<18} {bottleneck(point.figures)}")
