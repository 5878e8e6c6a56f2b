"""How a row of bytes becomes memory requests, and how the beats of a read become rows of the scratchpad.

As Gemmini's StreamReader, StreamWriter and BeatMerger do it (DMA.scala, BeatMerger.scala): a request is 1, 2, 4 ...
beats, aligned to its size, and the smallest of those that cover most of what is left. Beats of a read are shifted
together
and leave as whole rows of the scratchpad, one a cycle; the next request's first beat enters as the last row leaves.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True)
class Request:
    """One memory request. Cycles count from its first beat on the bus, one beat a cycle."""

    beats: int
    period: int
    """Cycles until the first beat of the next read can be taken."""
    first_write: int
    """Cycle in which the first row is written."""
    last_write: int
    """Cycle in which the last row is written."""


@lru_cache(maxsize=1 << 14)
def row_requests(
    offset: int, size_bytes: int, row_bytes: int, beat_bytes: int, burst_bytes: int
) -> tuple[Request, ...]:
    """Cut `size_bytes` bytes into requests, `offset` bytes into a burst, that fill rows of `row_bytes`."""
    found = []
    done = 0
    while done < size_bytes:
        size, useful = _widest(offset + done, size_bytes - done, beat_bytes, burst_bytes)
        shift = (offset + done) % size
        found.append(_merge(size // beat_bytes, beat_bytes, shift, useful, done % row_bytes, row_bytes))
        done += useful
    return tuple(found)


def _widest(address: int, left: int, beat_bytes: int, burst_bytes: int) -> tuple[int, int]:
    best_size, best_useful = 0, 0
    size = beat_bytes
    while size <= burst_bytes:
        useful = min(size - address % size, left)
        if useful > best_useful:
            best_size, best_useful = size, useful
        size *= 2
    return best_size, best_useful


def _merge(beats: int, beat_bytes: int, shift: int, useful: int, row_offset: int, row_bytes: int) -> Request:
    """Follow the beats of one read through the merger.

    shift: bytes ahead of the useful ones; row_offset: bytes of the first row that earlier requests have filled.
    """
    entered, sent, cycle = 1, 0, 0
    writes: list[int] = []
    while True:
        cycle += 1
        arrived = min(max(entered * beat_bytes - shift, 0), useful)
        complete = entered == beats
        if complete and sent == useful:
            # The last row left with the last beat still entering: it takes a cycle to notice.
            return Request(beats, cycle + 1, writes[0], writes[-1])
        sent_before = sent
        if arrived > sent and (arrived - sent >= row_bytes or arrived == useful):
            writes.append(cycle)
            sent = min(sent + row_bytes - (row_offset if sent == 0 else 0), useful)
            if complete and sent == useful:
                return Request(beats, cycle, writes[0], writes[-1])
        if not complete:
            if sent_before == useful and entered + 1 == beats:
                return Request(beats, cycle + 1, writes[0], writes[-1])
            entered += 1
