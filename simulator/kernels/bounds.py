"""Bounds of a layer's running sums, from sums of its weights and the range of its activations."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.kernels._jit import kernel


@kernel()
def bound_sums(positive: Any, negative: Any, least: Any, greatest: Any, lowest: Any, highest: Any, found: Any) -> None:
    """Bound partial sums, outputs and accumulators of all filters.

    Parameters
    ----------
    positive, negative
        int64 [filters, folds]: sums of the positive and of the negative weights of each fold.
    least, greatest
        int64, of the activations, zero point subtracted: least <= 0 <= greatest.
    lowest, highest
        int64 [filters]: least and greatest start value, below 2^62 in size.
    found
        int64 [3, 2], written: least and greatest of partial sums, of sums over K, and of those with the start value.

    """
    found[:] = 0
    found[2, 0], found[2, 1] = lowest[0], highest[0]
    for filter in range(positive.shape[0]):
        low_total, high_total = np.int64(0), np.int64(0)
        for fold in range(positive.shape[1]):
            low = greatest * negative[filter, fold] + least * positive[filter, fold]
            high = greatest * positive[filter, fold] + least * negative[filter, fold]
            found[0, 0], found[0, 1] = min(found[0, 0], low), max(found[0, 1], high)
            low_total += low
            high_total += high
        found[1, 0], found[1, 1] = min(found[1, 0], low_total), max(found[1, 1], high_total)
        found[2, 0] = min(found[2, 0], lowest[filter], lowest[filter] + low_total)
        found[2, 1] = max(found[2, 1], highest[filter], highest[filter] + high_total)
