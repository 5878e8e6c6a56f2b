"""The machine of `simulator/timing/machine.py` where a layer is split over cores: as `timeline`, every cycle the same.

Each core has the three engines, the path and the memories that `timeline.run_layer` has; the DRAM bus, and the banks
behind it, are one. A core changes only at the ends of its own work, so in each cycle only those step at which something
ends; all of them bear on whose turn at the bus is certain to be next.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulator.kernels._jit import kernel
from simulator.kernels.dram_banks import BIAS, INPUT, OUTPUT, new_state, serve
from simulator.kernels.timeline import (
    ADDING,
    COMPUTE,
    DEADLOCK,
    DONE,
    END,
    FLAGS,
    HALVES,
    LOAD,
    LOAD_BUS,
    LOAD_LEAD,
    LOAD_STALL,
    NEVER,
    OF_LOAD,
    OF_STORE,
    OVERFLOW,
    STORE,
    STORE_BUS,
    STORE_LEAD,
    TAKE_BIAS,
    TAKE_RESULT,
    TWO_TAKERS,
    WORK,
)
from simulator.kernels.transfers import LIMIT, NOT_BOUND

Ints = NDArray[np.int64]

_INPUTS, _WEIGHTS, _ACCUMULATORS, _L_OP, _W_OP, _S_OP, _L_BEGIN, _W_BEGIN, _S_BEGIN, _HAS_OPERANDS = range(10)
_L_ASK, _S_ASK, _L_DONE, _W_DONE, _S_DONE = range(10, 15)
_PATH_FREE, _LAST_BYTE = range(15, 17)
_STATE = 17
"""Entries of a core's state: free halves; the tile op in hand, and since when, of load DMA, worker and store DMA;
when a DMA asks for the path, and when each of the three will be done; from when the path is free (both a latency later
than it happens, as in `timeline`), and when the data of all that had it have passed."""


@kernel()
def _refusal(kind_of: NDArray[np.int32], counts: Ints, table: Ints, starts: Ints) -> int:
    """Return why a layer cannot be run, or DONE."""
    total = 0.0
    for i in range(len(counts)):
        for column in range(1, ADDING):
            total += float(counts[i]) * table[i, column]
    if total > LIMIT:
        return OVERFLOW
    for core in range(len(starts) - 1):
        flags = 0
        for op in range(starts[core], starts[core + 1]):
            flags |= table[kind_of[op], FLAGS]
        if flags & TAKE_BIAS and flags & TAKE_RESULT:
            return TWO_TAKERS
    return DONE


@kernel()
def _step(now: int, s: Ints, last: int, kind_of: NDArray[np.int32], table: Ints, times: Ints, intervals: Ints) -> None:
    """Do what ends on one core in cycle `now`, and then all that can begin there; `s` and `times` are its own."""
    noting = len(intervals) > 0
    while True:
        if s[_L_DONE] == now:
            if noting:
                intervals[s[_L_OP], 0], intervals[s[_L_OP], 1] = s[_L_BEGIN], now
            times[LOAD] += now - s[_L_BEGIN]
            s[_L_DONE], s[_L_OP] = NEVER, s[_L_OP] + 1
        if s[_W_DONE] == now:
            if noting:
                intervals[s[_W_OP], 2], intervals[s[_W_OP], 3] = s[_W_BEGIN], now
            flags = table[kind_of[s[_W_OP]], FLAGS]
            s[_INPUTS] += flags >> 3 & 1
            s[_WEIGHTS] += flags >> 4 & 1
            times[COMPUTE] += now - s[_W_BEGIN]
            s[_W_DONE], s[_W_OP], s[_W_BEGIN], s[_HAS_OPERANDS] = NEVER, s[_W_OP] + 1, now, 0
        if s[_S_DONE] == now:
            if noting:
                intervals[s[_S_OP], 4], intervals[s[_S_OP], 5] = s[_S_BEGIN], now
            given = table[kind_of[s[_S_OP]], FLAGS] >> 5 & 1
            s[_INPUTS] += given
            s[_ACCUMULATORS] += 1 - given
            times[STORE] += now - s[_S_BEGIN]
            s[_S_DONE], s[_S_OP] = NEVER, s[_S_OP] + 1
        while s[_L_ASK] == NEVER and s[_L_DONE] == NEVER and s[_L_OP] < last:
            kind = kind_of[s[_L_OP]]
            flags = table[kind, FLAGS]
            takes_input, takes_weight, takes_bias = flags & 1, flags >> 1 & 1, flags >> 6 & 1
            if s[_INPUTS] < takes_input or s[_WEIGHTS] < takes_weight or s[_ACCUMULATORS] < takes_bias:
                break
            s[_INPUTS] -= takes_input
            s[_WEIGHTS] -= takes_weight
            s[_ACCUMULATORS] -= takes_bias
            if table[kind, LOAD_BUS] > 0:
                s[_L_BEGIN], s[_L_ASK] = now, now + table[kind, LOAD_LEAD]
            else:
                s[_L_OP] += 1
        if s[_W_DONE] == NEVER and s[_W_OP] < s[_L_OP]:
            if not s[_HAS_OPERANDS]:
                times[LOAD_STALL] += now - s[_W_BEGIN]
                s[_HAS_OPERANDS] = 1
            takes = table[kind_of[s[_W_OP]], FLAGS] >> 7 & 1
            if s[_ACCUMULATORS] >= takes:
                s[_ACCUMULATORS] -= takes
                s[_W_BEGIN], s[_W_DONE] = now, now + table[kind_of[s[_W_OP]], WORK]
        given = 0
        while s[_S_ASK] == NEVER and s[_S_DONE] == NEVER and s[_S_OP] < s[_W_OP]:
            kind = kind_of[s[_S_OP]]
            if table[kind, STORE_BUS] > 0:
                s[_S_BEGIN], s[_S_ASK] = now, now + table[kind, STORE_LEAD]
            else:
                given += table[kind, FLAGS] >> 5 & 1
                s[_S_OP] += 1
        s[_INPUTS] += given
        if s[_W_DONE] != now and given == 0:
            times[END] = now
            return


@kernel()
def run_cores(
    kind_of: NDArray[np.int32],
    counts: Ints,
    table: Ints,
    lead: int,
    starts: Ints,
    times: Ints,
    intervals: Ints,
    banks: Ints,
    sizes: Ints,
    regions: Ints,
) -> int:
    """Run one layer on the cores of an idle machine; DONE, OVERFLOW, DEADLOCK or TWO_TAKERS.

    Parameters
    ----------
    starts
        int64 [cores + 1] first tile op of each core, and their number: those of one core come after another's.
    times
        int64 [cores, TIMES], zeros, written: of each core, END being its last event.
    kind_of, counts, table, lead, intervals, banks, sizes, regions
        As of `timeline.run_layer`, for the tile ops of all cores.

    """
    status = _refusal(kind_of, counts, table, starts)
    if status != DONE:
        return status
    cores = len(starts) - 1
    state = np.zeros((cores, _STATE), np.int64)
    state[:, _INPUTS : _ACCUMULATORS + 1] = HALVES
    state[:, _L_ASK:_PATH_FREE] = NEVER
    for core in range(cores):
        state[core, _L_OP : _S_OP + 1] = starts[core]
    ends = np.zeros(cores, np.int64)
    banked = len(banks) > 0
    dram = new_state(banks) if banked else ends
    now = bus_free = 0
    while now != NEVER:
        for core in range(cores):
            if ends[core] == now:
                s = state[core]
                _step(now, s, starts[core + 1], kind_of, table, times[core], intervals)
                ends[core] = min(s[_L_DONE], s[_W_DONE], s[_S_DONE])
        # Whose turn at the bus is next, by (cycle, engine id), as far as is certain.
        while True:
            soonest, turn, who = NEVER, NEVER, 0
            for core in range(cores):
                soonest = min(soonest, ends[core])
                ask = min(state[core, _L_ASK], state[core, _S_ASK])
                if max(ask, state[core, _PATH_FREE]) < turn:
                    turn, who = max(ask, state[core, _PATH_FREE]), core
            if turn == NEVER or (soonest != NEVER and turn >= soonest + lead):
                break
            s = state[who]
            stores = s[_S_ASK] < s[_L_ASK]
            op = s[_S_OP] if stores else s[_L_OP]
            kind = kind_of[op]
            bus, tail, behind, issued, issued_behind = OF_STORE if stores else OF_LOAD
            begin, last_byte, added = max(turn, bus_free), s[_LAST_BYTE], 0
            passed = bus_free = begin + table[kind, bus]
            if banked:
                of_first, of_last = OUTPUT if stores else INPUT, OUTPUT if stores else BIAS
                bus_free = serve(banks, dram, sizes[kind], regions[op], of_first, of_last, turn, begin)
                added = bus_free - passed
            done = added + max(turn + table[kind, bus] + table[kind, tail], last_byte + table[kind, behind], passed)
            s[_PATH_FREE] = turn + table[kind, issued]
            if table[kind, issued_behind] != NOT_BOUND:
                waits_for = max(last_byte, passed - table[kind, behind])
                s[_PATH_FREE] = added + max(s[_PATH_FREE], waits_for + table[kind, issued_behind])
            s[_LAST_BYTE] = done
            if stores:
                s[_S_ASK], s[_S_DONE] = NEVER, done
            else:
                s[_L_ASK], s[_L_DONE] = NEVER, done
            ends[who] = min(ends[who], done)
        now = soonest
    for core in range(cores):
        last = starts[core + 1]
        if state[core, _L_OP] < last or state[core, _W_OP] < last or state[core, _S_OP] < last:
            return DEADLOCK
    return DONE
