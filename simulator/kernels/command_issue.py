"""The front of the command machine: loops are configured, unrolled by five sequencers, and issued one command a cycle.

Stores go first, then executes, biases, and last activations and weights, of which the older loop's go first and which
else take turns. An execute waits until the loads of its operands are issued, a store until its last execute is.
"""

from __future__ import annotations

from simulator.kernels import command_layout as at
from simulator.kernels import command_state as of
from simulator.kernels._jit import kernel
from simulator.kernels.command_state import State, Table


@kernel(inline=True)
def _count(loops: Table, loop: int, sequencer: int) -> int:
    """Commands that a sequencer has in a loop; the executes count as one."""
    if sequencer == at.EXECUTES:
        return 1
    column = at.FIRST_COMMAND + sequencer
    return int(loops[loop + 1, column] - loops[loop, column])


@kernel(inline=True)
def configure(cycle: int, loops: Table, constants: Table, state: State) -> None:
    """Configure the next loop, when its commands are in and the loop two before has issued all of its own."""
    s = state.scalars
    loop = s[of.CONFIGURED_LOOPS]
    if loop == len(loops) - 1 or cycle < s[of.NEXT_CONFIGURE]:
        return
    if loop >= 2 and cycle < state.loop_times[loop - 2, of.ISSUED] + constants[at.CONFIGURE]:
        return
    state.loop_times[loop, of.CONFIGURED] = cycle
    s[of.CONFIGURED_LOOPS] += 1
    s[of.NEXT_CONFIGURE] = cycle + constants[at.CONFIGURE]


@kernel(inline=True)
def _started(state: State, sequencer: int, loop: int) -> bool:
    at_work = state.sequencers[sequencer, of.LOOP]
    return bool(at_work > loop or (at_work == loop and state.sequencers[sequencer, of.PHASE] != of.IDLE))


@kernel(inline=True)
def _may_start(state: State, sequencer: int, loop: int) -> bool:
    if sequencer == at.EXECUTES:
        loads = _started(state, at.ACTIVATIONS, loop) and _started(state, at.WEIGHTS, loop)
        return loads and _started(state, at.BIASES, loop)
    return sequencer != at.STORES or _started(state, at.EXECUTES, loop)


@kernel(inline=True)
def _finish(state: State, sequencer: int) -> None:
    state.sequencers[sequencer, of.LOOP] += 1
    state.sequencers[sequencer, of.PHASE] = of.IDLE


@kernel(inline=True)
def start_sequencers(cycle: int, loops: Table, state: State) -> None:
    """Idle sequencers take their next loop; those that found nothing to do are done a cycle later."""
    for sequencer in range(at.SEQUENCERS):
        row = state.sequencers[sequencer]
        loop = row[of.LOOP]
        if row[of.PHASE] != of.IDLE or loop == len(loops) - 1 or state.loop_times[loop, of.CONFIGURED] >= cycle:
            continue
        if _may_start(state, sequencer, loop):
            row[of.PHASE] = of.ACTIVE if _count(loops, loop, sequencer) > 0 else of.EMPTY
            row[of.POSITION] = 0
            row[of.READY] = cycle + 1
    for sequencer in range(at.SEQUENCERS):
        if state.sequencers[sequencer, of.PHASE] == of.EMPTY and cycle >= state.sequencers[sequencer, of.READY]:
            _finish(state, sequencer)


@kernel(inline=True)
def _active(cycle: int, state: State, sequencer: int) -> bool:
    row = state.sequencers[sequencer]
    return bool(row[of.PHASE] == of.ACTIVE and cycle >= row[of.READY])


@kernel(inline=True)
def _advance(loops: Table, state: State, sequencer: int) -> int:
    """Take a command off a sequencer; return its index."""
    row = state.sequencers[sequencer]
    command = loops[row[of.LOOP], at.FIRST_COMMAND + sequencer] + row[of.POSITION]
    row[of.POSITION] += 1
    if row[of.POSITION] == _count(loops, row[of.LOOP], sequencer):
        _finish(state, sequencer)
    return int(command)


@kernel(inline=True)
def _next_block(loops: Table, state: State) -> tuple[int, int, int]:
    """Coordinates (i, j, k) of the block whose execute comes next."""
    row = state.sequencers[at.EXECUTES]
    size_i, size_j = loops[row[of.LOOP], at.BLOCKS_I], loops[row[of.LOOP], at.BLOCKS_J]
    return row[of.POSITION] % size_i, row[of.POSITION] // size_i % size_j, row[of.POSITION] // (size_i * size_j)


