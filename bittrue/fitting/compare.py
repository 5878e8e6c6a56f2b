"""Measured layers beside simulated ones: ours, theirs, error, for every kind of row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from bittrue.api import simulate
from bittrue.fitting.rows import MeasuredLayer, read_rows
from simulator.accelerator.spec import Accelerator
from simulator.errors import BittrueError, InputError
from simulator.reuse import lowered, mapped

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class ComparedRow:
    """One measured layer and what the simulator says of it."""

    line: int
    """Of the file."""
    name: str
    group: str
    measured_cycles: int
    cycles: int
    """Simulated."""
    traffic: Mapping[str, tuple[int, int]]
    """(simulated, measured) of what the file has of `dram_read_bytes`, `dram_write_bytes` and `commands`."""

    @property
    def error_percent(self) -> float:
        """100 * (simulated - measured) / measured."""
        return 100 * (self.cycles - self.measured_cycles) / self.measured_cycles

    @property
    def traffic_is_equal(self) -> bool:
        """Whether all measured traffic is met, none included."""
        return all(ours == theirs for ours, theirs in self.traffic.values())


def compare_rows(
    accelerator: Accelerator, rows: str | Path | Sequence[MeasuredLayer], on_progress: Progress | None = None
) -> tuple[ComparedRow, ...]:
    """Simulate every row of a file as it is.

    Parameters
    ----------
    rows
        CSV file (see `bittrue.fitting.rows.read_rows`), or rows read before.
    on_progress
        Called with (rows done, rows, name).

    Raises
    ------
    InputError
        A file that cannot be used, or a row that this accelerator cannot run.

    """
    layers = read_rows(rows, accelerator, least=1) if isinstance(rows, str | Path) else tuple(rows)
    found = []
    for index, layer in enumerate(layers):
        found.append(_compared(layer, accelerator))
        if on_progress is not None:
            on_progress(index + 1, len(layers), layer.name)
    return tuple(found)


def summary(rows: Sequence[ComparedRow]) -> list[tuple[str, int, float, float]]:
    """(group, rows, mean and worst absolute error in per cent) of every group, and of all."""
    groups: dict[str, list[float]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(abs(row.error_percent))
    groups["all"] = [abs(row.error_percent) for row in rows]
    return [(name, len(errors), fmean(errors), max(errors)) for name, errors in groups.items() if errors]


def _compared(layer: MeasuredLayer, accelerator: Accelerator) -> ComparedRow:
    try:
        device = accelerator.evolve(layer.changes)
        record = simulate(layer.network, device).record
        ours = {
            "dram_read_bytes": sum(one.dram_read_bytes for one in record.layers),
            "dram_write_bytes": sum(one.dram_write_bytes for one in record.layers),
        }
        if "commands" in layer.traffic:
            ours["commands"] = host_commands(layer, device)
    except BittrueError as error:
        raise InputError(f"row of line {layer.line} ({layer.name}) cannot be run: {error}") from None
    traffic = {name: (ours[name], theirs) for name, theirs in layer.traffic.items()}
    return ComparedRow(layer.line, layer.name, layer.group, layer.cycles, record.total_cycles, traffic)


def host_commands(layer: MeasuredLayer, accelerator: Accelerator) -> int:
    """Commands that the host of a device with a controller issues for a layer; 0 where it does not run as commands."""
    graph, controller = layer.network.graph, accelerator.controller
    schedule = mapped(graph, lowered(graph, accelerator), accelerator).schedule
    if controller is None:
        return 0
    return sum(one.commands.host_commands(controller) for one in schedule.layers if one.commands is not None)
