"""How images that register tiles convolve are made of activations: their border filled in, counted from the least."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.execution.aligned import aligned
from simulator.kernels import rooms
from simulator.kernels.copy_bytes import VECTOR_BYTES
from simulator.kernels.dot_tile import BYTES, PAIRS
from simulator.kernels.lines import LINE_BYTES
from simulator.kernels.threads import threads_now
from simulator.kernels.turned import fill_turned
from simulator.kernels.workers import run_on_threads
from simulator.lowering.layer import ConvGeometry

_DTYPES: dict[str, type[Any]] = {BYTES: np.uint8, PAIRS: np.int16}
_BYTES_WORTH_A_THREAD = 1 << 19
"""Less is copied before a thread has woken."""
_STREAMED_BYTES = 8 << 20
"""An image of more is written past the caches: they would not hold it until it is read."""
_LONGEST_ROUND = 64
"""More than the kernel's loop takes of K at once."""

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

    @cached_property
    def _placing(self) -> NDArray[np.int64]:
        plan = self.plan
        streams = self.kind == BYTES and plan.channels % VECTOR_BYTES == 0 and plan.size >= _STREAMED_BYTES
        placing = np.zeros(rooms.PLACING_LENGTH, np.int64)
        placing[[rooms.TOP, rooms.LEFT, rooms.LESS, rooms.BORDER]] = plan.top, plan.left, self.less, self.border
        placing[[rooms.STREAMS, rooms.HEIGHT, rooms.WIDTH, rooms.SLACK]] = streams, *plan.shape[1:3], plan.slack
        return placing

    @cached_property
    def _length(self) -> int:
        """Numbers of a room for the image."""
        return self.plan.size + self.plan.slack + LINE_BYTES

    @cached_property
    def _most_threads(self) -> int:
        return 1 + self._length * np.dtype(_DTYPES[self.kind]).itemsize // _BYTES_WORTH_A_THREAD

    def fill(self, x: NDArray[Any]) -> FilledImage:
        """Return the image of x, which is contiguous, as stored."""
        plan = self.plan
        if self.is_x:
            return FilledImage(self, x.reshape(-1), 0, None)
        room = np.empty(self._length, _DTYPES[self.kind])
        threads = min(threads_now(), self._most_threads)
        found = _nothing_found(threads).copy()
        x = x if x.shape == plan.x_shape else x.reshape(plan.x_shape)
        placing = self._placing
        run_on_threads(lambda thread: rooms.fill_room(x, placing, room, found, thread) or 0, threads)
        (_, begin), *spans = found.tolist()
        if not (x.size and plan.holds_all):
            return FilledImage(self, room, begin, None)
        return FilledImage(self, room, begin, (min(low for low, _ in spans), max(high for _, high in spans)))

    def turn(self, source: NDArray[Any]) -> FilledImage:
        """Return the image of an array of bytes [channels, height, width, batch]."""
        plan = self.plan
        flat = aligned((plan.size + plan.slack,), _DTYPES[self.kind])
        flat[plan.size :] = 0
        filled = FilledImage(self, flat, 0, None)
        fill_turned(source.view(np.uint8), plan.top, plan.left, self.less, self.border, filled.numbers)
        return filled


_nothing_found = cache(rooms.nothing_found)


@dataclass(frozen=True, eq=False)
class FilledImage:
    """An image, and how it came to be."""

    filling: Filling
    room: NDArray[Any]
    """Flat, uint8 or int16; behind the image are numbers that may be read, or it is x."""
    begin: int
    """Where the image begins in it."""
    span: Span | None
    """Of x, where all of it was looked at."""

    @cached_property
    def numbers(self) -> NDArray[Any]:
        """[batch, height, width, channels of all groups]."""
        plan = self.filling.plan
        return self.room[self.begin : self.begin + plan.size].reshape(plan.shape)
