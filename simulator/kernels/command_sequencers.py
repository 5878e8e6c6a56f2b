"""Sequencers of the command machine: loops are configured, taken up by five sequencers, and retired."""

from __future__ import annotations

from simulator.kernels import command_layout as at
from simulator.kernels import command_state as of
from simulator.kernels._jit import kernel
from simulator.kernels.command_state import Table


@kernel(inline=True, allocates=False)
def count(loops: Table, loop: int, sequencer: int) -> int:
    """Commands that a sequencer has in a loop; the executes count as one."""
    if sequencer == at.EXECUTES:
        return 1
    column = at.FIRST_COMMAND + sequencer
    return int(loops[loop + 1, column] - loops[loop, column])


@kernel(inline=True, allocates=False)
def configure(cycle: int, loops: Table, constants: Table, scalars: Table, loop_times: Table) -> None:
    """Configure the next loop, when its commands are in and the loop two before has issued all of its own."""
    loop = scalars[of.CONFIGURED_LOOPS]
    if loop == len(loops) - 1 or cycle < scalars[of.NEXT_CONFIGURE]:
        return
    if loop >= 2 and cycle < loop_times[loop - 2, of.ISSUED] + constants[at.CONFIGURE]:
        return
    loop_times[loop, of.CONFIGURED] = cycle
    scalars[of.CONFIGURED_LOOPS] += 1
    scalars[of.CHANGES] += 1
    scalars[of.NEXT_CONFIGURE] = cycle + constants[at.CONFIGURE]


@kernel(inline=True, allocates=False)
def _started(sequencers: Table, sequencer: int, loop: int) -> bool:
    at_work = sequencers[sequencer, of.LOOP]
    return bool(at_work > loop or (at_work == loop and sequencers[sequencer, of.PHASE] != of.IDLE))


@kernel(inline=True, allocates=False)
def _may_start(sequencers: Table, sequencer: int, loop: int) -> bool:
    if sequencer == at.EXECUTES:
        operands = _started(sequencers, at.ACTIVATIONS, loop) and _started(sequencers, at.WEIGHTS, loop)
        return operands and _started(sequencers, at.BIASES, loop)
    return sequencer != at.STORES or _started(sequencers, at.EXECUTES, loop)


@kernel(inline=True, allocates=False)
def finish(cycle: int, sequencers: Table, sequencer: int, loop_times: Table) -> None:
    """Note that a sequencer is through with its loop."""
    if sequencer < at.EXECUTES:
        loop_times[sequencers[sequencer, of.LOOP], of.LOADED] = cycle
    elif sequencer == at.EXECUTES:
        loop_times[sequencers[sequencer, of.LOOP], of.EXECUTED] = cycle
    sequencers[sequencer, of.LOOP] += 1
    sequencers[sequencer, of.PHASE] = of.IDLE


@kernel(inline=True, allocates=False)
def start_sequencers(cycle: int, loops: Table, scalars: Table, sequencers: Table, loop_times: Table) -> None:
    """Idle sequencers take their next loop; those that found nothing to do are done a cycle later."""
    for sequencer in range(at.SEQUENCERS):
        loop = sequencers[sequencer, of.LOOP]
        if sequencers[sequencer, of.PHASE] != of.IDLE or loop == len(loops) - 1:
            continue
        if loop_times[loop, of.CONFIGURED] < cycle and _may_start(sequencers, sequencer, loop):
            sequencers[sequencer, of.PHASE] = of.ACTIVE if count(loops, loop, sequencer) > 0 else of.EMPTY
            sequencers[sequencer, of.POSITION] = 0
            sequencers[sequencer, of.READY] = cycle + 1
            scalars[of.CHANGES] += 1
    for sequencer in range(at.SEQUENCERS):
        if sequencers[sequencer, of.PHASE] == of.EMPTY and cycle >= sequencers[sequencer, of.READY]:
            finish(cycle, sequencers, sequencer, loop_times)
            scalars[of.CHANGES] += 1


@kernel(inline=True, allocates=False)
def active(cycle: int, sequencers: Table, sequencer: int) -> bool:
    """Whether a sequencer has a command to issue."""
    return bool(sequencers[sequencer, of.PHASE] == of.ACTIVE and cycle >= sequencers[sequencer, of.READY])


