"""`bittrue sweep`: evaluate a space of accelerators, and draw what is worth having."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bittrue.commands.loading import assignments
from bittrue.commands.options import NetworkOptions
from bittrue.console import refusals, stderr, stdout
from bittrue.progress import RunProgress

if TYPE_CHECKING:
    from rich.console import Console

    from bittrue.sweeping.run import SweepResult
    from reports.layer_shares import LayerShare

_SHOWN = 20


@refusals
def sweep(
    space: Annotated[Path, typer.Argument(metavar="SPACE.yaml", help="What is varied (docs/sweeps.md).")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder of the results; repeat to go on.")
    ],
    engine: Annotated[
        str, typer.Option("--engine", help="in-process, processes, processes:N, dask:ADDRESS, ray:auto or ray:ADDRESS.")
    ] = "in-process",
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=1, help="At most so many points, spread over the space.", show_default=False),
    ] = None,
    net: NetworkOptions = None,
) -> None:
    """Evaluate a space of accelerators; a repeated command goes on where it was stopped."""
    from bittrue.sweeping.engines import engine_named
    from bittrue.sweeping.pace import Pace
    from bittrue.sweeping.run import sweep as run_sweep
    from bittrue.sweeping.space import read_space
    from reports.design_points import write_design_points
    from reports.layer_shares import write_front_layers

    worker = engine_named(engine)
    asked = read_space(space)
    if limit is not None or net:
        asked = asked.small(limit, assignments("--net", net or []))
    with RunProgress(stderr()) as progress:
        progress.phase("sweep", asked.name)
        found = run_sweep(asked, output, worker, Pace(progress.update, progress.note).update)
    rows = found.rows()
    row_of = {point.key: row for point, row in zip(found.points, rows, strict=True)}
    fronts = {network: [row_of[p.key] for p in found.front(network)] for network in found.networks}
    written = write_design_points(output, asked.name, rows, asked.objectives, fronts)
    layers = found.front_layer_shares()
    named = [(network, str(row["point"])) for network, front in fronts.items() for row in front]
    written.append(write_front_layers(output / "front_layers.csv", named, layers))
    written.append(_write_page(output, found, rows, fronts, layers))
    console = stdout()
    for network in found.networks:
        _print_front(console, found, network)
    _print_counts(console, found)
    console.print(f"wrote {', '.join(path.name for path in written)} to {output}")


def _write_page(
    output: Path,
    found: SweepResult,
    rows: Sequence[Any],
    fronts: dict[str, list[Any]],
    layers: Mapping[str, Sequence[LayerShare]],
) -> Path:
    from importlib.metadata import version

    from reports.sweep_page import SweepPage, write_sweep_page

    space = found.space
    page = SweepPage(
        space.name,
        space.description,
        version("bittrue"),
        space.objectives,
        found.varied,
        rows,
        fronts,
        found.counts(),
        space.model_dump(mode="json", by_alias=True, exclude_defaults=True),
        layers,
    )
    return write_sweep_page(output / "report.html", page)


def _print_front(console: Console, found: SweepResult, network: str) -> None:
    from bittrue.sweeping.metrics import bottleneck
    from bittrue.tables import draw
    from reports.figures_pareto import figure_text

    front = found.front(network)
    console.print(f"{network}: {len(front)} of {len(found.points)} points on the front")
    headers = _short_keys(found.varied)
    rows = []
    for point in front[:_SHOWN]:
        figures = point.figures or {}
        cells = {header: _setting(key, point.changes.get(key)) for key, header in headers.items()}
        cells |= {name: figure_text(name, figures[name]) for name in found.space.objectives}
        rows.append(cells | {"bottleneck": bottleneck(figures)})
    draw(console, rows)
    if len(front) > _SHOWN:
        console.print(f"({len(front) - _SHOWN} more in front.csv)")
    console.print()


def _short_keys(keys: Sequence[str]) -> dict[str, str]:
    """Return, for each dotted key, its last parts: as many as tell it from the others."""
    found = {}
    for key in keys:
        parts = key.split(".")
        ends = [".".join(parts[-count:]) for count in range(1, len(parts) + 1)]
        found[key] = next(e for e in ends if sum(f".{other}".endswith(f".{e}") for other in keys) == 1)
    return found


def _setting(key: str, value: Any) -> str:
    from reports.units import binary_bytes

    return binary_bytes(value) if key.endswith(".size") and isinstance(value, int) else str(value)


def _print_counts(console: Console, found: SweepResult) -> None:
    console.print(
        f"{len(found.evaluated)} of {len(found.points)} points evaluated, {len(found.quarantined)} quarantined; "
        f"left out: {found.outside} accelerators outside constraints, {found.impossible} impossible"
    )
    if found.refusal:
        console.print(f"  impossible: {found.refusal}")
    for point in found.quarantined[:_SHOWN]:
        changes = ", ".join(f"{key}={value}" for key, value in point.changes.items())
        console.print(f"  quarantined: {point.network} {changes}: {point.error.splitlines()[0]}")
