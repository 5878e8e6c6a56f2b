"""`bittrue compare`: two saved runs, or a saved run and reference arrays."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bittrue.console import refusals, stdout

if TYPE_CHECKING:
    from rich.console import Console

    from reports.compare import Comparison

_SHOWN = 20
_TENSORS_SHOWN = 5


@refusals
def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="Folder of a saved run, or manifest.json of vectors.")],
    second: Annotated[
        Path,
        typer.Argument(
            metavar="B",
            help="Folder of another run; a .npz or manifest.json of reference arrays; to vectors, the folder in which "
            "a test bench wrote files of the same names.",
        ),
    ],
    tolerance: Annotated[float, typer.Option("--tolerance", min=0, help="Difference of values that is none.")] = 0,
    cycles: Annotated[
        float, typer.Option("--cycles", metavar="PERCENT", min=0, help="Change of total cycles that is allowed.")
    ] = 0,
    energy: Annotated[
        float, typer.Option("--energy", metavar="PERCENT", min=0, help="Change of total energy that is allowed.")
    ] = 0,
) -> None:
    """Compare two runs: first differing value, cycles and energy by layer. Exit status 1 where they differ too much."""
    from reports.compare import compare_runs

    found = compare_runs(first, second, tolerance)
    console = stdout()
    _print_values(console, found)
    _print_costs(console, found)
    limits = {"total_cycles": cycles, "total_energy_pj": energy, "overflow_events": 0.0}
    beyond = [name for name, limit in limits.items() if name in found.totals and abs(found.more_percent(name)) > limit]
    if found.differences:
        beyond.insert(0, "values")
    if beyond:
        console.print(f"\ndifferent: {', '.join(beyond)}")
        raise typer.Exit(1)
    console.print("\nthe same" if not found.layers else "\nwithin the tolerances")


def _print_values(console: Console, found: Comparison) -> None:
    from reports.units import short_name

    if found.compared == "nothing":
        console.print("values: none to compare (a run for timing only, or without its outputs)")
        return
    console.print(f"values: {found.compared}, {found.tensors} compared, {len(found.differences)} differ")
    for index, d in enumerate(found.differences[:_TENSORS_SHOWN]):
        name = short_name(d.name)
        if d.reason:
            console.print(f"  {name}: {d.reason}")
            continue
        place = ", ".join(map(str, d.coordinates))
        lead = "  first: " if index == 0 else "  "
        console.print(
            f"{lead}{name}[{place}]: {d.first} against {d.second}; {d.differing:,} of {d.elements:,} values differ, "
            f"by {d.greatest} at most"
        )
    if len(found.differences) > _TENSORS_SHOWN:
        console.print(f"  ({len(found.differences) - _TENSORS_SHOWN} more)")


def _print_costs(console: Console, found: Comparison) -> None:
    from bittrue.tables import draw
    from reports.units import short_name

    for name, (a, b) in found.totals.items():
        change = "" if a == b or not a else f"  ({found.more_percent(name):+.2f} %)"
        console.print(f"{name}: {a:,.0f} against {b:,.0f}{change}")
    if not found.layers:
        return
    console.print(f"\nlayers that differ: {len(found.layers)}, the greatest change first")
    rows = [
        {
            "layer": short_name(d.name),
            "cycles A": _count(d.cycles[0]),
            "cycles B": _count(d.cycles[1]),
            "more": f"{d.cycles_more:+,}" if None not in d.cycles else "-",
            "energy A uJ": _micro(d.energy_pj[0]),
            "energy B uJ": _micro(d.energy_pj[1]),
            "overflows A": _count(d.events[0]),
            "overflows B": _count(d.events[1]),
        }
        for d in found.layers[:_SHOWN]
    ]
    unknown = [header for header in rows[0] if all(row[header] == "-" for row in rows)]
    draw(console, [{k: v for k, v in row.items() if k not in unknown} for row in rows], flexible=("layer",))
    if len(found.layers) > _SHOWN:
        console.print(f"({len(found.layers) - _SHOWN} more)")


def _count(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _micro(value: float | None) -> str:
    return "-" if value is None else f"{value / 1e6:,.2f}"
