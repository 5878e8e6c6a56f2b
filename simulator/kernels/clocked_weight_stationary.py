"""Register-accurate model of the weight-stationary engine, rtl/engine_ws.sv, one clock after another."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.kernels._jit import kernel
from simulator.kernels.clocked import (
    ADDRESS,
    COLUMNS,
    LAST,
    STORE,
    VALID,
    clock_store_path,
    digest_edges,
    enter,
    leave,
    offer,
    rails,
    reset,
    shift,
)
from simulator.kernels.clocked_pool import POOL, clock_pool
from simulator.kernels.registers import step

_IDLE, _FILL, _STREAM = 0, 1, 2

# Control registers: of the sequencer,
_STATE, _STEP, _K_FOLD, _N_FOLD, _ACTIVATION_ADDRESS, _WEIGHT_ADDRESS, _FETCHED = range(7)
# beside the operands,
_OFFERED = 7
# and of the accumulator memory: where the next token belongs, where this cycle's sums belong, what they are.
_NEXT_ADDRESS, _NEXT_N_FOLD, _SUM_ADDRESS, _SUM_N_FOLD = range(8, 12)
_SUM_VALID, _SUM_LOADS, _SUM_FINISHES, _SUM_LAST = range(12, 16)
_CONTROL = 16
_READ, _LAST_PIXEL, _FIRST_FOLD, _LAST_FOLD, _LAST = 16, 8, 4, 2, 1
"""Bits of a token."""


@kernel(inline=True)
def _clock_sequencer(control: Any, job: Any, fetch_cycles: Any, rows: Any) -> Any:
    """Step rtl/sequencer_ws.sv; return token, first pixel, activations' and weights' word (-1: none), weights' row."""
    state, pixels, double = control[_STATE], job["pixels"], job["weight_double_buffer"]
    slot = max(pixels, rows) if double else pixels + rows
    ends = control[_STEP] == (rows if state == _FILL else slot) - 1
    last_fold = control[_K_FOLD] == job["k_folds"] - 1
    last_of_all = last_fold and control[_N_FOLD] == job["n_folds"] - 1
    token, first_pixel = 0, state == _STREAM and control[_STEP] == 0
    activation, weight = np.int64(-1), np.int64(-1)
    if state == _STREAM and control[_STEP] < pixels:
        control[_FETCHED] += 1
        if control[_FETCHED] < fetch_cycles[control[_ACTIVATION_ADDRESS]]:
            return 0, False, activation, weight, np.int64(0)
        control[_FETCHED] = 0
        last_pixel = control[_STEP] == pixels - 1
        token = _READ | _LAST_PIXEL * last_pixel | _FIRST_FOLD * (control[_K_FOLD] == 0) | _LAST_FOLD * last_fold
        token |= _LAST * (last_pixel and last_of_all)
        activation = control[_ACTIVATION_ADDRESS]
        control[_ACTIVATION_ADDRESS] = 0 if last_pixel and last_fold else activation + 1
    weight_step = control[_STEP] if double or state == _FILL else control[_STEP] - pixels
    if state == _FILL or (state == _STREAM and not last_of_all and 0 <= weight_step < rows):
        weight = control[_WEIGHT_ADDRESS]
        control[_WEIGHT_ADDRESS] += 1
    control[_STEP] = 0 if ends else control[_STEP] + 1
    if state == _FILL and ends:
        control[_STATE] = _STREAM
    if state == _STREAM and ends:
        control[_K_FOLD] = 0 if last_fold else control[_K_FOLD] + 1
        control[_N_FOLD] += last_fold
        if last_of_all:
            control[_STATE] = _IDLE
    return token, first_pixel, activation, weight, weight_step


@kernel(inline=True)
def _clock_array(right: Any, down: Any, stored: Any, active: Any, job: Any) -> Any:
    """Clock every rtl/pe_ws.sv; return how many partial sums overflowed.

    Nets: `right` int64 [2, R, C + 1] = activation, first pixel of a fold; `down` int64 [4, R + 1, C] = weight, whether
    there is one, its row, partial sum.
    """
    activation, first = right[0], right[1]
    weight, valid, row, sums = down[0], down[1], down[2], down[3]
    rows, cols = stored.shape
    low, high, spare = rails(job["partial_sum_bits"])
    saturates = job["partial_sum_saturates"] == 1
    events = 0
    for r in range(rows - 1, -1, -1):
        for c in range(cols - 1, -1, -1):
            if first[r, c] or not job["weight_double_buffer"]:
                active[r, c] = stored[r, c]
            used = active[r, c]
            if valid[r, c] and row[r, c] == r:
                stored[r, c] = weight[r, c]
            sums[r + 1, c], event = step(sums[r, c], activation[r, c] * used, low, high, spare, saturates)
            events += event
            activation[r, c + 1], first[r, c + 1] = activation[r, c], first[r, c]
            weight[r + 1, c], valid[r + 1, c], row[r + 1, c] = weight[r, c], valid[r, c], row[r, c]
    return events