@kernel(inline=True, allocates=False)
def advance(cycle: int, loops: Table, sequencers: Table, sequencer: int, loop_times: Table) -> int:
    """Take a command off a sequencer; return its index."""
    command = loops[sequencers[sequencer, of.LOOP], at.FIRST_COMMAND + sequencer] + sequencers[sequencer, of.POSITION]
    sequencers[sequencer, of.POSITION] += 1
    if sequencers[sequencer, of.POSITION] == count(loops, sequencers[sequencer, of.LOOP], sequencer):
        finish(cycle, sequencers, sequencer, loop_times)
    return int(command)


@kernel(inline=True, allocates=False)
def store_may_enter(constants: Table, scalars: Table) -> bool:
    """Whether the queue of stores has room."""
    return bool(scalars[of.STORES_ISSUED] - scalars[of.STORES_RETIRED] < constants[at.STORE_ENTRIES])


@kernel(inline=True, allocates=False)
def issue_store(
    cycle: int, loops: Table, scalars: Table, sequencers: Table, loop_times: Table, store_loops: Table
) -> None:
    """Put the next store into its queue."""
    store_loops[scalars[of.STORES_ISSUED]] = sequencers[at.STORES, of.LOOP]
    scalars[of.STORES_ISSUED] += 1
    scalars[of.CHANGES] += 1
    advance(cycle, loops, sequencers, at.STORES, loop_times)


@kernel(inline=True, allocates=False)
def execute_may_enter(constants: Table, scalars: Table) -> bool:
    """Whether the queue of executes has room for a command; an execute takes two."""
    return bool(scalars[of.EXECUTES_HELD] < constants[at.EXECUTE_ENTRIES])


@kernel(inline=True, allocates=False)
def issue_execute(cycle: int, loops: Table, scalars: Table, sequencers: Table, loop_times: Table) -> None:
    """Put a preload or, after it, its compute into their queue."""
    scalars[of.CHANGES] += 1
    scalars[of.EXECUTES_HELD] += 1
    if scalars[of.PRELOAD_SENT] == 0:
        scalars[of.PRELOAD_SENT] = 1
        return
    scalars[of.PRELOAD_SENT] = 0
    scalars[of.PAIRS_ISSUED] += 1
    sequencers[at.EXECUTES, of.POSITION] += 1
    loop = sequencers[at.EXECUTES, of.LOOP]
    if sequencers[at.EXECUTES, of.POSITION] == loops[loop + 1, at.FIRST_BLOCK] - loops[loop, at.FIRST_BLOCK]:
        finish(cycle, sequencers, at.EXECUTES, loop_times)


@kernel(inline=True, allocates=False)
def free_load_entry(cycle: int, entries: Table) -> int:
    """Entry for a load that was free before this cycle, or -1."""
    for entry in range(len(entries)):
        if entries[entry] < cycle:
            return entry
    return -1


@kernel(inline=True, allocates=False)
def issue_load(
    cycle: int,
    loops: Table,
    sequencer: int,
    entry: int,
    scalars: Table,
    sequencers: Table,
    loop_times: Table,
    loads: Table,
    entries: Table,
) -> None:
    """Put the next load of a sequencer into the queue."""
    load = loads[scalars[of.LOADS_ISSUED]]
    load[of.OF_LOOP], load[of.ISSUED_AT], load[of.ENTRY] = sequencers[sequencer, of.LOOP], cycle, entry
    loop = sequencers[sequencer, of.LOOP]
    load[of.OF_SEQUENCER] = sequencer
    load[of.ROW] = loops[loop, at.SHAPE_COMMAND + sequencer] + sequencers[sequencer, of.POSITION]
    load[of.COMMAND] = advance(cycle, loops, sequencers, sequencer, loop_times)
    entries[entry] = of.NEVER
    scalars[of.LOADS_ISSUED] += 1
    scalars[of.CHANGES] += 1


@kernel(inline=True, allocates=False)
def retire_loops(cycle: int, loops: Table, scalars: Table, sequencers: Table, loop_times: Table) -> None:
    """Note the loops all of whose commands are issued; their place is free."""
    while scalars[of.OLDEST_LOOP] < len(loops) - 1:
        loop = scalars[of.OLDEST_LOOP]
        for sequencer in range(at.SEQUENCERS):
            if sequencers[sequencer, of.LOOP] <= loop:
                return
        loop_times[loop, of.ISSUED] = cycle
        scalars[of.OLDEST_LOOP] += 1
        scalars[of.CHANGES] += 1
