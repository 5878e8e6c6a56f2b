"""The state of the command machine as numbers that do not depend on when and where it is, and a jump ahead in it.

Two loops of a layer between which these numbers are the same, and before and after which the same loops come, lie in a
period: what happens after the second is what happened after the first, later by the time between them. Times that have
passed count only as far back as a latency reaches; indices count from the loop in work.
"""

from __future__ import annotations

from typing import NamedTuple

from simulator.kernels import command_layout as at
from simulator.kernels import command_state as of
from simulator.kernels._jit import kernel
from simulator.kernels.command_state import State, Table

WINDOW = 4
"""Loops before and after the oldest one with commands to issue, of which the state may speak."""

# Scalars that are times, and scalars that are taken as they are.
_TIMES = (
    of.NEXT_CONFIGURE,
    of.LOAD_FREE,
    of.ALL_LOADED,
    of.BIAS_WRITER_FREE,
    of.WRITER_FREE,
    of.NEXT_STORE,
    of.REQUEST_CHANNEL_FREE,
    of.DATA_CHANNEL_FREE,
    of.LAST_STORE,
    of.LAST_DONE,
    of.NEXT_HOST,
    of.ARRAY_FREE,
    of.LAST_EXIT,
    of.EXECUTES_FREED_AT,
    of.ROW_READ_AT,
)
_PLAIN = (
    of.LOAD_STARTED,
    of.PRELOAD_SENT,
    of.STEP,
    of.STORE_STARTED,
    of.WRITE_STARTED,
    of.EXECUTES_HELD,
    of.EXECUTES_FREED,
)
_OF_STEP = (
    of.INPUT_ROWS,
    of.WEIGHT_ROWS,
    of.STEP_ROWS,
    of.STEP_INPUT_ROWS,
    of.STEP_INPUT_BANK,
    of.STEP_WEIGHT_BANK,
    of.STEP_ADDS_TO,
    of.STEP_WEIGHT_ROWS,
)
_OF_LOAD = (of.LOAD_ROW, of.LOAD_REQUEST, of.LOAD_REQUEST_END)
_OF_WRITE = (
    of.STORE_ROW,
    of.STORE_REQUEST,
    of.STORE_FIRST_REQUEST,
    of.STORE_REQUEST_END,
    of.ROW_BLOCKS_TAKEN,
)
_LATENCIES = (at.CONFIGURE, at.ISSUE, at.LOAD_DONE, at.RESULT_TRANSIT, at.UNROLL, at.PASS_THROUGH, at.STORE_COMPLETE)


class Live(NamedTuple):
    """First index, of what is behind the oldest loop, that the machine may still read."""

    loop: int
    pair: int
    store: int


@kernel(inline=True, allocates=False)
def _live(loops: Table, constants: Table, state: State) -> Live:
    scalars = state.scalars
    loop = min(scalars[of.EXECUTE_LOOP], scalars[of.OLDEST_LOOP])
    if scalars[of.LOADS_RETIRED] < scalars[of.LOADS_ISSUED]:
        loop = min(loop, state.loads[scalars[of.LOADS_RETIRED], of.OF_LOOP])
    store = min(scalars[of.STORES_RETIRED], scalars[of.WRITE_NOW])
    if store < scalars[of.STORES_ISSUED]:
        loop = min(loop, state.store_loops[store])
    while loop > 0 and loops[loop, at.FIRST_BLOCK] > scalars[of.PAIRS_RETIRED]:
        loop -= 1
    store = min(store, scalars[of.STORE_NOW] - constants[at.STORES_IN_FLIGHT])
    return Live(int(loop), int(loops[loop, at.FIRST_BLOCK]), int(max(0, store)))


@kernel(inline=True, allocates=False)
def _put(found: Table, count: int, value: int) -> int:
    if count < len(found):
        found[count] = value
    return count + 1


@kernel(inline=True, allocates=False)
def _when(time: int, cycle: int, reach: int) -> int:
    return int(of.NEVER if time >= of.NEVER else max(time - cycle, -reach))


@kernel(inline=True, allocates=False)
def _put_sorted(found: Table, start: int, times: Table, cycle: int, reach: int) -> int:
    if start + len(times) > len(found):
        return start + len(times)
    for index in range(len(times)):
        time, place = _when(times[index], cycle, reach), start + index
        while place > start and found[place - 1] > time:
            found[place] = found[place - 1]
            place -= 1
        found[place] = time
    return int(start + len(times))


