"""Which command the unroller of matrix products issues: one a cycle.

Stores go first, then executes, biases, and last activations and weights, of which the older loop's go first; of one
loop, those that are behind in K. An execute waits until the loads of its operands are issued, a store until its last
execute is.
"""

from __future__ import annotations

from simulator.kernels import command_layout as at
from simulator.kernels import command_state as of
from simulator.kernels._jit import kernel
from simulator.kernels.command_sequencers import (
    active,
    execute_may_enter,
    free_load_entry,
    issue_execute,
    issue_load,
    issue_store,
    store_may_enter,
)
from simulator.kernels.command_state import Table


@kernel(inline=True, allocates=False)
def _next_block(loops: Table, sequencers: Table) -> tuple[int, int, int]:
    """Coordinates (i, j, k) of the block whose execute comes next."""
    loop, position = sequencers[at.EXECUTES, of.LOOP], sequencers[at.EXECUTES, of.POSITION]
    size_i, size_j = loops[loop, at.BLOCKS_I], loops[loop, at.BLOCKS_J]
    return position % size_i, position // size_i % size_j, position // (size_i * size_j)


@kernel(inline=True, allocates=False)
def _store_is_ready(cycle: int, loops: Table, commands: Table, sequencers: Table) -> bool:
    if not active(cycle, sequencers, at.STORES):
        return False
    loop = sequencers[at.STORES, of.LOOP]
    if sequencers[at.EXECUTES, of.LOOP] > loop:
        return True
    command = loops[loop, at.SHAPE_COMMAND + at.STORES] + sequencers[at.STORES, of.POSITION]
    i, last_j = commands[command, at.ROW_BLOCK], commands[command, at.COLUMN_BLOCK] + commands[command, at.BLOCKS] - 1
    next_i, next_j, next_k = _next_block(loops, sequencers)
    return bool(next_k == loops[loop, at.BLOCKS_K] - 1 and (next_j > last_j or (next_j == last_j and next_i > i)))


@kernel(inline=True, allocates=False)
def _loads_are_ahead(loops: Table, commands: Table, sequencers: Table, i: int, j: int, k: int) -> bool:
    """Whether the loads of a block are issued, as far as the sequencers' counters tell.

    The weights' test looks at the activations' counter of K, of whichever loop, as LoopMatmul.scala does (`ld_ka` in
    `ldb_ahead`): while activations of another k are next, all weights of k must be issued. Idle, it stands at 0.
    """
    loop = sequencers[at.EXECUTES, of.LOOP]
    loads, loaded_k = sequencers[at.ACTIVATIONS, of.LOOP], 0
    ahead = loads > loop
    if sequencers[at.ACTIVATIONS, of.PHASE] == of.ACTIVE:
        command = loops[loads, at.SHAPE_COMMAND + at.ACTIVATIONS] + sequencers[at.ACTIVATIONS, of.POSITION]
        loaded_k = commands[command, at.COLUMN_BLOCK]
        if loads == loop:
            ahead = loaded_k > k or (loaded_k == k and commands[command, at.ROW_BLOCK] > i)
    if not ahead or sequencers[at.BIASES, of.LOOP] <= loop:
        return False
    if sequencers[at.WEIGHTS, of.LOOP] > loop:
        return True
    if sequencers[at.WEIGHTS, of.PHASE] != of.ACTIVE:
        return False
    command = loops[loop, at.SHAPE_COMMAND + at.WEIGHTS] + sequencers[at.WEIGHTS, of.POSITION]
    return bool(commands[command, at.ROW_BLOCK] > k or (loaded_k == k and commands[command, at.COLUMN_BLOCK] > j))


@kernel(inline=True, allocates=False)
def _weights_go_first(loops: Table, commands: Table, sequencers: Table) -> bool:
    """Whether the next load of weights goes before the next of activations: the first, and while these are ahead in K.

    WeightedArbiter.scala, `staticWeightA`.
    """
    a, w = at.ACTIVATIONS, at.WEIGHTS
    inputs = commands[loops[sequencers[a, of.LOOP], at.SHAPE_COMMAND + a] + sequencers[a, of.POSITION]]
    weights = commands[loops[sequencers[w, of.LOOP], at.SHAPE_COMMAND + w] + sequencers[w, of.POSITION]]
    begins = weights[at.ROW_BLOCK] == 0 and weights[at.COLUMN_BLOCK] == 0
    return bool(begins or inputs[at.COLUMN_BLOCK] > weights[at.ROW_BLOCK])


@kernel(inline=True, allocates=False)
def _choose_operand(cycle: int, loops: Table, commands: Table, scalars: Table, sequencers: Table) -> int:
    """Sequencer of activations or weights that may issue a load, or -1."""
    a, w = at.ACTIVATIONS, at.WEIGHTS
    a_waits, w_waits = active(cycle, sequencers, a), active(cycle, sequencers, w)
    loop_a, loop_w = sequencers[a, of.LOOP], sequencers[w, of.LOOP]
    oldest = scalars[of.OLDEST_LOOP]
    if loop_a != loop_w and loop_a == oldest and sequencers[a, of.PHASE] != of.IDLE:
        return a if a_waits else -1
    if loop_a != loop_w and loop_w == oldest and sequencers[w, of.PHASE] != of.IDLE:
        return w if w_waits else -1
    if loop_a == loop_w or oldest not in (loop_a, loop_w):
        if a_waits and w_waits:
            return w if _weights_go_first(loops, commands, sequencers) else a
        if a_waits:
            return a
        return w if w_waits else -1
    # The older loop's sequencer has not begun: the other one goes.
    younger = w if loop_a == oldest else a
    return younger if active(cycle, sequencers, younger) else -1


@kernel(inline=True, allocates=False)
def issue_of_product(
    cycle: int,
    loops: Table,
    commands: Table,
    constants: Table,
    scalars: Table,
    sequencers: Table,
    loop_times: Table,
    loads: Table,
    entries: Table,
    store_loops: Table,
) -> None:
    """Issue at most one command."""
    if store_may_enter(constants, scalars) and _store_is_ready(cycle, loops, commands, sequencers):
        issue_store(cycle, loops, scalars, sequencers, loop_times, store_loops)
        return
    if active(cycle, sequencers, at.EXECUTES) and execute_may_enter(constants, scalars):
        i, j, k = _next_block(loops, sequencers)
        if _loads_are_ahead(loops, commands, sequencers, i, j, k):
            issue_execute(cycle, loops, scalars, sequencers, loop_times)
            return
    entry = free_load_entry(cycle, entries)
    if entry < 0:
        return
    sequencer = (
        at.BIASES
        if active(cycle, sequencers, at.BIASES)
        else _choose_operand(cycle, loops, commands, scalars, sequencers)
    )
    if sequencer >= 0:
        issue_load(cycle, loops, sequencer, entry, scalars, sequencers, loop_times, loads, entries)
