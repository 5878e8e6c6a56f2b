"""Broadcasting as rows: the kernels see flat operands, where each row starts, and a step of 0 or 1 within it."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ROW_LENGTH = 4096
"""Rows grow to about this many elements: long enough to amortise a row, short enough to share among threads."""


def broadcast_rows(
    a_shape: tuple[int, ...], b_shape: tuple[int, ...], out_shape: tuple[int, ...]
) -> tuple[NDArray[np.int64], NDArray[np.int64], tuple[int, int]]:
    """Plan a broadcast of two operands.

    Returns
    -------
    rows : int64 [rows, 2]
        Flat index in a and in b of the first element of each output row.
    steps : int64 [2]
        1 where the operand moves along a row, 0 where one element serves it.
    shape : (rows, length)
        Of the output seen as rows.

    """
    rank = len(out_shape)
    padded = [(1,) * (rank - len(shape)) + tuple(shape) for shape in (a_shape, b_shape)]
    split = _first_row_axis(padded, out_shape)
    outer, length = out_shape[:split], prod(out_shape[split:])
    starts = [_starts(shape, split, outer) for shape in padded]
    steps = [int(prod(shape[split:]) > 1) for shape in padded]
    return np.stack(starts, axis=1), np.array(steps, np.int64), (prod(outer), length)


def _first_row_axis(shapes: list[tuple[int, ...]], out_shape: tuple[int, ...]) -> int:
    """First axis of the longest tail within which each operand is either whole or a single element."""
    split = len(out_shape)
    while split > 0:
        tail = prod(out_shape[split:])
        wider = [shape[split - 1 :] for shape in shapes]
        if tail >= _ROW_LENGTH or any(prod(w) not in (1, prod(out_shape[split - 1 :])) for w in wider):
            break
        split -= 1
    return split


def _starts(shape: tuple[int, ...], split: int, outer: tuple[int, ...]) -> NDArray[np.int64]:
    own = shape[:split]
    indices = np.arange(prod(own), dtype=np.int64).reshape(own) * prod(shape[split:])
    return np.ascontiguousarray(np.broadcast_to(indices, outer)).reshape(-1)


def flat(array: NDArray[Any]) -> NDArray[Any]:
    """Return the array as one contiguous axis."""
    return np.ascontiguousarray(array).reshape(-1)
