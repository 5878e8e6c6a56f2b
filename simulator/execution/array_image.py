"""The image that register tiles convolve in place: activations with their border filled in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.execution.array_operands import Operands
from simulator.kernels.copy_bytes import VECTOR_BYTES
from simulator.kernels.dot_tile import BYTES, GROUP_BYTES, PAIRS, UNROLLED
from simulator.kernels.isa import INSTRUCTION_SETS
from simulator.kernels.packing import fill_image
from simulator.kernels.threads import threads_now
from simulator.kernels.turned import fill_turned
from simulator.kernels.workers import run_on_threads
from simulator.lowering.layer import ConvGeometry

_DTYPES: dict[str, type[Any]] = {BYTES: np.uint8, PAIRS: np.int16}
_BYTES_WORTH_A_THREAD = 1 << 19
"""Less is copied before a thread has woken."""
_STREAMED_BYTES = 8 << 20
"""An image of more is written past the caches: they would not hold it until it is read."""
_NO_SPAN = (np.iinfo(np.int64).max, np.iinfo(np.int64).min)
_LONGEST_ROUND = 64
"""More than the kernel's loop takes of K at once."""


@dataclass(frozen=True)
class _Plan:
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
        return self.shape[3]

    @cached_property
    def size(self) -> int:
        return prod(self.shape)

    @cached_property
    def holds_all(self) -> bool:
        """Whether all of x lies within the image."""
        down, across = self.x_shape[1] + self.top, self.x_shape[2] + self.left
        return min(self.top, self.left) >= 0 and down <= self.shape[1] and across <= self.shape[2]


@lru_cache(maxsize=1024)
def _plan(geometry: ConvGeometry) -> _Plan:
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
    return _Plan(
        shape=(geometry.batch, height, width, channels),
        x_shape=(geometry.batch, geometry.in_height, geometry.in_width, channels),
        top=geometry.padding.top,
        left=geometry.padding.left,
        # The last pieces of the last pixel may read past its end, each by less than a round: their weights are 0 there.
        slack=2 * geometry.k + _LONGEST_ROUND,
    )


_WHOLE_K = min(isa.weight_bytes // (GROUP_BYTES * isa.channels) for isa in INSTRUCTION_SETS.values()) * GROUP_BYTES
"""K that any kernel takes in one piece."""


def _is_its_own_image(operands: Operands, plan: _Plan) -> bool:
    """Whether x, unsigned bytes, has no border, and no piece of K that the cache cuts reads past its end."""
    # A run of K is some taps' channels of one group.
    whole = operands.geometry.k <= _WHOLE_K and operands.geometry.channels % (GROUP_BYTES * UNROLLED) == 0
    # The shape alone will not do: strides may leave out as many lines at the end as the border has at the beginning.
    is_all = plan.shape == plan.x_shape and plan.holds_all
    return whole and is_all and operands.x.dtype == np.uint8


def filled_image(operands: Operands, kind: str, *, overruns: bool = False) -> tuple[NDArray[Any], int]:
    """Return the filled-in image [batch, height, width, channels of all groups], and what stands in its border.

    Where it is a copy that holds all of `operands.x`, the range of that is found on the way.

    Parameters
    ----------
    operands
        The layer's; they keep the image.
    kind
        BYTES: less the least number of the format, uint8; PAIRS: less the zero point, int16.
    overruns
        Whether pieces of K, cut for whatever reason, read past the end of the last pixel: behind x may be no memory.

    """
    kept = operands.images.get(kind)
    if kept is None or (overruns and np.may_share_memory(kept[0], operands.x)):
        operands.images[kind] = _fill(operands, kind, may_be_x=not overruns)
    return operands.images[kind]


def _fill(operands: Operands, kind: str, *, may_be_x: bool) -> tuple[NDArray[Any], int]:
    plan = _plan(operands.geometry)
    less = operands.x_format.min if kind == BYTES else operands.x_zero_point
    border = operands.x_zero_point - less
    source = operands.source if kind == BYTES else None
    if may_be_x and kind == BYTES and less == 0 and source is None and _is_its_own_image(operands, plan):
        return operands.x.reshape(plan.shape), border
    streams = kind == BYTES and plan.channels % VECTOR_BYTES == 0 and plan.size >= _STREAMED_BYTES
    flat = np.empty(plan.size + plan.slack + VECTOR_BYTES, _DTYPES[kind])
    flat = flat[-flat.ctypes.data % VECTOR_BYTES if streams else 0 :]
    flat[plan.size : plan.size + plan.slack] = 0
    image = flat[: plan.size].reshape(plan.shape)
    if source is not None:
        fill_turned(source.view(np.uint8), plan.top, plan.left, less, border, image)
        return image, border
    x = operands.x.reshape(plan.x_shape)
    most = 1 + image.nbytes // _BYTES_WORTH_A_THREAD
    spans = np.empty((min(threads_now(), most), 2), np.int64)
    spans[:] = _NO_SPAN
    arguments = (x, plan.top, plan.left, less, border, int(streams), image, np.zeros(1, np.int64))
    run_on_threads(lambda thread: fill_image(*arguments, spans[thread]) or 0, most)
    if x.size and plan.holds_all:
        operands.hold_range(int(spans[:, 0].min()), int(spans[:, 1].max()))
    return image, border
