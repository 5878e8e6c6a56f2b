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
from simulator.kernels.command_state import Table


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
def _executed(loops: Table, scalars: Table, loop: int) -> bool:
    """Whether the array is through with the loop two before: its half of the scratchpad may be overwritten."""
    return loop < 2 or scalars[of.PAIR_NOW] >= loops[loop - 1, at.FIRST_BLOCK]


@kernel(inline=True)
def _send_read(
    cycle: int,
    sequencer: int,
    loops: Table,
    commands: Table,
    requests: Table,
    constants: Table,
    scalars: Table,
    loads: Table,
    reads: Table,
    windows: Table,
) -> int:
    """Send the present request of the present load; return the cycle after its last write to the scratchpad."""
    load = loads[scalars[of.LOAD_NOW]]
    command = load[of.COMMAND]
    request = requests[scalars[of.LOAD_REQUEST]]
    scalars[of.REQUEST_CHANNEL_FREE] = cycle + 1
    begin = max(cycle + constants[at.READ] + constants[at.LATENCY], scalars[of.DATA_CHANNEL_FREE])
    cycles = _beat_cycles(request[at.BEATS], constants)
    late = cycles - request[at.BEATS]
    scalars[of.DATA_CHANNEL_FREE] = begin + request[at.PERIOD] + late
    reads[scalars[of.READS_SENT] % len(reads)] = begin + cycles
    scalars[of.READS_SENT] += 1
    end = begin + request[at.LAST_WRITE] + late + 1
    if sequencer != at.BIASES:
        window = windows[scalars[of.WINDOWS_OPENED] % len(windows)]
        window[0], window[1] = begin + request[at.FIRST_WRITE] + late, end
        row, column = commands[command, at.ROW_BLOCK], commands[command, at.COLUMN_BLOCK]
        window[2] = bank_of(loops, constants, load[of.OF_LOOP], sequencer == at.WEIGHTS, row, column)
        scalars[of.WINDOWS_OPENED] += 1
    return int(end)


@kernel(inline=True)
def load(
    cycle: int,
    loops: Table,
    commands: Table,
    pattern_start: Table,
    requests: Table,
    constants: Table,
    scalars: Table,
    loads: Table,
    reads: Table,
    windows: Table,
) -> None:
    """Load controller: commands in order, a request a cycle."""
    while scalars[of.READS_BACK] < scalars[of.READS_SENT] and reads[scalars[of.READS_BACK] % len(reads)] <= cycle:
        scalars[of.READS_BACK] += 1
    while scalars[of.LOADS_RETIRED] < scalars[of.LOADS_ISSUED] and loads[scalars[of.LOADS_RETIRED], of.DONE] <= cycle:
        scalars[of.LOADS_RETIRED] += 1
    now = scalars[of.LOAD_NOW]
    if now == scalars[of.LOADS_ISSUED] or cycle < loads[now, of.ISSUED_AT] + constants[at.ISSUE]:
        return
    command = loads[now, of.COMMAND]
    if scalars[of.LOAD_STARTED] == 0:
        in_flight = now - scalars[of.LOADS_RETIRED]
        if in_flight >= constants[at.LOADS_IN_FLIGHT] or not _executed(loops, scalars, loads[now, of.OF_LOOP]):
            return
        scalars[of.LOAD_STARTED] = 1
        scalars[of.LOAD_ROW] = 0
        scalars[of.LOAD_REQUEST] = pattern_start[_pattern(commands, constants, command, 0)]
    outstanding = scalars[of.READS_SENT] - scalars[of.READS_BACK]
    if outstanding >= constants[at.MAX_OUTSTANDING] or scalars[of.REQUEST_CHANNEL_FREE] > cycle:
        return
    sequencer = at.ACTIVATIONS
    if command >= loops[0, at.FIRST_COMMAND + at.BIASES]:
        sequencer = at.BIASES
    elif command >= loops[0, at.FIRST_COMMAND + at.WEIGHTS]:
        sequencer = at.WEIGHTS
    end = _send_read(cycle, sequencer, loops, commands, requests, constants, scalars, loads, reads, windows)
    scalars[of.LOAD_REQUEST] += 1
    if scalars[of.LOAD_REQUEST] < pattern_start[_pattern(commands, constants, command, scalars[of.LOAD_ROW]) + 1]:
        return
    scalars[of.LOAD_ROW] += 1
    if scalars[of.LOAD_ROW] < commands[command, at.ROWS]:
        scalars[of.LOAD_REQUEST] = pattern_start[_pattern(commands, constants, command, scalars[of.LOAD_ROW])]
        return
    loads[now, of.DONE] = end + 1
    scalars[of.LOAD_NOW] += 1
    scalars[of.LOAD_STARTED] = 0


