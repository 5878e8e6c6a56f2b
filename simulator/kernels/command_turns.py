"""One turn of each part of the command machine: what it does in a cycle, and when parts look again.

A part that did something looks at the next cycle too, and so do those that depend on it: in this cycle where their turn
is still to come, in the next one where it is over.
"""

from __future__ import annotations

from simulator.kernels import command_layout as at
from simulator.kernels import command_state as of
from simulator.kernels._jit import kernel
from simulator.kernels.command_array import execute, written_bank
from simulator.kernels.command_array_output import execute_output_stationary
from simulator.kernels.command_issue import issue_of_product
from simulator.kernels.command_issue_convolution import issue_of_convolution
from simulator.kernels.command_issue_host import issue_of_host
from simulator.kernels.command_memory import load, store
from simulator.kernels.command_sequencers import configure, retire_loops, start_sequencers
from simulator.kernels.command_state import Table
from simulator.kernels.command_wake import wake_of_array, wake_of_issue, wake_of_load, wake_of_store

# Columns of `wakes`: cycle in which each part looks again.
ISSUE, LOAD, ARRAY, STORE = range(4)

# Columns of `intervals`, [loops, 6]: first and last cycle of a loop's loads, executes and stores.
LOAD_BEGIN, LOAD_END, EXECUTE_BEGIN, EXECUTE_END, STORE_BEGIN, STORE_END = range(6)


@kernel(inline=True, allocates=False)
def extend(intervals: Table, loop: int, column: int, begin: int, end: int) -> None:
    """Lengthen an interval of a loop, of which [begin, end) is a part."""
    if intervals[loop, column] < 0:
        intervals[loop, column] = begin
    intervals[loop, column + 1] = end


@kernel(inline=True, allocates=False)
def _wake(wakes: Table, part: int, cycle: int) -> None:
    wakes[part] = min(wakes[part], cycle)


@kernel(allocates=False)
def turn_of_issue(
    cycle: int,
    loops: Table,
    commands: Table,
    executes: Table,
    constants: Table,
    scalars: Table,
    sequencers: Table,
    loop_times: Table,
    loads: Table,
    entries: Table,
    pairs: Table,
    store_loops: Table,
    wakes: Table,
) -> None:
    """Configure a loop, start sequencers, issue a command."""
    changes = scalars[of.CHANGES]
    if constants[at.UNROLLER] == at.HOST:
        issue_of_host(
            cycle,
            loops,
            commands,
            executes,
            constants,
            scalars,
            sequencers,
            loop_times,
            loads,
            entries,
            pairs,
            store_loops,
        )
    else:
        configure(cycle, loops, constants, scalars, loop_times)
        start_sequencers(cycle, loops, scalars, sequencers, loop_times)
        if constants[at.UNROLLER] == at.PRODUCTS:
            issue_of_product(
                cycle, loops, commands, constants, scalars, sequencers, loop_times, loads, entries, store_loops
            )
        else:
            issue_of_convolution(cycle, loops, constants, scalars, sequencers, loop_times, loads, entries, store_loops)
    retire_loops(cycle, loops, scalars, sequencers, loop_times)
    if scalars[of.CHANGES] == changes:
        wakes[ISSUE] = wake_of_issue(cycle, loops, constants, scalars, sequencers, loop_times, entries)
        return
    wakes[:] = cycle
    wakes[ISSUE] = cycle + 1


@kernel(allocates=False)
def turn_of_load(
    cycle: int,
    loops: Table,
    commands: Table,
    pattern_start: Table,
    requests: Table,
    constants: Table,
    scalars: Table,
    loads: Table,
    done: Table,
    entries: Table,
    trackers: Table,
    reads: Table,
    windows: Table,
    wakes: Table,
) -> None:
    """Load controller: begin a load, or send a request."""
    changes = scalars[of.CHANGES]
    load(
        cycle,
        loops,
        commands,
        pattern_start,
        requests,
        constants,
        scalars,
        loads,
        done,
        entries,
        trackers,
        reads,
        windows,
    )
    if scalars[of.CHANGES] == changes:
        wakes[LOAD] = wake_of_load(cycle, constants, scalars, loads, done, trackers, reads)
        return
    wakes[LOAD], wakes[ARRAY] = cycle + 1, cycle
    _wake(wakes, ISSUE, cycle + 1)


@kernel(inline=True, allocates=False)
def turn_of_array(
    cycle: int,
    loops: Table,
    constants: Table,
    scalars: Table,
    done: Table,
    executes: Table,
    pair_done: Table,
    adding: Table,
    pairs: Table,
    passes: Table,
    windows: Table,
    wakes: Table,
    results: Table,
    intervals: Table,
) -> None:
    """Array: begin a pass, or take a row."""
    loop, passed = scalars[of.EXECUTE_LOOP], scalars[of.PASSES]
    written = written_bank(cycle, scalars, windows)
    if constants[at.OUTPUT_STATIONARY] == 1:
        fed = execute_output_stationary(
            cycle, written, loops, constants, scalars, done, executes, pair_done, adding, pairs, passes
        )
    else:
        fed = execute(cycle, written, loops, constants, scalars, done, executes, pair_done, adding, passes)
    if fed:
        results[at.COMPUTE_CYCLES] += 1
        results[at.LAST_COMPUTE] = cycle + 1
        extend(intervals, loop, EXECUTE_BEGIN, cycle, cycle + 1)
    wakes[ARRAY] = cycle + 1
    if scalars[of.PASSES] != passed:
        for part in (ISSUE, LOAD, STORE):
            _wake(wakes, part, cycle + 1)
    elif scalars[of.STEP] == of.NOTHING:
        wakes[ARRAY] = wake_of_array(cycle, loops, constants, scalars, done, executes, pairs, passes)


@kernel(allocates=False)
def turn_of_store(
    cycle: int,
    loops: Table,
    commands: Table,
    pattern_start: Table,
    requests: Table,
    constants: Table,
    scalars: Table,
    stored: Table,
    pair_done: Table,
    store_loops: Table,
    writes: Table,
    result_reads: Table,
    adding: Table,
    wakes: Table,
) -> None:
    """Store controller: begin a store, read a row of accumulators, or send a write."""
    changes = scalars[of.CHANGES]
    store(
        cycle,
        loops,
        commands,
        pattern_start,
        requests,
        constants,
        scalars,
        stored,
        pair_done,
        store_loops,
        writes,
        result_reads,
        adding,
    )
    if scalars[of.CHANGES] == changes:
        wakes[STORE] = wake_of_store(
            cycle,
            loops,
            commands,
            constants,
            scalars,
            stored,
            pair_done,
            store_loops,
            writes,
            result_reads,
            adding,
        )
        return
    wakes[STORE] = cycle + 1
    for part in (ISSUE, LOAD, ARRAY):
        _wake(wakes, part, cycle + 1)
