"""Images and outputs in rooms: memory that begins anywhere, used from its first cache line on.

No vector then straddles two lines, and nobody but a kernel looks for addresses, which is slow outside one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.kernels._jit import kernel
from simulator.kernels.lines import first_line
from simulator.kernels.packing import fill_image

# A placing says where an image's x comes to lie in it.
TOP, LEFT, LESS, BORDER, STREAMS = range(5)
"""As `packing.fill_image` takes them."""
HEIGHT, WIDTH = 5, 6
"""Of the image."""
SLACK = 7
"""Zeros behind the image, which may be read."""
PLACING_LENGTH = 8

TASKS, BEGIN = 0, 1
"""What the threads of a kernel share: tasks that were handed out; where image or output begin in their room, numbers or
bytes."""
LOW, HIGH = 0, 1
"""Least and greatest number that a thread copied, as stored."""


@kernel()
def fill_room(x: Any, placing: Any, room: Any, found: Any, thread: Any) -> None:
    """Copy images into larger (or cropped) ones in a room; by each of some threads.

    Parameters
    ----------
    x
        [batch, height, width, channels], as stored.
    placing
        int64 [PLACING_LENGTH].
    room
        uint8 or int16 [image + slack + a line, at least], written: see `packing.fill_image`.
    found
        int64 [1 + threads, 2], from `nothing_found`, brought up to date: TASKS and BEGIN; LOW and HIGH of each thread.
    thread
        Number of this thread, from 0.

    """
    batch, channels = x.shape[0], x.shape[3]
    shape = batch, placing[HEIGHT], placing[WIDTH], channels
    size = shape[0] * shape[1] * shape[2] * shape[3]
    begin = first_line(room)
    if thread == 0:
        found[0, BEGIN] = begin
        for i in range(begin + size, begin + size + placing[SLACK]):
            room[i] = 0
    image = room[begin : begin + size].reshape(shape)
    fill_image(
        x,
        placing[TOP],
        placing[LEFT],
        placing[LESS],
        placing[BORDER],
        placing[STREAMS],
        image,
        found[0],
        found[1 + thread],
    )


def nothing_found(threads: int) -> Any:
    """Return what `fill_room` has found before it begins."""
    found = np.zeros((1 + threads, 2), np.int64)
    found[1:, LOW], found[1:, HIGH] = np.iinfo(np.int64).max, np.iinfo(np.int64).min
    return found
