"""Search a space: each next round of points is chosen from the results of those before (Optuna: NSGA-II, TPE).

A round is asked for as a whole, evaluated by any engine in any order, and told as a whole in the order it was asked. So
the points of a search depend on the space and its seed alone, and a search that was stopped asks the same questions
again when it is repeated: those that the store can answer are not evaluated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import prod
from typing import Any, Protocol

import numpy as np

from bittrue.sweeping.metrics import KNOWN_BEFORE, LARGER_IS_BETTER
from bittrue.sweeping.points import DesignPoint, PointMaker, Points, merged
from bittrue.sweeping.space import Limit, Space
from simulator.errors import InputError, SpecError

_TPE_ROUND = 8
_FEWEST, _MOST = 8, 50
"""Of a generation of NSGA-II."""
_PROPOSALS = 2
"""What the method may propose that is known already, before a point not yet seen is drawn in its place."""
_LEFT_OUT = 20
"""Combinations a point after which a search ends that finds next to none possible and within its constraints."""
_DRAWS = 1000
"""Draws in vain after which nothing is taken to be left."""

Figures = Mapping[str, float]


class _Trial(Protocol):
    """What is used of optuna.Trial."""

    params: dict[str, Any]

    def set_constraint(self, key: str, value: float) -> None: ...


class Search:
    """The rounds of one search.

    Raises
    ------
    InputError
        Optuna is not installed.
    SpecError
        More points to try than the space has.

    """

    def __init__(self, space: Space) -> None:
        assert space.points is not None
        self._optuna = _optuna()
        self._space = space
        self.budget = min(space.points, space.limit or space.points)
        """Points to try."""
        self._axes = space.axes()
        self._size = prod(len(axis) for axis in self._axes)
        if self.budget > self._size:
            raise SpecError(
                f"{space.name}: {self.budget} points to try, the space has {self._size}; method: grid takes all"
            )
        self._maker = PointMaker(space)
        self._limits = {name: limit for name, limit in space.constraints.items() if name not in KNOWN_BEFORE}
        whole = self._optuna.distributions.IntDistribution
        any_of = self._optuna.distributions.CategoricalDistribution
        self._choices = {
            f"{index}": whole(0, len(axis) - 1) if _has_order(axis) else any_of(range(len(axis)))
            for index, axis in enumerate(self._axes)
        }
        self._points: dict[str, DesignPoint] = {}
        self._told: dict[str, Figures | None] = {}
        self._rows: dict[tuple[int, ...], str] = {}
        self._random = np.random.default_rng(space.seed)
        self._nothing_left = False
        self._open: list[tuple[_Trial, str]] = []
        directions = ["maximize" if name in LARGER_IS_BETTER else "minimize" for name in space.objectives]
        with self._quiet():
            self._study = self._optuna.create_study(directions=directions, sampler=self._sampler())

    @property
    def points(self) -> Points:
        """All points asked for until now, and how many accelerators were left out."""
        maker = self._maker
        return Points(tuple(self._points.values()), maker.impossible, maker.outside, maker.refusal)

    def ask(self) -> list[DesignPoint]:
        """Return the points of the next round that were not asked for before; none where the search is over.

        Raises
        ------
        SpecError
            Not one accelerator that was proposed is possible and within the constraints.

        """
        while len(self._points) < self.budget:
            fresh = self._round(min(self._round_size, self.budget - len(self._points)))
            if fresh:
                return fresh
            self._tell_trials()
            if self._nothing_left or len(self._rows) > _LEFT_OUT * self.budget:
                break
        if not self._points:
            raise SpecError(f"{self._space.name}: the search found no point: {self._maker.left_out()}")
        return []

    def tell(self, found: Mapping[str, Figures | None]) -> None:
        """Take the figures of the points of the round by key; None = quarantined."""
        self._told |= found
        self._tell_trials()

    @property
    def _round_size(self) -> int:
        return self._generation if self._space.method == "nsga2" else _TPE_ROUND

    @property
    def _generation(self) -> int:
        return max(_FEWEST, min(_MOST, self.budget // _FEWEST))

    def _round(self, size: int) -> list[DesignPoint]:
        fresh = []
        with self._quiet():
            for _ in range(size):
                trial, row = self._ask_trial()
                if row not in self._rows:
                    changes = merged(axis[index] for axis, index in zip(self._axes, row, strict=True))
                    made = self._maker.points(changes)
                    self._rows[row] = made[0].key if made else ""
                    if made and made[0].key not in self._points:
                        fresh.append(made[0])
                        self._points[made[0].key] = made[0]
                self._open.append((trial, self._rows[row]))
                if self._nothing_left:
                    break
        return fresh

    def _ask_trial(self) -> tuple[_Trial, tuple[int, ...]]:
        """Ask for a combination that was not asked for before; where the method has none, draw one."""
        for attempt in range(_PROPOSALS + 1):
            if attempt == _PROPOSALS:
                self._study.enqueue_trial(self._unseen())
            trial = self._study.ask(self._choices)
            row = tuple(trial.params[f"{index}"] for index in range(len(self._axes)))
            if row not in self._rows or attempt == _PROPOSALS:
                break
            self._open.append((trial, self._rows[row]))
        return trial, row

    def _unseen(self) -> dict[str, int]:
        for _ in range(_DRAWS):
            row = tuple(int(self._random.integers(len(axis))) for axis in self._axes)
            if row not in self._rows:
                break
        else:
            self._nothing_left = True
        return {f"{index}": value for index, value in enumerate(row)}

    def _tell_trials(self) -> None:
        with self._quiet():
            for trial, key in self._open:
                figures = self._told.get(key)
                if figures is None:
                    self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
                    continue
                for name, limit in self._limits.items():
                    trial.set_constraint(name, _beyond(limit, figures[name]))
                self._study.tell(trial, [figures[name] for name in self._space.objectives])
        self._open.clear()

    def _sampler(self) -> Any:
        samplers = self._optuna.samplers
        if self._space.method == "nsga2":
            return samplers.NSGAIISampler(population_size=self._generation, seed=self._space.seed)
        return samplers.TPESampler(seed=self._space.seed)

    @contextmanager
    def _quiet(self) -> Iterator[None]:
        logging = self._optuna.logging
        before = logging.get_verbosity()
        logging.set_verbosity(logging.WARNING)
        try:
            yield
        finally:
            logging.set_verbosity(before)


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise InputError("methods nsga2 and tpe need Optuna: pip install 'bittrue[search]'") from None
    return optuna


def _beyond(limit: Limit, value: float) -> float:
    """Return by how much, relatively, a value lies outside its limit; at most 0 within."""
    above = -1.0 if limit.most is None else (value - limit.most) / (abs(limit.most) or 1)
    below = -1.0 if limit.least is None else (limit.least - value) / (abs(limit.least) or 1)
    return max(above, below)


def _has_order(axis: list[dict[str, Any]]) -> bool:
    """Whether the alternatives of an axis are one key's rising numbers (or sizes): a neighbour then is a small step."""
    values = [value for changes in axis for value in changes.values()]
    if len(values) != len(axis) or not all(isinstance(value, int | float) for value in values):
        return False
    return values == sorted(values)
