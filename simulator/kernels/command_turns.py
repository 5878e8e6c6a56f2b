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
from simulator.kernels.command_memory import load
from simulator.kernels.command_sequencers import configure, retire_loops, start_sequencers
from simulator.kernels.command_state import Layer, State, Table
from simulator.kernels.command_store import store
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


@kernel(inline=True, allocates=False)
def turn_of_issue(cycle: int, layer: Layer, state: State) -> None:
    """Configure a loop, start sequencers, issue a command."""
    constants, scalars, wakes = layer.constants, state.scalars, state.wakes
    changes = scalars[of.CHANGES]
    if constants[at.UNROLLER] == at.HOST:
        issue_of_host(
            cycle,
            layer.loops,
            layer.commands,
            layer.executes,
            constants,
            scalars,
            state.sequencers,
            state.loop_times,
            state.loads,
            state.entries,
            state.pairs,
            state.store_loops,
        )
    else:
        configure(cycle, layer.loops, constants, scalars, state.loop_times)
        start_sequencers(cycle, layer.loops, scalars, state.sequencers, state.loop_times)
        if constants[at.UNROLLER] == at.PRODUCTS:
            issue_of_product(
                cycle,
                layer.loops,
                layer.commands,
                constants,
                scalars,
                state.sequencers,
                state.loop_times,
                state.loads,
                state.entries,
                state.store_loops,
            )
        else:
            issue_of_convolution(
                cycle,
                layer.loops,
                constants,
                scalars,
                state.sequencers,
                state.loop_times,
                state.loads,
                state.entries,
                state.store_loops,
            )
    retire_loops(cycle, layer.loops, scalars, state.sequencers, state.loop_times)
    if scalars[of.CHANGES] == changes:
        wakes[ISSUE] = wake_of_issue(
            cycle, layer.loops, constants, scalars, state.sequencers, state.loop_times, state.entries
        )
        return
    wakes[:] = cycle
    wakes[ISSUE] = cycle + 1


@kernel(inline=True, allocates=False)
def turn_of_load(cycle: int, layer: Layer, state: State) -> None:
    """Load controller: begin a load, or send a request."""
    constants, scalars, wakes = layer.constants, state.scalars, state.wakes
    changes = scalars[of.CHANGES]
    load(
        cycle,
        layer.loops,
        layer.commands,
        layer.pattern_start,
        layer.requests,
        constants,
        scalars,
        state.loads,
        state.done,
        state.entries,
        state.trackers,
        state.reads,
        state.windows,
    )
    if scalars[of.CHANGES] == changes:
        wakes[LOAD] = wake_of_load(cycle, constants, scalars, state.loads, state.done, state.trackers, state.reads)
        return
    wakes[LOAD], wakes[ARRAY] = cycle + 1, cycle
    _wake(wakes, ISSUE, cycle + 1)


@kernel(inline=True, allocates=False)
def turn_of_array(cycle: int, layer: Layer, state: State, results: Table, intervals: Table) -> None:
    """Array: begin a pass, or take a row."""
    constants, scalars, wakes = layer.constants, state.scalars, state.wakes
    loop, passed = scalars[of.EXECUTE_LOOP], scalars[of.PASSES]
    written = written_bank(cycle, scalars, state.windows)
    if constants[at.OUTPUT_STATIONARY] == 1:
        fed = execute_output_stationary(
            cycle,
            written,
            layer.loops,
            constants,
            scalars,
            state.done,
            layer.executes,
            state.pair_done,
            state.adding,
            state.pairs,
            state.passes,
        )
    else:
        fed = execute(
            cycle,
            written,
            layer.loops,
            constants,
            scalars,
            state.done,
            layer.executes,
            state.pair_done,
            state.adding,
            state.passes,
        )
    if fed:
        results[at.COMPUTE_CYCLES] += 1
        results[at.LAST_COMPUTE] = cycle + 1
        extend(intervals, loop, EXECUTE_BEGIN, cycle, cycle + 1)
    wakes[ARRAY] = cycle + 1
    if scalars[of.PASSES] != passed:
        for part in (ISSUE, LOAD, STORE):
            _wake(wakes, part, cycle + 1)
    elif scalars[of.STEP] == of.NOTHING:
        wakes[ARRAY] = wake_of_array(
            cycle, layer.loops, constants, scalars, state.done, layer.executes, state.pairs, state.passes
        )


@kernel(inline=True, allocates=False)
def turn_of_store(cycle: int, layer: Layer, state: State) -> None:
    """Store controller: begin a store, read a row of accumulators, or send a write."""
    constants, scalars, wakes = layer.constants, state.scalars, state.wakes
    changes = scalars[of.CHANGES]
    store(
        cycle,
        layer.loops,
        layer.commands,
        layer.pattern_start,
        layer.requests,
        constants,
        scalars,
        state.stored,
        state.pair_done,
        state.store_loops,
        state.writes,
        state.taken,
        state.adding,
    )
    if scalars[of.CHANGES] == changes:
        wakes[STORE] = wake_of_store(
            cycle,
            layer.loops,
            layer.commands,
            constants,
            scalars,
            state.stored,
            state.pair_done,
            state.store_loops,
            state.writes,
            state.taken,
            state.adding,
        )
        return
    wakes[STORE] = cycle + 1
    for part in (ISSUE, LOAD, ARRAY):
        _wake(wakes, part, cycle + 1)
