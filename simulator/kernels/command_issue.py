"""The front of the command machine: loops are configured, unrolled by five sequencers, and issued one command a cycle.

Stores go first, then executes, biases, and last activations and weights, of which the older loop's go first and which
else take turns. An execute waits until the loads of its operands are issued, a store until its last execute is.
"""

from __future__ import annotations

from simulator.kernels import command_layout as at
from simulator.kernels import command_state as of
from simulator.kernels._jit import kernel
from simulator.kernels.command_state import Table


@kernel(inline=True)
def _count(loops: Table, loop: int, sequencer: int) -> int:
    """Commands that a sequencer has in a loop; the executes count as one."""
    if sequencer == at.EXECUTES:
        return 1
    column = at.FIRST_COMMAND + sequencer
    return int(loops[loop + 1, column] - loops[loop, column])


@kernel(inline=True)
def configure(cycle: int, loops: Table, constants: Table, scalars: Table, loop_times: Table) -> None:
    """Configure the next loop, when its commands are in and the loop two before has issued all of its own."""
    loop = scalars[of.CONFIGURED_LOOPS]
    if loop == len(loops) - 1 or cycle < scalars[of.NEXT_CONFIGURE]:
        return
    if loop >= 2 and cycle < loop_times[loop - 2, of.ISSUED] + constants[at.CONFIGURE]:
        return
    loop_times[loop, of.CONFIGURED] = cycle
    scalars[of.CONFIGURED_LOOPS] += 1
    scalars[of.NEXT_CONFIGURE] = cycle + constants[at.CONFIGURE]


@kernel(inline=True)
def _started(sequencers: Table, sequencer: int, loop: int) -> bool:
    at_work = sequencers[sequencer, of.LOOP]
    return bool(at_work > loop or (at_work == loop and sequencers[sequencer, of.PHASE] != of.IDLE))


@kernel(inline=True)
def _may_start(sequencers: Table, sequencer: int, loop: int) -> bool:
    if sequencer == at.EXECUTES:
        operands = _started(sequencers, at.ACTIVATIONS, loop) and _started(sequencers, at.WEIGHTS, loop)
        return operands and _started(sequencers, at.BIASES, loop)
    return sequencer != at.STORES or _started(sequencers, at.EXECUTES, loop)


@kernel(inline=True)
def _finish(sequencers: Table, sequencer: int) -> None:
    sequencers[sequencer, of.LOOP] += 1
    sequencers[sequencer, of.PHASE] = of.IDLE


@kernel(inline=True)
def start_sequencers(cycle: int, loops: Table, sequencers: Table, loop_times: Table) -> None:
    """Idle sequencers take their next loop; those that found nothing to do are done a cycle later."""
    for sequencer in range(at.SEQUENCERS):
        loop = sequencers[sequencer, of.LOOP]
        if sequencers[sequencer, of.PHASE] != of.IDLE or loop == len(loops) - 1:
            continue
        if loop_times[loop, of.CONFIGURED] < cycle and _may_start(sequencers, sequencer, loop):
            sequencers[sequencer, of.PHASE] = of.ACTIVE if _count(loops, loop, sequencer) > 0 else of.EMPTY
            sequencers[sequencer, of.POSITION] = 0
            sequencers[sequencer, of.READY] = cycle + 1
    for sequencer in range(at.SEQUENCERS):
        if sequencers[sequencer, of.PHASE] == of.EMPTY and cycle >= sequencers[sequencer, of.READY]:
            _finish(sequencers, sequencer)


@kernel(inline=True)
def _active(cycle: int, sequencers: Table, sequencer: int) -> bool:
    return bool(sequencers[sequencer, of.PHASE] == of.ACTIVE and cycle >= sequencers[sequencer, of.READY])


@kernel(inline=True)
def _advance(loops: Table, sequencers: Table, sequencer: int) -> int:
    """Take a command off a sequencer; return its index."""
    command = loops[sequencers[sequencer, of.LOOP], at.FIRST_COMMAND + sequencer] + sequencers[sequencer, of.POSITION]
    sequencers[sequencer, of.POSITION] += 1
    if sequencers[sequencer, of.POSITION] == _count(loops, sequencers[sequencer, of.LOOP], sequencer):
        _finish(sequencers, sequencer)
    return int(command)


@kernel(inline=True)
def _next_block(loops: Table, sequencers: Table) -> tuple[int, int, int]:
    """Coordinates (i, j, k) of the block whose execute comes next."""
    loop, position = sequencers[at.EXECUTES, of.LOOP], sequencers[at.EXECUTES, of.POSITION]
    size_i, size_j = loops[loop, at.BLOCKS_I], loops[loop, at.BLOCKS_J]
    return position % size_i, position // size_i % size_j, position // (size_i * size_j)


