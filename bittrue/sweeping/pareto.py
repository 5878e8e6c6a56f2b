"""The Pareto front: points that no other point beats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bittrue.sweeping.metrics import LARGER_IS_BETTER


def pareto_front(rows: Sequence[Mapping[str, float]], objectives: Sequence[str]) -> list[int]:
    """Return the indices of the rows that no other row dominates, in the order of the first objective.

    One row dominates another where it is at least as good in every objective and better in one; of equal rows all
    are on the front.
    """
    if not rows:
        return []
    signs = np.array([-1.0 if name in LARGER_IS_BETTER else 1.0 for name in objectives])
    costs = np.array([[row[name] for name in objectives] for row in rows]) * signs
    order = np.lexsort(costs.T[::-1])
    front: list[int] = []
    for index in order.tolist():
        kept = costs[front]
        # Rising in the first objective, so only a row before can dominate.
        beaten = (kept <= costs[index]).all(axis=1) & (kept < costs[index]).any(axis=1) if front else np.zeros(0, bool)
        if not beaten.any():
            front.append(index)
    return front