@kernel(inline=True)
def written_bank(cycle: int, scalars: Table, windows: Table) -> int:
    """Bank of the scratchpad that memory writes in this cycle, or -1."""
    while scalars[of.WINDOWS_CLOSED] < scalars[of.WINDOWS_OPENED]:
        place = scalars[of.WINDOWS_CLOSED] % len(windows)
        if windows[place, 1] > cycle:
            return int(windows[place, 2]) if windows[place, 0] <= cycle else -1
        scalars[of.WINDOWS_CLOSED] += 1
    return -1


@kernel(inline=True)
def _loaded(cycle: int, load: int, constants: Table, loads: Table) -> bool:
    return load < 0 or loads[load, of.DONE] + constants[at.LOAD_DONE] <= cycle


@kernel(inline=True)
def _preload_is_ready(cycle: int, pair: int, constants: Table, loads: Table, pairs: Table) -> bool:
    if pairs[pair, of.NEW_WEIGHTS] == 0 or not _loaded(cycle, pairs[pair, of.WEIGHT_LOAD], constants, loads):
        return False
    return _loaded(cycle, pairs[pair, of.BIAS_LOAD], constants, loads)


@kernel(inline=True)
def _choose_step(cycle: int, constants: Table, scalars: Table, loads: Table, pairs: Table) -> None:
    """Give the array something to do: a preload, a block, or a block and the next one's preload."""
    now = scalars[of.PAIR_NOW]
    if scalars[of.STEP] != of.NOTHING or now == scalars[of.PAIRS_ISSUED]:
        return
    pair = now % len(pairs)
    scalars[of.INPUT_ROWS] = 0
    scalars[of.WEIGHT_ROWS] = 0
    if pairs[pair, of.NEW_WEIGHTS] == 1 and scalars[of.WEIGHTS_READY] <= now:
        if _preload_is_ready(cycle, pair, constants, loads, pairs):
            scalars[of.STEP], scalars[of.STEP_ROWS] = of.PRELOAD, constants[at.DIM]
        return
    operands = _loaded(cycle, pairs[pair, of.INPUT_LOAD], constants, loads)
    if not operands or not _loaded(cycle, pairs[pair, of.BIAS_LOAD], constants, loads):
        return
    following = (now + 1) % len(pairs)
    if now + 1 < scalars[of.PAIRS_ISSUED] and _preload_is_ready(cycle, following, constants, loads, pairs):
        scalars[of.STEP], scalars[of.STEP_ROWS] = of.BOTH, constants[at.DIM]
    else:
        scalars[of.STEP], scalars[of.STEP_ROWS] = of.COMPUTE, max(pairs[pair, of.PAIR_ROWS], constants[at.MINIMUM_ROWS])


@kernel(inline=True)
def _feed(cycle: int, written: int, constants: Table, scalars: Table, pairs: Table, adding: Table) -> bool:
    """Feed a row of activations, of weights, or of each, neither more than a row ahead; return whether one went in."""
    now = scalars[of.PAIR_NOW]
    pair = now % len(pairs)
    takes_inputs, takes_weights = scalars[of.STEP] != of.PRELOAD, scalars[of.STEP] != of.COMPUTE
    weight_bank = pairs[pair, of.WEIGHT_BANK]
    if scalars[of.STEP] == of.BOTH:
        weight_bank = pairs[(now + 1) % len(pairs), of.WEIGHT_BANK]
    inputs, weights, rows = scalars[of.INPUT_ROWS], scalars[of.WEIGHT_ROWS], scalars[of.STEP_ROWS]
    in_turns = scalars[of.STEP] == of.BOTH and pairs[pair, of.INPUT_BANK] == weight_bank
    input_blocked = written == pairs[pair, of.INPUT_BANK] and inputs < pairs[pair, of.PAIR_ROWS]
    fed = False
    if takes_inputs and inputs < rows and not input_blocked and (not takes_weights or inputs <= weights):
        if inputs < pairs[pair, of.PAIR_ROWS]:
            adding[(cycle + constants[at.RESULT]) % of.RESULT_RING] = pairs[pair, of.ADDS_TO]
        scalars[of.INPUT_ROWS] += 1
        fed = True
    waits = in_turns and weights == inputs
    waits = waits or (takes_inputs and weights > inputs)
    if takes_weights and weights < rows and written != weight_bank and not waits:
        scalars[of.WEIGHT_ROWS] += 1
        fed = True
    return fed


