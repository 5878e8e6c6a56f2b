"""Store controller of the command machine, one cycle at a time.

Rows of accumulators are read and written in order, but apart: reads go ahead of the writer by what is on the way
between them, and by one block that waits ahead of it (Scratchpad.scala, `write_issue_q`; AccumulatorMem.scala, `q`).
"""

from __future__ import annotations

from simulator.kernels import command_layout as at
from simulator.kernels import command_state as of
from simulator.kernels._jit import kernel
from simulator.kernels.command_memory import beat_cycles
from simulator.kernels.command_state import Table


@kernel(inline=True, allocates=False)
def store_command(store: int, loop: int, loops: Table) -> int:
    """Row in `commands` of a store of a loop; stores are counted over all loops."""
    column = at.FIRST_COMMAND + at.STORES
    return int(loops[loop, at.SHAPE_COMMAND + at.STORES] + loops[0, column] + store - loops[loop, column])


@kernel(inline=True, allocates=False)
def _begin_store_row(
    command: int, address: int, commands: Table, pattern_start: Table, constants: Table, scalars: Table
) -> None:
    row, rows = scalars[of.STORE_ROW], commands[command, at.LINE_ROWS]
    line = row // rows
    offset = address + commands[command, at.ADDRESS] + line * commands[command, at.LINE_STRIDE]
    offset += (row - line * rows) * commands[command, at.STRIDE]
    pattern = commands[command, at.PATTERN] + offset % constants[at.BURST_BYTES]
    scalars[of.STORE_FIRST_REQUEST] = scalars[of.STORE_REQUEST] = pattern_start[pattern]
    scalars[of.STORE_REQUEST_END] = pattern_start[pattern + 1]


@kernel(inline=True, allocates=False)
def _complete_store(cycle: int, scalars: Table, stored: Table, end: int) -> None:
    """Note when the present store is complete: all its rows are read (Scratchpad.scala, `io.dma.write.resp`)."""
    scalars[of.LAST_DONE] = max(scalars[of.LAST_DONE], end)
    stored[scalars[of.STORE_NOW]] = scalars[of.LAST_DONE]
    scalars[of.STORE_NOW] += 1
    scalars[of.STORE_STARTED] = 0
    scalars[of.CHANGES] += 1
    scalars[of.NEXT_STORE] = cycle + 1


@kernel(inline=True, allocates=False)
def _start_store(
    cycle: int,
    command: int,
    loop: int,
    loops: Table,
    commands: Table,
    constants: Table,
    scalars: Table,
    stored: Table,
    pair_done: Table,
) -> None:
    now = scalars[of.STORE_NOW]
    if commands[command, at.KIND] == at.SETUP:
        _complete_store(cycle, scalars, stored, cycle)
        return
    limit = constants[at.STORES_IN_FLIGHT]
    if now >= limit and stored[now - limit] > cycle:
        return
    if pair_done[loops[loop, at.FIRST_BLOCK] + commands[command, at.AFTER]] > cycle:
        return
    scalars[of.STORE_STARTED] = 1
    scalars[of.CHANGES] += 1
    scalars[of.READS_LEFT] = commands[command, at.ROWS] * commands[command, at.BLOCKS]


@kernel(inline=True, allocates=False)
def _pass_on(cycle: int, constants: Table, scalars: Table, taken: Table) -> None:
    """Let a row that is read go on its way to the writer, where it has room."""
    depth, passed = constants[at.RESULTS_IN_FLIGHT], scalars[of.RESULTS_PASSED]
    if passed == scalars[of.RESULTS_READ]:
        return
    if passed >= depth:
        if scalars[of.RESULTS_TAKEN] <= passed - depth:
            return
        if cycle < taken[passed % depth] + constants[at.RESULT_TRANSIT]:
            return
    scalars[of.RESULTS_PASSED] += 1
    scalars[of.CHANGES] += 1


@kernel(inline=True, allocates=False)
def _read_result(cycle: int, half: int, scalars: Table, adding: Table) -> bool:
    """Read a block of a row, unless the array adds or the block before waits; return whether it is the last one."""
    adds = adding[cycle % of.RESULT_RING] == 4 * cycle + half + 1
    if adds or scalars[of.RESULTS_READ] != scalars[of.RESULTS_PASSED]:
        return False
    scalars[of.ROW_READ_AT] = cycle
    scalars[of.RESULTS_READ] += 1
    scalars[of.READS_LEFT] -= 1
    scalars[of.CHANGES] += 1
    return bool(scalars[of.READS_LEFT] == 0)


@kernel(inline=True, allocates=False)
def _take_result(cycle: int, scalars: Table, taken: Table) -> None:
    taken[scalars[of.RESULTS_TAKEN] % len(taken)] = cycle
    scalars[of.RESULTS_TAKEN] += 1
    scalars[of.CHANGES] += 1


@kernel(inline=True, allocates=False)
def _send_write(cycle: int, beats: int, constants: Table, scalars: Table, writes: Table) -> None:
    # Reads wait for a write's beats, a write for no read: the crossbar takes them in turns, behind two places for each.
    end = cycle + beat_cycles(beats, constants)
    scalars[of.WRITER_FREE] = scalars[of.REQUEST_CHANNEL_FREE] = end
    acknowledged = max(end + constants[at.LATENCY] + constants[at.WRITE], scalars[of.DATA_CHANNEL_FREE]) + 1
    scalars[of.DATA_CHANNEL_FREE] = acknowledged
    writes[scalars[of.WRITES_SENT] % len(writes)] = acknowledged
    scalars[of.WRITES_SENT] += 1
    scalars[of.CHANGES] += 1
    scalars[of.LAST_STORE] = max(scalars[of.LAST_STORE], acknowledged + constants[at.STORE_DONE])