@kernel(allocates=False)
def signature(cycle: int, loops: Table, constants: Table, state: State, intervals: Table, found: Table) -> int:
    """Write the state before `cycle` into `found`, int64; return how many numbers, more than fit = none of use."""
    oldest = state.scalars[of.OLDEST_LOOP]
    live = _live(loops, constants, state)
    if live.loop < oldest - WINDOW:
        return len(found) + 1
    reach = constants[_LATENCIES[0]] + 1
    for latency in _LATENCIES:
        reach = max(reach, constants[latency] + 1)
    end = min(len(loops) - 1, oldest + WINDOW)
    count = _of_scalars(cycle, reach, state.scalars, found)
    count = _of_counts(count, loops, state.scalars, found)
    count = _of_loops(cycle, reach, count, end, state, intervals, found)
    count = _of_loads(cycle, reach, count, live.loop, end, loops, state, found)
    return _of_results(cycle, reach, count, live, state, found)


@kernel(allocates=False)
def _of_scalars(cycle: int, reach: int, scalars: Table, found: Table) -> int:
    count = 0
    for name in _TIMES:
        count = _put(found, count, _when(scalars[name], cycle, reach))
    for name in _PLAIN:
        count = _put(found, count, scalars[name])
    if scalars[of.STEP] != of.NOTHING:
        for name in _OF_STEP:
            count = _put(found, count, scalars[name])
    if scalars[of.LOAD_STARTED] == 1:
        for name in _OF_LOAD:
            count = _put(found, count, scalars[name])
    if scalars[of.STORE_STARTED] == 1:
        count = _put(found, count, scalars[of.READS_LEFT])
    if scalars[of.WRITE_STARTED] == 1:
        for name in _OF_WRITE:
            count = _put(found, count, scalars[name])
    return count


@kernel(allocates=False)
def _of_counts(start: int, loops: Table, scalars: Table, found: Table) -> int:
    count, now, oldest = start, scalars[of.PAIR_NOW], scalars[of.OLDEST_LOOP]
    # A host configures no loops.
    count = _put(found, count, max(0, scalars[of.CONFIGURED_LOOPS] - oldest))
    count = _put(found, count, scalars[of.EXECUTE_LOOP] - oldest)
    count = _put(found, count, now - loops[scalars[of.EXECUTE_LOOP], at.FIRST_BLOCK])
    count = _put(found, count, scalars[of.PAIRS_ISSUED] - now)
    count = _put(found, count, scalars[of.PAIRS_RETIRED] - now)
    count = _put(found, count, max(0, scalars[of.WEIGHTS_READY] - now))
    for name in (of.STEP_RESULTS, of.RESULTS_WAITING):
        count = _put(found, count, scalars[name] - now if scalars[name] > 0 else -of.NEVER)
    for name in (of.LOADS_RETIRED, of.LOAD_NOW):
        count = _put(found, count, scalars[of.LOADS_ISSUED] - scalars[name])
    for name in (of.STORES_RETIRED, of.STORE_NOW, of.WRITE_NOW):
        count = _put(found, count, scalars[of.STORES_ISSUED] - scalars[name])
    for name in (of.RESULTS_READ, of.RESULTS_PASSED):
        count = _put(found, count, scalars[name] - scalars[of.RESULTS_TAKEN])
    return count


@kernel(allocates=False)
def _of_loops(cycle: int, reach: int, start: int, end: int, state: State, intervals: Table, found: Table) -> int:
    count, oldest = start, state.scalars[of.OLDEST_LOOP]
    for sequencer in range(at.SEQUENCERS):
        phase = state.sequencers[sequencer, of.PHASE]
        count = _put(found, count, state.sequencers[sequencer, of.LOOP] - oldest)
        count = _put(found, count, phase)
        count = _put(found, count, state.sequencers[sequencer, of.POSITION] if phase == of.ACTIVE else 0)
        count = _put(found, count, _when(state.sequencers[sequencer, of.READY], cycle, reach))
    for loop in range(max(0, oldest - 2), end):
        for column in range(4):
            count = _put(found, count, _when(state.loop_times[loop, column], cycle, reach))
    # What loops at work have done already belongs to their intervals.
    for loop in range(max(0, oldest - WINDOW), end):
        for column in range(6):
            time = intervals[loop, column]
            count = _put(found, count, time - cycle if time >= 0 else 1)
    return count


