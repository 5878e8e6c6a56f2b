"""Chunks of the reduction index k, and the taps and channels that each touches."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, order=True)
class TapBox:
    """Bounding box of the (kh, kw, c) that a chunk of k touches; tap bounds are inclusive."""

    first_kh: int
    last_kh: int
    first_kw: int
    last_kw: int
    channels: int


@dataclass(frozen=True, eq=False)
class Chunks:
    """All chunks of one layer, k rising."""

    start: NDArray[np.int64]
    """[chunks] first k."""
    length: NDArray[np.int64]
    """[chunks] number of k."""
    boxes: tuple[TapBox, ...]
    """The distinct boxes."""
    box_of: NDArray[np.int64]
    """[chunks] index into `boxes`."""
    count: NDArray[np.int64]
    """[boxes] chunks that have this box."""


@lru_cache(maxsize=4096)
def chunks(kernel: tuple[int, int], channels: int, size: int) -> Chunks:
    """Cut k = (kh, kw, c), c fastest, into chunks of `size`.

    A chunk within one tap touches a range of its channels; one that spans taps is taken to touch all channels, and
    one that spans filter rows all columns of the filter: a DMA descriptor is a box.
    """
    total = kernel[0] * kernel[1] * channels
    start = np.arange(0, total, size, dtype=np.int64)
    last = np.minimum(start + size, total) - 1
    tap0, tap1 = start // channels, last // channels
    kh0, kh1 = tap0 // kernel[1], tap1 // kernel[1]
    one_row = kh0 == kh1
    kw0 = np.where(one_row, tap0 % kernel[1], 0)
    kw1 = np.where(one_row, tap1 % kernel[1], kernel[1] - 1)
    width = np.where(tap0 == tap1, last - start + 1, channels)
    table = np.stack([kh0, kh1, kw0, kw1, width], axis=1)
    boxes, box_of, count = np.unique(table, axis=0, return_inverse=True, return_counts=True)
    return Chunks(
        start=start,
        length=last - start + 1,
        boxes=tuple(TapBox(*map(int, row)) for row in boxes),
        box_of=box_of.reshape(-1).astype(np.int64),
        count=count.astype(np.int64),
    )