@kernel(inline=True)
def _clock_accumulators(
    control: Any, store: Any, token: Any, sums: Any, held: Any, biases: Any, memory: Any, registers: Any, job: Any
) -> Any:
    """Clock rtl/accumulator_ws.sv on this cycle's `sums` and the `token` of the next; return its overflows."""
    low, high, spare = rails(job["accumulator_bits"])
    saturates = job["accumulator_saturates"] == 1
    events = 0
    bias = control[_SUM_ADDRESS] if job["bias_matrix"] else control[_SUM_N_FOLD]
    for c in range(sums.shape[0]):
        start = held[c]
        if control[_SUM_LOADS]:
            start, event = step(0, biases[bias, c], low, high, spare, saturates)
            events += event and control[_SUM_VALID]
        registers[c], event = step(start, sums[c], low, high, spare, saturates)
        events += event and control[_SUM_VALID]
        if control[_SUM_VALID]:
            memory[control[_SUM_ADDRESS], c] = registers[c]
        held[c] = memory[control[_NEXT_ADDRESS], c]
    store[0, VALID], store[0, LAST] = control[_SUM_FINISHES], control[_SUM_LAST]
    store[0, ADDRESS] = control[_SUM_ADDRESS]
    store[0, COLUMNS] = job["last_columns"] if control[_SUM_N_FOLD] == job["n_folds"] - 1 else sums.shape[0]
    control[_SUM_ADDRESS], control[_SUM_N_FOLD] = control[_NEXT_ADDRESS], control[_NEXT_N_FOLD]
    reads, last_pixel, last_fold = token & _READ != 0, token & _LAST_PIXEL != 0, token & _LAST_FOLD != 0
    control[_SUM_VALID] = reads
    control[_SUM_LOADS] = token & _FIRST_FOLD != 0 and job["continues"] == 0
    control[_SUM_FINISHES] = last_fold
    control[_SUM_LAST] = token & _LAST
    if reads:
        control[_NEXT_ADDRESS] += 1 - job["pixels"] if last_pixel and not last_fold else 1
        control[_NEXT_N_FOLD] += last_pixel and last_fold
    return events


@kernel()
def clock_weight_stationary(
    activations: Any,
    fetch_cycles: Any,
    maps: Any,
    weights: Any,
    biases: Any,
    scales: Any,
    accumulators: Any,
    outputs: Any,
    job: Any,
    counts: Any,
) -> None:
    """Run one job on the weight-stationary engine, from the first operand offered to the last output written.

    Parameters
    ----------
    activations, weights
        int64 [words, R] and [words, C], as rtl/sequencer_ws.sv reads them.
    fetch_cycles
        int64 [words], how long each word of activations takes to read, at least 1.
    maps
        int64 [words, C], of what is pooled, as `clock_pool` has it; of no pool, anything.
    biases, scales
        int64 [n_folds + 1, C] and [n_folds + 1, 2, C]: bias; multiplier and shift. The last word is not used. A bias
        matrix has words as `accumulators`.
    accumulators, outputs
        int64 [n_folds * pixels + 1, C], written; a job that continues starts at the accumulators as they are.
    job
        Record of dtype JOB.
    counts
        Record of dtype COUNTS, updated.

    """
    rows, cols = activations.shape[1], weights.shape[1]
    control, store = np.zeros(_CONTROL, np.int64), np.zeros((3, STORE), np.int64)
    left, left_skew, right = (
        np.zeros((2, rows), np.int64),
        np.zeros((2, rows, rows), np.int64),
        np.zeros((2, rows, cols + 1), np.int64),
    )
    top, top_skew, down = (
        np.zeros((3, cols), np.int64),
        np.zeros((3, cols, cols), np.int64),
        np.zeros((4, rows + 1, cols), np.int64),
    )
    stored, active = np.zeros((rows, cols), np.int64), np.zeros((rows, cols), np.int64)
    tokens, deskew = np.zeros(rows + cols, np.int64), np.zeros((cols, cols), np.int64)
    sums, held, registers = np.zeros(cols, np.int64), np.zeros(cols, np.int64), np.zeros(cols, np.int64)
    products, values = np.zeros((3, cols), np.int64), np.zeros((2, cols), np.int64)
    scale = np.zeros((2, cols), np.int64)
    pool, window = np.zeros(POOL, np.int64), np.zeros(cols, np.int64)
    unpooled = np.zeros_like(outputs) if job["pool_size"] > 1 else outputs

    reset(counts)
    control[_STATE] = _FILL
    running, done = False, False
    while not done:
        token = shift(tokens, rows + cols - 2, control[_OFFERED])
        if running:
            counts["cycles"] += 1
            counts["digest"] = digest_edges(counts["digest"], right[0], down[0], down[3], token & _READ != 0)
        valid, address = store[2, VALID], store[2, ADDRESS]
        done = clock_store_path(store, registers, products, values, scale, unpooled, job, counts)
        if job["pool_size"] > 1:
            done = clock_pool(pool, window, unpooled, maps, outputs, valid, done, address, job)
        scale[:] = scales[control[_SUM_N_FOLD]]
        leave(sums, deskew, down[3, rows])
        counts["accumulator_events"] += _clock_accumulators(
            control, store, token, sums, held, biases, accumulators, registers, job
        )
        enter(right, left_skew, left, down, top_skew, top)
        counts["partial_sum_events"] += _clock_array(right, down, stored, active, job)
        token, first_pixel, activation_word, weight_word, weight_row = _clock_sequencer(
            control, job, fetch_cycles, rows
        )
        control[_OFFERED] = token
        offer(left[0], activation_word, activations, job["activation_zero_point"])
        offer(top[0], weight_word, weights, job["weight_zero_point"])
        left[1], top[1], top[2] = first_pixel, weight_word >= 0, weight_row
        running = True