@kernel(allocates=False)
def _of_loads(
    cycle: int, reach: int, start: int, first_loop: int, end: int, loops: Table, state: State, found: Table
) -> int:
    scalars, count, oldest = state.scalars, start, state.scalars[of.OLDEST_LOOP]
    for index in range(scalars[of.LOADS_RETIRED], scalars[of.LOADS_ISSUED]):
        load = state.loads[index]
        first = loops[load[of.OF_LOOP], at.FIRST_COMMAND + load[of.OF_SEQUENCER]]
        count = _put(found, count, load[of.COMMAND] - first)
        count = _put(found, count, load[of.OF_LOOP] - oldest)
        count = _put(found, count, load[of.OF_SEQUENCER])
        count = _put(found, count, _when(load[of.ISSUED_AT], cycle, reach))
        count = _put(found, count, _when(state.entries[load[of.ENTRY]], cycle, reach))
        for column in (of.AFTER_FED, of.AFTER_WRITTEN, of.AFTER_STORED):
            base = scalars[of.STORES_ISSUED] if column == of.AFTER_STORED else scalars[of.PAIR_NOW]
            after = load[column]
            count = _put(found, count, after - base if 0 < after < of.NEVER else -of.NEVER)
    # Which entry or tracker a load has makes no difference, so they come sorted.
    count = _put_sorted(found, count, state.entries, cycle, reach)
    count = _put_sorted(found, count, state.trackers, cycle, reach)
    for sequencer in range(at.BIASES + 1):
        column = at.FIRST_COMMAND + sequencer
        for command in range(loops[first_loop, column], loops[end, column]):
            count = _put(found, count, _when(state.done[command], cycle, reach))
    for index in range(scalars[of.READS_BACK], scalars[of.READS_SENT]):
        count = _put(found, count, _when(state.reads[index % len(state.reads)], cycle, reach))
    count = _put(found, count, -of.NEVER)
    for index in range(scalars[of.WINDOWS_CLOSED], scalars[of.WINDOWS_OPENED]):
        window = state.windows[index % len(state.windows)]
        count = _put(found, count, _when(window[0], cycle, 0))
        count = _put(found, count, _when(window[1], cycle, 0))
        count = _put(found, count, window[2])
    return _put(found, count, -of.NEVER)


@kernel(allocates=False)
def _of_results(cycle: int, reach: int, start: int, live: Live, state: State, found: Table) -> int:
    scalars, count, oldest = state.scalars, start, state.scalars[of.OLDEST_LOOP]
    for index in range(scalars[of.WRITES_BACK], scalars[of.WRITES_SENT]):
        count = _put(found, count, _when(state.writes[index % len(state.writes)], cycle, reach))
    count = _put(found, count, -of.NEVER)
    depth = len(state.taken)
    for index in range(depth):
        block = scalars[of.RESULTS_TAKEN] + index
        time = state.taken[block % depth] if block >= depth else -of.NEVER
        count = _put(found, count, _when(time, cycle, reach))
    for index in range(len(state.passes)):
        time = state.passes[(scalars[of.PASSES] + index) % len(state.passes)]
        count = _put(found, count, _when(time, cycle, reach))
    for ahead in range(of.RESULT_RING):
        time = cycle + ahead
        note = state.adding[time % of.RESULT_RING] - 4 * time
        if 0 < note < 4:
            count = _put(found, count, 4 * ahead + note)
    count = _put(found, count, -of.NEVER)
    for pair in range(live.pair, scalars[of.PAIRS_ISSUED]):
        count = _put(found, count, _when(state.pair_done[pair], cycle, reach))
        if len(state.pairs) > 1:
            after = state.pairs[pair, of.PAIR_AFTER_STORED]
            count = _put(found, count, after - scalars[of.STORES_ISSUED] if after > 0 else -of.NEVER)
    if scalars[of.PRELOAD_SENT] == 1 and len(state.pairs) > 1:
        after = state.pairs[scalars[of.PAIRS_ISSUED], of.PAIR_AFTER_STORED]
        count = _put(found, count, after - scalars[of.STORES_ISSUED] if after > 0 else -of.NEVER)
    for store in range(live.store, scalars[of.STORES_ISSUED]):
        count = _put(found, count, state.store_loops[store] - oldest)
        count = _put(found, count, _when(state.stored[store], cycle, reach))
    return count


@kernel(inline=True, allocates=False)
def _copy_row(row: Table, out: Table) -> None:
    for index in range(len(row)):  # an assignment of arrays compiles for a second, for what it says where they differ
        out[index] = row[index]


@kernel(inline=True, allocates=False)
def _move_times(times: Table, first: int, end: int, by: int, cycles: int) -> None:
    """Copy times [first, end) to where `by` is added to their indices, later by `cycles`."""
    for index in range(end - 1, first - 1, -1):
        time = times[index]
        times[index + by] = time if time >= of.NEVER else time + cycles


