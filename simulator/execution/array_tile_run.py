"""Register tiles with everything that they take but an image: made once for a layer, run on every image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.execution.aligned import aligned
from simulator.kernels.workers import run_on_threads

NO_EXTREMES = np.empty((2, 0, 0), np.int32)


@dataclass(frozen=True, eq=False)
class TileRun:
    """A layer on register tiles."""

    kernel: Any
    """What `kernels.convolve.make_convolve` made."""
    constants: tuple[NDArray[Any], ...]
    """What it takes between the image and the extremes."""
    shape: tuple[int, int]
    """[pixels, filters of all groups]"""
    dtype: np.dtype[Any]
    """Of the output: the format's, or int32 sums."""

    def on(self, image: NDArray[Any], extremes: NDArray[np.int32] | None = None) -> tuple[NDArray[Any], int]:
        """Convolve an image; return the output and how many of it were clipped.

        Parameters
        ----------
        image
            From `array_image`.
        extremes
            int32 [threads, 2, chunks, panels of all groups * channels of a panel], brought up to date: least and
            greatest sums of (q - least q) * w at the end of each chunk, start value excluded; None = not wanted.

        """
        out = aligned(self.shape, self.dtype)
        raw, counter = out.reshape(-1).view(np.uint8), np.zeros(1, np.int64)
        kernel, arguments = self.kernel, (image.reshape(-1), *self.constants)

        def work(thread: int) -> int:
            return int(kernel(*arguments, NO_EXTREMES if extremes is None else extremes[thread], raw, counter))

        return out, run_on_threads(work)
