"""Sums that need more than 32 bits, as the sum of parts that do not: rows of the filter, so few that each part fits.

The gradient of a filter is a convolution whose filters are as large as the image: its sums leave 32 bits, those of
some rows do not, and 32-bit sums run on vector kernels. Nothing overflows here, so the order of additions is free.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.execution.array_operands import Operands
from simulator.execution.array_weights import Weights

_LIMIT = (1 << 31) - 1
_MOST_PARTS = 64
"""More would cost what the vector kernels gain."""


def plan_parts(operands: Operands) -> list[range] | None:
    """Return runs of filter rows whose sums fit int32 each; None where there are too many, or a row alone does not."""
    geometry = operands.geometry
    if geometry.groups > 1 or geometry.insertion != (1, 1) or geometry.kernel[0] < 2 or operands.start.any():
        return None
    least, greatest = operands.x_range
    rows = operands.weights.centred.reshape(geometry.filters, geometry.kernel[0], -1)
    positive = np.maximum(rows, 0).sum(axis=2, dtype=np.int64)
    negative = np.minimum(rows, 0).sum(axis=2, dtype=np.int64)
    # Both have the sign of the greatest magnitude: their running sums over rows only grow.
    bounds = np.maximum(positive * greatest + negative * least, -(positive * least + negative * greatest))
    if bounds.max() > _LIMIT:
        return None
    starts, total = [0], np.zeros(geometry.filters, np.int64)
    for row in range(geometry.kernel[0]):
        if (total + bounds[:, row]).max() > _LIMIT:
            starts.append(row)
            total[:] = 0
        total += bounds[:, row]
    parts = [range(*pair) for pair in pairwise([*starts, geometry.kernel[0]])]
    return parts if len(parts) <= _MOST_PARTS else None


def sum_parts(operands: Operands, parts: list[range], run: Callable[[Operands], NDArray[Any]]) -> NDArray[np.int64]:
    """Return the sums of a layer, int64 [pixels, filters], from those of its parts."""
    total: NDArray[np.int64] | None = None
    for part in _operands(operands, parts):
        values = run(part)
        total = values.astype(np.int64) if total is None else np.add(total, values, out=total)
    assert total is not None
    return total


def _operands(whole: Operands, parts: list[range]) -> Iterator[Operands]:
    geometry = whole.geometry
    stored = whole.weights.stored.reshape(geometry.filters, geometry.kernel[0], -1)
    for rows in parts:
        part = np.ascontiguousarray(stored[:, rows.start : rows.stop]).reshape(geometry.filters, -1)
        padding = replace(geometry.padding, top=geometry.padding.top - rows.start * geometry.dilation[0])
        shape = replace(geometry, kernel=(len(rows), geometry.kernel[1]), padding=padding)
        yield replace(whole, geometry=shape, weights=Weights(part, whole.weights.zero_points))
