"""Splitting of int8 weights so that no sum of two byte products saturates in int16.

An instruction (pmaddubsw) forms a0 * w0 + a1 * w1 of uint8 activations and int8 weights, saturating to int16. With
activations up to `a`, the sum lies within int16 if |w0 + w1| <= 32767 // a or the weights have different signs (then it
is at most 255 * 128). Of a heavier pair, the second weight keeps what is allowed and the rest becomes an extra: a group
of its own, whose products are added apart. Both parts are light: |w0| <= 128 <= 32767 // 255, and so is the rest.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from simulator.kernels._jit import kernel

SAMPLE = 20_000
"""Pairs that an estimate looks at, about."""


@kernel(inline=True)
def excess(first: Any, second: Any, limit: Any) -> Any:
    """Return what has to be taken off the second weight of a pair."""
    total = np.int64(first) + np.int64(second)
    same_sign = (first > 0 and second > 0) or (first < 0 and second < 0)
    if not same_sign or abs(total) <= limit:
        return np.int64(0)
    return total - limit if total > 0 else total + limit


@kernel()
def heavy_share(weights: Any, zero_points: Any, limit: Any, lanes: Any) -> Any:
    """Estimate the share of vectors of groups with a heavy pair, from a sample of weights.

    Parameters
    ----------
    weights
        [filters, K], as stored.
    zero_points
        int64 [filters], subtracted.
    limit, lanes
        As in `count_heavy`.

    Returns
    -------
    float
        Share in [0, 1], as if all pairs were independent.

    """
    filters, length = weights.shape
    step = max(filters * length // SAMPLE, 1)
    heavy = np.int64(0)
    pairs = np.int64(0)
    for i in range(0, filters * length - 1, step):
        j, k = i // length, i % length
        if k + 1 < length:
            first, second = np.int64(weights[j, k]) - zero_points[j], np.int64(weights[j, k + 1]) - zero_points[j]
            heavy += np.int64(excess(first, second, limit) != 0)
            pairs += 1
    share = heavy / pairs if pairs > 0 else 0.0
    return 1.0 - (1.0 - share) ** (2 * lanes)


@kernel(parallel=True)
def count_heavy(packed: Any, lanes: Any, limit: Any, counts: Any) -> None:
    """Count the groups that have a heavy pair, for each vector of a panel.

    Parameters
    ----------
    packed
        int8 [panels, groups, channels, 4].
    lanes
        Channels of a vector.
    limit
        Greatest sum of a light pair of one sign, 128 at least.
    counts
        int64 [panels, vectors], written.

    """
    for index in numba.prange(packed.shape[0]):
        panel = np.int64(index)  # unsigned in a parallel loop, and unsigned with signed makes float64
        for vector in range(counts.shape[1]):
            found = np.int64(0)
            for group in range(packed.shape[1]):
                heavy = False
                for c in range(vector * lanes, (vector + 1) * lanes):
                    w = packed[panel, group, c]
                    if excess(w[0], w[1], limit) != 0 or excess(w[2], w[3], limit) != 0:
                        heavy = True
                found += np.int64(heavy)
            counts[panel, vector] = found


@kernel(parallel=True)
def split_heavy(packed: Any, lanes: Any, limit: Any, places: Any, begins: Any, offsets: Any, extras: Any) -> None:
    """Make every pair light, and list what was taken off.

    Parameters
    ----------
    packed
        int8 [panels, groups, channels, 4], updated.
    lanes, limit
        As in `count_heavy`.
    places
        int64 [groups]: byte offset of each group into the activations.
    begins
        int64 [panels, vectors + 1]: first extra of each vector, from the counts.
    offsets
        int64 [extras], written: byte offset of each into the activations.
    extras
        int8 [extras, lanes, 4], zeros, written.

    """
    for index in numba.prange(packed.shape[0]):
        panel = np.int64(index)  # unsigned in a parallel loop, and unsigned with signed makes float64
        for vector in range(begins.shape[1] - 1):
            extra = begins[panel, vector]
            for group in range(packed.shape[1]):
                heavy = False
                for lane in range(lanes):
                    w = packed[panel, group, vector * lanes + lane]
                    for i in (1, 3):
                        rest = excess(w[i - 1], w[i], limit)
                        if rest != 0:
                            heavy = True
                            extras[extra, lane, i] = rest
                            w[i] = np.int64(w[i]) - rest
                if heavy:
                    offsets[extra] = places[group]
                    extra += 1