@kernel()
def jump(ahead_loops: int, cycles: int, begin: int, loops: Table, constants: Table, state: State) -> None:
    """Put the machine that is about to run cycle `begin` where it is `ahead_loops` and `cycles` later."""
    oldest = state.scalars[of.OLDEST_LOOP]
    live = _live(loops, constants, state)
    end = min(len(loops) - 1 - ahead_loops, oldest + WINDOW)
    by = loops[oldest + ahead_loops] - loops[oldest]
    for column in range(4):
        _move_times(state.loop_times[:, column], max(0, oldest - 2), end, ahead_loops, cycles)
    for sequencer in (at.ACTIVATIONS, at.WEIGHTS, at.BIASES):
        column = at.FIRST_COMMAND + sequencer
        _move_times(state.done, loops[live.loop, column], loops[end, column], by[column], cycles)
    _move_loads(ahead_loops, cycles, by, state)
    _move_results(ahead_loops, cycles, by, live, state)
    _move_rings(cycles, begin, state)
    for sequencer in range(at.SEQUENCERS):
        state.sequencers[sequencer, of.LOOP] += ahead_loops
        state.sequencers[sequencer, of.READY] += cycles
    _move_scalars(ahead_loops, cycles, by, state.scalars)


@kernel(inline=True, allocates=False)
def _loads_of(by: Table) -> int:
    return int(by[at.FIRST_COMMAND] + by[at.FIRST_COMMAND + at.WEIGHTS] + by[at.FIRST_COMMAND + at.BIASES])


@kernel()
def _move_loads(ahead_loops: int, cycles: int, by: Table, state: State) -> None:
    scalars, loads = state.scalars, _loads_of(by)
    for index in range(scalars[of.LOADS_ISSUED] - 1, scalars[of.LOADS_RETIRED] - 1, -1):
        load = state.loads[index + loads]
        _copy_row(state.loads[index], load)
        load[of.COMMAND] += by[at.FIRST_COMMAND + load[of.OF_SEQUENCER]]
        load[of.OF_LOOP] += ahead_loops
        load[of.ISSUED_AT] += cycles
        for column in (of.AFTER_FED, of.AFTER_WRITTEN, of.AFTER_STORED):
            if 0 < load[column] < of.NEVER:
                load[column] += by[at.FIRST_COMMAND + at.STORES if column == of.AFTER_STORED else at.FIRST_BLOCK]


@kernel()
def _move_results(ahead_loops: int, cycles: int, by: Table, live: Live, state: State) -> None:
    scalars, pairs, stores = state.scalars, by[at.FIRST_BLOCK], by[at.FIRST_COMMAND + at.STORES]
    _move_times(state.pair_done, live.pair, scalars[of.PAIRS_ISSUED], pairs, cycles)
    # A host's preload has its row before it is counted.
    last = min(scalars[of.PAIRS_ISSUED], len(state.pairs) - 1 - pairs) if len(state.pairs) > 1 else -1
    for pair in range(last, live.pair - 1, -1):
        _copy_row(state.pairs[pair], state.pairs[pair + pairs])
        if state.pairs[pair, of.PAIR_AFTER_STORED] > 0:
            state.pairs[pair + pairs, of.PAIR_AFTER_STORED] += stores
    _move_times(state.stored, live.store, scalars[of.STORES_ISSUED], stores, cycles)
    for store in range(scalars[of.STORES_ISSUED] - 1, live.store - 1, -1):
        state.store_loops[store + stores] = state.store_loops[store] + ahead_loops


@kernel()
def _move_rings(cycles: int, begin: int, state: State) -> None:
    for times in (state.entries, state.trackers, state.reads, state.writes, state.taken, state.passes):
        _move_times(times, 0, len(times), 0, cycles)
    for index in range(len(state.windows)):
        state.windows[index, 0] += cycles
        state.windows[index, 1] += cycles
    notes = state.adding.copy()
    for ahead in range(of.RESULT_RING):
        time = begin + ahead
        note = notes[time % of.RESULT_RING] - 4 * time
        state.adding[(time + cycles) % of.RESULT_RING] = 4 * (time + cycles) + note if 0 < note < 4 else 0


@kernel(allocates=False)
def _move_scalars(ahead_loops: int, cycles: int, by: Table, scalars: Table) -> None:
    pairs = by[at.FIRST_BLOCK]
    for name in _TIMES:
        scalars[name] += cycles
    for name in (of.CONFIGURED_LOOPS, of.OLDEST_LOOP, of.EXECUTE_LOOP):
        scalars[name] += ahead_loops
    for name in (of.LOADS_ISSUED, of.LOADS_RETIRED, of.LOAD_NOW):
        scalars[name] += _loads_of(by)
    for name in (of.PAIRS_ISSUED, of.PAIR_NOW, of.PAIRS_RETIRED, of.WEIGHTS_READY):
        scalars[name] += pairs
    for name in (of.STEP_RESULTS, of.RESULTS_WAITING):
        scalars[name] += pairs if scalars[name] > 0 else 0
    for name in (of.STORES_ISSUED, of.STORES_RETIRED, of.STORE_NOW, of.WRITE_NOW):
        scalars[name] += by[at.FIRST_COMMAND + at.STORES]
