"""Sums of squares over what each output of a layer reads."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulator.execution.array_operands import Operands


def greatest_read(operands: Operands) -> int:
    """Return the greatest sum of squares, zero point subtracted, of what any output reads."""
    geometry = operands.geometry
    squares = operands.squares
    pixels = squares[:, :, 0] if squares.shape[2] == 1 else squares.sum(axis=2, dtype=np.int64)
    read = pixels.reshape(geometry.batch, geometry.in_height, geometry.in_width, -1)
    sizes = geometry.out_height, geometry.out_width
    paddings = geometry.padding.top, geometry.padding.left
    each = zip(sizes, geometry.kernel, geometry.stride, geometry.dilation, paddings, geometry.insertion, strict=True)
    for axis, (size, taps, stride, dilation, padding, insertion) in enumerate(each):
        read = _add_taps(read, 1 + axis, size, np.arange(taps) * dilation - padding, stride, insertion)
    return int(read.max(initial=0))


def _add_taps(
    values: NDArray[np.int64], axis: int, size: int, taps: NDArray[np.int64], stride: int, insertion: int
) -> NDArray[np.int64]:
    """Add what lies under the taps of `size` outputs along an axis, between whose places zeros may be inserted."""
    from_axis = np.moveaxis(values, axis, 0)
    added = np.zeros((*values.shape[:axis], size, *values.shape[axis + 1 :]), np.int64)
    to_axis = np.moveaxis(added, axis, 0)
    for tap in taps:
        places = np.arange(size) * stride + tap
        outputs = np.flatnonzero((places >= 0) & (places < len(from_axis) * insertion) & (places % insertion == 0))
        if outputs.size:
            to_axis[_evenly(outputs)] += from_axis[_evenly(places[outputs] // insertion)]
    return added


def _evenly(indices: NDArray[np.int64]) -> slice:
    """Return indices at even distances, rising, as a slice."""
    step = int(indices[1] - indices[0]) if len(indices) > 1 else 1
    return slice(int(indices[0]), int(indices[-1]) + 1, step)
