"""State of the command machine: arrays, and names for their columns. Times are cycles; NEVER = not yet."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.kernels import command_layout as at
from simulator.kernels._jit import kernel

Table = NDArray[np.int64]

NEVER = 1 << 60

# Columns of `sequencers`: loop in work, phase, commands of it issued, first cycle in which it can issue.
LOOP, PHASE, POSITION, READY = range(4)
IDLE, ACTIVE, EMPTY = range(3)

# Columns of `loop_times`: configured, all commands issued; last load issued, last execute issued.
CONFIGURED, ISSUED, LOADED, EXECUTED = range(4)

# Columns of `loads`, in the order of issue: command (counted over all loops), its row in
# `commands`, loop, sequencer, cycle of issue, entry of the queue. Set where a host issues: executes that must have been
# fed, executes whose results must be written, and stores that must be complete, before it may overwrite.
COMMAND, ROW, OF_LOOP, OF_SEQUENCER, ISSUED_AT, ENTRY, AFTER_FED, AFTER_WRITTEN, AFTER_STORED = range(9)
LOAD_COLUMNS = 9

# Columns of `pairs`, executes that a host issued: row in `executes`, stores that must be complete before it.
PAIR_ROW, PAIR_AFTER_STORED = range(2)

# Scalars.
(
    CONFIGURED_LOOPS,
    NEXT_CONFIGURE,
    OLDEST_LOOP,
    LOADS_ISSUED,
    LOADS_RETIRED,
    LOAD_NOW,
    LOAD_STARTED,
    LOAD_ROW,
    LOAD_REQUEST,
    LOAD_REQUEST_END,
    LOAD_TRACKER,
    LOAD_FREE,
    ALL_LOADED,
    BIAS_WRITER_FREE,
    PAIRS_ISSUED,
    PRELOAD_SENT,
    PAIR_NOW,
    PAIRS_RETIRED,
    WEIGHTS_READY,
    STEP,
    INPUT_ROWS,
    WEIGHT_ROWS,
    STEP_ROWS,
    STORES_ISSUED,
    STORES_RETIRED,
    STORE_NOW,
    STORE_STARTED,
    STORE_ROW,
    STORE_REQUEST,
    STORE_FIRST_REQUEST,
    STORE_REQUEST_END,
    ROW_BLOCKS_TAKEN,
    RESULTS_READ,
    RESULTS_PASSED,
    RESULTS_TAKEN,
    READS_LEFT,
    WRITE_NOW,
    WRITE_STARTED,
    WRITER_FREE,
    NEXT_STORE,
    REQUEST_CHANNEL_FREE,
    DATA_CHANNEL_FREE,
    READS_SENT,
    READS_BACK,
    WINDOWS_OPENED,
    WINDOWS_CLOSED,
    WRITES_SENT,
    WRITES_BACK,
    LAST_STORE,
    LAST_DONE,
    EXECUTE_LOOP,
    STEP_INPUT_ROWS,
    STEP_INPUT_BANK,
    STEP_WEIGHT_BANK,
    STEP_ADDS_TO,
    STEP_WEIGHT_ROWS,
    PASSES,
    NEXT_HOST,
    RESULTS_WAITING,
    STEP_RESULTS,
    ARRAY_FREE,
    LAST_EXIT,
    CHANGES,
    EXECUTES_HELD,
    EXECUTES_FREED,
    EXECUTES_FREED_AT,
    ROW_READ_AT,
) = range(67)
SCALARS = 67
"""CHANGES counts what the issue of commands, the load and the store controller do; where it stays, they waited."""

# Values of the scalar STEP: what the array is fed with.
NOTHING, PRELOAD, COMPUTE, BOTH, FLUSH = range(5)

NO_BANK = -2
"""STEP_WEIGHT_BANK of a preload that brings no weights."""

RESULT_RING = 256
"""Cycles ahead for which accumulator writes are noted; more than any result_cycles."""


class Layer(NamedTuple):
    """What the machine is given: int64, as `command_layout` lays them out."""

    loops: Table
    commands: Table
    executes: Table
    pattern_start: Table
    requests: Table
    constants: Table


class State(NamedTuple):
    """Everything that changes."""

    scalars: Table
    sequencers: Table
    loop_times: Table
    loads: Table
    done: Table
    """[loads]: completion of a load command and of all before it, in the order of `commands`."""
    entries: Table
    """[LOAD_ENTRIES]: cycle in which each entry for loads is free again."""
    trackers: Table
    """[LOADS_IN_FLIGHT]: cycle in which each tracker of a load under way is free again."""
    pair_done: Table
    store_loops: Table
    """[stores]: loop of each store issued."""
    stored: Table
    """[stores]: completion."""
    reads: Table
    """Ring: cycle in which each read in flight is back."""
    windows: Table
    """Ring: begin, end and bank of the scratchpad's writes."""
    writes: Table
    """Ring: cycle in which each write in flight is acknowledged."""
    taken: Table
    """Ring: cycle in which the writer took each block of a row of accumulators."""
    adding: Table
    """Ring by cycle: 4 times the cycle, and from 1 the half of accumulators that a row of results is added to then."""
    passes: Table
    """Ring: cycle of the last row of each pass of the array."""
    pairs: Table
    """[pairs, 2], or one row where no host issues."""
    wakes: Table
    """[4]: cycle in which each part looks again."""


@kernel()
def new_state(loops: Table, constants: Table) -> State:
    """Return the machine before its first cycle."""
    last = len(loops) - 1
    pairs = loops[last, at.FIRST_BLOCK]
    loads = loops[last, at.FIRST_COMMAND + at.BIASES]
    stores = loops[last, at.FIRST_COMMAND + at.STORES] - loops[0, at.FIRST_COMMAND + at.STORES]
    ring = constants[at.MAX_OUTSTANDING] + 2
    scalars = np.zeros(SCALARS, np.int64)
    scalars[NEXT_CONFIGURE] = constants[at.START]
    scalars[NEXT_HOST] = constants[at.START]
    return State(
        scalars,
        np.zeros((at.SEQUENCERS, 4), np.int64),
        np.full((last, 4), NEVER, np.int64),
        np.full((loads, LOAD_COLUMNS), NEVER, np.int64),
        np.full(loops[last, at.FIRST_COMMAND + at.STORES], NEVER, np.int64),
        np.full(constants[at.LOAD_ENTRIES], -1, np.int64),
        np.full(constants[at.LOADS_IN_FLIGHT], -1, np.int64),
        np.full(pairs, NEVER, np.int64),
        np.zeros(stores, np.int64),
        np.full(stores, NEVER, np.int64),
        np.zeros(ring, np.int64),
        np.zeros((ring + 16, 3), np.int64),
        np.zeros(ring, np.int64),
        np.zeros(constants[at.RESULTS_IN_FLIGHT], np.int64),
        np.zeros(RESULT_RING, np.int64),
        np.full(constants[at.PASSES_IN_FLIGHT], -NEVER, np.int64),
        np.zeros((pairs if constants[at.UNROLLER] == at.HOST else 1, 2), np.int64),
        np.zeros(4, np.int64),
    )