@kernel(inline=True)
def _issue_store(
    cycle: int, loops: Table, commands: Table, constants: Table, scalars: Table, sequencers: Table, stores: Table
) -> bool:
    if (
        not _active(cycle, sequencers, at.STORES)
        or scalars[of.STORES_ISSUED] - scalars[of.STORES_RETIRED] >= constants[at.STORE_ENTRIES]
    ):
        return False
    loop = sequencers[at.STORES, of.LOOP]
    command = loops[loop, at.FIRST_COMMAND + at.STORES] + sequencers[at.STORES, of.POSITION]
    i, last_j = commands[command, at.ROW_BLOCK], commands[command, at.COLUMN_BLOCK] + commands[command, at.BLOCKS] - 1
    if sequencers[at.EXECUTES, of.LOOP] <= loop:
        next_i, next_j, next_k = _next_block(loops, sequencers)
        passed = next_j > last_j or (next_j == last_j and next_i > i)
        if next_k != loops[loop, at.BLOCKS_K] - 1 or not passed:
            return False
    size_i, size_j, size_k = loops[loop, at.BLOCKS_I], loops[loop, at.BLOCKS_J], loops[loop, at.BLOCKS_K]
    store = stores[scalars[of.STORES_ISSUED]]
    store[of.STORE_LOOP] = loop
    store[of.STORE_PAIR] = loops[loop, at.FIRST_BLOCK] + (size_k - 1) * size_i * size_j + last_j * size_i + i
    scalars[of.STORES_ISSUED] += 1
    _advance(loops, sequencers, at.STORES)
    return True


@kernel(inline=True)
def _loads_are_ahead(loops: Table, commands: Table, sequencers: Table, i: int, j: int, k: int) -> bool:
    """Whether the loads of a block are issued, as far as the sequencers' counters tell.

    The weights' test looks at the activations' counter of K, as LoopMatmul.scala does: while activations of another k
    are next, all weights of k must be issued.
    """
    loop = sequencers[at.EXECUTES, of.LOOP]
    loaded_k = -1
    ahead = sequencers[at.ACTIVATIONS, of.LOOP] > loop
    if not ahead and sequencers[at.ACTIVATIONS, of.PHASE] == of.ACTIVE:
        command = loops[loop, at.FIRST_COMMAND + at.ACTIVATIONS] + sequencers[at.ACTIVATIONS, of.POSITION]
        loaded_k = commands[command, at.COLUMN_BLOCK]
        ahead = loaded_k > k or (loaded_k == k and commands[command, at.ROW_BLOCK] > i)
    if not ahead or sequencers[at.BIASES, of.LOOP] <= loop:
        return False
    if sequencers[at.WEIGHTS, of.LOOP] > loop:
        return True
    if sequencers[at.WEIGHTS, of.PHASE] != of.ACTIVE:
        return False
    command = loops[loop, at.FIRST_COMMAND + at.WEIGHTS] + sequencers[at.WEIGHTS, of.POSITION]
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
def _load_position(loops: Table, load_of: Table, loop: int, sequencer: int, offset: int) -> int:
    """Position of a load in the queue, or -1 where the operand was left by a loop before."""
    if _count(loops, loop, sequencer) == 0:
        return -1
    return int(load_of[loops[loop, at.FIRST_COMMAND + sequencer] + offset])


