"""The machine of `simulator/timing/machine.py` as a compiled event loop: one layer, every cycle the same.

Three engines (load DMA, worker, store DMA) take the tile ops in order; memories have two halves each; the DMAs share a
bus. Tile ops of one kind take and move the same, so all that is known of them stands once in a table, a row a kind.

Time goes from the end of one piece of work to the next. In each such cycle everything that may happen happens, until
nothing more does. Then the bus is granted, by (cycle of the request, engine id), as far ahead as is certain: an engine
that does not ask yet cannot do so before the next event and the shortest lead of a transfer, so whoever asks no later
than that is next.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.kernels._jit import kernel
from simulator.kernels.dram_banks import BIAS, INPUT, OUTPUT, new_state, serve

Ints = NDArray[np.int64]

TAKE_INPUT, TAKE_WEIGHT, TAKE_ACCUMULATOR, GIVE_INPUT, GIVE_WEIGHT, GIVE_INPUT_WHEN_STORED = 1, 2, 4, 8, 16, 32
"""Hold flags of a tile op (`simulator.mapping.schedule.Hold`, which this package may not see)."""
TAKE_BIAS, TAKE_RESULT = 64, 128
"""The load DMA takes a half of accumulator memory, for a bias matrix; the worker does."""

DONE, OVERFLOW, DEADLOCK, TWO_TAKERS = 0, 1, 2, 3
"""How a layer ends: well; with times beyond int64; waiting for ever; refused, as load DMA and worker both take halves
of accumulator memory, and which comes first in a cycle is not defined."""

FLAGS, LOAD_LEAD, LOAD_BUS, LOAD_TAIL, WORK, STORE_LEAD, STORE_BUS, STORE_TAIL = range(8)
"""Columns of the table: flags, and cycles. A transfer that does not happen has 0 cycles on the bus."""
COLUMNS = 8

END, COMPUTE, LOAD, STORE, LOAD_STALL = range(5)
"""Entries of `times`: end of the layer, busy cycles of worker, load DMA, store DMA, wait for operands."""
TIMES = 5

HALVES = 2
NEVER = np.iinfo(np.int64).max
LIMIT = 4.0e18
"""Products and times stay below it, checked in float64; int64 ends at 9.2e18."""


@kernel(inline=True)
def _bus_and_tail(size: int, requests: int, path: Ints) -> tuple[int, int]:
    """Cycles on the bus and after it of one transfer; (-1, 0) where int64 does not hold the products.

    The closed form of `simulator/timing/dma.py` without fractions. With data cycles of a request d = A / D, there are
    four cases: d over or under one cycle, and a round trip longer or shorter than a round of requests.
    """
    outstanding, latency = min(path[1], requests), path[3]
    a, d = size * path[5], requests * path[4]
    rounds, rest = (requests - 1) // outstanding, (requests - 1) % outstanding
    largest = max(float(size) * path[5], float(requests) * path[4])
    if largest * max(float(latency) + 1.0, float(outstanding), float(rounds) + rest + 1.0) > LIMIT:
        return -1, 0
    bus = -(-a // path[4])
    if a <= d:
        if latency * d + a <= outstanding * d:
            total = latency + requests
        else:
            total = (1 + rounds) * latency + rest - (-(1 + rounds) * a // d)
    elif latency * d + a <= outstanding * a:
        total = latency + bus
    else:
        total = (1 + rounds) * latency - (-(1 + rounds + rest) * a // d)
    return bus, total - latency - bus


@kernel(inline=True)
def _requests(size: int, segments: int, burst: int) -> int:
    stretches = max(segments, 1)
    return stretches * -(-size // (stretches * burst)) if size > 0 else 0


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
    burst, setup, latency = path[0], path[2], path[3]
    for i in range(len(kinds)):
        op = kinds[i]
        inputs, weights, bias, stored = op["input_bytes"], op["weight_bytes"], op["bias_bytes"], op["store_bytes"]
        widest = max(op["input_segments"], op["weight_segments"], op["bias_segments"], op["store_segments"], 1)
        if float(widest) * burst > LIMIT:
            return OVERFLOW
        table[i, :] = 0
        table[i, FLAGS], table[i, WORK] = op["hold"], work_cycles[i]
        if bias > 0:
            table[i, FLAGS] |= TAKE_BIAS
        elif op["hold"] & TAKE_ACCUMULATOR:
            table[i, FLAGS] |= TAKE_RESULT
        descriptors = np.int64(inputs > 0) + np.int64(weights > 0) + np.int64(bias > 0)
        if descriptors:
            requests = _requests(inputs, op["input_segments"], burst)
            requests += _requests(weights, op["weight_segments"], burst)
            requests += _requests(bias, op["bias_segments"], burst)
            table[i, LOAD_LEAD] = descriptors * setup + latency
            table[i, LOAD_BUS], table[i, LOAD_TAIL] = _bus_and_tail(inputs + weights + bias, requests, path)
        if stored > 0:
            requests = _requests(stored, op["store_segments"], burst)
            table[i, STORE_LEAD] = setup + latency
            table[i, STORE_BUS], table[i, STORE_TAIL] = _bus_and_tail(stored, requests, path)
        if table[i, LOAD_BUS] < 0 or table[i, STORE_BUS] < 0:
            return OVERFLOW
    return DONE


@kernel(inline=True)
def _refusal(counts: Ints, table: Ints) -> int:
    """Return why a layer cannot be run, or DONE."""
    total, by_load, by_work = 0.0, False, False
    for i in range(len(counts)):
        by_load |= (table[i, FLAGS] & TAKE_BIAS) != 0
        by_work |= (table[i, FLAGS] & TAKE_RESULT) != 0
        for column in range(1, COLUMNS):
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
    l_op = w_op = s_op = now = bus_free = stall = l_busy = w_busy = s_busy = l_begin = w_begin = s_begin = 0
    l_ask = s_ask = l_done = w_done = s_done = NEVER
    has_operands = False
    banked = len(banks) > 0
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
            if l_ask != NEVER and l_ask <= min(s_ask, bound):
                kind = kind_of[l_op]
                begin = max(l_ask, bus_free)
                bus_free = begin + table[kind, LOAD_BUS]
                l_done = bus_free + table[kind, LOAD_TAIL]
                if banked:
                    bus_free = serve(banks, state, sizes[kind], regions[l_op], INPUT, BIAS, l_ask, begin)
                    l_done = max(l_done, bus_free)
                l_ask = NEVER
            elif s_ask != NEVER and s_ask < min(l_ask, bound):
                kind = kind_of[s_op]
                begin = max(s_ask, bus_free)
                bus_free = begin + table[kind, STORE_BUS]
                s_done = bus_free + table[kind, STORE_TAIL]
                if banked:
                    bus_free = serve(banks, state, sizes[kind], regions[s_op], OUTPUT, OUTPUT, s_ask, begin)
                    s_done = max(s_done, bus_free)
                s_ask = NEVER
            else:
                break
        if soonest == NEVER:
            break
        now = soonest
    times[END], times[LOAD_STALL], times[LOAD], times[COMPUTE], times[STORE] = now, stall, l_busy, w_busy, s_busy
    return DONE if l_op == count and w_op == count and s_op == count else DEADLOCK
