"""The command machine: one layer on a device that unrolls loops into commands, cycle by cycle.

A cycle: configure a loop, start sequencers, issue a command, send a read, feed the array, send a write. Which of these
happen is said in the other `command_` modules; the slow twin in tests/support says it once more.

Cycles in which nothing happens are left out: a part that did nothing sleeps until one of the times that it reads has
come (`command_wake`), or a part that it depends on did something. While all others sleep the array is fed alone.
"""

from __future__ import annotations

from simulator.kernels import command_layout as at
from simulator.kernels import command_state as of
from simulator.kernels._jit import kernel
from simulator.kernels.command_array import retire_pairs
from simulator.kernels.command_state import Layer, State, Table
from simulator.kernels.command_turns import (
    ARRAY,
    ISSUE,
    LOAD,
    LOAD_BEGIN,
    STORE,
    STORE_BEGIN,
    extend,
    turn_of_array,
    turn_of_issue,
    turn_of_load,
    turn_of_store,
)
from simulator.kernels.command_wake import sooner


@kernel(inline=True, allocates=False)
def _finished(cycle: int, loops: Table, scalars: Table) -> bool:
    if scalars[of.OLDEST_LOOP] < len(loops) - 1 or cycle < scalars[of.LAST_STORE]:
        return False
    through = (
        scalars[of.LOADS_RETIRED] == scalars[of.LOADS_ISSUED] and scalars[of.PAIRS_RETIRED] == scalars[of.PAIRS_ISSUED]
    )
    stores = min(scalars[of.STORES_RETIRED], scalars[of.WRITE_NOW])
    return bool(through and stores == scalars[of.STORES_ISSUED])


@kernel(inline=True, allocates=False)
def _next_cycle(cycle: int, loops: Table, scalars: Table, pair_done: Table, wakes: Table) -> int:
    """Return the next cycle in which a part may have something to do, but for an array that is being fed."""
    best = min(wakes[ISSUE], min(wakes[LOAD], wakes[STORE]))
    if scalars[of.STEP] == of.NOTHING:
        best = min(best, wakes[ARRAY])
    if scalars[of.PAIRS_RETIRED] < scalars[of.PAIR_NOW]:
        best = sooner(best, pair_done[scalars[of.PAIRS_RETIRED]], cycle)
    if scalars[of.EXECUTES_FREED] > 0:
        best = sooner(best, scalars[of.EXECUTES_FREED_AT], cycle)
    if scalars[of.OLDEST_LOOP] == len(loops) - 1:
        best = sooner(best, scalars[of.LAST_STORE], cycle)
    return int(best)


@kernel(inline=True, allocates=False)
def _note_transfers(
    begin: int, end: int, scalars: Table, loads: Table, store_loops: Table, results: Table, intervals: Table
) -> None:
    """Note whether loads and stores are under way in [begin, end), in which none begins or ends."""
    if scalars[of.LOAD_STARTED] == 1 or scalars[of.LOAD_NOW] > scalars[of.LOADS_RETIRED]:
        results[at.LOAD_CYCLES] += end - begin
        extend(intervals, loads[scalars[of.LOADS_RETIRED], of.OF_LOOP], LOAD_BEGIN, begin, end)
    store = min(scalars[of.STORES_RETIRED], scalars[of.WRITE_NOW])
    if scalars[of.STORE_STARTED] == 1 or scalars[of.STORE_NOW] > store:
        results[at.STORE_CYCLES] += end - begin
        extend(intervals, store_loops[store], STORE_BEGIN, begin, end)


@kernel(allocates=False)
def run_commands(
    begin: int,
    until_loop: int,
    every_cycle: bool,
    layer: Layer,
    state: State,
    results: Table,
    intervals: Table,
) -> int:
    """Run a layer until the commands of all loops before `until_loop` are issued, or the device is idle.

    Parameters
    ----------
    begin
        Cycle to go on from; 0 = the first command is offered.
    every_cycle
        Let every part look at every cycle. It changes nothing but the time it takes.
    layer
        What it runs, and on what device.
    state
        The machine; changed.
    results
        int64 [RESULTS], added to: cycles in which the array takes a row; the cycle after the last of these; cycles with
        a load, or a store, under way. Once the device is idle: total cycles, or -1 where it waits for ever.
    intervals
        int64 [loops, 6], -1 at first, written: begin and end of each loop's loads, executes and stores; -1 = none.

    Returns
    -------
    The cycle to go on from.

    """
    loops, constants, scalars, wakes = layer.loops, layer.constants, state.scalars, state.wakes
    pair_done, loads, store_loops = state.pair_done, state.loads, state.store_loops
    cycle = begin
    wakes[:] = cycle
    while scalars[of.OLDEST_LOOP] < until_loop:
        if wakes[ISSUE] <= cycle:
            turn_of_issue(cycle, layer, state)
        if wakes[LOAD] <= cycle:
            turn_of_load(cycle, layer, state)
        present = cycle
        if wakes[ARRAY] <= cycle:
            turn_of_array(cycle, layer, state, results, intervals)
        if retire_pairs(cycle, constants, scalars, layer.executes, pair_done, state.pairs):
            wakes[ISSUE], wakes[LOAD] = min(wakes[ISSUE], cycle + 1), min(wakes[LOAD], cycle + 1)
        if wakes[STORE] <= cycle:
            turn_of_store(cycle, layer, state)
        if _finished(cycle, loops, scalars):
            _note_transfers(cycle, cycle + 1, scalars, loads, store_loops, results, intervals)
            results[at.CYCLES] = cycle + 1 + constants[at.END]
            return cycle
        following = _next_cycle(cycle, loops, scalars, pair_done, wakes)
        if following >= of.NEVER and scalars[of.STEP] == of.NOTHING:
            results[at.CYCLES] = -1
            return cycle
        cycle += 1
        if every_cycle:
            following = cycle
            wakes[:] = cycle
        while cycle < following and scalars[of.STEP] != of.NOTHING:
            turn_of_array(cycle, layer, state, results, intervals)
            if scalars[of.STEP] == of.NOTHING:
                following = cycle + 1
            cycle += 1
        cycle = max(cycle, following)
        _note_transfers(present, cycle, scalars, loads, store_loops, results, intervals)
    return cycle
