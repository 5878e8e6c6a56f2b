"""When the parts of the command machine have something to do again, as far as time alone decides.

A part that did nothing in a cycle does nothing until one of its times has come, or another part has changed something.
A time that comes too early costs a look; one that is left out would cost cycles, so each says every time it reads.
"""

from __future__ import annotations

from simulator.kernels import command_layout as at
from simulator.kernels import command_state as of
from simulator.kernels._jit import kernel
from simulator.kernels.command_state import Table
from simulator.kernels.command_store import store_command


@kernel(inline=True, allocates=False)
def sooner(best: int, when: int, cycle: int) -> int:
    """Return the earlier of two times, `when` only if it is yet to come."""
    return int(when if cycle < when < best else best)


@kernel(allocates=False)
def wake_of_issue(
    cycle: int,
    loops: Table,
    constants: Table,
    scalars: Table,
    sequencers: Table,
    loop_times: Table,
    entries: Table,
) -> int:
    """Next cycle in which a loop may be configured, a sequencer start, or a command be issued."""
    best, last = of.NEVER, len(loops) - 1
    for entry in range(len(entries)):
        best = sooner(best, entries[entry] + 1, cycle)
    if constants[at.UNROLLER] == at.HOST:
        return sooner(best, scalars[of.NEXT_HOST], cycle)
    loop = scalars[of.CONFIGURED_LOOPS]
    if loop < last:
        best = sooner(best, scalars[of.NEXT_CONFIGURE], cycle)
        if loop >= 2:
            best = sooner(best, loop_times[loop - 2, of.ISSUED] + constants[at.CONFIGURE], cycle)
    for sequencer in range(at.SEQUENCERS):
        loop = sequencers[sequencer, of.LOOP]
        if sequencers[sequencer, of.PHASE] != of.IDLE:
            best = sooner(best, sequencers[sequencer, of.READY], cycle)
        if loop == last:
            continue
        best = sooner(best, loop_times[loop, of.CONFIGURED] + 1, cycle)
        if constants[at.UNROLLER] == at.CONVOLUTIONS:
            best = sooner(best, loop_times[loop, of.LOADED] + constants[at.UNROLL] + 1, cycle)
            best = sooner(best, loop_times[loop, of.EXECUTED] + constants[at.UNROLL] + 1, cycle)
    return best


@kernel(allocates=False)
def wake_of_load(
    cycle: int, constants: Table, scalars: Table, loads: Table, done: Table, trackers: Table, reads: Table
) -> int:
    """Next cycle in which a load may be complete, begin, or send a request."""
    best, now = of.NEVER, scalars[of.LOAD_NOW]
    if scalars[of.LOADS_RETIRED] < now:
        best = sooner(best, done[loads[scalars[of.LOADS_RETIRED], of.COMMAND]], cycle)
    if now == scalars[of.LOADS_ISSUED]:
        return int(best)
    best = sooner(best, loads[now, of.ISSUED_AT] + constants[at.ISSUE], cycle)
    best = sooner(best, scalars[of.LOAD_FREE], cycle)
    best = sooner(best, scalars[of.REQUEST_CHANNEL_FREE], cycle)
    if scalars[of.LOAD_STARTED] == 0:
        for tracker in range(len(trackers)):
            best = sooner(best, trackers[tracker], cycle)
    if scalars[of.READS_BACK] < scalars[of.READS_SENT]:
        best = sooner(best, reads[scalars[of.READS_BACK] % len(reads)], cycle)
    return int(best)


@kernel(inline=True, allocates=False)
def _loaded_at(
    best: int, cycle: int, loop: int, sequencer: int, load: int, loops: Table, constants: Table, done: Table
) -> int:
    first = loops[loop, at.FIRST_COMMAND + sequencer]
    if load < 0 or loops[loop + 1, at.FIRST_COMMAND + sequencer] == first:
        return best
    return sooner(best, done[first + load] + constants[at.LOAD_DONE], cycle)


@kernel(inline=True, allocates=False)
def _operands_at(
    cycle: int, loops: Table, constants: Table, scalars: Table, done: Table, executes: Table, pairs: Table
) -> int:
    """Next cycle in which an operand on its way of the present block, or of the one after it, is there."""
    best = of.NEVER
    for pair in range(scalars[of.PAIR_NOW], min(scalars[of.PAIR_NOW] + 2, scalars[of.PAIRS_ISSUED])):
        loop = scalars[of.EXECUTE_LOOP]
        while pair >= loops[loop + 1, at.FIRST_BLOCK]:
            loop += 1
        row = loops[loop, at.SHAPE_COMMAND + at.EXECUTES] + pair - loops[loop, at.FIRST_BLOCK]
        if constants[at.UNROLLER] == at.HOST:
            row = pairs[pair, of.PAIR_ROW]
        block = executes[row]
        best = _loaded_at(best, cycle, loop, at.ACTIVATIONS, block[at.INPUT_LOAD], loops, constants, done)
        best = _loaded_at(best, cycle, loop, at.WEIGHTS, block[at.WEIGHT_LOAD], loops, constants, done)
        best = _loaded_at(best, cycle, loop, at.BIASES, block[at.BIAS_LOAD], loops, constants, done)
    return best


@kernel(allocates=False)
def wake_of_array(
    cycle: int,
    loops: Table,
    constants: Table,
    scalars: Table,
    done: Table,
    executes: Table,
    pairs: Table,
    passes: Table,
) -> int:
    """Next cycle in which the array may begin a pass."""
    best = _operands_at(cycle, loops, constants, scalars, done, executes, pairs)
    best = sooner(best, passes[scalars[of.PASSES] % len(passes)] + constants[at.PASS_THROUGH], cycle)
    best = sooner(best, scalars[of.ARRAY_FREE], cycle)
    return sooner(best, scalars[of.LAST_EXIT], cycle)


@kernel(allocates=False)
def wake_of_store(
    cycle: int,
    loops: Table,
    commands: Table,
    constants: Table,
    scalars: Table,
    stored: Table,
    pair_done: Table,
    store_loops: Table,
    writes: Table,
    taken: Table,
    adding: Table,
) -> int:
    """Next cycle in which a store may be complete, begin, read a row of accumulators, or send a write."""
    best, now = of.NEVER, scalars[of.STORE_NOW]
    if scalars[of.STORES_RETIRED] < now:
        best = sooner(best, stored[scalars[of.STORES_RETIRED]], cycle)
    if scalars[of.WRITE_NOW] < now + scalars[of.STORE_STARTED]:
        best = sooner(best, scalars[of.WRITER_FREE], cycle)
        if scalars[of.WRITES_BACK] < scalars[of.WRITES_SENT]:
            best = sooner(best, writes[scalars[of.WRITES_BACK] % len(writes)], cycle)
        best = sooner(best, taken[scalars[of.RESULTS_PASSED] % len(taken)] + constants[at.RESULT_TRANSIT], cycle)
    if now == scalars[of.STORES_ISSUED]:
        return int(best)
    if scalars[of.STORE_STARTED] == 0:
        best, limit = sooner(best, scalars[of.NEXT_STORE], cycle), constants[at.STORES_IN_FLIGHT]
        if now >= limit:
            best = sooner(best, stored[now - limit], cycle)
        loop = store_loops[now]
        after = commands[store_command(now, loop, loops), at.AFTER]
        return sooner(best, pair_done[loops[loop, at.FIRST_BLOCK] + after], cycle)
    if adding[cycle % of.RESULT_RING] > 4 * cycle:
        return cycle + 1
    return int(best)
