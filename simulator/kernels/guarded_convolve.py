"""Convolution in the order and width of the device's registers, with the count of events, on guarded tiles.

Tasks are pixels times panels as in `convolve`; the blocks of K are taken in chunks whose weights stay in the cache,
each output's registers and counts waiting in the thread's scratch meanwhile.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.kernels import convolve
from simulator.kernels import guarded_frame as of
from simulator.kernels._jit import kernel
from simulator.kernels.by_address import call_at
from simulator.kernels.convolve import (
    FILTERS,
    GROUP_OFFSET_BYTES,
    GROUPS,
    PANELS,
    PIXEL_COUNT,
    TASK_PANELS,
    TASK_PIXELS,
    lay_out_tiles,
)
from simulator.kernels.dot_tile import GROUP_BYTES
from simulator.kernels.isa import TILE_ROWS
from simulator.kernels.requantize_panels import CHANNELS, KIND, RAW, requantize_block
from simulator.kernels.tickets import take_ticket

PIXELS = 192
"""Output pixels of a task, at most; a multiple of TILE_ROWS."""

# The plan goes on where that of `convolve` ends.
UNITS = convolve.PLAN_LENGTH
"""Folds (weight stationary) or blocks (output stationary) of K."""
UNIT_BLOCKS = UNITS + 1
"""Blocks of a fold; 1 for output stationary."""
BLOCK_GROUPS = UNITS + 2
CHUNK_UNITS = UNITS + 3
"""Units whose weights stay in the cache."""
PIXEL_BYTES = UNITS + 4
"""From one pixel of the image to the next."""
NORM_PIXEL_BYTES = UNITS + 5
"""From the norms of one pixel to those of the next."""
NORM_GROUP_BYTES = UNITS + 6
REGISTERS = UNITS + 7
"""Six entries: low end, high end, whether it saturates, of the inner and the outer register."""
INNER_IS_PROVED = REGISTERS + 6
"""Whether no partial sum can overflow (weight stationary)."""
TRICKS = REGISTERS + 7
"""Four entries, as in the frame of `guarded_frame`."""
IS_TWO_LEVEL = REGISTERS + 11
"""Weight stationary: partial sums and accumulators, 1; else 0."""
TILE = REGISTERS + 12
"""Address of the tile: see `guarded_tile_at`."""
PLAN_LENGTH = REGISTERS + 13

STAT_INNER_EVENTS = 0
STAT_OUTER_EVENTS = 1
STAT_AFFECTED = 2
STAT_FIRST_INNER = 3
"""Lowest output with an event in an inner register; NONE without."""
STAT_FIRST_OUTER = 4
STATS_LENGTH = 5
NONE = np.iinfo(np.int64).max


@kernel(inline=True)
def account_row(inner: Any, outer: Any, width: Any, index: Any, stats: Any) -> None:
    """Add the counts of one pixel's outputs, whose flat indices start at `index`, to the statistics of a thread."""
    found = np.int64(0)
    for c in range(width):
        found += inner[c] + outer[c]
    if found == 0:
        return
    for c in range(width):
        stats[STAT_INNER_EVENTS] += inner[c]
        stats[STAT_OUTER_EVENTS] += outer[c]
        if inner[c] + outer[c] > 0:
            stats[STAT_AFFECTED] += 1
        if inner[c] > 0:
            stats[STAT_FIRST_INNER] = min(stats[STAT_FIRST_INNER], index + c)
        if outer[c] > 0:
            stats[STAT_FIRST_OUTER] = min(stats[STAT_FIRST_OUTER], index + c)


@kernel(inline=True)
def fill_frame(plan: Any, frame: Any) -> None:
    """Write what all tiles of a task share."""
    frame[of.FOLD_BLOCKS] = plan[UNIT_BLOCKS]
    frame[of.BLOCK_GROUPS] = plan[BLOCK_GROUPS]
    frame[of.INNER_IS_PROVED] = plan[INNER_IS_PROVED]
    for i in range(4):
        frame[of.TRICKS + i] = plan[TRICKS + i]
    for i in range(6):
        frame[of.INNER_LOW + i] = plan[REGISTERS + i]


