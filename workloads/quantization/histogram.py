"""Histogram of a stream of values whose range is not known beforehand: bounded memory, one pass."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 1 << 13
"""Bins on each side of 0. The greatest magnitude seen lies in the outer half of them."""
_LEAST_EXPONENT = -126


class Histogram:
    """Counts of bins [i * width, (i + 1) * width) for i from -BINS to BINS - 1; width is a power of two.

    A value beyond the last bin doubles the width and adds neighbouring bins: the counts are those that the final width
    would have given from the beginning, because powers of two divide without rounding.
    """

    def __init__(self) -> None:
        self.exponent = _LEAST_EXPONENT
        """width = 2^exponent."""
        self.counts = np.zeros(2 * BINS, np.int64)
        """[2 * BINS], the bin of 0 at BINS."""

    @property
    def width(self) -> float:
        """Width of a bin."""
        return math.ldexp(1.0, self.exponent)

    @property
    def centres(self) -> NDArray[np.float64]:
        """Middle of every bin, float64 [2 * BINS]."""
        return np.asarray((np.arange(-BINS, BINS) + 0.5) * self.width, np.float64)

    def add(self, values: NDArray[Any], greatest: float) -> None:
        """Count values, none of greater magnitude than `greatest`."""
        self._widen(greatest)
        flat = values.reshape(-1)
        for begin in range(0, flat.size, 1 << 20):
            block = np.ldexp(flat[begin : begin + (1 << 20)], -self.exponent)
            index = np.floor(block, out=block).astype(np.int64) + BINS
            self.counts += np.bincount(index, minlength=2 * BINS)

    def _widen(self, greatest: float) -> None:
        needed = math.frexp(greatest)[1] - int(math.log2(BINS)) if greatest > 0 else _LEAST_EXPONENT
        doublings = max(0, needed - self.exponent)
        if not self.counts.any():
            self.exponent += doublings
            return
        for _ in range(doublings):
            self.exponent += 1
            pairs = self.counts.reshape(-1, 2).sum(axis=1)
            self.counts[:] = 0
            self.counts[BINS // 2 : BINS + BINS // 2] = pairs

    def magnitudes(self) -> NDArray[np.int64]:
        """Count magnitudes, int64 [BINS]: bin i holds those from i * width on."""
        return self.counts[BINS:] + self.counts[:BINS][::-1]