@kernel(inline=True)
def execute(
    cycle: int,
    written: int,
    constants: Table,
    scalars: Table,
    loads: Table,
    pairs: Table,
    pair_done: Table,
    adding: Table,
) -> bool:
    """Array: return whether a row went in."""
    _choose_step(cycle, constants, scalars, loads, pairs)
    if scalars[of.STEP] == of.NOTHING:
        return False
    fed = _feed(cycle, written, constants, scalars, pairs, adding)
    inputs_in = scalars[of.STEP] == of.PRELOAD or scalars[of.INPUT_ROWS] == scalars[of.STEP_ROWS]
    weights_in = scalars[of.STEP] == of.COMPUTE or scalars[of.WEIGHT_ROWS] == scalars[of.STEP_ROWS]
    if inputs_in and weights_in:
        if scalars[of.STEP] == of.PRELOAD:
            scalars[of.WEIGHTS_READY] = scalars[of.PAIR_NOW] + 1
        else:
            pair_done[scalars[of.PAIR_NOW]] = cycle + constants[at.RESULT] + 1
            scalars[of.PAIR_NOW] += 1
            if scalars[of.STEP] == of.BOTH:
                scalars[of.WEIGHTS_READY] = scalars[of.PAIR_NOW] + 1
        scalars[of.STEP] = of.NOTHING
    return fed


@kernel(inline=True)
def retire_pairs(cycle: int, scalars: Table, pair_done: Table) -> None:
    """Free the entries of blocks whose results are written."""
    while scalars[of.PAIRS_RETIRED] < scalars[of.PAIR_NOW] and pair_done[scalars[of.PAIRS_RETIRED]] <= cycle:
        scalars[of.PAIRS_RETIRED] += 1


@kernel(inline=True)
def _start_store(
    cycle: int,
    first: int,
    commands: Table,
    pattern_start: Table,
    constants: Table,
    scalars: Table,
    pair_done: Table,
    stores: Table,
) -> None:
    now = scalars[of.STORE_NOW]
    if scalars[of.STORE_STARTED] == 1 or now == scalars[of.STORES_ISSUED] or cycle < scalars[of.NEXT_STORE]:
        return
    limit = constants[at.STORES_IN_FLIGHT]
    if now >= limit and stores[now - limit, of.STORE_DONE] > cycle:
        return
    if pair_done[stores[now, of.STORE_PAIR]] > cycle:
        return
    scalars[of.STORE_STARTED] = 1
    scalars[of.STORE_ROW] = 0
    scalars[of.ROW_BLOCKS_READ] = 0
    scalars[of.STORE_REQUEST] = pattern_start[_pattern(commands, constants, first + now, 0)]


@kernel(inline=True)
def _can_read(cycle: int, adds_to: int, constants: Table, scalars: Table, stores: Table, result_reads: Table) -> bool:
    """Whether a row of accumulators can be read: none is being added to them, and not too many are under way."""
    if adds_to == stores[scalars[of.STORE_NOW], of.STORE_LOOP] % 2 + 1:
        return False
    depth = constants[at.RESULTS_IN_FLIGHT]
    read = scalars[of.RESULTS_READ]
    return bool(read < depth or cycle >= result_reads[read % depth] + constants[at.RESULT_TRANSIT])


@kernel(inline=True)
def _note_result(cycle: int, scalars: Table, result_reads: Table) -> None:
    result_reads[scalars[of.RESULTS_READ] % len(result_reads)] = cycle
    scalars[of.RESULTS_READ] += 1


