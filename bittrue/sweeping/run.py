"""Run a sweep: evaluate what the store does not know yet, retry what failed, quarantine what fails again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from bittrue.sweeping.engines import Engine, InProcess, Session
from bittrue.sweeping.evaluate import Evaluate
from bittrue.sweeping.evaluate import evaluate as evaluate_point
from bittrue.sweeping.metrics import bottleneck
from bittrue.sweeping.pareto import pareto_front
from bittrue.sweeping.points import DesignPoint, design_points
from bittrue.sweeping.search import Search
from bittrue.sweeping.space import Space, read_space
from bittrue.sweeping.store import MOST_ATTEMPTS, StoredPoint, SweepStore
from reports.layer_shares import LayerShare
from simulator.errors import BittrueError, SpecError
from simulator.records.hashing import content_hash
from workloads.load import load_network

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class SweepResult:
    """What a sweep knows: all points, in the order of the space."""

    space: Space
    points: tuple[StoredPoint, ...]
    impossible: int
    """Accelerators that the specification refuses."""
    outside: int
    """Accelerators outside a constraint that is known before."""
    folder: Path
    """Of the store."""
    refusal: str
    """Why the first impossible accelerator is; empty where there is none."""

    @property
    def evaluated(self) -> tuple[StoredPoint, ...]:
        """Points with figures."""
        return tuple(point for point in self.points if point.figures is not None)

    @property
    def quarantined(self) -> tuple[StoredPoint, ...]:
        """Points that failed as often as they may."""
        return tuple(point for point in self.points if point.quarantined)

    @property
    def networks(self) -> tuple[str, ...]:
        """Label of each network of the space."""
        return tuple(dict.fromkeys(_network_label(point) for point in self.points))

    def front(self, network: str) -> tuple[StoredPoint, ...]:
        """Pareto front of the points of a network that keep the constraints, in order of the first objective."""
        able = [p for p in self.evaluated if _network_label(p) == network and self._allowed(p)]
        front = pareto_front([p.figures or {} for p in able], self.space.objectives)
        return tuple(able[index] for index in front)

    def front_layer_shares(self) -> dict[str, tuple[LayerShare, ...]]:
        """Return the layers of every point on a front, by the short key that `rows` has as ``point``."""
        with SweepStore(self.folder) as store:
            fronts = [point for network in self.networks for point in self.front(network)]
            return {point.short_key: store.layer_shares(point.key) for point in fronts}

    def _allowed(self, point: StoredPoint) -> bool:
        figures = point.figures or {}
        return all(limit.allows(figures[name]) for name, limit in self.space.constraints.items() if name in figures)

    @property
    def varied(self) -> tuple[str, ...]:
        """Dotted keys that vary, in the order of the space."""
        return tuple(dict.fromkeys(key for axis in self.space.axes() for changes in axis for key in changes))

    def rows(self) -> list[dict[str, Any]]:
        """Return one flat row a point: network, what varied, figures, bottleneck, whether on a front, key, error."""
        fronts = {point.key for network in self.networks for point in self.front(network)}
        return [
            {"network": _network_label(point)}
            | {key: _cell(point.changes.get(key)) for key in self.varied}
            | dict(point.figures or {})
            | {"bottleneck": bottleneck(point.figures) if point.figures else ""}
            | {"on_front": int(point.key in fronts), "point": point.short_key, "error": point.error}
            for point in self.points
        ]

    def counts(self) -> dict[str, int]:
        """Return how many points and accelerators there are, by what became of them."""
        return {
            "points": len(self.points),
            "evaluated": len(self.evaluated),
            "on a front": sum(len(self.front(network)) for network in self.networks),
            "quarantined": len(self.quarantined),
            "outside constraints": self.outside,
            "impossible": self.impossible,
        }


def _cell(value: Any) -> Any:
    return json.dumps(value, sort_keys=True) if isinstance(value, dict | list) else value


def _network_label(point: StoredPoint) -> str:
    words = [f"{key}={value}" for key, value in point.keywords.items()]
    return " ".join([Path(point.network).name, *words])


def sweep(
    space: Space | str | Path,
    folder: str | Path,
    engine: Engine | None = None,
    on_progress: Progress | None = None,
    evaluate: Evaluate = evaluate_point,
) -> SweepResult:
    """Evaluate every point of a space, and keep the results in a folder.

    Repeated with the same space and folder it goes on where it stopped: nothing is evaluated twice, nothing is lost. A
    point that fails is tried once more at the end, alone, and then quarantined with its error.

    Parameters
    ----------
    space
        From `read_space`, or its YAML file.
    folder
        Of the store; made where it is not there.
    engine
        Who evaluates; None = this process.
    on_progress
        Called with (points done, points, label).
    evaluate
        What evaluates a point; another function is for tests and for figures of one's own.

    Raises
    ------
    SpecError
        A space that cannot be used, or a network that cannot be loaded.
    StoreError
        A folder that cannot be used, or a full disk; what was finished is kept.

    """
    found = space if isinstance(space, Space) else read_space(space)
    worker = engine or InProcess()
    search = Search(found) if found.searches else None
    chosen = design_points(found) if search is None else search.points
    _check_networks(found)
    with ExitStack() as opened:
        store = opened.enter_context(SweepStore(folder))
        store.begin(content_hash(found.model_dump(mode="json", by_alias=True, exclude_defaults=True)), chosen.points)
        driver = _Sweep(store, worker, opened, evaluate, on_progress, search.budget if search else 0)
        if search is None:
            driver.run(chosen.points)
        else:
            driver.run_search(search)
            chosen = search.points
        asked = {point.key for point in chosen.points}
        known = tuple(point for point in store.points() if point.key in asked)
        return SweepResult(found, known, chosen.impossible, chosen.outside, Path(folder), chosen.refusal)


def _check_networks(space: Space) -> None:
    """Load every network without its weights, lest a misspelt name or keyword be the error of all points."""
    for index, choice in enumerate(space.networks):
        given = {key: tuple(v) if isinstance(v, list) else v for key, v in choice.keywords.items()}
        given.pop("weights", None)
        try:
            load_network(choice.network, **given)
        except BittrueError as error:
            raise SpecError(f"{space.name}: networks.{index}: {error}") from None


@dataclass
class _Sweep:
    store: SweepStore
    engine: Engine
    opened: ExitStack
    evaluate: Evaluate
    on_progress: Progress | None
    budget: int
    """Points of a search."""
    asked: dict[str, DesignPoint] = field(default_factory=dict)

    def run(self, points: Sequence[DesignPoint]) -> dict[str, Mapping[str, float] | None]:
        """First everything not tried yet, then what failed, one by one; return figures by key, None = failed."""
        self.asked |= {point.key: point for point in points}
        self._evaluate(self._left(lambda point: point.attempts == 0), alone=False)
        while left := self._left(lambda point: point.attempts < MOST_ATTEMPTS):
            self._evaluate(left, alone=True)
        return {point.key: point.figures for point in self.store.points() if point.key in self.asked}

    def run_search(self, search: Search) -> None:
        """Round by round: what the store knows already is told, not evaluated."""
        while fresh := search.ask():
            self.store.add(fresh, first=len(self.asked))
            search.tell(self.run(fresh))

    def _left(self, wanted: Callable[[StoredPoint], bool]) -> list[DesignPoint]:
        stored = [point for point in self.store.points() if point.key in self.asked]
        self._done = sum(point.figures is not None or point.quarantined for point in stored)
        self._total = max(len(stored), self.budget)
        return [self.asked[p.key] for p in stored if p.figures is None and wanted(p)]

    def _evaluate(self, points: Sequence[DesignPoint], *, alone: bool) -> None:
        labels = {point.key: point.label for point in points}
        self._show("")
        if not points:
            return
        for outcomes in self._session.outcomes(points, self.evaluate, alone=alone):
            # Beside others a death may be a neighbour's fault: it counts only for a point that was alone.
            self.store.record(outcomes, lost_counts=alone)
            self._done += sum(not outcome.error for outcome in outcomes)
            self._show(labels[outcomes[-1].key])

    @cached_property
    def _session(self) -> Session:
        """Begun with the first points that are not in the store, for all rounds."""
        return self.opened.enter_context(self.engine.session())

    def _show(self, label: str) -> None:
        if self.on_progress:
            self.on_progress(self._done, self._total, f"sweep: {label}")
