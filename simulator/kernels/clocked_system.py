"""Register-accurate model of what rtl/system_top.sv does beside its array: its control, its DMA, and the memory behind.

The array takes the cycles of its own model, so a job is a number here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.kernels._jit import kernel
from simulator.kernels.clocked_dma import (
    BEAT,
    HALF,
    HAS,
    LAST,
    LOAD,
    MEMORY,
    NOBODY,
    STORE,
    WAITING,
    WRITES,
    ask,
    begin,
    busy,
    clock_half,
    digest_bus,
    granted,
    is_last_request,
    next_owner,
    requests,
    serve,
)

TILE_OP = (
    # load: which of its descriptors, which halves it takes; the descriptors
    *("load_first", "load_last", "load_takes_input", "load_takes_weight"),
    *(
        f"{what}_{field}"
        for what in ("activation", "weight", "constant")
        for field in ("address", "segments", "segment_bytes", "stride")
    ),
    # word of the input scratchpad in which activations begin to be loaded
    "input_address",
    # work: halves that it takes, whether K ends; word in which its activations begin
    *("takes_weight", "takes_result", "finishes", "input_base"),
    # its job; output stationary, a k fold is a product
    *("pixels", "k_folds", "n_folds", "last_columns", "continues"),
    # its band of a convolution: where it begins, height of what it reads, and of what it makes; its first tap
    *("origin_y", "height", "out_height"),
    *("tap_channel", "tap_column", "tap_row", "tap_y", "tap_x"),
    # the rows of a pooled map that it makes
    *("pool_first_row", "pool_last_row", "pool_rows_to_go", "pool_below", "pool_line"),
    # end of the work: halves that it gives back
    *("gives_input", "gives_weight"),
    # store
    *("stores", "store_address", "store_segments", "store_segment_bytes", "store_stride"),
)
"""Columns of a program, a row a tile operation: op_t of rtl/fields.sv from the lowest bit on."""

_FIRST, _LAST, _LOAD_TAKES_INPUT, _LOAD_TAKES_WEIGHT, _DESCRIPTORS = range(5)
_TAKES_RESULT, _GIVES_INPUT, _GIVES_WEIGHT, _STORES = (
    TILE_OP.index(name) for name in ("takes_result", "gives_input", "gives_weight", "stores")
)

SYSTEM_COUNTS = np.dtype(
    [
        ("digest", np.uint64),
        ("edge_digest", np.uint64),
        *((name, np.int64) for name in ("cycles", "partial_sum_events", "accumulator_events", "saturations")),
    ]
)
"""What a program adds to (the digests: of the path to memory, of the array's edges) and sets."""

# Registers of rtl/system_control.sv; what is left of a job.
_LOADED, _WORK_OP, _STORE_OP, _INPUTS, _WEIGHTS, _RESULTS, _WORK_LEFT = range(7)
_CONTROL = 7
_HALVES = 2


@kernel(inline=True)
def _clock_control(
    control: Any, halves: Any, program: Any, loads: Any, stores: Any, work_cycles: Any, settings: Any, ended: Any
) -> None:
    """Clock rtl/system_control.sv: what ended in this cycle makes room, what may begin is started for the next one.

    ended: whether the load, the store and the job end in this cycle.
    """
    ops = program.shape[0]
    load_ends, store_ends, work_ends = ended
    work_op, store_op = control[_WORK_OP], control[_STORE_OP]
    if work_ends:
        control[_INPUTS] += program[work_op, _GIVES_INPUT]
        control[_WEIGHTS] += program[work_op, _GIVES_WEIGHT]
        control[_WORK_OP] += 1
    control[_RESULTS] += store_ends
    control[_LOADED] += load_ends
    load_op, work_op = control[_LOADED], control[_WORK_OP]
    if load_op < ops and not busy(halves[LOAD]):
        takes_input, takes_weight = program[load_op, _LOAD_TAKES_INPUT], program[load_op, _LOAD_TAKES_WEIGHT]
        if control[_INPUTS] >= takes_input and control[_WEIGHTS] >= takes_weight:
            control[_INPUTS] -= takes_input
            control[_WEIGHTS] -= takes_weight
            begin(halves[LOAD], loads[load_op], program[load_op, _FIRST], program[load_op, _LAST], settings)
    if control[_WORK_LEFT] == 0 and work_op < load_op and control[_RESULTS] >= program[work_op, _TAKES_RESULT]:
        control[_RESULTS] -= program[work_op, _TAKES_RESULT]
        control[_WORK_LEFT] = work_cycles[work_op]
    if store_op < ops:
        wanted = program[store_op, _STORES] != 0
        starts = wanted and store_op < work_op and not busy(halves[STORE])
        if starts:
            begin(halves[STORE], stores[store_op], 0, 0, settings)
        control[_STORE_OP] += np.int64(starts or not wanted)


@kernel()
def clock_system(
    program: Any, loads: Any, stores: Any, work_cycles: Any, begins: Any, ends: Any, settings: Any, counts: Any
) -> None:
    """Run a program, from the first cycle of its first load to the last beat of its last store.

    Parameters
    ----------
    program
        int64 [ops, len(TILE_OP)].
    loads, stores
        int64 [ops, 3, DESCRIPTOR] and [ops, 1, DESCRIPTOR], the descriptors in it.
    work_cycles
        int64 [ops], cycles of each job from the one after its start on, at least 1.
    begins, ends
        int64 [3, ops], written: first cycle and the one after the last of each load, job and store; 0 where none.
    settings
        Record of dtype SETTINGS.
    counts
        Record of dtype SYSTEM_COUNTS: `digest` and `cycles` are updated.

    """
    ops = program.shape[0]
    halves, control = np.zeros((2, HALF), np.int64), np.zeros(_CONTROL, np.int64)
    waiting, memory = np.zeros((2 * settings["max_outstanding"] + 2, WAITING), np.int64), np.zeros(MEMORY, np.int64)
    beat = np.zeros(BEAT, np.int64)
    control[_INPUTS] = control[_WEIGHTS] = control[_RESULTS] = _HALVES
    cycle, owner, storing = np.int64(0), NOBODY, np.int64(0)
    _clock_control(control, halves, program, loads, stores, work_cycles, settings, (False, False, False))
    begins[:] = 0
    ends[:] = 0
    running = True
    while running:
        serve(memory, waiting, beat, cycle, settings)
        grant = granted(owner, halves)
        descriptors = loads[min(control[_LOADED], ops - 1)] if grant == LOAD else stores[storing]
        issued = requests(halves[grant], settings)
        is_last = issued and is_last_request(halves[grant], descriptors, settings)
        counts["digest"] = digest_bus(counts["digest"], halves[grant], issued, grant == STORE, beat, settings)
        if issued:
            ask(memory, waiting, halves[grant], grant == STORE, cycle, settings)
        owner = next_owner(grant, halves, is_last)
        lands = beat[HAS] and beat[LAST]
        load_ends = clock_half(
            halves[LOAD],
            loads[min(control[_LOADED], ops - 1)],
            issued and grant == LOAD,
            lands and not beat[WRITES],
            settings,
        )
        store_ends = clock_half(
            halves[STORE], stores[storing], issued and grant == STORE, lands and beat[WRITES], settings
        )
        worked = control[_WORK_LEFT] == 1
        control[_WORK_LEFT] -= np.int64(control[_WORK_LEFT] > 0)
        cycle += 1
        _note(ends, control[_LOADED], storing, control[_WORK_OP], (load_ends, store_ends, worked), cycle)
        running = not (store_ends and control[_STORE_OP] == ops)
        before = (busy(halves[LOAD]), busy(halves[STORE]), control[_WORK_LEFT] > 0)
        next_store = control[_STORE_OP]
        _clock_control(control, halves, program, loads, stores, work_cycles, settings, (load_ends, store_ends, worked))
        if busy(halves[STORE]) and not before[1]:
            storing = next_store
        starts = (
            busy(halves[LOAD]) and not before[0],
            busy(halves[STORE]) and not before[1],
            control[_WORK_LEFT] > 0 and not before[2],
        )
        _note(begins, control[_LOADED], storing, control[_WORK_OP], starts, cycle)
    counts["cycles"] = cycle


@kernel(inline=True)
def _note(times: Any, load_op: Any, store_op: Any, work_op: Any, happens: Any, cycle: Any) -> None:
    """Note a cycle for those of load, store and job, in this order, to which something happens."""
    if happens[0]:
        times[0, load_op] = cycle
    if happens[1]:
        times[2, store_op] = cycle
    if happens[2]:
        times[1, work_op] = cycle
