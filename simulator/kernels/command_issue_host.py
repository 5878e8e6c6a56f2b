"""Commands that the host issues one by one, in the order of its program.

Of each loop these are biases, weights, activations, executes, stores (gemmini.h, `sp_tiled_matmul_os`). A command
waits at the head of the line for room in its queue, and every command behind it with it. There are no halves of
memories: what a command overwrites or reads is found from the rows of those in the queues, as
ReservationStation.scala does (`wars`, `waws`, `raws`).
"""

from __future__ import annotations

from simulator.kernels import command_layout as at
from simulator.kernels import command_state as of
from simulator.kernels._jit import kernel
from simulator.kernels.command_sequencers import (
    count,
    execute_may_enter,
    free_load_entry,
    issue_execute,
    issue_load,
    issue_store,
    store_may_enter,
)
from simulator.kernels.command_state import Table
from simulator.kernels.command_store import store_command


@kernel(inline=True, allocates=False)
def _overlap(first: int, rows: int, other: int, other_rows: int) -> bool:
    return bool(first < other + other_rows and other < first + rows)


@kernel(inline=True, allocates=False)
def _last_store_over(first: int, rows: int, loops: Table, commands: Table, scalars: Table, store_loops: Table) -> int:
    """Count stores up to the last one in their queue that reads some of these rows of accumulator memory; 0 = none."""
    last = 0
    for store in range(scalars[of.STORES_RETIRED], scalars[of.STORES_ISSUED]):
        command = store_command(store, store_loops[store], loops)
        if _overlap(first, rows, commands[command, at.PLACE], commands[command, at.ROWS]):
            last = store + 1
    return last


@kernel(inline=True, allocates=False)
def _note_what_is_overwritten(
    loops: Table,
    commands: Table,
    executes: Table,
    constants: Table,
    scalars: Table,
    loads: Table,
    pairs: Table,
    store_loops: Table,
) -> None:
    """Find what the load just issued must wait for."""
    load = loads[scalars[of.LOADS_ISSUED] - 1]
    load[of.AFTER_FED] = load[of.AFTER_WRITTEN] = load[of.AFTER_STORED] = 0
    row = load[of.ROW]
    if commands[row, at.KIND] == at.SETUP:
        return
    first = commands[row, at.PLACE]
    rows = (commands[row, at.BLOCKS] - 1) * constants[at.DIM] + commands[row, at.ROWS] * commands[row, at.REPEATS]
    if load[of.OF_SEQUENCER] == at.BIASES:
        load[of.AFTER_STORED] = _last_store_over(first, rows, loops, commands, scalars, store_loops)
    for pair in range(scalars[of.PAIRS_RETIRED], scalars[of.PAIRS_ISSUED]):
        block = executes[pairs[pair, of.PAIR_ROW]]
        if load[of.OF_SEQUENCER] == at.BIASES:
            place = block[at.RESULT_PLACE]
            if place >= 0 and _overlap(first, rows, place, block[at.EXECUTE_ROWS]):
                load[of.AFTER_WRITTEN] = pair + 1
            continue
        over_inputs = _overlap(first, rows, block[at.INPUT_PLACE], block[at.EXECUTE_ROWS])
        if over_inputs or _overlap(first, rows, block[at.WEIGHT_PLACE], block[at.WEIGHT_ROWS]):
            load[of.AFTER_FED] = pair + 1


@kernel(inline=True, allocates=False)
def _issue_pair(
    cycle: int,
    loops: Table,
    commands: Table,
    executes: Table,
    scalars: Table,
    sequencers: Table,
    loop_times: Table,
    pairs: Table,
    store_loops: Table,
) -> None:
    """Issue a preload, or its compute; results wait for stores of what they overwrite."""
    if scalars[of.PRELOAD_SENT] == 0:
        loop, pair = sequencers[at.EXECUTES, of.LOOP], pairs[scalars[of.PAIRS_ISSUED]]
        row = loops[loop, at.SHAPE_COMMAND + at.EXECUTES] + sequencers[at.EXECUTES, of.POSITION]
        pair[of.PAIR_ROW], pair[of.PAIR_AFTER_STORED] = row, 0
        place = executes[row, at.RESULT_PLACE]
        if place >= 0:
            rows = executes[row, at.EXECUTE_ROWS]
            pair[of.PAIR_AFTER_STORED] = _last_store_over(place, rows, loops, commands, scalars, store_loops)
    issue_execute(cycle, loops, scalars, sequencers, loop_times)


@kernel(inline=True, allocates=False)
def _first_section(loops: Table, scalars: Table, sequencers: Table) -> int:
    """Sequencer of the first section that is not through, or -1."""
    for loop in range(scalars[of.OLDEST_LOOP], len(loops) - 1):
        for place in range(at.SEQUENCERS):
            sequencer = at.BIASES - place if place <= at.BIASES else place
            if sequencers[sequencer, of.LOOP] != loop:
                continue
            if count(loops, loop, sequencer) > 0:
                if sequencers[sequencer, of.PHASE] == of.IDLE:
                    sequencers[sequencer, of.PHASE], sequencers[sequencer, of.POSITION] = of.ACTIVE, 0
                return sequencer
            sequencers[sequencer, of.LOOP] += 1
    return -1


@kernel(inline=True, allocates=False)
def issue_of_host(
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
) -> None:
    """Issue the next command of the program, when the host has it and its queue has room."""
    if cycle < scalars[of.NEXT_HOST]:
        return
    sequencer = _first_section(loops, scalars, sequencers)
    if sequencer < 0:
        return
    if sequencer == at.STORES:
        if not store_may_enter(constants, scalars):
            return
        issue_store(cycle, loops, scalars, sequencers, loop_times, store_loops)
    elif sequencer == at.EXECUTES:
        if not execute_may_enter(constants, scalars):
            return
        _issue_pair(cycle, loops, commands, executes, scalars, sequencers, loop_times, pairs, store_loops)
    else:
        entry = free_load_entry(cycle, entries)
        if entry < 0:
            return
        issue_load(cycle, loops, sequencer, entry, scalars, sequencers, loop_times, loads, entries)
        _note_what_is_overwritten(loops, commands, executes, constants, scalars, loads, pairs, store_loops)
    scalars[of.NEXT_HOST] = cycle + constants[at.HOST_COMMAND]
