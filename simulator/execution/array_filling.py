"""How images that register tiles convolve are made of activations: their border filled in, counted from the least."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.execution.aligned import aligned
from simulator.kernels.copy_bytes import VECTOR_BYTES
from simulator.kernels.dot_tile import BYTES, PAIRS
from simulator.kernels.packing import fill_image
from simulator.kernels.threads import threads_now
from simulator.kernels.workers import run_on_threads
from simulator.lowering.layer import ConvGeometry

_DTYPES: dict[str, type[Any]] = {BYTES: np.uint8, PAIRS: np.int16}
_BYTES_WORTH_A_THREAD = 1 << 19
"""Less is copied before a thread has woken."""
_STREAMED_BYTES = 8 << 20
"""An image of more is written past the caches: they would not hold it until it is read."""
_LONGEST_ROUND = 64
"""More than the kernel's loop takes of K at once."""
_NO_SPAN = (np.iinfo(np.int64).max, np.iinfo(np.int64).min)

Span = tuple[int, int]
"""Least and greatest number of x as stored."""


@dataclass(frozen=True)
class ImagePlan:
    """Shape of an image, and where x lies in it."""

    shape: tuple[int, ...]
    """Of the image: batch, height, width, channels of all groups."""
    x_shape: tuple[int, ...]
    top: int
    """Rows of border above, as `left`: columns; negative where some are cut off."""
    left: int
    slack: int
    """Numbers behind the image."""

    @property
    def channels(self) -> int:
        """Of all groups."""
        return self.shape[3]

    @cached_property
    def size(self) -> int:
        """Numbers of the image."""
        return prod(self.shape)

    @cached_property
    def holds_all(self) -> bool:
        """Whether all of x lies within the image."""
        down, across = self.x_shape[1] + self.top, self.x_shape[2] + self.left
        return min(self.top, self.left) >= 0 and down <= self.shape[1] and across <= self.shape[2]


@lru_cache(maxsize=1024)
def image_plan(geometry: ConvGeometry) -> ImagePlan:
    """Return the plan of the image that a layer convolves: no larger than what its outputs read."""
    height, width = (
        (outputs - 1) * stride + (taps - 1) * dilation + 1
        for outputs, stride, taps, dilation in zip(
            (geometry.out_height, geometry.out_width),
            geometry.stride,
            geometry.kernel,
            geometry.dilation,
            strict=True,
        )
    )
    channels = geometry.channels * geometry.groups
    return ImagePlan(
        shape=(geometry.batch, height, width, channels),
        x_shape=(geometry.batch, geometry.in_height, geometry.in_width, channels),
        top=geometry.padding.top,
        left=geometry.padding.left,
        # The last pieces of the last pixel may read past its end, each by less than a round: their weights are 0 there.
        slack=2 * geometry.k + _LONGEST_ROUND,
    )


@dataclass(frozen=True, eq=False)
class Filling:
    """How the image of a layer is made of its x."""

    plan: ImagePlan
    kind: str
    """BYTES or PAIRS."""
    less: int
    """Taken off every number."""
    border: int
    """What stands in the border."""
    is_x: bool
    """Whether x is the image."""

    def image(self, x: NDArray[Any]) -> tuple[NDArray[Any], Span | None]:
        """Return the image of x, and the span of x where all of it was looked at.

        Parameters
        ----------
        x
            Contiguous, as stored.

        """
        plan = self.plan
        if self.is_x:
            return x.reshape(plan.shape), None
        streams = self.kind == BYTES and plan.channels % VECTOR_BYTES == 0 and plan.size >= _STREAMED_BYTES
        image = self.empty()
        most = 1 + image.nbytes // _BYTES_WORTH_A_THREAD
        spans = np.array([_NO_SPAN] * min(threads_now(), most), np.int64)
        counter = np.zeros(1, np.int64)
        arguments = (x.reshape(plan.x_shape), plan.top, plan.left, self.less, self.border, int(streams), image, counter)
        run_on_threads(lambda thread: fill_image(*arguments, spans[thread]) or 0, len(spans))
        if not (x.size and plan.holds_all):
            return image, None
        lows, highs = zip(*spans.tolist(), strict=True)
        return image, (min(lows), max(highs))

    def empty(self) -> NDArray[Any]:
        """Return an image of any numbers; behind it are zeros that may be read."""
        plan = self.plan
        flat = aligned((plan.size + plan.slack,), _DTYPES[self.kind])
        flat[plan.size :] = 0
        return flat[: plan.size].reshape(plan.shape)


@dataclass(frozen=True, eq=False)
class FilledImage:
    """An image, and how it came to be."""

    filling: Filling
    numbers: NDArray[Any]
    """[batch, height, width, channels of all groups]"""
