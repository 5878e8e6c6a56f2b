"""Cache lines: where the first of a room begins. Of memory that begins on one, no vector straddles two."""

from __future__ import annotations

from typing import Any

from simulator.kernels._jit import kernel

LINE_BYTES = 64
"""Room that must be left for the first line to begin."""


@kernel(inline=True)
def first_line(room: Any) -> Any:
    """Return how many numbers lie before the first line of a flat array."""
    return -(room.ctypes.data // room.itemsize) % (LINE_BYTES // room.itemsize)
