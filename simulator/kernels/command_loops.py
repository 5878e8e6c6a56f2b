"""The command machine: one layer on a device that unrolls loops into commands, cycle by cycle.

A cycle: configure a loop, start sequencers, issue a command, send a read, feed the array, send a write. Which of these
happen is said in the other `command_` modules; the slow twin in tests/support says it once more.
"""

from __future__ import annotations

from simulator.kernels import command_layout as at
from simulator.kernels import command_state as of
from simulator.kernels._jit import kernel
from simulator.kernels.command_array import execute, retire_pairs, written_bank
from simulator.kernels.command_array_output import execute_output_stationary
from simulator.kernels.command_issue import issue_of_product
from simulator.kernels.command_issue_convolution import issue_of_convolution
from simulator.kernels.command_issue_host import issue_of_host
from simulator.kernels.command_memory import load, store
from simulator.kernels.command_sequencers import configure, retire_loops, start_sequencers
from simulator.kernels.command_state import Table, new_state

# Columns of `intervals`, [loops, 6]: first and last cycle of a loop's loads, executes and stores.
LOAD_BEGIN, LOAD_END, EXECUTE_BEGIN, EXECUTE_END, STORE_BEGIN, STORE_END = range(6)


@kernel()
def _finished(cycle: int, loops: Table, scalars: Table) -> bool:
    if scalars[of.OLDEST_LOOP] < len(loops) - 1 or cycle < scalars[of.LAST_STORE]:
        return False
    through = (
        scalars[of.LOADS_RETIRED] == scalars[of.LOADS_ISSUED] and scalars[of.PAIRS_RETIRED] == scalars[of.PAIRS_ISSUED]
    )
    return bool(through and scalars[of.STORES_RETIRED] == scalars[of.STORES_ISSUED])


@kernel(inline=True)
def _extend(intervals: Table, loop: int, column: int, cycle: int) -> None:
    if intervals[loop, column] < 0:
        intervals[loop, column] = cycle
    intervals[loop, column + 1] = cycle + 1


@kernel()
def run_commands(
    loops: Table,
    commands: Table,
    executes: Table,
    pattern_start: Table,
    requests: Table,
    constants: Table,
    results: Table,
    intervals: Table,
) -> None:
    """Run a layer from the first command offered until the device is idle.

    Parameters
    ----------
    loops, commands, executes, pattern_start, requests, constants
        int64, as `command_layout` lays them out.
    results
        int64 [RESULTS], written: total cycles; cycles in which the array takes a row; the cycle after the last of
        these; cycles with a load, or a store, under way.
    intervals
        int64 [loops, 6] of -1, written: begin and end of each loop's loads, executes and stores; -1 = none.

    """
    state = new_state(loops, constants)
    # The functions of a cycle take arrays: Numba counts references for every field that is read off a tuple.
    scalars, sequencers, loop_times = state.scalars, state.sequencers, state.loop_times
    loads, done, entries, trackers = state.loads, state.done, state.entries, state.trackers
    pair_done, store_loops, stored = state.pair_done, state.store_loops, state.stored
    reads, windows = state.reads, state.windows
    writes, result_reads, adding = state.writes, state.result_reads, state.adding
    passes, pairs = state.passes, state.pairs
    cycle = 0
    while True:
        if constants[at.UNROLLER] != at.HOST:
            configure(cycle, loops, constants, scalars, loop_times)
            start_sequencers(cycle, loops, sequencers, loop_times)
        if constants[at.UNROLLER] == at.PRODUCTS:
            issue_of_product(
                cycle, loops, commands, constants, scalars, sequencers, loop_times, loads, entries, store_loops
            )
        elif constants[at.UNROLLER] == at.HOST:
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
            issue_of_convolution(cycle, loops, constants, scalars, sequencers, loop_times, loads, entries, store_loops)
        retire_loops(cycle, loops, scalars, sequencers, loop_times)
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
        written = written_bank(cycle, scalars, windows)
        loop = scalars[of.EXECUTE_LOOP]
        if constants[at.OUTPUT_STATIONARY] == 1:
            fed = execute_output_stationary(
                cycle, written, loops, constants, scalars, done, executes, pair_done, adding, pairs, passes
            )
        else:
            fed = execute(cycle, written, loops, constants, scalars, done, executes, pair_done, adding, passes)
        if fed:
            results[at.COMPUTE_CYCLES] += 1
            results[at.LAST_COMPUTE] = cycle + 1
            _extend(intervals, loop, EXECUTE_BEGIN, cycle)
        retire_pairs(cycle, scalars, pair_done)
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
        if scalars[of.LOAD_STARTED] == 1 or scalars[of.LOAD_NOW] > scalars[of.LOADS_RETIRED]:
            results[at.LOAD_CYCLES] += 1
            _extend(intervals, loads[scalars[of.LOADS_RETIRED], of.OF_LOOP], LOAD_BEGIN, cycle)
        if scalars[of.STORE_STARTED] == 1 or scalars[of.STORE_NOW] > scalars[of.STORES_RETIRED]:
            results[at.STORE_CYCLES] += 1
            _extend(intervals, store_loops[scalars[of.STORES_RETIRED]], STORE_BEGIN, cycle)
        if _finished(cycle, loops, scalars):
            break
        cycle += 1
    results[at.CYCLES] = cycle + 1 + constants[at.END]