@kernel(inline=True)
def _issue_store(cycle: int, loops: Table, commands: Table, constants: Table, state: State) -> bool:
    s = state.scalars
    if (
        not _active(cycle, state, at.STORES)
        or s[of.STORES_ISSUED] - s[of.STORES_RETIRED] >= constants[at.STORE_ENTRIES]
    ):
        return False
    row = state.sequencers[at.STORES]
    loop = row[of.LOOP]
    command = loops[loop, at.FIRST_COMMAND + at.STORES] + row[of.POSITION]
    i, last_j = commands[command, at.ROW_BLOCK], commands[command, at.COLUMN_BLOCK] + commands[command, at.BLOCKS] - 1
    if state.sequencers[at.EXECUTES, of.LOOP] <= loop:
        next_i, next_j, next_k = _next_block(loops, state)
        passed = next_j > last_j or (next_j == last_j and next_i > i)
        if next_k != loops[loop, at.BLOCKS_K] - 1 or not passed:
            return False
    size_i, size_j, size_k = loops[loop, at.BLOCKS_I], loops[loop, at.BLOCKS_J], loops[loop, at.BLOCKS_K]
    store = state.stores[s[of.STORES_ISSUED]]
    store[of.STORE_LOOP] = loop
    store[of.STORE_PAIR] = loops[loop, at.FIRST_BLOCK] + (size_k - 1) * size_i * size_j + last_j * size_i + i
    s[of.STORES_ISSUED] += 1
    _advance(loops, state, at.STORES)
    return True


@kernel(inline=True)
def _loads_are_ahead(loops: Table, commands: Table, state: State, i: int, j: int, k: int) -> bool:
    """Whether the loads of a block are issued, as far as the sequencers' counters tell.

    The weights' test looks at the activations' counter of K, as LoopMatmul.scala does: while activations of another k
    are next, all weights of k must be issued.
    """
    loop = state.sequencers[at.EXECUTES, of.LOOP]
    activations, weights = state.sequencers[at.ACTIVATIONS], state.sequencers[at.WEIGHTS]
    loaded_k = -1
    ahead = activations[of.LOOP] > loop
    if not ahead and activations[of.PHASE] == of.ACTIVE:
        command = loops[loop, at.FIRST_COMMAND + at.ACTIVATIONS] + activations[of.POSITION]
        loaded_k = commands[command, at.COLUMN_BLOCK]
        ahead = loaded_k > k or (loaded_k == k and commands[command, at.ROW_BLOCK] > i)
    if not ahead or state.sequencers[at.BIASES, of.LOOP] <= loop:
        return False
    if weights[of.LOOP] > loop:
        return True
    if weights[of.PHASE] != of.ACTIVE:
        return False
    command = loops[loop, at.FIRST_COMMAND + at.WEIGHTS] + weights[of.POSITION]
    return bool(commands[command, at.ROW_BLOCK] > k or (loaded_k == k and commands[command, at.COLUMN_BLOCK] > j))


