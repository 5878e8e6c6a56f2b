"""Operands of the register tiles from arrays whose first and last axis are exchanged, with no copy between.

The gradient of a filter is a convolution of the transposed activations by the transposed errors. What the tiles want of
either is another order again: so both are brought there from the arrays as they lie in memory.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from simulator.kernels._jit import kernel
from simulator.kernels.dot_tile import GROUP_BYTES
from simulator.kernels.turn_block import ROW_BYTES, ROWS, turn_bytes_less, weave_bytes
from simulator.kernels.words import copy_long_word

_CHUNK_BYTES = 1 << 16
_COLUMNS = 32
"""Images of the target that are written side by side: their lines stay in the cache."""
_BLOCK = 64
"""Groups of a task."""
_FOLDS = 16
"""Folds of a task."""
_SHORT = 128
"""Bytes whose sum int16 holds."""


@kernel(inline=True)
def _turn_line(x: Any, less: Any, y: Any, begin: Any, end: Any, whole: Any, image: Any, place: Any) -> None:
    """Copy columns begin to end of line y of x where a column has fewer numbers than a block: a block goes across some.

    Channels up to `whole`, a multiple of ROWS; `place` is where in the first image of the target the line begins.
    """
    channels, in_height, in_width, batch = x.shape
    image_bytes = image.shape[1] * image.shape[2] * channels
    plane_bytes = in_height * in_width * batch
    block = np.empty(ROWS * ROW_BYTES, np.uint8)
    line = x.ctypes.data + (y * in_width + begin) * batch
    count = (end - begin) * batch
    for first in range(0, count - ROW_BYTES + 1, ROW_BYTES):
        for a in range(0, whole, ROWS):
            turn_bytes_less(line + a * plane_bytes + first, plane_bytes, block.ctypes.data, ROWS, less)
            column = first // batch
            b = first - column * batch
            for i in range(ROW_BYTES):
                target = image.ctypes.data + b * image_bytes + place + column * channels + a
                copy_long_word(block.ctypes.data + i * ROWS, target)
                b += 1
                if b == batch:
                    b, column = 0, column + 1
    flat = image.reshape(-1)
    for number in range(count - count % ROW_BYTES, count):
        column = number // batch
        b = number - column * batch
        for a in range(whole):
            target = b * image_bytes + place + column * channels + a
            flat[target] = (np.int64(x[a, y, begin + column, b]) - less) & 255


@kernel(inline=True)
def _turn_rest(x: Any, less: Any, first: Any, begin: Any, end: Any, target: Any, image_bytes: Any) -> None:
    """Copy a pixel [outer, inner] of x: outer numbers from `first` on, of the inner ones begin to end."""
    for b in range(begin, end):
        for a in range(first, x.shape[0]):
            target[b * image_bytes + a] = (np.int64(x[a, b]) - less) & 255


@kernel(parallel=True)
def fill_turned(x: Any, top: Any, left: Any, less: Any, border: Any, image: Any) -> None:
    """Copy images into larger (or cropped) ones, as `packing.fill_image`, exchanging images and channels.

    Parameters
    ----------
    x
        uint8 [channels, height, width, batch]: image b, channel a is x[a, :, :, b].
    top, left
        Where pixel (0, 0) comes to lie; negative where rows or columns are cut off.
    less
        Subtracted from every value, modulo 256.
    border
        What stands in the border.
    image
        uint8 [batch, filled height, filled width, channels], written.

    """
    channels, in_height, in_width, batch = x.shape
    height, width = image.shape[1], image.shape[2]
    flat = image.reshape(-1)
    if max(top, left) > 0 or top + in_height < height or left + in_width < width:
        for index in numba.prange(-(-flat.size // _CHUNK_BYTES)):
            at = np.int64(index) * _CHUNK_BYTES
            filled = flat[at : min(at + _CHUNK_BYTES, flat.size)]
            for i in range(filled.size):
                filled[i] = border
    first_row, first_column = max(-top, 0), max(-left, 0)
    rows = max(min(in_height, height - top) - first_row, 0)
    end_column = max(min(in_width, width - left), first_column)
    shares = -(-batch // _COLUMNS)
    whole = channels - channels % ROWS
    image_bytes, plane_bytes = height * width * channels, in_height * in_width * batch
    for index in numba.prange(rows * shares):
        task = np.int64(index)  # unsigned in a parallel loop, and unsigned with signed makes float64
        # Row after row of the same images: what is written, and the lines that it needs, go on where they ended.
        y = first_row + task % rows
        begin = task // rows * _COLUMNS
        end = min(begin + _COLUMNS, batch)
        turned = end - (end - begin) % ROW_BYTES
        if batch < ROW_BYTES:
            _turn_line(
                x, less, y, first_column, end_column, whole, image, ((y + top) * width + first_column + left) * channels
            )
            turned = end
        for column in range(first_column, end_column):
            place = ((y + top) * width + column + left) * channels
            for b in range(begin, turned if batch >= ROW_BYTES else begin, ROW_BYTES):
                source = x.ctypes.data + (y * in_width + column) * batch + b
                target = image.ctypes.data + b * image_bytes + place
                for a in range(0, whole, ROWS):
                    turn_bytes_less(source + a * plane_bytes, plane_bytes, target + a, image_bytes, less)
            pixel = x[:, y, column]
            _turn_rest(pixel, less, whole, begin, turned, flat[place:], image_bytes)
            _turn_rest(pixel, less, np.int64(0), turned, end, flat[place:], image_bytes)


@kernel(parallel=True)
def pack_turned(weights: Any, source: Any, out: Any) -> None:
    """Bring weights without zero points into the order of a register tile, as `packing.pack_weights`.

    Parameters
    ----------
    weights
        int8 [channels, taps, filters]: filter j has weights[c, t, j] at k = t * channels + c; channels a multiple of 4.
    source
        int64 [positions]: the k at each position of the packed K, four neighbours from a multiple of 4 on in each
        group; -1 = filled up with 0.
    out
        int8 [panels, positions / 4, lanes, 4], zeros, written.

    """
    channels, taps, filters = weights.shape
    lanes = out.shape[2]
    groups = source.shape[0] // GROUP_BYTES
    blocks = -(-groups // _BLOCK)
    row_bytes = taps * filters
    for index in numba.prange(out.shape[0] * blocks):
        task = np.int64(index)  # unsigned in a parallel loop, and unsigned with signed makes float64
        panel = task // blocks
        begin = (task - panel * blocks) * _BLOCK
        first = panel * lanes
        used = min(lanes, filters - first)
        woven = used - used % ROW_BYTES
        for group in range(begin, min(begin + _BLOCK, groups)):
            k = source[group * GROUP_BYTES]
            if k < 0:
                continue
            tap = k // channels
            channel = k - tap * channels
            at = weights.ctypes.data + (channel * taps + tap) * filters + first
            to = out.ctypes.data + (panel * groups + group) * lanes * GROUP_BYTES
            for lane in range(0, woven, ROW_BYTES):
                weave_bytes(at + lane, row_bytes, to + lane * GROUP_BYTES)
            for lane in range(woven, used):
                for i in range(GROUP_BYTES):
                    out[panel, group, lane, i] = weights[channel + i, tap, first + lane]


@kernel(inline=True)
def _add_row(row: Any, up: Any, total: Any) -> None:
    for j in range(row.size):
        w = np.int16(row[j])
        total[j] = np.int16(total[j] + w)
        up[j] = np.int16(up[j] + max(w, np.int16(0)))


@kernel(inline=True)
def _add_rows(a: Any, b: Any, c: Any, d: Any, up: Any, total: Any) -> None:
    """Add four rows: sums are read and written once."""
    zero = np.int16(0)
    for j in range(a.size):
        w, x, y, z = np.int16(a[j]), np.int16(b[j]), np.int16(c[j]), np.int16(d[j])
        total[j] = np.int16(total[j] + np.int16(np.int16(w + x) + np.int16(y + z)))
        ups = np.int16(np.int16(max(w, zero) + max(x, zero)) + np.int16(max(y, zero) + max(z, zero)))
        up[j] = np.int16(up[j] + ups)


@kernel(inline=True)
def _add_run(weights: Any, begin: Any, end: Any, up: Any, total: Any) -> None:
    """Add the weights of k from begin to end."""
    channels = weights.shape[0]
    tap = begin // channels
    channel = begin - tap * channels
    k = begin
    while k < end:
        taken = min(channels - channel, end - k)
        for c in range(channel, channel + taken - taken % 4, 4):
            rows = weights[c, tap], weights[c + 1, tap], weights[c + 2, tap], weights[c + 3, tap]
            _add_rows(rows[0], rows[1], rows[2], rows[3], up, total)
        for c in range(channel + taken - taken % 4, channel + taken):
            _add_row(weights[c, tap], up, total)
        k, tap, channel = k + taken, tap + 1, np.int64(0)


@kernel(parallel=True)
def fold_sums_turned(weights: Any, fold: Any, positive: Any, negative: Any) -> None:
    """Sum the positive and the negative weights of each fold of each filter, as `wide.fold_sums`.

    Parameters
    ----------
    weights
        int8 [channels, taps, filters], as `pack_turned` takes them.
    fold
        k of a fold.
    positive, negative
        int64 [filters, folds], written.

    """
    channels, taps, filters = weights.shape
    length, folds = channels * taps, positive.shape[1]
    for index in numba.prange(-(-folds // _FOLDS)):
        task = np.int64(index)  # unsigned in a parallel loop, and unsigned with signed makes float64
        up, total = np.zeros(filters, np.int16), np.zeros(filters, np.int16)
        for f in range(task * _FOLDS, min((task + 1) * _FOLDS, folds)):
            for j in range(filters):
                positive[j, f] = negative[j, f] = 0
            end = min((f + 1) * fold, length)
            for begin in range(f * fold, end, _SHORT):
                up[:] = 0
                total[:] = 0
                _add_run(weights, begin, min(begin + _SHORT, end), up, total)
                for j in range(filters):
                    positive[j, f] += np.int64(up[j])
                    negative[j, f] += np.int64(total[j]) - np.int64(up[j])
