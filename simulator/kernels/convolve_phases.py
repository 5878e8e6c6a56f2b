"""Transposed convolution on register tiles: all phases of one image, each raw sum written where it belongs.

A phase (see `execution.array_phases`) is a convolution of the input by those taps that meet no woven zero. All phases
read one filled-in image and one set of packed weights, of which each names the pieces that are its own; its outputs lie
apart in the result by the stride.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.kernels import convolve as plan_of
from simulator.kernels._jit import kernel
from simulator.kernels.by_address import call_at
from simulator.kernels.convolve import PIXELS, add_start, lay_out_tiles
from simulator.kernels.dot_tile import GROUP_BYTES
from simulator.kernels.isa import TILE_ROWS
from simulator.kernels.requantize_panels import CHANNELS
from simulator.kernels.tickets import take_ticket

# Columns of the phases' table.
FIRST_TASK = 0
FIRST_PIECE = 1
PIECES = 2
"""How many; may be none."""
PLACE = 3
"""Where the first output lies in the result, in numbers, as the steps that follow."""
IMAGE_STEP = 4
ROW_STEP = 5
COLUMN_STEP = 6
PHASE_LENGTH = 7

NOTHING_ELSE = 0, 0, 0, 0, 0
"""Neither extremes nor extras, for the tile."""


@kernel(inline=True)
def _lay_out_places(plan: Any, phase: Any, first: Any, count: Any, places: Any) -> None:
    """Write where the outputs of `count` pixels from `first` on lie."""
    width, height = plan[plan_of.OUT_WIDTH], plan[plan_of.OUT_HEIGHT]
    for i in range(count):
        line = (first + i) // width
        image = line // height
        row, column = line - image * height, first + i - line * width
        steps = image * phase[IMAGE_STEP] + row * phase[ROW_STEP] + column * phase[COLUMN_STEP]
        places[i] = phase[PLACE] + steps


@kernel()
def convolve_phases(
    image: Any, weights: Any, pieces: Any, phases: Any, plans: Any, tasks: Any, start: Any, out: Any, counter: Any
) -> None:
    """Convolve, one task after another as long as there are some; several threads may run it at once.

    Parameters
    ----------
    image
        uint8, flat: filled-in activations, uint8 or int16.
    weights
        uint8 [panels, groups of K, CHANNELS, GROUP_BYTES]: int8 or int16, packed.
    pieces
        int64 [pieces of all phases, 2]: byte offsets into the image, from what an output reads first, and into a panel.
    phases
        int64 [phases, PHASE_LENGTH].
    plans
        int64 [phases, PLAN_LENGTH of `convolve`].
    tasks
        Of all phases together.
    start
        int32 [phases, panels * CHANNELS].
    out
        int32, flat, written.
    counter
        int64 [1]: the next task, shared among threads.

    """
    channels = plans[0, CHANNELS]
    panel_bytes = weights.shape[1] * GROUP_BYTES * channels
    table, places = np.empty(PIXELS + TILE_ROWS, np.int64), np.empty(PIXELS, np.int64)
    windows = np.empty((PIXELS // TILE_ROWS, 4), np.int64)
    sums = np.empty((PIXELS + TILE_ROWS, channels), np.int32)
    task = take_ticket(counter.ctypes.data)
    while task < tasks:
        number = phases.shape[0] - 1
        while phases[number, FIRST_TASK] > task:
            number -= 1
        plan, phase = plans[number], phases[number]
        filters, panels = plan[plan_of.FILTERS], plan[plan_of.PANELS]
        shares = -(-panels // plan[plan_of.TASK_PANELS])
        block = (task - phase[FIRST_TASK]) // shares
        share = task - phase[FIRST_TASK] - block * shares
        begin = block * plan[plan_of.TASK_PIXELS]
        count = min(plan[plan_of.TASK_PIXELS], plan[plan_of.PIXEL_COUNT] - begin)
        lay_out_tiles(plan, begin, count, table, windows)
        _lay_out_places(plan, phase, begin, count, places)
        for panel in range(share * plan[plan_of.TASK_PANELS], min((share + 1) * plan[plan_of.TASK_PANELS], panels)):
            # Once at least: a phase that no tap meets has sums of 0.
            for piece in range(0, max(phase[PIECES], 1), plan[plan_of.CHUNK_PIECES]):
                chunk = min(plan[plan_of.CHUNK_PIECES], phase[PIECES] - piece)
                for i in range(0, count, TILE_ROWS):
                    call_at(
                        plan[plan_of.DOT_TILE],
                        (
                            image.ctypes.data,
                            table.ctypes.data + 8 * i,
                            pieces.ctypes.data + 16 * (phase[FIRST_PIECE] + piece),
                            chunk,
                            plan[plan_of.PIECE_GROUPS],
                            weights.ctypes.data + panel * panel_bytes,
                            sums.ctypes.data + 4 * channels * i,
                            piece,
                            *NOTHING_ELSE,
                        ),
                    )
            channel = panel * channels
            width = min(channels, filters - channel)
            for i in range(count):
                place = places[i] + channel
                add_start(sums[i], start[number, channel:], out[place : place + width])
        task = take_ticket(counter.ctypes.data)
