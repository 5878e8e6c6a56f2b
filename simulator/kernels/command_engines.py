"""The back of the command machine: load controller, array and store controller, one cycle at a time.

Memory has a channel of requests (a read takes a beat, a write all of its beats) and a channel of data, in order of
request (the beats of a read; an acknowledgement takes one). Writes from memory take a bank of the scratchpad before the
array does. Where activations and weights come from one bank, they take turns.
"""

from __future__ import annotations

from simulator.kernels import command_layout as at
from simulator.kernels import command_state as of
from simulator.kernels._jit import kernel
from simulator.kernels.command_issue import bank_of
from simulator.kernels.command_state import State, Table


@kernel(inline=True)
def _beat_cycles(beats: int, constants: Table) -> int:
    """Cycles of `beats` at the bandwidth of DRAM, at most one beat a cycle."""
    cycles = -(-beats * constants[at.BEAT_NUMERATOR] // constants[at.BEAT_DENOMINATOR])
    return int(max(beats, cycles))


@kernel(inline=True)
def _pattern(commands: Table, constants: Table, command: int, row: int) -> int:
    offset = (commands[command, at.ADDRESS] + row * commands[command, at.STRIDE]) % constants[at.BURST_BYTES]
    return int(commands[command, at.PATTERN] + offset)


@kernel(inline=True)
def _executed(loops: Table, state: State, loop: int) -> bool:
    """Whether the array is through with the loop two before: its half of the scratchpad may be overwritten."""
    return loop < 2 or state.scalars[of.PAIR_NOW] >= loops[loop - 1, at.FIRST_BLOCK]


@kernel(inline=True)
def _send_read(
    cycle: int, sequencer: int, loops: Table, commands: Table, requests: Table, constants: Table, state: State
) -> int:
    """Send the present request of the present load; return the cycle after its last write to the scratchpad."""
    s = state.scalars
    load = state.loads[s[of.LOAD_NOW]]
    command = load[of.COMMAND]
    request = requests[s[of.LOAD_REQUEST]]
    s[of.REQUEST_CHANNEL_FREE] = cycle + 1
    begin = max(cycle + constants[at.READ] + constants[at.LATENCY], s[of.DATA_CHANNEL_FREE])
    cycles = _beat_cycles(request[at.BEATS], constants)
    late = cycles - request[at.BEATS]
    s[of.DATA_CHANNEL_FREE] = begin + request[at.PERIOD] + late
    state.reads[s[of.READS_SENT] % len(state.reads)] = begin + cycles
    s[of.READS_SENT] += 1
    end = begin + request[at.LAST_WRITE] + late + 1
    if sequencer != at.BIASES:
        window = state.windows[s[of.WINDOWS_OPENED] % len(state.windows)]
        window[0], window[1] = begin + request[at.FIRST_WRITE] + late, end
        row, column = commands[command, at.ROW_BLOCK], commands[command, at.COLUMN_BLOCK]
        window[2] = bank_of(loops, constants, load[of.OF_LOOP], sequencer == at.WEIGHTS, row, column)
        s[of.WINDOWS_OPENED] += 1
    return int(end)


@kernel(inline=True)
def load(
    cycle: int,
    loops: Table,
    commands: Table,
    pattern_start: Table,
    requests: Table,
    constants: Table,
    state: State,
) -> None:
    """Load controller: commands in order, a request a cycle."""
    s = state.scalars
    while s[of.READS_BACK] < s[of.READS_SENT] and state.reads[s[of.READS_BACK] % len(state.reads)] <= cycle:
        s[of.READS_BACK] += 1
    while s[of.LOADS_RETIRED] < s[of.LOADS_ISSUED] and state.loads[s[of.LOADS_RETIRED], of.DONE] <= cycle:
        s[of.LOADS_RETIRED] += 1
    now = s[of.LOAD_NOW]
    if now == s[of.LOADS_ISSUED] or cycle < state.loads[now, of.ISSUED_AT] + constants[at.ISSUE]:
        return
    command = state.loads[now, of.COMMAND]
    if s[of.LOAD_STARTED] == 0:
        in_flight = now - s[of.LOADS_RETIRED]
        if in_flight >= constants[at.LOADS_IN_FLIGHT] or not _executed(loops, state, state.loads[now, of.OF_LOOP]):
            return
        s[of.LOAD_STARTED] = 1
        s[of.LOAD_ROW] = 0
        s[of.LOAD_REQUEST] = pattern_start[_pattern(commands, constants, command, 0)]
    outstanding = s[of.READS_SENT] - s[of.READS_BACK]
    if outstanding >= constants[at.MAX_OUTSTANDING] or s[of.REQUEST_CHANNEL_FREE] > cycle:
        return
    sequencer = at.ACTIVATIONS
    if command >= loops[0, at.FIRST_COMMAND + at.BIASES]:
        sequencer = at.BIASES
    elif command >= loops[0, at.FIRST_COMMAND + at.WEIGHTS]:
        sequencer = at.WEIGHTS
    end = _send_read(cycle, sequencer, loops, commands, requests, constants, state)
    s[of.LOAD_REQUEST] += 1
    if s[of.LOAD_REQUEST] < pattern_start[_pattern(commands, constants, command, s[of.LOAD_ROW]) + 1]:
        return
    s[of.LOAD_ROW] += 1
    if s[of.LOAD_ROW] < commands[command, at.ROWS]:
        s[of.LOAD_REQUEST] = pattern_start[_pattern(commands, constants, command, s[of.LOAD_ROW])]
        return
    state.loads[now, of.DONE] = end + 1
    s[of.LOAD_NOW] += 1
    s[of.LOAD_STARTED] = 0


@kernel(inline=True)
def written_bank(cycle: int, state: State) -> int:
    """Bank of the scratchpad that memory writes in this cycle, or -1."""
    s = state.scalars
    while s[of.WINDOWS_CLOSED] < s[of.WINDOWS_OPENED]:
        window = state.windows[s[of.WINDOWS_CLOSED] % len(state.windows)]
        if window[1] > cycle:
            return int(window[2]) if window[0] <= cycle else -1
        s[of.WINDOWS_CLOSED] += 1
    return -1


@kernel(inline=True)
def _loaded(cycle: int, load: int, constants: Table, state: State) -> bool:
    return load < 0 or state.loads[load, of.DONE] + constants[at.LOAD_DONE] <= cycle


@kernel(inline=True)
def _preload_is_ready(cycle: int, pair: Table, constants: Table, state: State) -> bool:
    weights = _loaded(cycle, pair[of.WEIGHT_LOAD], constants, state)
    return pair[of.NEW_WEIGHTS] == 1 and weights and _loaded(cycle, pair[of.BIAS_LOAD], constants, state)


@kernel(inline=True)
def _choose_step(cycle: int, constants: Table, state: State) -> None:
    """Give the array something to do: a preload, a block, or a block and the next one's preload."""
    s = state.scalars
    now = s[of.PAIR_NOW]
    if s[of.STEP] != of.NOTHING or now == s[of.PAIRS_ISSUED]:
        return
    pair = state.pairs[now % len(state.pairs)]
    s[of.INPUT_ROWS] = 0
    s[of.WEIGHT_ROWS] = 0
    if pair[of.NEW_WEIGHTS] == 1 and s[of.WEIGHTS_READY] <= now:
        if _preload_is_ready(cycle, pair, constants, state):
            s[of.STEP], s[of.STEP_ROWS] = of.PRELOAD, constants[at.DIM]
        return
    operands = _loaded(cycle, pair[of.INPUT_LOAD], constants, state)
    if not operands or not _loaded(cycle, pair[of.BIAS_LOAD], constants, state):
        return
    following = state.pairs[(now + 1) % len(state.pairs)]
    if now + 1 < s[of.PAIRS_ISSUED] and _preload_is_ready(cycle, following, constants, state):
        s[of.STEP], s[of.STEP_ROWS] = of.BOTH, constants[at.DIM]
    else:
        s[of.STEP], s[of.STEP_ROWS] = of.COMPUTE, max(pair[of.PAIR_ROWS], constants[at.MINIMUM_ROWS])


@kernel(inline=True)
def _feed(cycle: int, written: int, constants: Table, state: State) -> bool:
    """Feed a row of activations, of weights, or of each, neither more than a row ahead; return whether one went in."""
    s = state.scalars
    now = s[of.PAIR_NOW]
    pair = state.pairs[now % len(state.pairs)]
    takes_inputs, takes_weights = s[of.STEP] != of.PRELOAD, s[of.STEP] != of.COMPUTE
    weight_bank = pair[of.WEIGHT_BANK]
    if s[of.STEP] == of.BOTH:
        weight_bank = state.pairs[(now + 1) % len(state.pairs), of.WEIGHT_BANK]
    inputs, weights, rows = s[of.INPUT_ROWS], s[of.WEIGHT_ROWS], s[of.STEP_ROWS]
    in_turns = s[of.STEP] == of.BOTH and pair[of.INPUT_BANK] == weight_bank
    input_blocked = written == pair[of.INPUT_BANK] and inputs < pair[of.PAIR_ROWS]
    fed = False
    if takes_inputs and inputs < rows and not input_blocked and (not takes_weights or inputs <= weights):
        if inputs < pair[of.PAIR_ROWS]:
            state.adding[(cycle + constants[at.RESULT]) % of.RESULT_RING] = pair[of.ADDS_TO]
        s[of.INPUT_ROWS] += 1
        fed = True
    waits = in_turns and weights == inputs
    waits = waits or (takes_inputs and weights > inputs)
    if takes_weights and weights < rows and written != weight_bank and not waits:
        s[of.WEIGHT_ROWS] += 1
        fed = True
    return fed


@kernel(inline=True)
def execute(cycle: int, written: int, constants: Table, state: State) -> bool:
    """Array: return whether a row went in."""
    s = state.scalars
    _choose_step(cycle, constants, state)
    if s[of.STEP] == of.NOTHING:
        return False
    fed = _feed(cycle, written, constants, state)
    inputs_in = s[of.STEP] == of.PRELOAD or s[of.INPUT_ROWS] == s[of.STEP_ROWS]
    weights_in = s[of.STEP] == of.COMPUTE or s[of.WEIGHT_ROWS] == s[of.STEP_ROWS]
    if inputs_in and weights_in:
        if s[of.STEP] == of.PRELOAD:
            s[of.WEIGHTS_READY] = s[of.PAIR_NOW] + 1
        else:
            state.pair_done[s[of.PAIR_NOW]] = cycle + constants[at.RESULT] + 1
            s[of.PAIR_NOW] += 1
            if s[of.STEP] == of.BOTH:
                s[of.WEIGHTS_READY] = s[of.PAIR_NOW] + 1
        s[of.STEP] = of.NOTHING
    return fed


@kernel(inline=True)
def retire_pairs(cycle: int, state: State) -> None:
    """Free the entries of blocks whose results are written."""
    s = state.scalars
    while s[of.PAIRS_RETIRED] < s[of.PAIR_NOW] and state.pair_done[s[of.PAIRS_RETIRED]] <= cycle:
        s[of.PAIRS_RETIRED] += 1


@kernel(inline=True)
def _start_store(cycle: int, first: int, commands: Table, pattern_start: Table, constants: Table, state: State) -> None:
    s = state.scalars
    now = s[of.STORE_NOW]
    if s[of.STORE_STARTED] == 1 or now == s[of.STORES_ISSUED] or cycle < s[of.NEXT_STORE]:
        return
    limit = constants[at.STORES_IN_FLIGHT]
    if now >= limit and state.stores[now - limit, of.STORE_DONE] > cycle:
        return
    if state.pair_done[state.stores[now, of.STORE_PAIR]] > cycle:
        return
    s[of.STORE_STARTED] = 1
    s[of.STORE_ROW] = 0
    s[of.ROW_BLOCKS_READ] = 0
    s[of.STORE_REQUEST] = pattern_start[_pattern(commands, constants, first + now, 0)]


@kernel(inline=True)
def _can_read(cycle: int, adding: int, constants: Table, state: State) -> bool:
    """Whether a row of accumulators can be read: none is being added to them, and not too many are under way."""
    s = state.scalars
    if adding == state.stores[s[of.STORE_NOW], of.STORE_LOOP] % 2 + 1:
        return False
    depth = constants[at.RESULTS_IN_FLIGHT]
    read = s[of.RESULTS_READ]
    return bool(read < depth or cycle >= state.results[read % depth] + constants[at.RESULT_TRANSIT])


@kernel(inline=True)
def _note_result(cycle: int, state: State) -> None:
    s = state.scalars
    state.results[s[of.RESULTS_READ] % len(state.results)] = cycle
    s[of.RESULTS_READ] += 1


@kernel(inline=True)
def _send_write(cycle: int, beats: int, constants: Table, state: State) -> None:
    s = state.scalars
    end = max(cycle, s[of.REQUEST_CHANNEL_FREE]) + _beat_cycles(beats, constants)
    s[of.WRITER_FREE] = end
    s[of.REQUEST_CHANNEL_FREE] = end
    acknowledged = max(end + constants[at.LATENCY] + constants[at.WRITE], s[of.DATA_CHANNEL_FREE]) + 1
    s[of.DATA_CHANNEL_FREE] = acknowledged
    state.writes[s[of.WRITES_SENT] % len(state.writes)] = acknowledged
    s[of.WRITES_SENT] += 1
    s[of.LAST_STORE] = max(s[of.LAST_STORE], acknowledged + constants[at.STORE_DONE])


@kernel(inline=True)
def _move_result(
    cycle: int, command: int, commands: Table, pattern_start: Table, requests: Table, constants: Table, state: State
) -> bool:
    """Send the present request, its row of blocks read first; return whether the command is through."""
    s = state.scalars
    row = s[of.STORE_ROW]
    if s[of.STORE_REQUEST] == pattern_start[_pattern(commands, constants, command, row)]:
        adding = state.adding[cycle % of.RESULT_RING]
        if not _can_read(cycle, adding, constants, state):
            return False
        if s[of.ROW_BLOCKS_READ] < commands[command, at.BLOCKS] - 1:
            _note_result(cycle, state)
            s[of.ROW_BLOCKS_READ] += 1
            return False
        if s[of.WRITES_SENT] - s[of.WRITES_BACK] >= constants[at.MAX_OUTSTANDING]:
            return False
        _note_result(cycle, state)
        s[of.ROW_BLOCKS_READ] = 0
    elif s[of.WRITES_SENT] - s[of.WRITES_BACK] >= constants[at.MAX_OUTSTANDING]:
        return False
    _send_write(cycle, requests[s[of.STORE_REQUEST], at.BEATS], constants, state)
    s[of.STORE_REQUEST] += 1
    if s[of.STORE_REQUEST] < pattern_start[_pattern(commands, constants, command, row) + 1]:
        return False
    s[of.STORE_ROW] += 1
    if s[of.STORE_ROW] == commands[command, at.ROWS]:
        return True
    s[of.STORE_REQUEST] = pattern_start[_pattern(commands, constants, command, row + 1)]
    return False


@kernel(inline=True)
def store(
    cycle: int,
    loops: Table,
    commands: Table,
    pattern_start: Table,
    requests: Table,
    constants: Table,
    state: State,
) -> None:
    """Store controller: commands in order; the blocks of a row are read one a cycle, then written."""
    s = state.scalars
    while s[of.WRITES_BACK] < s[of.WRITES_SENT] and state.writes[s[of.WRITES_BACK] % len(state.writes)] <= cycle:
        s[of.WRITES_BACK] += 1
    first = loops[0, at.FIRST_COMMAND + at.STORES]
    _start_store(cycle, first, commands, pattern_start, constants, state)
    if s[of.STORE_STARTED] == 1 and cycle >= s[of.WRITER_FREE]:
        now = s[of.STORE_NOW]
        if _move_result(cycle, first + now, commands, pattern_start, requests, constants, state):
            state.stores[now, of.STORE_DONE] = cycle + constants[at.STORE_DONE]
            s[of.STORE_NOW] += 1
            s[of.STORE_STARTED] = 0
            s[of.NEXT_STORE] = cycle + 1
    state.adding[cycle % of.RESULT_RING] = 0
    while s[of.STORES_RETIRED] < s[of.STORE_NOW] and state.stores[s[of.STORES_RETIRED], of.STORE_DONE] <= cycle:
        s[of.STORES_RETIRED] += 1
