"""Distinct rows of a table, found by hashing: what `numpy.unique` does by sorting, many times faster."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulator.kernels._jit import kernel

_FACTOR = np.uint64(0x9E3779B97F4A7C15)
"""2^64 / golden ratio, odd: spreads the words over the high bits of their hash."""


@kernel()
def distinct_rows(
    words: NDArray[np.int32], compared: NDArray[np.int32], zero_or_not: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    """Give the rows of `words` numbers, one to all that are alike.

    Parameters
    ----------
    words
        [rows, columns].
    compared
        Columns that tell rows apart by their values.
    zero_or_not
        Columns that tell rows apart by being 0 or not.

    Returns
    -------
    int32 [rows]
        Number of each row, rising with the first place of its kind.
    int64 [kinds]
        First row of each kind.
    int64 [kinds]
        Rows of each kind.

    """
    count = len(words)
    bits = 4
    while (1 << bits) < 2 * count:
        bits += 1
    slots = np.full(1 << bits, -1, np.int32)
    number = np.empty(count, np.int32)
    first = np.empty(count, np.int64)
    sizes = np.zeros(count, np.int64)
    kinds = 0
    for row in range(count):
        mixed = np.uint64(0)
        for column in compared:
            mixed = (mixed ^ np.uint64(words[row, column])) * _FACTOR
            mixed ^= mixed >> np.uint64(29)
        for column in zero_or_not:
            mixed = (mixed ^ np.uint64(words[row, column] != 0)) * _FACTOR
        slot = np.int64(mixed >> np.uint64(64 - bits))
        while slots[slot] >= 0 and not _alike(words, compared, zero_or_not, row, first[slots[slot]]):
            slot = (slot + 1) & ((1 << bits) - 1)
        if slots[slot] < 0:
            slots[slot] = kinds
            first[kinds] = row
            kinds += 1
        number[row] = slots[slot]
        sizes[slots[slot]] += 1
    return number, first[:kinds].copy(), sizes[:kinds].copy()


@kernel(inline=True)
def _alike(
    words: NDArray[np.int32], compared: NDArray[np.int32], zero_or_not: NDArray[np.int32], a: int, b: int
) -> bool:
    for column in compared:
        if words[a, column] != words[b, column]:
            return False
    alike = True
    for column in zero_or_not:
        alike &= (words[a, column] != 0) == (words[b, column] != 0)
    return alike