@kernel()
def guarded_convolve(
    image: Any,
    norms: Any,
    weights: Any,
    weight_norms: Any,
    pieces: Any,
    norm_pieces: Any,
    plan: Any,
    start: Any,
    start_events: Any,
    no_start: Any,
    first: Any,
    second: Any,
    out: Any,
    stats: Any,
    counter: Any,
) -> Any:
    """Convolve, one task after another as long as there are some, and return how many outputs were clipped.

    Parameters
    ----------
    image
        int16, flat: filled-in activations, zero point subtracted.
    norms
        int32, flat: norms of the blocks of activations at each pixel.
    weights, weight_norms
        int16 [1 or 2, panels of all groups, ...], packed, and raised where the plan says so; int32 [panels of all
        groups, blocks, CHANNELS], halves of the norms.
    pieces, norm_pieces
        int64 [blocks], byte offsets of the blocks into `image` and `norms`.
    plan
        int64 [PLAN_LENGTH].
    start, start_events
        int32 [panels of all groups * CHANNELS]: accumulators with their start values loaded, and the events of that.
    no_start, first, second
        int32 likewise: zeros; constants of the requantizer.
    out
        uint8, flat, the memory of [pixels, filters of all groups], written: int32 (RAW) or bytes.
    stats
        int64 [STATS_LENGTH], updated.
    counter
        int64 [1]: the next task, shared among threads.

    """
    channels = plan[CHANNELS]
    pixel_count, filters, panels = plan[PIXEL_COUNT], plan[FILTERS], plan[PANELS]
    row_filters = filters * plan[GROUPS]
    all_panels = panels * plan[GROUPS]
    shares = -(-all_panels // plan[TASK_PANELS])
    tasks = -(-pixel_count // plan[TASK_PIXELS]) * shares
    block_bytes = plan[BLOCK_GROUPS] * GROUP_BYTES * channels
    blocks = plan[UNITS] * plan[UNIT_BLOCKS]
    clipped = np.int64(0)
    registers_out = out.view(np.int32) if plan[KIND] == RAW else out[:0].view(np.int32)
    table = np.empty(PIXELS + TILE_ROWS, np.int64)
    windows = np.empty((PIXELS // TILE_ROWS, 4), np.int64)
    norm_table = np.empty(PIXELS + TILE_ROWS, np.int64)
    registers = np.empty((PIXELS + TILE_ROWS, channels), np.int32)
    register_events = np.empty((PIXELS + TILE_ROWS, channels), np.int32)
    partial_events = np.empty((PIXELS + TILE_ROWS, channels), np.int32)
    partial_sums = np.zeros((TILE_ROWS, channels), np.int32)
    spare = np.empty((PIXELS, channels), np.uint8)
    frame = np.empty(of.FRAME_LENGTH, np.int64)
    fill_frame(plan, frame)
    task = take_ticket(counter.ctypes.data)
    while task < tasks:
        block = task // shares
        share = task - block * shares
        begin = block * plan[TASK_PIXELS]
        count = min(plan[TASK_PIXELS], pixel_count - begin)
        lay_out_tiles(plan, begin, count, table, windows)
        for i in range(-(-count // TILE_ROWS) * TILE_ROWS):
            norm_table[i] = table[i] // plan[PIXEL_BYTES] * plan[NORM_PIXEL_BYTES]
        for panel in range(share * plan[TASK_PANELS], min((share + 1) * plan[TASK_PANELS], all_panels)):
            group = panel // panels
            number = panel - group * panels
            at = panel * channels
            for i in range(-(-count // TILE_ROWS) * TILE_ROWS):
                for c in range(channels):
                    registers[i, c] = start[at + c]
                    register_events[i, c] = start_events[at + c]
                    partial_events[i, c] = 0
            frame[of.ACTIVATIONS] = image.ctypes.data + group * plan[GROUP_OFFSET_BYTES]
            frame[of.NORMS] = norms.ctypes.data + group * plan[NORM_GROUP_BYTES]
            for unit in range(0, plan[UNITS], plan[CHUNK_UNITS]):
                done = unit * plan[UNIT_BLOCKS]
                frame[of.FOLDS] = min(plan[CHUNK_UNITS], plan[UNITS] - unit)
                frame[of.PIECES] = pieces.ctypes.data + 8 * done
                frame[of.NORM_PIECES] = norm_pieces.ctypes.data + 8 * done
                frame[of.WEIGHTS] = weights.ctypes.data + (panel * blocks + done) * block_bytes
                frame[of.WEIGHT_NORMS] = weight_norms.ctypes.data + (panel * blocks + done) * 4 * channels
                for i in range(0, count, TILE_ROWS):
                    frame[of.ROWS] = table.ctypes.data + 8 * i
                    frame[of.NORM_ROWS] = norm_table.ctypes.data + 8 * i
                    here = 4 * channels * i
                    if plan[IS_TWO_LEVEL] != 0:
                        frame[of.INNER] = partial_sums.ctypes.data
                        frame[of.INNER_EVENTS] = partial_events.ctypes.data + here
                        frame[of.OUTER] = registers.ctypes.data + here
                        frame[of.OUTER_EVENTS] = register_events.ctypes.data + here
                    else:
                        frame[of.INNER] = registers.ctypes.data + here
                        frame[of.INNER_EVENTS] = register_events.ctypes.data + here
                    call_at(plan[TILE], (frame.ctypes.data,))
            width = min(channels, filters - number * channels)
            channel = group * filters + number * channels
            for i in range(count):
                index = (begin + i) * row_filters + channel
                account_row(partial_events[i], register_events[i], width, index, stats)
            if plan[KIND] == RAW:
                for i in range(count):
                    for c in range(width):
                        registers_out[(begin + i) * row_filters + channel + c] = registers[i, c]
            else:
                clipped += requantize_block(
                    plan,
                    registers.ctypes.data,
                    4 * channels,
                    count,
                    width,
                    no_start,
                    first,
                    second,
                    at,
                    out,
                    begin * row_filters + channel,
                    row_filters,
                    spare,
                )
        task = take_ticket(counter.ctypes.data)
    return clipped