@kernel(inline=True)
def bank_of(loops: Table, constants: Table, loop: int, weights: bool, row_block: int, column_block: int) -> int:
    """Bank of the scratchpad that holds a block: activations from the start of a half, weights up to its last block."""
    dim, half = constants[at.DIM], constants[at.HALF_ROWS]
    depth = loops[loop, at.BLOCKS_K]
    if weights:
        width = loops[loop, at.BLOCKS_J]
        row = (loops[loop, at.WEIGHT_HALF] + 1) * half - dim - depth * width * dim
        row += (row_block * width + column_block) * dim
    else:
        row = loops[loop, at.ACTIVATION_HALF] * half + (row_block * depth + column_block) * dim
    return int(row // constants[at.BANK_ROWS])


@kernel(inline=True)
def _load_position(loops: Table, state: State, loop: int, sequencer: int, offset: int) -> int:
    """Position of a load in the queue, or -1 where the operand was left by a loop before."""
    if _count(loops, loop, sequencer) == 0:
        return -1
    return int(state.load_of[loops[loop, at.FIRST_COMMAND + sequencer] + offset])


@kernel(inline=True)
def _note_pair(loops: Table, constants: Table, state: State, i: int, j: int, k: int) -> None:
    loop = state.sequencers[at.EXECUTES, of.LOOP]
    size_i, size_j = loops[loop, at.BLOCKS_I], loops[loop, at.BLOCKS_J]
    pair = state.pairs[state.scalars[of.PAIRS_ISSUED] % len(state.pairs)]
    per_load, per_bias = constants[at.BLOCKS_PER_LOAD], constants[at.BLOCKS_PER_BIAS_LOAD]
    has_bias = _count(loops, loop, at.BIASES) > 0
    pair[of.PAIR_ROWS] = loops[loop, at.LAST_ROWS] if i == size_i - 1 else constants[at.DIM]
    pair[of.NEW_WEIGHTS] = 1 if i == 0 else 0
    pair[of.INPUT_BANK] = bank_of(loops, constants, loop, False, i, k)
    pair[of.WEIGHT_BANK] = bank_of(loops, constants, loop, True, k, j)
    pair[of.ADDS_TO] = loop % 2 + 1 if k > 0 or has_bias else 0
    pair[of.INPUT_LOAD] = _load_position(loops, state, loop, at.ACTIVATIONS, k // per_load * size_i + i)
    weight = k * ((size_j + per_load - 1) // per_load) + j // per_load
    pair[of.WEIGHT_LOAD] = _load_position(loops, state, loop, at.WEIGHTS, weight)
    bias = j // per_bias * size_i + i
    pair[of.BIAS_LOAD] = _load_position(loops, state, loop, at.BIASES, bias) if k == 0 else -1
    state.scalars[of.PAIRS_ISSUED] += 1


@kernel(inline=True)
def _issue_execute(cycle: int, loops: Table, commands: Table, constants: Table, state: State) -> bool:
    """Issue a preload or, after it, its compute."""
    s = state.scalars
    waiting = 2 * (s[of.PAIRS_ISSUED] - s[of.PAIRS_RETIRED]) + s[of.PRELOAD_SENT]
    if not _active(cycle, state, at.EXECUTES) or waiting >= constants[at.EXECUTE_ENTRIES]:
        return False
    i, j, k = _next_block(loops, state)
    if not _loads_are_ahead(loops, commands, state, i, j, k):
        return False
    if s[of.PRELOAD_SENT] == 0:
        s[of.PRELOAD_SENT] = 1
        return True
    s[of.PRELOAD_SENT] = 0
    _note_pair(loops, constants, state, i, j, k)
    row = state.sequencers[at.EXECUTES]
    row[of.POSITION] += 1
    loop = row[of.LOOP]
    if row[of.POSITION] == loops[loop + 1, at.FIRST_BLOCK] - loops[loop, at.FIRST_BLOCK]:
        _finish(state, at.EXECUTES)
    return True


@kernel(inline=True)
def _choose_operand(cycle: int, constants: Table, state: State) -> int:
    """Sequencer of activations or weights that may issue a load, or -1."""
    s = state.scalars
    a, w = at.ACTIVATIONS, at.WEIGHTS
    a_waits, w_waits = _active(cycle, state, a), _active(cycle, state, w)
    loop_a, loop_w = state.sequencers[a, of.LOOP], state.sequencers[w, of.LOOP]
    oldest = s[of.OLDEST_LOOP]
    if loop_a != loop_w and loop_a == oldest and state.sequencers[a, of.PHASE] != of.IDLE:
        return a if a_waits else -1
    if loop_a != loop_w and loop_w == oldest and state.sequencers[w, of.PHASE] != of.IDLE:
        return w if w_waits else -1
    if loop_a == loop_w or oldest not in (loop_a, loop_w):
        if a_waits and w_waits:
            if s[of.ACTIVATION_STREAK] < constants[at.LOAD_WEIGHT]:
                s[of.ACTIVATION_STREAK] += 1
                return a
            s[of.ACTIVATION_STREAK] = 0
            return w
        if a_waits:
            return a
        return w if w_waits else -1
    # The older loop's sequencer has not begun: the other one goes.
    younger = w if loop_a == oldest else a
    return younger if _active(cycle, state, younger) else -1


@kernel(inline=True)
def _issue_load(cycle: int, loops: Table, sequencer: int, state: State) -> None:
    s = state.scalars
    loop = state.sequencers[sequencer, of.LOOP]
    command = _advance(loops, state, sequencer)
    load = state.loads[s[of.LOADS_ISSUED]]
    load[of.COMMAND], load[of.OF_LOOP], load[of.ISSUED_AT] = command, loop, cycle
    state.load_of[command] = s[of.LOADS_ISSUED]
    s[of.LOADS_ISSUED] += 1


@kernel(inline=True)
def issue(cycle: int, loops: Table, commands: Table, constants: Table, state: State) -> None:
    """Issue at most one command."""
    s = state.scalars
    if _issue_store(cycle, loops, commands, constants, state):
        return
    if _issue_execute(cycle, loops, commands, constants, state):
        return
    if s[of.LOADS_ISSUED] - s[of.LOADS_RETIRED] >= constants[at.LOAD_ENTRIES]:
        return
    sequencer = at.BIASES if _active(cycle, state, at.BIASES) else _choose_operand(cycle, constants, state)
    if sequencer >= 0:
        _issue_load(cycle, loops, sequencer, state)


@kernel(inline=True)
def retire_loops(cycle: int, loops: Table, state: State) -> None:
    """Note the loops all of whose commands are issued; their place is free."""
    s = state.scalars
    while s[of.OLDEST_LOOP] < len(loops) - 1:
        loop = s[of.OLDEST_LOOP]
        for sequencer in range(at.SEQUENCERS):
            if state.sequencers[sequencer, of.LOOP] <= loop:
                return
        state.loop_times[loop, of.ISSUED] = cycle
        s[of.OLDEST_LOOP] += 1
