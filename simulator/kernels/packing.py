"""Operands of the register tiles: images with their borders filled in, and weights in the order of the tile."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.kernels._jit import kernel
from simulator.kernels.copy_bytes import VECTOR_BYTES, copy_bytes
from simulator.kernels.dot_tile import GROUP_BYTES
from simulator.kernels.extremes import extremes
from simulator.kernels.tickets import take_ticket
from simulator.kernels.words import copy_word
from simulator.kernels.workers import run_on_threads

_TASK_BYTES = 1 << 16
_BLOCK = 256
"""Positions of K that are packed for all lanes in turn; a multiple of what a lane takes at once."""


@kernel(inline=True)
def _fill_line(
    x: Any, top: Any, left: Any, less: Any, border: Any, streams: Any, image: Any, line: Any, span: Any
) -> None:
    _, height, width, channels = image.shape
    begin = min(max(left, 0), width)
    end = max(min(left + x.shape[2], width), begin)
    picture = line // height
    y = line - picture * height - top
    target = image[picture, y + top].reshape(-1)
    if y < 0 or y >= x.shape[1]:
        end = begin = width
    source = x[picture, max(0, min(y, x.shape[1] - 1))].reshape(-1)
    for i in range(begin * channels):
        target[i] = border
    inside = target[begin * channels : end * channels]
    taken = source[(begin - left) * channels :]
    for i in range(end * channels, width * channels):
        target[i] = border
    if image.itemsize == 1 and inside.size >= VECTOR_BYTES:
        found = copy_bytes(taken.ctypes.data, inside.ctypes.data, np.int64(inside.size), less, streams)
        span[0], span[1] = min(span[0], (found & 255) + less), max(span[1], (found >> 8) + less)
        return
    for i in range(inside.size):
        inside[i] = np.int64(taken[i]) - less
    if inside.size:
        low, high = extremes(taken[: inside.size])
        span[0], span[1] = min(span[0], np.int64(low)), max(span[1], np.int64(high))


@kernel()
def fill_image(
    x: Any, top: Any, left: Any, less: Any, border: Any, streams: Any, image: Any, counter: Any, span: Any
) -> None:
    """Copy images into larger (or cropped) ones, some lines after another as long as there are some.

    Parameters
    ----------
    x
        [batch, height, width, channels], as stored.
    top, left
        Where pixel (0, 0) comes to lie; negative where rows or columns are cut off.
    less
        Subtracted from every value.
    border
        What stands in the border.
    streams
        1 = lines are copied past the caches: of bytes, and whole VECTOR_BYTES a pixel, from such an address on; else 0.
    image
        [batch, filled height, filled width, channels], written; its dtype, uint8 or int16, holds the differences. To
        uint8 go numbers of 8 bits.
    counter
        int64 [1]: the next task, shared among threads.
    span
        int64 [2], brought up to date: least and greatest number copied, as stored.

    """
    lines = image.shape[0] * image.shape[1]
    task_lines = max(1, _TASK_BYTES // (image.shape[2] * image.shape[3] * image.itemsize))
    task = take_ticket(counter.ctypes.data)
    while task * task_lines < lines:
        for line in range(task * task_lines, min((task + 1) * task_lines, lines)):
            _fill_line(x, top, left, less, border, streams, image, line, span)
        task = take_ticket(counter.ctypes.data)


@kernel(inline=True)
def _pack_lane(row: Any, zero: Any, source: Any, begin: Any, end: Any, lane: Any, target: Any) -> None:
    """Pack positions begin to end of one filter; whole groups of neighbours in K without looking each up."""
    taken = target.shape[2]
    for group in range(begin // taken, end // taken):
        first = source[group * taken]
        if first >= 0 and source[group * taken + taken - 1] == first + taken - 1:
            for i in range(taken):
                target[group, lane, i] = np.int64(row[first + i]) - zero
        else:
            for i in range(taken):
                k = source[group * taken + i]
                if k >= 0:
                    target[group, lane, i] = np.int64(row[k]) - zero


@kernel(inline=True)
def _pack_words(rows: Any, first: Any, lanes: Any, source: Any, begin: Any, end: Any, target: Any) -> None:
    """Pack positions begin to end of some filters as stored; a group, 4 bytes, at once where it holds neighbours."""
    channels, taken = target.shape[1], target.shape[2]
    for group in range(begin // taken, end // taken):
        k = source[group * taken]
        if k >= 0 and source[group * taken + taken - 1] == k + taken - 1:
            at = rows.ctypes.data + (first * rows.shape[1] + k) * rows.itemsize
            to = target.ctypes.data + group * channels * GROUP_BYTES
            for lane in range(lanes):
                copy_word(at + lane * rows.shape[1] * rows.itemsize, to + lane * GROUP_BYTES)
        else:
            for lane in range(lanes):
                for i in range(taken):
                    k = source[group * taken + i]
                    if k >= 0:
                        target[group, lane, i] = rows[first + lane, k]


@kernel()
def pack_weights(
    weights: Any, zero_points: Any, source: Any, panels: Any, is_plain: Any, out: Any, counter: Any
) -> None:
    """Bring weights into the order in which a register tile reads them, some after others as long as there are some.

    Parameters
    ----------
    weights
        [groups, filters of a group, K], as stored.
    zero_points
        int64 [groups, filters of a group], subtracted.
    source
        int64 [positions]: the k that stands at each position of the packed K, rising within a group of `taken`; -1 =
        filled up with 0.
    panels
        Panels of a group.
    is_plain
        Whether `out` has the dtype of `weights` and every zero point is 0.
    out
        int8 or int16 [groups * panels, positions / taken, channels, taken], zeros, written; holds the differences.
    counter
        int64 [1]: the next task, shared among threads.

    """
    filters, channels = weights.shape[1], out.shape[2]
    positions = source.shape[0]
    # A panel is packed block by block, all lanes of one before the next: what they write shares cache lines.
    blocks = -(-positions // _BLOCK)
    task = take_ticket(counter.ctypes.data)
    while task < out.shape[0] * blocks:
        panel = task // blocks
        begin = (task - panel * blocks) * _BLOCK
        end = min(begin + _BLOCK, positions)
        group = panel // panels
        first = (panel - group * panels) * channels
        lanes = min(channels, filters - first)
        if is_plain:
            _pack_words(weights[group], first, lanes, source, begin, end, out[panel])
        else:
            for lane in range(lanes):
                number = first + lane
                _pack_lane(weights[group, number], zero_points[group, number], source, begin, end, lane, out[panel])
        task = take_ticket(counter.ctypes.data)


def pack(weights: Any, zero_points: Any, source: Any, panels: int, out: Any) -> None:
    """Call `pack_weights` on some threads, having looked whether weights can be packed as they are stored."""
    is_plain = weights.dtype == out.dtype and not zero_points.any()
    arguments = (weights, zero_points, source, panels, is_plain, out, np.zeros(1, np.int64))
    run_on_threads(lambda _: pack_weights(*arguments) or 0)
