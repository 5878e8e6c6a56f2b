"""`simulator/timing/dma.py`, which says what happens here, compiled: the same cycles.

Times are counted in parts of a cycle of which the bandwidth, a fraction, makes whole numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.kernels._jit import kernel

Ints = NDArray[np.int64]

BURST, OUTSTANDING, SETUP, LATENCY, NUMERATOR, DENOMINATOR = range(6)
"""Entries of `path`: bytes, requests, cycles, cycles, and bytes per cycle as a fraction."""

BUS, ALONE, ISSUED, BEHIND, ISSUED_BEHIND, DESCRIPTORS = range(6)
"""Entries of the result: see `transfer_cycles`."""
PARTS = 6

NOT_BOUND = -(1 << 62)
"""Of ISSUED_BEHIND, where all requests may go out before the first data are there."""
LIMIT = 4.0e18
"""Products and times stay below it, checked in float64; int64 ends at 9.2e18."""
_MOST_IN_A_RING = 1 << 24

_COUNT, _FULL, _LAST = range(3)
GROUPS = 6
"""Alike stretches, two groups for each descriptor: their number, whole bursts in each, bytes of its last request."""


@kernel(inline=True)
def _group(moved: Ints, burst: int, groups: Ints) -> int:
    """Fill `groups`, int64 [6, 3], from `moved`, int64 [D <= 3, 2] bytes and stretches; return how many there are."""
    used = 0
    for i in range(moved.shape[0]):
        size = moved[i, 0]
        if size <= 0:
            continue
        stretches = min(max(moved[i, 1], 1), size)
        longer = size % stretches
        for count, stretch in ((longer, size // stretches + 1), (stretches - longer, size // stretches)):
            if count > 0:
                full = (stretch - 1) // burst
                groups[used, _COUNT], groups[used, _FULL], groups[used, _LAST] = count, full, stretch - full * burst
                used += 1
    return used


@kernel(inline=True)
def _alike_end(n: int, data: int, one: int, latency: int, outstanding: int) -> int:
    """End of the last of n alike requests, alone on the bus."""
    pace = max(one, data)
    rounds, rest = (n - 1) // outstanding, (n - 1) % outstanding
    end: int = latency + data + rest * pace + rounds * max(latency + data, outstanding * pace)
    return end


@kernel(inline=True)
def _alike_issue(n: int, data: int, one: int, latency: int, outstanding: int) -> int:
    """Issue of the last of n alike requests, alone on the bus."""
    issue = (n - 1) * one
    if n > outstanding:
        issue = max(issue, _alike_end(n - outstanding, data, one, latency, outstanding))
    return issue


@kernel(inline=True)
def _last_data(groups: Ints, used: int, wanted: int, burst: int, denominator: int) -> int:
    """Return the data time of the last `wanted` requests."""
    size = 0
    for back in range(used):
        i = used - 1 - back
        count, full, last = groups[i, _COUNT], groups[i, _FULL], groups[i, _LAST]
        whole = min(count, wanted // (full + 1))
        size += whole * (full * burst + last)
        wanted -= whole * (full + 1)
        if whole < count:
            if wanted > 0:
                size += last + (wanted - 1) * burst
            break
    return size * denominator


@kernel(inline=True)
def _is_shifted(ring: Ints, at: int, then: int, outstanding: int, shift: int) -> bool:
    """Whether the first half of `ring`, read from `at`, is the second, read from `then`, and `shift` later."""
    for k in range(outstanding):
        now, before = at + k, then + k
        now -= outstanding if now >= outstanding else 0
        before -= outstanding if before >= outstanding else 0
        if ring[now] - ring[outstanding + before] != shift:
            return False
    return True


@kernel(allocates=False)
def _walk(groups: Ints, used: int, path: Ints, ring: Ints, issue: Any) -> tuple[int, int]:
    """Go through the requests one by one, on a bus that is free from 0 on; return issue and end of the last.

    What repeats is passed over: rounds of alike requests each of which is as the round before it, only later, and
    stretches between which the ends of all requests in flight, and the last issue, have moved by the same time.

    issue: of the request before the first.
    ring: int64 [2 * requests that may be in flight]: ends of the requests in flight, and those at an earlier stretch.
    """
    outstanding, one, latency = len(ring) // 2, path[NUMERATOR], path[LATENCY] * path[NUMERATOR]
    burst_data, at, end = path[BURST] * path[DENOMINATOR], 0, 0
    ring[:] = NOT_BOUND
    for i in range(used):
        count, full, last_data = groups[i, _COUNT], groups[i, _FULL], groups[i, _LAST] * path[DENOMINATOR]
        stretch, since, power, then_at, then_issue, then_end = 0, 0, 1, -1, 0, 0
        while stretch < count:
            left, same, shift, mark = full, 0, -1, 0
            while left > 0:
                issue = max(issue + one, ring[at])
                end = max(issue + latency, end) + burst_data
                same = same + 1 if end - ring[at] == shift else 1
                shift = end - ring[at]
                ring[at] = end
                at = at + 1 if at + 1 < outstanding else 0
                left -= 1
                if same == outstanding:
                    mark = issue
                elif same == 2 * outstanding:
                    rounds = left // outstanding
                    if issue - mark == shift and rounds > 0:
                        later = rounds * shift
                        for k in range(outstanding):
                            ring[k] += later
                        issue, end, left = issue + later, end + later, left - rounds * outstanding
                    same, mark = outstanding, issue
            issue = max(issue + one, ring[at])
            end = max(issue + latency, end) + last_data
            ring[at] = end
            at = at + 1 if at + 1 < outstanding else 0
            stretch, since = stretch + 1, since + 1
            if count - stretch < 2:
                continue
            later = end - then_end
            if then_at >= 0 and issue - then_issue == later and _is_shifted(ring, at, then_at, outstanding, later):
                repeats = (count - stretch) // since
                stretch += repeats * since
                later *= repeats
                for k in range(outstanding):
                    ring[k] += later
                issue, end, then_at, power = issue + later, end + later, -1, count
            elif since == power or then_at < 0:
                for k in range(outstanding):
                    ring[outstanding + k] = ring[k]
                then_at, then_issue, then_end, power, since = at, issue, end, 2 * power, 0
    return issue, end


@kernel()
def transfer_cycles(moved: Ints, path: Ints, groups: Ints, parts: Ints) -> bool:
    """Fill in the cycles of one transfer; False where int64 does not hold them.

    Parameters
    ----------
    moved
        int64 [D <= 3, 2] bytes and stretches of each descriptor, in order; 0 bytes where there is none.
    path
        int64 [6].
    groups
        int64 [GROUPS, 3], overwritten.
    parts
        int64 [PARTS], written. Cycles: of its data; to the last byte and to the cycle after the last request, counted
        from the first request; the same, counted from when the bus is free of earlier data, as far as that decides.
        Descriptors that move anything. All 0 without bytes.

    """
    parts[:] = 0
    burst, outstanding, one, denominator = path[BURST], path[OUTSTANDING], path[NUMERATOR], path[DENOMINATOR]
    used = _group(moved, burst, groups)
    if used == 0:
        return True
    for i in range(moved.shape[0]):
        parts[DESCRIPTORS] += moved[i, 0] > 0
    requests, size, shortest, longest = 0, 0, groups[0, _LAST], groups[0, _LAST]
    wanted, moved_bytes = 0.0, 0.0
    for i in range(used):
        count, full, last = groups[i, _COUNT], groups[i, _FULL], groups[i, _LAST]
        wanted += float(count) * (full + 1.0)
        moved_bytes += float(count) * (float(full) * burst + last)
        shortest, longest = min(shortest, last), max(longest, burst if full else last)
    # No time is longer than all paces and as many round trips as there can be.
    pace, trip = (
        max(float(one), float(longest) * denominator),
        float(path[LATENCY]) * one + float(longest) * denominator,
    )
    if wanted * pace + (wanted / outstanding + 2.0) * trip > LIMIT or moved_bytes * denominator > LIMIT:
        return False
    for i in range(used):
        requests += groups[i, _COUNT] * (groups[i, _FULL] + 1)
        size += groups[i, _COUNT] * (groups[i, _FULL] * burst + groups[i, _LAST])
    latency, total, limited = path[LATENCY] * one, size * denominator, requests > outstanding
    outstanding = min(outstanding, requests)
    parts[BUS] = -(-total // one)
    issued_behind = NOT_BOUND
    if shortest == longest:
        data = shortest * denominator
        alone = _alike_end(requests, data, one, latency, outstanding)
        issued = _alike_issue(requests, data, one, latency, outstanding)
        behind, rest = total, requests - outstanding
        if limited:
            behind = max(behind, data + _alike_end(rest, data, one, latency, outstanding))
            issued_behind = max(rest * data, data + _alike_issue(rest, data, one, latency, outstanding))
    elif shortest * denominator >= one and (not limited or outstanding > -(-latency // (shortest * denominator))):
        # The bus is never idle: while a request's round trip lasts, the data of those before it arrive.
        alone, behind, issued = latency + total, total, (requests - 1) * one
        if limited:
            issued_behind = total - _last_data(groups, used, outstanding, burst, denominator)
            issued = max(issued, latency + issued_behind)
    elif outstanding > _MOST_IN_A_RING:
        return False
    else:
        ring = np.empty(2 * outstanding, np.int64)
        issued, alone = _walk(groups, used, path, ring, -one)
        issued_behind, behind = _walk(groups, used, path, ring, np.int64(NOT_BOUND))
    parts[ALONE], parts[BEHIND] = -(-alone // one), -(-behind // one)
    parts[ISSUED] = min(-(-issued // one) + 1, parts[ALONE])
    parts[ISSUED_BEHIND] = NOT_BOUND
    if limited:
        parts[ISSUED_BEHIND] = min(-(-issued_behind // one) + 1, parts[BEHIND])
    return True
