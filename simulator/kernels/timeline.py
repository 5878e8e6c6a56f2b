"""The machine of `simulator/timing/machine.py` as a compiled event loop: one layer, every cycle the same.

Three engines (load DMA, worker, store DMA) take the tile ops in order; memories have two halves each; the DMAs share a
path to memory. Tile ops of one kind take and move the same, so all that is known of them stands once in a table, a row
a kind.

Time goes from the end of one piece of work to the next. In each such cycle everything that may happen happens, until
nothing more does. Then the path is granted, by (cycle of the request, engine id), as far ahead as is certain: an engine
that does not ask yet cannot do so before the next event and the shortest lead of a transfer, so whoever asks no later
than that is next. Who asks and gets the path is noted a latency later than it happens, when the first data could pass:
then banks of the DRAM, behind which the path is the bus, have their turn in the same loop.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.kernels._jit import kernel
from simulator.kernels.dram_banks import BIAS, INPUT, OUTPUT, new_state, serve
from simulator.kernels.transfers import (
    ALONE,
    BEHIND,
    BUS,
    DESCRIPTORS,
    GROUPS,
    ISSUED,
    ISSUED_BEHIND,
    LATENCY,
    LIMIT,
    NOT_BOUND,
    PARTS,
    SETUP,
    transfer_cycles,
)

Ints = NDArray[np.int64]

TAKE_INPUT, TAKE_WEIGHT, TAKE_ACCUMULATOR, GIVE_INPUT, GIVE_WEIGHT, GIVE_INPUT_WHEN_STORED = 1, 2, 4, 8, 16, 32
"""Hold flags of a tile op (`simulator.mapping.schedule.Hold`, which this package may not see)."""
TAKE_BIAS, TAKE_RESULT = 64, 128
"""The load DMA takes a half of accumulator memory, for a bias matrix; the worker does."""

DONE, OVERFLOW, DEADLOCK, TWO_TAKERS = 0, 1, 2, 3
"""How a layer ends: well; with times beyond int64; waiting for ever; refused, as load DMA and worker both take halves
of accumulator memory, and which comes first in a cycle is not defined."""

FLAGS, LOAD_LEAD, LOAD_BUS, LOAD_TAIL, WORK, STORE_LEAD, STORE_BUS, STORE_TAIL = range(8)
LOAD_BEHIND, LOAD_ISSUED, LOAD_ISSUED_BEHIND, STORE_BEHIND, STORE_ISSUED, STORE_ISSUED_BEHIND = range(8, 14)
"""Columns of the table: flags, and cycles. A transfer that does not happen has 0 cycles on the bus."""
OF_LOAD = LOAD_BUS, LOAD_TAIL, LOAD_BEHIND, LOAD_ISSUED, LOAD_ISSUED_BEHIND
OF_STORE = STORE_BUS, STORE_TAIL, STORE_BEHIND, STORE_ISSUED, STORE_ISSUED_BEHIND
"""Those of either transfer once it asks, in one order."""
COLUMNS = 14
ADDING = 8
"""Columns before this one add up to no less than the time of a tile op."""

END, COMPUTE, LOAD, STORE, LOAD_STALL = range(5)
"""Entries of `times`: end of the layer, busy cycles of worker, load DMA, store DMA, wait for operands."""
TIMES = 5

HALVES = 2
NEVER = np.iinfo(np.int64).max


@kernel(inline=True)
def _tell(table: Ints, i: int, lead: int, behind: int, path: Ints, parts: Ints) -> None:
    """Write the cycles of a transfer to its columns; those of its issue are a latency later, as is who asks."""
    if parts[DESCRIPTORS] == 0:
        return
    table[i, lead] = parts[DESCRIPTORS] * path[SETUP] + path[LATENCY]
    table[i, lead + 1], table[i, lead + 2] = parts[BUS], parts[ALONE] - path[LATENCY] - parts[BUS]
    table[i, behind], table[i, behind + 1], table[i, behind + 2] = parts[BEHIND], parts[ISSUED], parts[ISSUED_BEHIND]
    if parts[ISSUED_BEHIND] != NOT_BOUND:
        table[i, behind + 2] += path[LATENCY]


@kernel()
def tabulate(kinds: NDArray[Any], work_cycles: Ints, path: Ints, table: Ints) -> int:
    """Fill `table`, int64 [kinds, COLUMNS], with the flags and cycles of every kind of tile op; DONE or OVERFLOW.

    Parameters
    ----------
    kinds
        Structured [kinds], dtype TILE_OP.
    work_cycles
        [kinds] cycles of the worker.
    path
        [6] burst bytes, requests in flight, setup and latency cycles, numerator and denominator of bytes per cycle.

    """
    moved, groups, parts = np.zeros((3, 2), np.int64), np.zeros((GROUPS, 3), np.int64), np.zeros(PARTS, np.int64)
    for i in range(len(kinds)):
        op = kinds[i]
        table[i, :] = 0
        table[i, FLAGS], table[i, WORK] = op["hold"], work_cycles[i]
        if op["bias_bytes"] > 0:
            table[i, FLAGS] |= TAKE_BIAS
        elif op["hold"] & TAKE_ACCUMULATOR:
            table[i, FLAGS] |= TAKE_RESULT
        # One after the other in a loop: all that a transfer needs is compiled into here once, and takes its time.
        for stores in range(2):
            if stores:
                moved[0, 0], moved[0, 1] = op["store_bytes"], op["store_segments"]
                moved[1, 0] = moved[2, 0] = 0
            else:
                moved[0, 0], moved[0, 1] = op["input_bytes"], op["input_segments"]
                moved[1, 0], moved[1, 1] = op["weight_bytes"], op["weight_segments"]
                moved[2, 0], moved[2, 1] = op["bias_bytes"], op["bias_segments"]
            if not transfer_cycles(moved, path, groups, parts):
                return OVERFLOW
            lead, behind = (STORE_LEAD, STORE_BEHIND) if stores else (LOAD_LEAD, LOAD_BEHIND)
            _tell(table, i, lead, behind, path, parts)
    return DONE


@kernel(inline=True)
def _refusal(counts: Ints, table: Ints) -> int:
    """Return why a layer cannot be run, or DONE."""
    total, by_load, by_work = 0.0, False, False
    for i in range(len(counts)):
        by_load |= (table[i, FLAGS] & TAKE_BIAS) != 0
        by_work |= (table[i, FLAGS] & TAKE_RESULT) != 0
        for column in range(1, ADDING):
            total += float(counts[i]) * table[i, column]
    # Some engine is at work or a transfer on its way at all times, so no cycle lies beyond the sum of all of them.
    if total > LIMIT:
        return OVERFLOW
    return TWO_TAKERS if by_load and by_work else DONE


@kernel()
def run_layer(
    kind_of: NDArray[np.int32],
    counts: Ints,
    table: Ints,
    lead: int,
    times: Ints,
    intervals: Ints,
    banks: Ints,
    sizes: Ints,
    regions: Ints,
) -> int:
    """Run one layer on an idle machine; DONE, OVERFLOW, DEADLOCK or TWO_TAKERS.

    In the loop, l_, w_, s_ are the load DMA's, the worker's, the store DMA's: the tile op in hand, the cycle in which
    it asks for the bus (`ask`), in which it will be done (`done`), in which it took up what it does or last had nothing
    to do (`begin`). All in one function: where arrays are handed on, Numba counts references, at thrice the time.

    Parameters
    ----------
    kind_of
        [tile ops] row of each in `table`.
    counts
        [kinds] tile ops of each kind.
    table
        int64 [kinds, COLUMNS], from `tabulate`.
    lead
        Setup and latency cycles of one descriptor: no transfer asks for the bus sooner after its start.
    times
        int64 [TIMES], written.
    intervals
        int64 [tile ops, 6], zeros, written: begin and end of load, work and store of each; [0, 6] where not wanted.
    banks
        Geometry and cycles of the DRAM's banks, see `simulator.kernels.dram_banks`; [0] where it has none.
    sizes
        int64 [kinds, 4, 2] bytes and stretches of input, weights, bias matrix and output; [0, 4, 2] without banks.
    regions
        int64 [tile ops, 4, 2] first byte and span of each; [0, 4, 2] without banks.

    """
    status = _refusal(counts, table)
    if status != DONE:
        return status
    count, noting = len(kind_of), len(intervals) > 0
    inputs = weights = accumulators = HALVES
    l_op = w_op = s_op = now = stall = l_busy = w_busy = s_busy = l_begin = w_begin = s_begin = 0
    l_ask = s_ask = l_done = w_done = s_done = NEVER
    has_operands = False
    banked = len(banks) > 0
    path_free = last_byte = bus_free = 0
    state = new_state(banks) if banked else times
    while True:
        # What ends in this cycle.
        if l_done == now:
            if noting:
                intervals[l_op, 0], intervals[l_op, 1] = l_begin, now
            l_busy, l_done, l_op = l_busy + now - l_begin, NEVER, l_op + 1
        if w_done == now:
            if noting:
                intervals[w_op, 2], intervals[w_op, 3] = w_begin, now
            flags = table[kind_of[w_op], FLAGS]
            inputs, weights = inputs + (flags >> 3 & 1), weights + (flags >> 4 & 1)
            w_busy, w_done, w_op = w_busy + now - w_begin, NEVER, w_op + 1
            w_begin, has_operands = now, False
        if s_done == now:
            if noting:
                intervals[s_op, 4], intervals[s_op, 5] = s_begin, now
            given = table[kind_of[s_op], FLAGS] >> 5 & 1
            inputs, accumulators = inputs + given, accumulators + 1 - given
            s_busy, s_done, s_op = s_busy + now - s_begin, NEVER, s_op + 1
        # What begins in it.
        while l_ask == NEVER and l_done == NEVER and l_op < count:
            kind = kind_of[l_op]
            flags = table[kind, FLAGS]
            takes_input, takes_weight, takes_bias = flags & 1, flags >> 1 & 1, flags >> 6 & 1
            if inputs < takes_input or weights < takes_weight or accumulators < takes_bias:
                break
            inputs, weights, accumulators = inputs - takes_input, weights - takes_weight, accumulators - takes_bias
            if table[kind, LOAD_BUS] > 0:
                l_begin, l_ask = now, now + table[kind, LOAD_LEAD]
            else:
                l_op += 1
        if w_done == NEVER and w_op < l_op:
            if not has_operands:
                stall, has_operands = stall + now - w_begin, True
            takes = table[kind_of[w_op], FLAGS] >> 7 & 1
            if accumulators >= takes:
                accumulators -= takes
                w_begin, w_done = now, now + table[kind_of[w_op], WORK]
        given = 0
        while s_ask == NEVER and s_done == NEVER and s_op < w_op:
            kind = kind_of[s_op]
            if table[kind, STORE_BUS] > 0:
                s_begin, s_ask = now, now + table[kind, STORE_LEAD]
            else:
                given += table[kind, FLAGS] >> 5 & 1
                s_op += 1
        if w_done == now or given > 0:
            inputs += given
            continue
        # Who gets the bus next, as far as is certain.
        while True:
            soonest = min(l_done, w_done, s_done)
            bound = soonest + lead if soonest != NEVER else NEVER
            # In a cycle the load is first. A store asks sooner than the bound, for its lead is the shortest.
            loads, ask = l_ask <= s_ask, min(l_ask, s_ask)
            if ask == NEVER or ask > bound:
                break
            op = l_op if loads else s_op
            kind = kind_of[op]
            bus, tail, behind, issued, issued_behind = OF_LOAD if loads else OF_STORE
            begin = max(ask, path_free)
            done = max(begin + table[kind, bus] + table[kind, tail], last_byte + table[kind, behind])
            path_free = max(begin + table[kind, issued], last_byte + table[kind, issued_behind])
            if banked:
                free = max(begin, bus_free)
                of_first, of_last = (INPUT, BIAS) if loads else (OUTPUT, OUTPUT)
                bus_free = serve(banks, state, sizes[kind], regions[op], of_first, of_last, begin, free)
                added = bus_free - free - table[kind, bus]
                done += added
                path_free += added if table[kind, issued_behind] != NOT_BOUND else 0
            last_byte = done
            if loads:
                l_done, l_ask = done, NEVER
            else:
                s_done, s_ask = done, NEVER
        if soonest == NEVER:
            break
        now = soonest
    times[END], times[LOAD_STALL], times[LOAD], times[COMPUTE], times[STORE] = now, stall, l_busy, w_busy, s_busy
    return DONE if l_op == count and w_op == count and s_op == count else DEADLOCK