@kernel(inline=True, allocates=False)
def _write_row(
    cycle: int,
    command: int,
    address: int,
    commands: Table,
    pattern_start: Table,
    requests: Table,
    constants: Table,
    scalars: Table,
    writes: Table,
    taken: Table,
) -> bool:
    """Take a block of a row, or send a request of the row once all its blocks are there; return whether all is sent."""
    waits = scalars[of.WRITES_SENT] - scalars[of.WRITES_BACK] >= constants[at.MAX_OUTSTANDING]
    if scalars[of.STORE_REQUEST] == scalars[of.STORE_FIRST_REQUEST]:
        if scalars[of.RESULTS_TAKEN] == scalars[of.RESULTS_PASSED]:
            return False
        if scalars[of.ROW_BLOCKS_TAKEN] < commands[command, at.BLOCKS] - 1:
            _take_result(cycle, scalars, taken)
            scalars[of.ROW_BLOCKS_TAKEN] += 1
            return False
        if waits:
            return False
        _take_result(cycle, scalars, taken)
        scalars[of.ROW_BLOCKS_TAKEN] = 0
    elif waits:
        return False
    _send_write(cycle, requests[scalars[of.STORE_REQUEST], at.BEATS], constants, scalars, writes)
    scalars[of.STORE_REQUEST] += 1
    if scalars[of.STORE_REQUEST] < scalars[of.STORE_REQUEST_END]:
        return False
    scalars[of.STORE_ROW] += 1
    if scalars[of.STORE_ROW] == commands[command, at.ROWS]:
        return True
    _begin_store_row(command, address, commands, pattern_start, constants, scalars)
    return False


@kernel(inline=True, allocates=False)
def _write(
    cycle: int,
    loops: Table,
    commands: Table,
    pattern_start: Table,
    requests: Table,
    constants: Table,
    scalars: Table,
    store_loops: Table,
    writes: Table,
    taken: Table,
) -> None:
    """Writer: stores in order, each begun once its first row may be read."""
    begun = scalars[of.STORE_NOW] + scalars[of.STORE_STARTED]
    while scalars[of.WRITE_NOW] < begun:
        writing = scalars[of.WRITE_NOW]
        loop = store_loops[writing]
        command = store_command(writing, loop, loops)
        if commands[command, at.KIND] != at.SETUP:
            break
        scalars[of.WRITE_NOW] += 1
        scalars[of.CHANGES] += 1
    if scalars[of.WRITE_NOW] == begun or cycle < scalars[of.WRITER_FREE]:
        return
    loop = store_loops[scalars[of.WRITE_NOW]]
    command, address = store_command(scalars[of.WRITE_NOW], loop, loops), loops[loop, at.ADDRESS_OF + at.STORES]
    if scalars[of.WRITE_STARTED] == 0:
        scalars[of.WRITE_STARTED] = 1
        scalars[of.STORE_ROW] = scalars[of.ROW_BLOCKS_TAKEN] = 0
        _begin_store_row(command, address, commands, pattern_start, constants, scalars)
    if _write_row(cycle, command, address, commands, pattern_start, requests, constants, scalars, writes, taken):
        scalars[of.WRITE_STARTED] = 0
        scalars[of.WRITE_NOW] += 1


@kernel(inline=True, allocates=False)
def store(
    cycle: int,
    loops: Table,
    commands: Table,
    pattern_start: Table,
    requests: Table,
    constants: Table,
    scalars: Table,
    stored: Table,
    pair_done: Table,
    store_loops: Table,
    writes: Table,
    taken: Table,
    adding: Table,
) -> None:
    """Store controller: commands in order; blocks of rows are read one a cycle, some ahead of the writer."""
    while scalars[of.WRITES_BACK] < scalars[of.WRITES_SENT] and writes[scalars[of.WRITES_BACK] % len(writes)] <= cycle:
        scalars[of.WRITES_BACK] += 1
    _pass_on(cycle, constants, scalars, taken)
    now = scalars[of.STORE_NOW]
    if now < scalars[of.STORES_ISSUED]:
        loop = store_loops[now]
        command = store_command(now, loop, loops)
        if scalars[of.STORE_STARTED] == 0 and cycle >= scalars[of.NEXT_STORE]:
            _start_store(cycle, command, loop, loops, commands, constants, scalars, stored, pair_done)
        if scalars[of.STORE_STARTED] == 1:
            half = loops[loop, at.ACCUMULATOR_HALF]
            if constants[at.UNROLLER] == at.HOST:
                half = commands[command, at.PLACE] // constants[at.ACCUMULATOR_HALF_ROWS]
            if _read_result(cycle, half, scalars, adding):
                _complete_store(cycle, scalars, stored, cycle + constants[at.STORE_COMPLETE])
            if scalars[of.ROW_READ_AT] == cycle:
                _pass_on(cycle, constants, scalars, taken)
    _write(cycle, loops, commands, pattern_start, requests, constants, scalars, store_loops, writes, taken)
    while scalars[of.STORES_RETIRED] < scalars[of.STORE_NOW] and stored[scalars[of.STORES_RETIRED]] <= cycle:
        scalars[of.STORES_RETIRED] += 1
        scalars[of.CHANGES] += 1