@kernel(inline=True)
def _send_write(cycle: int, beats: int, constants: Table, scalars: Table, writes: Table) -> None:
    end = max(cycle, scalars[of.REQUEST_CHANNEL_FREE]) + _beat_cycles(beats, constants)
    scalars[of.WRITER_FREE] = end
    scalars[of.REQUEST_CHANNEL_FREE] = end
    acknowledged = max(end + constants[at.LATENCY] + constants[at.WRITE], scalars[of.DATA_CHANNEL_FREE]) + 1
    scalars[of.DATA_CHANNEL_FREE] = acknowledged
    writes[scalars[of.WRITES_SENT] % len(writes)] = acknowledged
    scalars[of.WRITES_SENT] += 1
    scalars[of.LAST_STORE] = max(scalars[of.LAST_STORE], acknowledged + constants[at.STORE_DONE])


@kernel(inline=True)
def _move_result(
    cycle: int,
    command: int,
    commands: Table,
    pattern_start: Table,
    requests: Table,
    constants: Table,
    scalars: Table,
    stores: Table,
    writes: Table,
    result_reads: Table,
    adding: Table,
) -> bool:
    """Send the present request, its row of blocks read first; return whether the command is through."""
    row = scalars[of.STORE_ROW]
    if scalars[of.STORE_REQUEST] == pattern_start[_pattern(commands, constants, command, row)]:
        if not _can_read(cycle, adding[cycle % of.RESULT_RING], constants, scalars, stores, result_reads):
            return False
        if scalars[of.ROW_BLOCKS_READ] < commands[command, at.BLOCKS] - 1:
            _note_result(cycle, scalars, result_reads)
            scalars[of.ROW_BLOCKS_READ] += 1
            return False
        if scalars[of.WRITES_SENT] - scalars[of.WRITES_BACK] >= constants[at.MAX_OUTSTANDING]:
            return False
        _note_result(cycle, scalars, result_reads)
        scalars[of.ROW_BLOCKS_READ] = 0
    elif scalars[of.WRITES_SENT] - scalars[of.WRITES_BACK] >= constants[at.MAX_OUTSTANDING]:
        return False
    _send_write(cycle, requests[scalars[of.STORE_REQUEST], at.BEATS], constants, scalars, writes)
    scalars[of.STORE_REQUEST] += 1
    if scalars[of.STORE_REQUEST] < pattern_start[_pattern(commands, constants, command, row) + 1]:
        return False
    scalars[of.STORE_ROW] += 1
    if scalars[of.STORE_ROW] == commands[command, at.ROWS]:
        return True
    scalars[of.STORE_REQUEST] = pattern_start[_pattern(commands, constants, command, row + 1)]
    return False


@kernel(inline=True)
def store(
    cycle: int,
    loops: Table,
    commands: Table,
    pattern_start: Table,
    requests: Table,
    constants: Table,
    scalars: Table,
    pair_done: Table,
    stores: Table,
    writes: Table,
    result_reads: Table,
    adding: Table,
) -> None:
    """Store controller: commands in order; the blocks of a row are read one a cycle, then written."""
    while scalars[of.WRITES_BACK] < scalars[of.WRITES_SENT] and writes[scalars[of.WRITES_BACK] % len(writes)] <= cycle:
        scalars[of.WRITES_BACK] += 1
    first = loops[0, at.FIRST_COMMAND + at.STORES]
    _start_store(cycle, first, commands, pattern_start, constants, scalars, pair_done, stores)
    if scalars[of.STORE_STARTED] == 1 and cycle >= scalars[of.WRITER_FREE]:
        now = scalars[of.STORE_NOW]
        if _move_result(
            cycle,
            first + now,
            commands,
            pattern_start,
            requests,
            constants,
            scalars,
            stores,
            writes,
            result_reads,
            adding,
        ):
            stores[now, of.STORE_DONE] = cycle + constants[at.STORE_DONE]
            scalars[of.STORE_NOW] += 1
            scalars[of.STORE_STARTED] = 0
            scalars[of.NEXT_STORE] = cycle + 1
    adding[cycle % of.RESULT_RING] = 0
    while (
        scalars[of.STORES_RETIRED] < scalars[of.STORE_NOW]
        and stores[scalars[of.STORES_RETIRED], of.STORE_DONE] <= cycle
    ):
        scalars[of.STORES_RETIRED] += 1