@kernel(inline=True)
def _note_pair(
    loops: Table,
    constants: Table,
    scalars: Table,
    sequencers: Table,
    load_of: Table,
    pairs: Table,
    i: int,
    j: int,
    k: int,
) -> None:
    loop = sequencers[at.EXECUTES, of.LOOP]
    size_i, size_j = loops[loop, at.BLOCKS_I], loops[loop, at.BLOCKS_J]
    pair = scalars[of.PAIRS_ISSUED] % len(pairs)
    per_load, per_bias = constants[at.BLOCKS_PER_LOAD], constants[at.BLOCKS_PER_BIAS_LOAD]
    has_bias = _count(loops, loop, at.BIASES) > 0
    pairs[pair, of.PAIR_ROWS] = loops[loop, at.LAST_ROWS] if i == size_i - 1 else constants[at.DIM]
    pairs[pair, of.NEW_WEIGHTS] = 1 if i == 0 else 0
    pairs[pair, of.INPUT_BANK] = bank_of(loops, constants, loop, False, i, k)
    pairs[pair, of.WEIGHT_BANK] = bank_of(loops, constants, loop, True, k, j)
    pairs[pair, of.ADDS_TO] = loop % 2 + 1 if k > 0 or has_bias else 0
    pairs[pair, of.INPUT_LOAD] = _load_position(loops, load_of, loop, at.ACTIVATIONS, k // per_load * size_i + i)
    weight = k * ((size_j + per_load - 1) // per_load) + j // per_load
    pairs[pair, of.WEIGHT_LOAD] = _load_position(loops, load_of, loop, at.WEIGHTS, weight)
    bias = j // per_bias * size_i + i
    pairs[pair, of.BIAS_LOAD] = _load_position(loops, load_of, loop, at.BIASES, bias) if k == 0 else -1
    scalars[of.PAIRS_ISSUED] += 1


@kernel(inline=True)
def _issue_execute(
    cycle: int,
    loops: Table,
    commands: Table,
    constants: Table,
    scalars: Table,
    sequencers: Table,
    load_of: Table,
    pairs: Table,
) -> bool:
    """Issue a preload or, after it, its compute."""
    waiting = 2 * (scalars[of.PAIRS_ISSUED] - scalars[of.PAIRS_RETIRED]) + scalars[of.PRELOAD_SENT]
    if not _active(cycle, sequencers, at.EXECUTES) or waiting >= constants[at.EXECUTE_ENTRIES]:
        return False
    i, j, k = _next_block(loops, sequencers)
    if not _loads_are_ahead(loops, commands, sequencers, i, j, k):
        return False
    if scalars[of.PRELOAD_SENT] == 0:
        scalars[of.PRELOAD_SENT] = 1
        return True
    scalars[of.PRELOAD_SENT] = 0
    _note_pair(loops, constants, scalars, sequencers, load_of, pairs, i, j, k)
    sequencers[at.EXECUTES, of.POSITION] += 1
    loop = sequencers[at.EXECUTES, of.LOOP]
    if sequencers[at.EXECUTES, of.POSITION] == loops[loop + 1, at.FIRST_BLOCK] - loops[loop, at.FIRST_BLOCK]:
        _finish(sequencers, at.EXECUTES)
    return True


@kernel(inline=True)
def _choose_operand(cycle: int, constants: Table, scalars: Table, sequencers: Table) -> int:
    """Sequencer of activations or weights that may issue a load, or -1."""
    a, w = at.ACTIVATIONS, at.WEIGHTS
    a_waits, w_waits = _active(cycle, sequencers, a), _active(cycle, sequencers, w)
    loop_a, loop_w = sequencers[a, of.LOOP], sequencers[w, of.LOOP]
    oldest = scalars[of.OLDEST_LOOP]
    if loop_a != loop_w and loop_a == oldest and sequencers[a, of.PHASE] != of.IDLE:
        return a if a_waits else -1
    if loop_a != loop_w and loop_w == oldest and sequencers[w, of.PHASE] != of.IDLE:
        return w if w_waits else -1
    if loop_a == loop_w or oldest not in (loop_a, loop_w):
        if a_waits and w_waits:
            if scalars[of.ACTIVATION_STREAK] < constants[at.LOAD_WEIGHT]:
                scalars[of.ACTIVATION_STREAK] += 1
                return a
            scalars[of.ACTIVATION_STREAK] = 0
            return w
        if a_waits:
            return a
        return w if w_waits else -1
    # The older loop's sequencer has not begun: the other one goes.
    younger = w if loop_a == oldest else a
    return younger if _active(cycle, sequencers, younger) else -1


@kernel(inline=True)
def _issue_load(
    cycle: int, loops: Table, sequencer: int, scalars: Table, sequencers: Table, loads: Table, load_of: Table
) -> None:
    loop = sequencers[sequencer, of.LOOP]
    command = _advance(loops, sequencers, sequencer)
    load = loads[scalars[of.LOADS_ISSUED]]
    load[of.COMMAND], load[of.OF_LOOP], load[of.ISSUED_AT] = command, loop, cycle
    load_of[command] = scalars[of.LOADS_ISSUED]
    scalars[of.LOADS_ISSUED] += 1


@kernel(inline=True)
def issue(
    cycle: int,
    loops: Table,
    commands: Table,
    constants: Table,
    scalars: Table,
    sequencers: Table,
    loads: Table,
    load_of: Table,
    pairs: Table,
    stores: Table,
) -> None:
    """Issue at most one command."""
    if _issue_store(cycle, loops, commands, constants, scalars, sequencers, stores):
        return
    if _issue_execute(cycle, loops, commands, constants, scalars, sequencers, load_of, pairs):
        return
    if scalars[of.LOADS_ISSUED] - scalars[of.LOADS_RETIRED] >= constants[at.LOAD_ENTRIES]:
        return
    sequencer = (
        at.BIASES if _active(cycle, sequencers, at.BIASES) else _choose_operand(cycle, constants, scalars, sequencers)
    )
    if sequencer >= 0:
        _issue_load(cycle, loops, sequencer, scalars, sequencers, loads, load_of)


@kernel(inline=True)
def retire_loops(cycle: int, loops: Table, scalars: Table, sequencers: Table, loop_times: Table) -> None:
    """Note the loops all of whose commands are issued; their place is free."""
    while scalars[of.OLDEST_LOOP] < len(loops) - 1:
        loop = scalars[of.OLDEST_LOOP]
        for sequencer in range(at.SEQUENCERS):
            if sequencers[sequencer, of.LOOP] <= loop:
                return
        loop_times[loop, of.ISSUED] = cycle
        scalars[of.OLDEST_LOOP] += 1
