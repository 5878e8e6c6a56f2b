"""Splitting of array work over threads: each task writes its own outputs and its own row of statistics."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from simulator.kernels._jit import kernel
from simulator.kernels.steps import PIXELS, conv_steps_task, depthwise_steps_task


@kernel(parallel=True)
def conv_steps(
    x: Any, panels: Any, start: Any, geometry: Any, plan: Any, pixels: Any, out: Any, stats: Any, channels: Any
) -> None:
    """Sum every output of a convolution step by step; see `conv_steps_task`.

    stats and channels have one row per PIXELS pixels.
    """
    for index in numba.prange(stats.shape[0]):
        task = np.int64(index)  # unsigned in a parallel loop, and unsigned with signed makes float64
        end = min((task + 1) * PIXELS, pixels)
        conv_steps_task(x, panels, start, geometry, plan, task * PIXELS, end, out, stats[task], channels[task])


@kernel(parallel=True)
def depthwise_steps(
    x: Any, weights: Any, start: Any, geometry: Any, plan: Any, pixels: Any, out: Any, stats: Any, channels: Any
) -> None:
    """Sum every output of a depthwise convolution step by step; see `depthwise_steps_task`."""
    for index in numba.prange(stats.shape[0]):
        task = np.int64(index)  # unsigned in a parallel loop, and unsigned with signed makes float64
        end = min((task + 1) * PIXELS, pixels)
        depthwise_steps_task(x, weights, start, geometry, plan, task * PIXELS, end, out, stats[task], channels[task])
