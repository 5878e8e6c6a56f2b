"""Load controller of the command machine, one cycle at a time.

Memory has a channel of requests (a read takes a beat, a write all of its beats) and a channel of data, in order of
request (the beats of a read; an acknowledgement takes one).
"""

from __future__ import annotations

from simulator.kernels import command_layout as at
from simulator.kernels import command_state as of
from simulator.kernels._jit import kernel
from simulator.kernels.command_state import Table


@kernel(inline=True, allocates=False)
def beat_cycles(beats: int, constants: Table) -> int:
    """Cycles of `beats` at the bandwidth of DRAM, at most one beat a cycle."""
    cycles = -(-beats * constants[at.BEAT_NUMERATOR] // constants[at.BEAT_DENOMINATOR])
    return int(max(beats, cycles))


@kernel(inline=True, allocates=False)
def _begin_load_row(
    row: int, address: int, commands: Table, pattern_start: Table, constants: Table, scalars: Table
) -> None:
    offset = address + commands[row, at.ADDRESS] + scalars[of.LOAD_ROW] * commands[row, at.STRIDE]
    pattern = commands[row, at.PATTERN] + offset % constants[at.BURST_BYTES]
    scalars[of.LOAD_REQUEST], scalars[of.LOAD_REQUEST_END] = pattern_start[pattern], pattern_start[pattern + 1]


@kernel(inline=True, allocates=False)
def _complete_load(end: int, freed: int, scalars: Table, loads: Table, done: Table, entries: Table) -> None:
    """Note when the present load is complete, and its entry free. Executes see loads complete in order."""
    scalars[of.ALL_LOADED] = max(scalars[of.ALL_LOADED], end)
    load = loads[scalars[of.LOAD_NOW]]
    done[load[of.COMMAND]] = scalars[of.ALL_LOADED]
    entries[load[of.ENTRY]] = freed
    scalars[of.LOAD_NOW] += 1
    scalars[of.LOAD_STARTED] = 0
    scalars[of.CHANGES] += 1


@kernel(inline=True, allocates=False)
def _may_overwrite(load: Table, loops: Table, constants: Table, scalars: Table) -> bool:
    """Whether what a load overwrites is used up: two loops before it, or stored, where it writes accumulators.

    Where a host issues, there are no halves: a load waits for the executes and stores whose rows it overlaps.
    """
    if constants[at.UNROLLER] == at.HOST:
        used = scalars[of.PAIR_NOW] >= load[of.AFTER_FED] and scalars[of.PAIRS_RETIRED] >= load[of.AFTER_WRITTEN]
        return bool(used and scalars[of.STORES_RETIRED] >= load[of.AFTER_STORED])
    sequencer, loop = load[of.OF_SEQUENCER], load[of.OF_LOOP]
    executed = loop < 2 or scalars[of.PAIR_NOW] >= loops[loop - 1, at.FIRST_BLOCK]
    return bool(executed and (sequencer != at.BIASES or scalars[of.STORES_RETIRED] >= loops[loop, at.STORES_BEFORE]))


@kernel(inline=True, allocates=False)
def _start_load(
    cycle: int,
    address: int,
    loops: Table,
    commands: Table,
    pattern_start: Table,
    constants: Table,
    scalars: Table,
    loads: Table,
    done: Table,
    entries: Table,
    trackers: Table,
) -> bool:
    """Begin with a load; return whether it has rows to move."""
    load = loads[scalars[of.LOAD_NOW]]
    row = load[of.ROW]
    kind = commands[row, at.KIND]
    if kind == at.SETUP:
        scalars[of.LOAD_FREE] = cycle + 1
        _complete_load(cycle, cycle, scalars, loads, done, entries)
        return False
    tracker = 0
    while tracker < len(trackers) and trackers[tracker] > cycle:
        tracker += 1
    if tracker == len(trackers) or not _may_overwrite(load, loops, constants, scalars):
        return False
    if kind == at.ZEROS:
        rows = commands[row, at.ROWS] * commands[row, at.BLOCKS] * commands[row, at.REPEATS]
        scalars[of.LOAD_FREE] = cycle + rows
        written = cycle + rows + constants[at.ZERO]
        trackers[tracker] = written + constants[at.LOAD_FREED]
        _complete_load(written, trackers[tracker], scalars, loads, done, entries)
        return False
    scalars[of.LOAD_STARTED] = 1
    scalars[of.CHANGES] += 1
    scalars[of.LOAD_TRACKER] = tracker
    trackers[tracker] = of.NEVER
    scalars[of.LOAD_ROW] = 0
    _begin_load_row(row, address, commands, pattern_start, constants, scalars)
    return True


@kernel(inline=True, allocates=False)
def _send_read(
    cycle: int,
    loops: Table,
    commands: Table,
    requests: Table,
    constants: Table,
    scalars: Table,
    loads: Table,
    reads: Table,
    windows: Table,
) -> int:
    """Send the present request of the present load; return the cycle after its last row on chip.

    A row that is repeated on chip holds up what comes after it: pixels, whatever follows; biases, other biases.
    """
    load = loads[scalars[of.LOAD_NOW]]
    row, loop = load[of.ROW], load[of.OF_LOOP]
    request = requests[scalars[of.LOAD_REQUEST]]
    scalars[of.REQUEST_CHANNEL_FREE] = cycle + 1
    begin = max(cycle + constants[at.READ] + constants[at.LATENCY], scalars[of.DATA_CHANNEL_FREE])
    cycles = beat_cycles(request[at.BEATS], constants)
    late = cycles - request[at.BEATS]
    reads[scalars[of.READS_SENT] % len(reads)] = begin + cycles
    scalars[of.READS_SENT] += 1
    scalars[of.CHANGES] += 1
    first = begin + request[at.FIRST_WRITE] + late
    end = begin + request[at.LAST_WRITE] + late + 1
    free = begin + request[at.PERIOD] + late
    last_of_row = scalars[of.LOAD_REQUEST] + 1 == scalars[of.LOAD_REQUEST_END]
    again = commands[row, at.REPEATS] - 1 if last_of_row else 0
    if load[of.OF_SEQUENCER] == at.BIASES:
        if commands[row, at.REPEATS] > 1:
            wait = max(0, scalars[of.BIAS_WRITER_FREE] - first)
            end += wait + again
            free += wait
            scalars[of.BIAS_WRITER_FREE] = end
    else:
        end += again
        free += again
        window = windows[scalars[of.WINDOWS_OPENED] % len(windows)]
        origin = loops[loop, at.INPUT_ORIGIN + load[of.OF_SEQUENCER]]
        window[0], window[1] = first, end
        window[2] = (origin + commands[row, at.PLACE]) // constants[at.BANK_ROWS]
        scalars[of.WINDOWS_OPENED] += 1
    scalars[of.DATA_CHANNEL_FREE] = free
    return int(end)


@kernel(inline=True, allocates=False)
def load(
    cycle: int,
    loops: Table,
    commands: Table,
    pattern_start: Table,
    requests: Table,
    constants: Table,
    scalars: Table,
    loads: Table,
    done: Table,
    entries: Table,
    trackers: Table,
    reads: Table,
    windows: Table,
) -> None:
    """Load controller: commands in order, a request a cycle."""
    while scalars[of.READS_BACK] < scalars[of.READS_SENT] and reads[scalars[of.READS_BACK] % len(reads)] <= cycle:
        scalars[of.READS_BACK] += 1
    while scalars[of.LOADS_RETIRED] < scalars[of.LOAD_NOW]:
        if done[loads[scalars[of.LOADS_RETIRED], of.COMMAND]] > cycle:
            break
        scalars[of.LOADS_RETIRED] += 1
        scalars[of.CHANGES] += 1
    now = scalars[of.LOAD_NOW]
    if now == scalars[of.LOADS_ISSUED] or cycle < max(
        loads[now, of.ISSUED_AT] + constants[at.ISSUE], scalars[of.LOAD_FREE]
    ):
        return
    address = loops[loads[now, of.OF_LOOP], at.ADDRESS_OF + loads[now, of.OF_SEQUENCER]]
    if scalars[of.LOAD_STARTED] == 0 and not _start_load(
        cycle, address, loops, commands, pattern_start, constants, scalars, loads, done, entries, trackers
    ):
        return
    outstanding = scalars[of.READS_SENT] - scalars[of.READS_BACK]
    if outstanding >= constants[at.MAX_OUTSTANDING] or scalars[of.REQUEST_CHANNEL_FREE] > cycle:
        return
    end = _send_read(cycle, loops, commands, requests, constants, scalars, loads, reads, windows)
    scalars[of.LOAD_REQUEST] += 1
    if scalars[of.LOAD_REQUEST] < scalars[of.LOAD_REQUEST_END]:
        return
    scalars[of.LOAD_ROW] += 1
    row = loads[now, of.ROW]
    if scalars[of.LOAD_ROW] < commands[row, at.ROWS]:
        _begin_load_row(row, address, commands, pattern_start, constants, scalars)
        return
    freed = end + 1 + constants[at.LOAD_FREED]
    trackers[scalars[of.LOAD_TRACKER]] = freed
    _complete_load(end + 1, freed, scalars, loads, done, entries)
