"""Convolution on register tiles: every output as one exact sum, requantized straight out of the scratch of a few tiles.

The work is cut into tasks of PIXELS output pixels and some panels of channels. For each panel the weights are taken in
chunks that stay in the cache while all pixels of the task pass over them. The image is convolved in place: rows of the
tile and pieces of K are byte offsets into it (see `dot_tile`); borders and gaps are filled in beforehand.

Where the border is filled with 0, a tap that lies in it for all pixels of a tile adds nothing and is left out: a good
part of a filter as wide as the image. A chunk all of whose taps are left out for a tile is passed over.

Extremes of the sums at a chunk's end are those of the tiles that add in it, or in the next: a chunk that a tile passes
over changes none of its sums, and where it goes on adding, what it held before counts as an end of the chunk before.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.kernels import requantize_panels
from simulator.kernels._jit import kernel
from simulator.kernels.ask_ahead import ask_ahead
from simulator.kernels.by_address import call_at
from simulator.kernels.dot_tile import GROUP_BYTES
from simulator.kernels.isa import TILE_ROWS
from simulator.kernels.lines import LINE_BYTES, first_line
from simulator.kernels.requantize_panels import CHANNELS, KIND, RAW, requantize_block
from simulator.kernels.rooms import BEGIN, TASKS
from simulator.kernels.stream_sums import end_stream, stream_sums
from simulator.kernels.tickets import take_ticket

PIXELS = 384
"""Output pixels of a task, at most; a multiple of TILE_ROWS."""
FINISHED_ROWS = 4 * TILE_ROWS
"""Rows of sums that are requantized at once: still in the nearest cache, and their lines of the output not too many to
be asked for ahead. Whole tiles."""

# A plan begins as that of `requantize_panels`.
PIXEL_COUNT = requantize_panels.PLAN_LENGTH
"""Output pixels, M."""
OUT_HEIGHT = requantize_panels.PLAN_LENGTH + 1
OUT_WIDTH = requantize_panels.PLAN_LENGTH + 2
BATCH_BYTES = requantize_panels.PLAN_LENGTH + 3
"""From one image to the next."""
ROW_BYTES = requantize_panels.PLAN_LENGTH + 4
"""From what one output row reads to what the next reads."""
COLUMN_BYTES = requantize_panels.PLAN_LENGTH + 5
GROUP_OFFSET_BYTES = requantize_panels.PLAN_LENGTH + 6
"""From one group's channels to the next group's."""
FILTERS = requantize_panels.PLAN_LENGTH + 7
"""Output channels of a group."""
GROUPS = requantize_panels.PLAN_LENGTH + 8
PANELS = requantize_panels.PLAN_LENGTH + 9
"""Panels of a group."""
PIECES = requantize_panels.PLAN_LENGTH + 10
PIECE_GROUPS = requantize_panels.PLAN_LENGTH + 11
"""Groups of 4 bytes in a piece."""
CHUNK_PIECES = requantize_panels.PLAN_LENGTH + 12
"""Pieces of weights that stay in the cache."""
TASK_PIXELS = requantize_panels.PLAN_LENGTH + 13
TASK_PANELS = requantize_panels.PLAN_LENGTH + 14
"""Panels (of all groups) of a task."""
INSIDE = requantize_panels.PLAN_LENGTH + 15
"""Four entries: first row and column of the filled-in image that may hold other values than 0, and those after them."""
STRIDES = requantize_panels.PLAN_LENGTH + 19
"""Two entries: down and across."""
ALL_COUNTS = requantize_panels.PLAN_LENGTH + 21
"""Whether INSIDE is all of the filled-in image, so that each tile takes every piece: 1 or 0."""
STREAMS = requantize_panels.PLAN_LENGTH + 22
"""Whether raw sums are written past the caches: where `out` and each row begin on 64 bytes; 1 or 0."""
DOT_TILE = requantize_panels.PLAN_LENGTH + 23
"""Address of the tile: see `dot_tile_at`."""
PLAN_LENGTH = requantize_panels.PLAN_LENGTH + 24

PIECE_OFFSET = 0
"""Columns of the pieces' table: byte offset into the image."""
PIECE_ROW = 1
"""Row of the image under the piece, from the first that an output reads."""
PIECE_COLUMN = 2
"""First column likewise."""
PIECE_LAST_COLUMN = 3
PIECE_LENGTH = 4


