"""The image that register tiles convolve in place: activations with their border filled in."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.execution.array_operands import Operands
from simulator.kernels.dot_tile import BYTES, PAIRS
from simulator.kernels.packing import fill_image
from simulator.kernels.threads import threads_now
from simulator.kernels.turned import fill_turned
from simulator.kernels.workers import run_on_threads

_DTYPES: dict[str, type[Any]] = {BYTES: np.uint8, PAIRS: np.int16}
_BYTES_WORTH_A_THREAD = 1 << 19
"""Less is copied before a thread has woken."""
_LONGEST_ROUND = 64
"""More than the kernel's loop takes of K at once."""


def filled_image(operands: Operands, kind: str) -> tuple[NDArray[Any], int]:
    """Return the filled-in image [batch, height, width, channels of all groups], and what stands in its border.

    Where it holds all of `operands.x`, the range of that is found on the way.

    Parameters
    ----------
    operands
        The layer's; they keep the image.
    kind
        BYTES: less the least number of the format, uint8; PAIRS: less the zero point, int16.

    """
    if kind not in operands.images:
        operands.images[kind] = _fill(operands, kind)
    return operands.images[kind]


def _fill(operands: Operands, kind: str) -> tuple[NDArray[Any], int]:
    geometry = operands.geometry
    less = operands.x_format.min if kind == BYTES else operands.x_zero_point
    border = operands.x_zero_point - less
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
    # The last pieces of the last pixel may read past its end, each by less than a round: their weights there are 0.
    slack = 2 * geometry.k + _LONGEST_ROUND
    flat = np.empty(geometry.batch * height * width * channels + slack, _DTYPES[kind])
    flat[-slack:] = 0
    image = flat[:-slack].reshape(geometry.batch, height, width, channels)
    if kind == BYTES and operands.source is not None:
        _fill_turned(operands, operands.source, less, border, image)
        return image, border
    x = operands.x.reshape(geometry.batch, geometry.in_height, geometry.in_width, channels)
    top, left = geometry.padding.top, geometry.padding.left
    spans = np.tile([np.iinfo(np.int64).max, np.iinfo(np.int64).min], (threads_now(), 1))
    arguments = (x, top, left, less, border, image, np.zeros(1, np.int64))
    most = 1 + image.nbytes // _BYTES_WORTH_A_THREAD
    run_on_threads(lambda thread: fill_image(*arguments, spans[thread]) or 0, most)
    down, across = geometry.in_height + top, geometry.in_width + left
    if x.size and min(top, left) >= 0 and down <= height and across <= width:
        operands.hold_range(int(spans[:, 0].min()), int(spans[:, 1].max()))
    return image, border


def _fill_turned(operands: Operands, source: NDArray[Any], less: int, border: int, image: NDArray[np.uint8]) -> None:
    """Fill an image in from activations that lie [channels, height, width, batch]."""
    padding = operands.geometry.padding
    fill_turned(source.view(np.uint8), padding.top, padding.left, less, border, image)
