"""Fit: change free constants until the cycles of measured layers are met; judge on rows held back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from math import sqrt
from pathlib import Path
from statistics import fmean
from typing import Any

from bittrue.api import simulate
from bittrue.fitting.free import FreeConstant, free_constants
from bittrue.fitting.rows import MeasuredLayer, read_rows
from simulator.accelerator.spec import Accelerator
from simulator.errors import BittrueError, InputError

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class FittedRow:
    """One measured layer before and after."""

    line: int
    """Of the file."""
    name: str
    group: str
    held_back: bool
    """Not used to fit, only to judge."""
    measured_cycles: int
    cycles_before: int
    """Simulated, constants as they were."""
    cycles: int
    """Simulated, constants fitted."""

    @property
    def error_before_percent(self) -> float:
        """100 * (simulated - measured) / measured, constants as they were."""
        return 100 * (self.cycles_before - self.measured_cycles) / self.measured_cycles

    @property
    def error_percent(self) -> float:
        """100 * (simulated - measured) / measured, constants fitted."""
        return 100 * (self.cycles - self.measured_cycles) / self.measured_cycles


@dataclass(frozen=True)
class Fit:
    """What `fit` found."""

    accelerator: Accelerator
    """With the fitted constants."""
    constants: Mapping[str, tuple[int, int]]
    """(before, after) of every free constant by dotted key."""
    rows: tuple[FittedRow, ...]
    evaluations: int
    """Settings of the constants that were simulated."""

    def summary(self) -> list[tuple[str, int, float, float, float, float]]:
        """(group, rows, mean and worst absolute error before, and fitted, per cent) of every group, and of all."""
        groups: dict[str, list[FittedRow]] = {}
        for row in self.rows:
            groups.setdefault(f"{row.group}, {'held back' if row.held_back else 'fitted'}", []).append(row)
        groups["all fitted"] = [row for row in self.rows if not row.held_back]
        groups["all held back"] = [row for row in self.rows if row.held_back]
        return [(name, len(rows), *_errors(rows)) for name, rows in groups.items() if rows]


def _errors(rows: Sequence[FittedRow]) -> tuple[float, float, float, float]:
    before = [abs(row.error_before_percent) for row in rows]
    after = [abs(row.error_percent) for row in rows]
    return fmean(before), max(before), fmean(after), max(after)


def fit(
    accelerator: Accelerator,
    rows: str | Path | Sequence[MeasuredLayer],
    free: Mapping[str, tuple[int, int]] | None = None,
    hold_back: int = 4,
    on_progress: Progress | None = None,
) -> Fit:
    """Tune timing constants of an accelerator to measured cycles.

    A pattern search on whole numbers: each constant a step up and down, each pair against each other, the steps halved
    where none helps, the root mean square error in per cent as cost. The same file gives the same answer. Interrupted
    (Ctrl-C), it ends with the best so far.

    Parameters
    ----------
    accelerator
        Where to start.
    rows
        CSV file (see `bittrue.fitting.rows.read_rows`), or rows read before.
    free
        (least, greatest) of each free constant by dotted key; None = setup, latency and start-up cycles, or a
        controller's latencies.
    hold_back
        Every so many-th row of each group is not fitted but judged by; 0 = none.
    on_progress
        Called with (settings simulated, 0, label).

    Raises
    ------
    InputError
        A file or a constant that cannot be used, or a row that this accelerator cannot run.

    """
    layers = read_rows(rows, accelerator) if isinstance(rows, str | Path) else tuple(rows)
    if hold_back < 0 or hold_back == 1:
        raise InputError(f"hold_back is 0 or at least 2, not {hold_back}")
    held = _held_back(layers, hold_back)
    fixed = {key for layer in layers for key in layer.changes}
    constants = free_constants(accelerator, free, sorted(fixed))
    search = _Search(
        accelerator, [row for row, out in zip(layers, held, strict=True) if not out], constants, on_progress
    )
    best = search.run()
    after = accelerator.evolve(_changes(constants, best))
    return Fit(
        after,
        {c.key: (c.start, value) for c, value in zip(constants, best, strict=True)},
        tuple(
            FittedRow(r.line, r.name, r.group, out, r.cycles, _cycles(r, accelerator), _cycles(r, after))
            for r, out in zip(layers, held, strict=True)
        ),
        len(search.known),
    )


def _held_back(layers: Sequence[MeasuredLayer], every: int) -> list[bool]:
    seen: dict[str, int] = {}
    held = []
    for layer in layers:
        seen[layer.group] = seen.get(layer.group, 0) + 1
        held.append(every > 0 and seen[layer.group] % every == 0)
    return held


def _changes(constants: Sequence[FreeConstant], values: Sequence[int]) -> dict[str, Any]:
    return {constant.key: value for constant, value in zip(constants, values, strict=True)}


def _cycles(layer: MeasuredLayer, accelerator: Accelerator) -> int:
    try:
        return simulate(layer.network, accelerator.evolve(layer.changes)).record.total_cycles
    except BittrueError as error:
        raise InputError(f"row of line {layer.line} ({layer.name}) cannot be run: {error}") from None


def _directions(steps: Sequence[int]) -> list[tuple[int, ...]]:
    """Return steps of one constant, and of one against another: where two add up, only their sum shows at first."""
    one = [tuple(step if i == j else 0 for j in range(len(steps))) for i, step in enumerate(steps)]
    step = min(steps)
    pairs = [
        tuple(step * ((j == a) - (j == b)) for j in range(len(steps))) for a, b in combinations(range(len(steps)), 2)
    ]
    return one + pairs


@dataclass
class _Search:
    """Pattern search over whole numbers."""

    accelerator: Accelerator
    layers: Sequence[MeasuredLayer]
    constants: Sequence[FreeConstant]
    on_progress: Progress | None
    known: dict[tuple[int, ...], float] = field(default_factory=dict)

    def run(self) -> tuple[int, ...]:
        """Return the best values found."""
        best = tuple(constant.start for constant in self.constants)
        self._error(best)
        steps = [max(1, max(constant.start, (constant.high - constant.low) // 8) // 2) for constant in self.constants]
        try:
            while True:
                before = best
                for direction in _directions(steps):
                    best = self._along(best, direction)
                if best == before and max(steps) == 1:
                    return best
                if best == before:
                    steps = [max(1, step // 2) for step in steps]
        except KeyboardInterrupt:
            return min(self.known, key=lambda values: self.known[values])

    def _along(self, best: tuple[int, ...], direction: Sequence[int]) -> tuple[int, ...]:
        """Go on in a direction, or against it, for as long as that helps."""
        for sign in (1, -1):
            while True:
                other = tuple(
                    min(max(value + sign * step, constant.low), constant.high)
                    for value, step, constant in zip(best, direction, self.constants, strict=True)
                )
                if other == best or self._error(other) >= self._error(best):
                    break
                best = other
        return best

    def _error(self, values: tuple[int, ...]) -> float:
        """Root mean square error of the fitted rows, per cent."""
        if values not in self.known:
            accelerator = self.accelerator.evolve(_changes(self.constants, values))
            errors = [(_cycles(row, accelerator) - row.cycles) / row.cycles for row in self.layers]
            self.known[values] = 100 * sqrt(fmean(error * error for error in errors))
            if self.on_progress:
                self.on_progress(len(self.known), 0, f"fit: error {min(self.known.values()):.2f} %")
        return self.known[values]