@kernel(inline=True)
def lay_out_tiles(plan: Any, first: Any, count: Any, table: Any, windows: Any) -> None:
    """Say what `count` output pixels from `first` on read.

    Parameters
    ----------
    plan, first, count
        As they are.
    table
        int64 [count filled up to whole tiles, at least], written: byte offset of each pixel; spare rows of the last
        tile read the last.
    windows
        int64 [tiles, 4], written: where in the image the outputs of a tile begin to read: least and greatest row, then
        column.

    """
    width, height = plan[OUT_WIDTH], plan[OUT_HEIGHT]
    line = first // width
    column = first - line * width
    image = line // height
    row = line - image * height
    at = np.int64(0)
    for tile in range(-(-count // TILE_ROWS)):
        top, left, begun = row, column, image
        bottom, right, ended = row, column, image
        for i in range(tile * TILE_ROWS, min((tile + 1) * TILE_ROWS, count)):
            at = image * plan[BATCH_BYTES] + row * plan[ROW_BYTES] + column * plan[COLUMN_BYTES]
            table[i] = at
            bottom, right, ended = row, column, image
            column += 1
            if column == width:
                column, row = 0, row + 1
            if row == height:
                row, image = 0, image + 1
        if ended != begun:
            top, bottom = 0, height - 1
        if ended != begun or bottom != top:
            left, right = 0, width - 1
        windows[tile, 0], windows[tile, 1] = top * plan[STRIDES], bottom * plan[STRIDES]
        windows[tile, 2], windows[tile, 3] = left * plan[STRIDES + 1], right * plan[STRIDES + 1]
    for i in range(count, min(-(-count // TILE_ROWS) * TILE_ROWS, table.shape[0])):
        table[i] = at


@kernel(inline=True)
def choose_pieces(plan: Any, pieces: Any, window: Any, piece_bytes: Any, chosen: Any) -> Any:
    """Write offsets of activations and weights of those pieces that may add to a tile, and return how many."""
    count = 0
    for piece in range(pieces.shape[0]):
        row, column, last_column = (
            pieces[piece, PIECE_ROW],
            pieces[piece, PIECE_COLUMN],
            pieces[piece, PIECE_LAST_COLUMN],
        )
        inside = window[1] + row >= plan[INSIDE] and window[0] + row < plan[INSIDE + 2]
        if inside and window[3] + last_column >= plan[INSIDE + 1] and window[2] + column < plan[INSIDE + 3]:
            chosen[2 * count] = pieces[piece, PIECE_OFFSET]
            chosen[2 * count + 1] = piece * piece_bytes
            count += 1
    return count


@kernel(inline=True)
def add_start(sums: Any, start: Any, out: Any) -> None:
    """Write the sums of a pixel, modulo 2^32; on slices, for LLVM vectorises no index that may be negative."""
    for c in range(out.size):
        out[c] = np.int32(sums[c] + start[c])


@kernel()
def convolve(
    room: Any,
    image_begin: Any,
    weights: Any,
    pieces: Any,
    extra_begins: Any,
    extra_offsets: Any,
    extra_weights: Any,
    plan: Any,
    start: Any,
    first: Any,
    second: Any,
    extremes: Any,
    out_room: Any,
    found: Any,
) -> Any:
    """Convolve the image in a room into another, by each of some threads; return how many outputs this one clipped.

    One task after another is done, as long as there are some.

    Parameters
    ----------
    room, image_begin
        uint8, flat: filled-in activations, uint8 or int16, and the byte where they begin; see `rooms`.
    weights
        uint8 [panels of all groups, ...]: int8 or int16, packed.
    pieces
        int64 [PIECES, PIECE_LENGTH]: where the pieces of K lie.
    extra_begins, extra_offsets, extra_weights
        int64 [panels of all groups, vectors + 1], int64 [extras] and int8 [extras, lanes, 4], see `heavy_pairs`; or
        empty.
    plan
        int64 [PLAN_LENGTH].
    start, first, second
        int32 [panels of all groups * CHANNELS]: start values, constants of the requantizer.
    extremes
        int32 [2, chunks, panels of all groups * CHANNELS], brought up to date: least and greatest sums (without start
        value) at the end of each chunk of K, of every pixel to which that chunk or the next adds anything, at the end
        of the last of all; or empty.
    out_room
        uint8 [pixels, filters of all groups, as int32 (RAW) or bytes; and a line, at least], flat, written.
    found
        int64 [2], zeros before, shared among threads: TASKS and BEGIN.

    """
    found[BEGIN] = first_line(out_room)  # by every thread alike
    out = out_room[found[BEGIN] :]
    channels, dot_tile = plan[CHANNELS], plan[DOT_TILE]
    pixel_count, filters, panels = plan[PIXEL_COUNT], plan[FILTERS], plan[PANELS]
    row_filters = filters * plan[GROUPS]
    all_panels = panels * plan[GROUPS]
    shares = -(-all_panels // plan[TASK_PANELS])
    tasks = -(-pixel_count // plan[TASK_PIXELS]) * shares
    piece_bytes = plan[PIECE_GROUPS] * GROUP_BYTES * channels
    clipped = np.int64(0)
    sums_out = out.view(np.int32) if plan[KIND] == RAW else out[:0].view(np.int32)
    stays_near = plan[KIND] != RAW and plan[PIECES] <= plan[CHUNK_PIECES]
    table = np.empty(PIXELS + TILE_ROWS, np.int64)
    windows = np.empty((PIXELS // TILE_ROWS, 4), np.int64)
    passed_over = np.zeros(PIXELS // TILE_ROWS, np.int64)
    chosen = np.empty(2 * plan[CHUNK_PIECES], np.int64)
    scratch = np.empty((PIXELS + TILE_ROWS) * channels + LINE_BYTES // 4, np.int32)
    skipped = first_line(scratch)
    sums = scratch[skipped : skipped + (PIXELS + TILE_ROWS) * channels].reshape((PIXELS + TILE_ROWS, channels))
    spare = np.empty((PIXELS, channels), np.uint8)
    task = take_ticket(found[TASKS:].ctypes.data)
    while task < tasks:
        block = task // shares
        share = task - block * shares
        begin = block * plan[TASK_PIXELS]
        count = min(plan[TASK_PIXELS], pixel_count - begin)
        lay_out_tiles(plan, begin, count, table, windows)
        for panel in range(share * plan[TASK_PANELS], min((share + 1) * plan[TASK_PANELS], all_panels)):
            group = panel // panels
            number = panel - group * panels
            base = room.ctypes.data + image_begin + group * plan[GROUP_OFFSET_BYTES]
            packed = weights.ctypes.data + panel * plan[PIECES] * piece_bytes
            width = min(channels, filters - number * channels)
            channel = group * filters + number * channels
            at = panel * channels
            for piece in range(0, plan[PIECES], plan[CHUNK_PIECES]):
                chunk = min(plan[CHUNK_PIECES], plan[PIECES] - piece)
                is_last = piece + chunk == plan[PIECES]
                finishes = is_last and plan[KIND] != RAW
                extras_at = extra_begins[panel].ctypes.data if is_last and extra_begins.shape[0] > 0 else 0
                # The first chunk begins the sums, and the last has the extremes of all of them.
                is_between = piece > 0 and not is_last
                lows = highs = 0
                if extremes.shape[1] > 0:
                    ended = piece // plan[CHUNK_PIECES]
                    lows = extremes[0, ended, panel * channels :].ctypes.data
                    highs = extremes[1, ended, panel * channels :].ctypes.data
                chunk_at = packed + piece * piece_bytes
                taken = pieces[piece : piece + chunk]
                used = np.int64(0)
                for i in range(0, count, TILE_ROWS):
                    if i == 0 or plan[ALL_COUNTS] == 0:
                        used = choose_pieces(plan, taken, windows[i // TILE_ROWS], piece_bytes, chosen)
                    turn = i % FINISHED_ROWS
                    sums_at = sums.ctypes.data + 4 * channels * (turn if stays_near else i)
                    if finishes:
                        for row in range(begin + i, begin + min(i + TILE_ROWS, count)):
                            ask_ahead(out.ctypes.data + row * row_filters + channel)
                    passes_over = used == 0 and is_between
                    # What a tile held while it passed over chunks is first an end of the one before, if ends count:
                    # a step to which neither pieces nor extras belong.
                    first_step = 1 - passed_over[i // TILE_ROWS]
                    passed_over[i // TILE_ROWS] = passes_over and lows != 0
                    for step in range(2 if passes_over else first_step, 2):
                        back = (1 - step) * extremes.strides[1]
                        call_at(
                            dot_tile,
                            (
                                base,
                                table.ctypes.data + 8 * i,
                                chosen.ctypes.data,
                                step * used,
                                plan[PIECE_GROUPS],
                                chunk_at,
                                sums_at,
                                piece,
                                lows - back,
                                highs - back,
                                step * extras_at,
                                extra_offsets.ctypes.data,
                                extra_weights.ctypes.data,
                            ),
                        )
                    done = min(i + TILE_ROWS, count)
                    if finishes and (turn + TILE_ROWS == FINISHED_ROWS or done == count):
                        clipped += requantize_block(
                            plan,
                            sums_at - 4 * channels * turn,
                            4 * channels,
                            done - (i - turn),
                            width,
                            start,
                            first,
                            second,
                            at,
                            out,
                            (begin + i - turn) * row_filters + channel,
                            row_filters,
                            spare,
                        )
            if plan[KIND] == RAW and plan[STREAMS] != 0:
                for i in range(count):
                    place = out.ctypes.data + 4 * ((begin + i) * row_filters + channel)
                    stream_sums(sums[i].ctypes.data, start[at:].ctypes.data, place, width)
            elif plan[KIND] == RAW:
                for i in range(count):
                    place = (begin + i) * row_filters + channel
                    add_start(sums[i], start[at:], sums_out[place : place + width])
        task = take_ticket(found[TASKS:].ctypes.data)
    if plan[STREAMS] != 0:
        end_stream()
    return clipped
