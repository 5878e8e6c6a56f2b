"""Engines: who evaluates the points. In this process, in local processes (loky), on a Dask or a Ray cluster."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

from bittrue.sweeping.batches import MOST_POINTS, evaluate_batch
from bittrue.sweeping.dask_engine import Dask
from bittrue.sweeping.evaluate import Evaluate, Outcome
from bittrue.sweeping.points import DesignPoint
from bittrue.sweeping.processes_engine import Processes
from bittrue.sweeping.ray_engine import Ray
from simulator.errors import InputError

ENGINES = "in-process, processes, processes:N, dask:ADDRESS, ray:auto and ray:ADDRESS"


class Session(Protocol):
    """Evaluates points, in any order, and gives outcomes as they come."""

    def outcomes(
        self, points: Sequence[DesignPoint], evaluate: Evaluate, *, alone: bool = False
    ) -> Iterator[Sequence[Outcome]]:
        """Evaluate `points`; exactly one outcome each, those together that came together.

        Parameters
        ----------
        points
            In the order in which they are begun, more or less.
        evaluate
            What evaluates one.
        alone
            One point at a time, so that a process that dies tells which point it was.

        """
        ...


class Engine(Protocol):
    """Who evaluates the points of a sweep."""

    def session(self) -> AbstractContextManager[Session]:
        """Return what evaluates for one sweep, round after round: connected once, with processes that stay warm.

        Raises
        ------
        InputError
            When entered: what the engine needs is not installed, or its cluster does not answer.

        """
        ...


@dataclass(frozen=True)
class InProcess:
    """The calling process, one point after another. A point that crashes it ends the sweep."""

    def session(self) -> AbstractContextManager[InProcess]:
        """Return itself: there is nothing to start."""
        return nullcontext(self)

    def outcomes(
        self, points: Sequence[DesignPoint], evaluate: Evaluate, *, alone: bool = False
    ) -> Iterator[Sequence[Outcome]]:
        """Evaluate points in order."""
        done = 0
        while done < len(points):
            found: list[Outcome] = []
            try:
                evaluate_batch(evaluate, points[done : done + (1 if alone else MOST_POINTS)], found)
            except BaseException:
                if found:
                    yield found
                raise
            done += len(found)
            yield found


def engine_named(text: str) -> Engine:
    """Return the engine that ``--engine`` names.

    Parameters
    ----------
    text
        ``in-process``, ``processes`` (a worker for each core), ``processes:N``, ``dask:ADDRESS``, ``ray:auto`` (the
        cluster of this machine, or the one that the environment variable RAY_ADDRESS names), or ``ray:ADDRESS``.

    Raises
    ------
    InputError
        Anything else.

    """
    kind, _, detail = text.partition(":")
    if kind == "in-process" and not detail:
        return InProcess()
    if kind == "processes" and (not detail or (detail.isdigit() and int(detail) > 0)):
        return Processes(int(detail or os.cpu_count() or 1))
    if kind == "dask" and detail:
        return Dask(detail)
    if kind == "ray" and detail:
        return Ray(detail)
    raise InputError(f"engine {text!r} does not exist; there are {ENGINES}")
