"""Batches: short points share a message and a transaction, so that giving them out takes little beside their work."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from bittrue.sweeping.evaluate import Evaluate, Outcome
from bittrue.sweeping.points import DesignPoint

BATCH_S = 0.05
"""Seconds after which a batch begins no further point: what a kill may cost each worker, beside a point."""
MOST_POINTS = 16
"""Of a batch."""


@dataclass(frozen=True)
class Done:
    """What became of a batch."""

    outcomes: tuple[Outcome, ...]
    """Of its first points, at least one; the others were not begun."""
    seconds: float
    """Wall time that they took."""

    @property
    def size(self) -> int:
        """Points that the next batch is to have, were they like these."""
        return max(1, min(MOST_POINTS, int(BATCH_S * len(self.outcomes) / max(self.seconds, 1e-9))))


def evaluate_batch(evaluate: Evaluate, points: Sequence[DesignPoint], found: list[Outcome] | None = None) -> Done:
    """Evaluate points in order until `BATCH_S` have passed; an error of one is its outcome.

    Parameters
    ----------
    evaluate
        What evaluates one.
    points
        At least one is evaluated.
    found
        Empty; holds the outcomes until then where something else than an error ends this (Ctrl-C).

    """
    found = [] if found is None else found
    begin = time.perf_counter()
    seconds = 0.0
    for point in points:
        try:
            found.append(evaluate(point))
        except Exception as error:
            found.append(Outcome(point.key, error=f"{type(error).__name__}: {error}"))
        seconds = time.perf_counter() - begin
        if seconds >= BATCH_S:
            break
    return Done(tuple(found), seconds)
