"""`bittrue explain-scaling`: why 16 times the PEs gave 3 times the speed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bittrue.commands.loading import load_device, load_named_network
from bittrue.commands.options import NetworkOptions
from bittrue.console import refusals, stdout

if TYPE_CHECKING:
    from rich.console import Console

    from reports.scaling import Scaling
    from simulator.records.run import RunRecord

_SHOWN = 10
_SIDE = "Folder of a saved run; or, with --network, a preset or a YAML file."


@refusals
def explain_scaling(
    first: Annotated[str, typer.Argument(metavar="A", help=_SIDE)],
    second: Annotated[str, typer.Argument(metavar="B", help=_SIDE)],
    network: Annotated[
        str | None,
        typer.Option("--network", "-n", help="A file or a built-in name, to time on A and B.", show_default=False),
    ] = None,
    net: NetworkOptions = None,
    changes_a: Annotated[
        list[str] | None, typer.Option("--set-a", metavar="KEY=VALUE", help="Change accelerator A. Repeatable.")
    ] = None,
    changes_b: Annotated[
        list[str] | None, typer.Option("--set-b", metavar="KEY=VALUE", help="Change accelerator B. Repeatable.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Folder for the picture, CSV and JSON.")
    ] = None,
) -> None:
    """Explain the speed-up of B over A as a product of causes: why 16 times the PEs gave 3 times the speed."""
    from reports.scaling import explain_scaling as explained
    from reports.scaling_files import write_scaling
    from simulator.errors import InputError

    if network is None:
        if changes_a or changes_b or net:
            raise InputError("--net, --set-a and --set-b are for accelerators: give --network too")
        found = explained(_saved(first), _saved(second))
    else:
        found = explained(*_timed(network, net or [], [(first, changes_a or []), (second, changes_b or [])]))
    console = stdout()
    _print(console, found)
    if output is not None:
        written = write_scaling(output, found)
        console.print(f"\nwrote {', '.join(path.name for path in written)} to {output}")


def _saved(folder: str) -> RunRecord:
    from simulator.errors import RunFolderError
    from simulator.records.store import read_run

    try:
        return read_run(Path(folder)).record
    except RunFolderError as error:
        raise RunFolderError(f"{error}; to compare accelerators say on which network: --network NAME") from None


def _timed(network: str, options: list[str], sides: list[tuple[str, list[str]]]) -> list[RunRecord]:
    from bittrue.api import simulate

    loaded = load_named_network(network, options, None)
    return [simulate(loaded, load_device(name, changes), timing_only=True).record for name, changes in sides]


def _print(console: Console, found: Scaling) -> None:
    from bittrue.tables import draw
    from reports.scaling_files import factor_rows
    from reports.units import short_name, si, three_digits

    a, b = found.names
    times = [si(seconds, "s") for seconds in found.times_s]
    console.print(f"{found.network}: {a} {times[0]}, {b} {times[1]}")
    peak, speed = three_digits(float(found.ideal)), three_digits(float(found.speedup))
    console.print(f"{peak} times the peak gave {speed} times the speed:")
    draw(
        console,
        [
            {
                "factor": row["factor"],
                "times": three_digits(row["times"]),
                "speed-up": three_digits(row["speedup"]),
                "in A": si(row["seconds_a"], "s") if row["seconds_a"] else "",
                "in B": si(row["seconds_b"], "s") if row["seconds_b"] else "",
            }
            for row in factor_rows(found)
        ],
    )
    losing = [layer for layer in found.layers if layer.lost_s > 0]
    if not losing:
        return
    console.print(f"\nlayers that fall short of {peak} times, the greatest loss first")
    draw(
        console,
        [
            {
                "layer": short_name(layer.name),
                "A": si(layer.times_s[0], "s"),
                "B": si(layer.times_s[1], "s"),
                "speed-up": three_digits(layer.speedup),
                "lost": si(layer.lost_s, "s"),
                "mostly": layer.cause,
            }
            for layer in losing[:_SHOWN]
        ],
        flexible=("layer",),
    )
    if len(losing) > _SHOWN:
        console.print(f"({len(losing) - _SHOWN} more)")
