"""Arrays that begin on a cache line, so that no vector of what kernels read and write straddles two."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.kernels.lines import LINE_BYTES


def aligned(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Return an array of any numbers that starts on a cache line."""
    return _whole_lines(np.empty, shape, np.dtype(dtype))


def aligned_zeros(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Return zeros that start on a cache line."""
    return _whole_lines(np.zeros, shape, np.dtype(dtype))


def _whole_lines(make: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    size = prod(shape) * dtype.itemsize
    raw = make(size + LINE_BYTES, np.uint8)
    begin = -raw.ctypes.data % LINE_BYTES
    found: NDArray[Any] = raw[begin : begin + size].view(dtype).reshape(shape)
    return found
