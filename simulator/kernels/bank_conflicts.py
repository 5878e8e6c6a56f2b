"""Cycles in which pixels of a convolution wait for banks, counted over the patterns of pixels that differ."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.kernels._jit import kernel


@kernel()
def add_waits(
    span: Any, rows: Any, channels: Any, first_channel: Any, banks: Any, taps: Any, places: Any, waits: Any
) -> None:
    """Add, for every pattern of pixels, the cycles beyond one that each fold of a chunk of K takes.

    Equal to `simulator.kernels.clocked_im2col.fetch`, which goes pixel by pixel (tests/timing/test_bank_conflicts.py).

    Parameters
    ----------
    span
        (begin, end) of the chunk of k = (kernel row, kernel column, channel), begin a multiple of `rows` or 0.
    rows
        R of the array: k of a fold.
    channels
        Of the feature map.
    first_channel
        The first that lies in the scratchpad.
    banks
        (banks, elements of a word): the words of a row of the map lie in the banks in turn, from the first on.
    taps
        bool [patterns of rows, kernel rows], whether a tap lies on a row of the map.
    places
        int64 [patterns of columns, kernel columns], rising: element of the row at which the tap's first channel lies, a
        whole number of words left out; -1 where the tap lies on no column.
    waits
        int64 [patterns of rows, patterns of columns], added to.

    """
    begin, end = span
    count, word_elements = banks
    kernel_columns = places.shape[1]
    loads, total = np.zeros((taps.shape[1], count), np.int64), np.zeros(count, np.int64)
    for fold in range(begin, end, rows):
        last = min(fold + rows, end) - 1
        top, bottom = fold // channels // kernel_columns, last // channels // kernel_columns
        for x in range(places.shape[0]):
            loads[top : bottom + 1] = 0
            _load_words(fold, last, channels, first_channel, count, word_elements, places[x], loads)
            for y in range(taps.shape[0]):
                total[:] = 0
                for tap in range(top, bottom + 1):
                    if taps[y, tap]:
                        for bank in range(count):
                            total[bank] += loads[tap, bank]
                waits[y, x] += max(0, total.max() - 1)


@kernel(inline=True)
def _load_words(
    first: Any, last: Any, channels: Any, first_channel: Any, banks: Any, word_elements: Any, places: Any, loads: Any
) -> None:
    """Count the words that the k from `first` to `last` want of each bank, by the row of the filter."""
    k, row, counted = first, -1, -1
    while k <= last:
        tap, channel = divmod(k, channels)
        tap_y, tap_x = divmod(tap, len(places))
        many = min(channels - channel, last + 1 - k)
        if tap_y != row:
            row, counted = tap_y, -1
        if places[tap_x] >= 0:
            element = places[tap_x] + channel - first_channel
            for word in range(max(element // word_elements, counted + 1), (element + many - 1) // word_elements + 1):
                loads[tap_y, word % banks] += 1
                counted = word
        k += many
