"""Register tiles with everything that they take but an image: made once for a layer, run on every image."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.execution.array_filling import FilledImage
from simulator.kernels.convolve import convolve
from simulator.kernels.lines import LINE_BYTES
from simulator.kernels.rooms import BEGIN
from simulator.kernels.workers import run_on_threads

_NO_EXTREMES = np.empty((2, 0, 0), np.int32)


@dataclass(frozen=True, eq=False)
class TileRun:
    """A layer on register tiles."""

    kind: str
    """BYTES or PAIRS."""
    constants: tuple[NDArray[Any], ...]
    """What `kernels.convolve` takes between the image and the extremes."""
    shape: tuple[int, ...]
    """Of the output."""
    dtype: np.dtype[Any]
    """Of the output: the format's, or int32 sums."""

    @cached_property
    def _room_bytes(self) -> int:
        return prod(self.shape) * self.dtype.itemsize + LINE_BYTES

    def on(self, image: FilledImage, extremes: NDArray[np.int32] | None = None) -> tuple[NDArray[Any], int]:
        """Convolve an image; return the output and how many of it were clipped.

        Parameters
        ----------
        image
            From `array_filling`.
        extremes
            int32 [threads, 2, chunks, panels of all groups * channels of a panel], brought up to date: least and
            greatest sums of (q - least q) * w at the end of each chunk, start value excluded; None = not wanted.

        """
        out_room, found = np.empty(self._room_bytes, np.uint8), np.zeros(2, np.int64)
        kernel: Any = convolve
        room = image.room
        arguments = (room.view(np.uint8), image.begin * room.itemsize, *self.constants)

        def work(thread: int) -> int:
            return int(kernel(*arguments, _NO_EXTREMES if extremes is None else extremes[thread], out_room, found))

        clipped = run_on_threads(work)
        out: NDArray[Any] = np.ndarray(self.shape, self.dtype, out_room, found.tolist()[BEGIN])
        return out, clipped
