"""Register-accurate model of the output-stationary engine, rtl/engine_os.sv, one clock after another."""

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
from simulator.kernels.registers import step

_IDLE, _FILL, _STREAM = 0, 1, 2

# Control registers: of the sequencer,
_STATE, _STEP, _PIXELS_BEFORE, _N_FOLD, _ACTIVATION_ADDRESS, _WEIGHT_ADDRESS = range(6)
_START_ADDRESS, _START_PIXEL, _START_N_FOLD = range(6, 9)
# beside the operands,
_OFFERED_LAST = 9
# and of this cycle's results.
_RESULT_VALID, _ROW, _BLOCK_ADDRESS, _BLOCK_PIXEL, _RESULT_N_FOLD = range(10, 15)
_CONTROL = 15


@kernel(inline=True)
def _clock_sequencer(control: Any, job: Any, rows: Any) -> Any:
    """Step rtl/sequencer_os.sv.

    Return the words of activations, weights and start values to read (-1: none), the row of the start values, in how
    many rows a block begins, whether it ends, and the bias word.
    """
    state, k, now = control[_STATE], job["k"], control[_STEP]
    ends = now == (max(k, rows) if state == _STREAM else rows) - 1
    pixels_left = job["pixels"] - control[_PIXELS_BEFORE]
    last_m, last_n = pixels_left <= rows, control[_N_FOLD] == job["n_folds"] - 1
    bias = control[_N_FOLD]
    activation, weight, start, begins, last = np.int64(-1), np.int64(-1), np.int64(-1), np.int64(0), False
    if state == _STREAM and now < k:
        activation, weight = control[_ACTIVATION_ADDRESS], control[_WEIGHT_ADDRESS]
        last = now == k - 1
        if now == 0:
            begins = min(pixels_left, rows)
        control[_ACTIVATION_ADDRESS] += 1 - k if last and not last_n else 1
        control[_WEIGHT_ADDRESS] = 0 if last and last_n else weight + 1
    preloads = job["continues"] or job["bias_matrix"]
    if state == _FILL or (state == _STREAM and preloads and not (last_m and last_n) and now < rows):
        start = control[_START_ADDRESS]
        _next_start(control, now == rows - 1, job, rows)
    control[_STEP] = 0 if ends else now + 1
    if state == _FILL and ends:
        control[_STATE] = _STREAM
    if state == _STREAM and ends:
        control[_N_FOLD] = 0 if last_n else control[_N_FOLD] + 1
        control[_PIXELS_BEFORE] += rows * last_n
        if last_n and last_m:
            control[_STATE] = _IDLE
    return activation, weight, start, now, begins, last, bias


@kernel(inline=True)
def _next_start(control: Any, last_row: Any, job: Any, rows: Any) -> None:
    """Step the address of start values: to the next row, the same pixels of the next channels, or the next pixels."""
    if not last_row:
        control[_START_ADDRESS] += 1
    elif control[_START_N_FOLD] < job["n_folds"] - 1:
        control[_START_N_FOLD] += 1
        control[_START_ADDRESS] += job["pixels"] - (rows - 1)
    else:
        control[_START_N_FOLD] = 0
        control[_START_PIXEL] += rows
        control[_START_ADDRESS] = control[_START_PIXEL]


@kernel(inline=True)
def _clock_array(right: Any, down: Any, stored: Any, stored_lost: Any, accumulators: Any, job: Any) -> Any:
    """Clock every rtl/pe_os.sv; return how many additions and start values overflowed.

    Nets: `right` int64 [4, R, C + 1] = activation, whether a block begins, ends, whether results shift; `down` int64
    [6, R + 1, C] = weight, start value, whether the bias overflowed, whether it is for a row, which, result.
    """
    activation, begins, ends, shifts = right[0], right[1], right[2], right[3]
    weight, start, lost, valid, row, results = down[0], down[1], down[2], down[3], down[4], down[5]
    rows, cols = stored.shape
    preloads = job["continues"] or job["bias_matrix"]
    low, high, spare = rails(job["accumulator_bits"])
    events = 0
    for r in range(rows - 1, -1, -1):
        for c in range(cols - 1, -1, -1):
            present = accumulators[r, c]
            if begins[r, c]:
                present = stored[r, c] if preloads else start[r, c]
                events += stored_lost[r, c] if preloads else lost[r, c]
            if valid[r, c] and row[r, c] == r:
                stored[r, c], stored_lost[r, c] = start[r, c], lost[r, c]
            product = activation[r, c] * weight[r, c]
            accumulators[r, c], event = step(present, product, low, high, spare, job["accumulator_saturates"] == 1)
            events += event
            if ends[r, c]:
                results[r + 1, c] = accumulators[r, c]
            elif shifts[r, c]:
                results[r + 1, c] = results[r, c]
            activation[r, c + 1], weight[r + 1, c] = activation[r, c], weight[r, c]
            begins[r, c + 1], ends[r, c + 1], shifts[r, c + 1] = begins[r, c], ends[r, c], shifts[r, c]
            start[r + 1, c], lost[r + 1, c] = start[r, c], lost[r, c]
            valid[r + 1, c], row[r + 1, c] = valid[r, c], row[r, c]
    return events


@kernel(inline=True)
def _clock_results(
    control: Any, store: Any, token_last: Any, results: Any, memory: Any, registers: Any, job: Any, rows: Any
) -> None:
    """Clock rtl/accumulator_os.sv on this cycle's `results`; `token_last` says that a block comes next."""
    pixels_left = job["pixels"] - control[_BLOCK_PIXEL]
    last_m, last_n = pixels_left <= rows, control[_RESULT_N_FOLD] == job["n_folds"] - 1
    address, valid = control[_BLOCK_ADDRESS] + control[_ROW], control[_RESULT_VALID] != 0
    registers[:] = results
    store[0, ADDRESS] = address
    store[0, VALID] = valid and control[_ROW] < pixels_left
    store[0, LAST] = valid and last_m and last_n and control[_ROW] == 0
    store[0, COLUMNS] = job["last_columns"] if last_n else results.shape[0]
    if store[0, VALID]:
        memory[address] = results
    if valid:
        control[_ROW] -= 1
        if control[_ROW] < 0:
            control[_RESULT_VALID] = 0
            control[_BLOCK_PIXEL] += rows * last_n
            control[_BLOCK_ADDRESS] = control[_BLOCK_PIXEL] if last_n else control[_BLOCK_ADDRESS] + job["pixels"]
            control[_RESULT_N_FOLD] = 0 if last_n else control[_RESULT_N_FOLD] + 1
    if token_last:
        control[_RESULT_VALID] = 1
        control[_ROW] = rows - 1


@kernel(inline=True)
def _clock_shift(passes_on: Any, finish: Any, last: Any) -> None:
    """Clock what tells row r to pass on r results, once the block that ended ROWS cycles ago has left its last PE."""
    rows = passes_on.shape[0]
    finished = shift(finish, rows - 1, last)
    for r in range(rows - 1, 0, -1):
        passes_on[r] = 1 if finished else passes_on[r - 1]


@kernel(inline=True)
def _offer_starts(top: Any, word: Any, bias: Any, biases: Any, accumulators: Any, job: Any) -> None:
    """Put the bias, or a row of accumulators of the job before, on top of the array."""
    low, high, spare = rails(job["accumulator_bits"])
    # A padded row has no word, and takes none that it is offered.
    word = min(max(word, 0), accumulators.shape[0] - 1)
    if job["bias_matrix"]:
        bias = word
    for c in range(biases.shape[1]):
        top[1, c], top[2, c] = step(0, biases[bias, c], low, high, spare, job["accumulator_saturates"] == 1)
        if job["continues"]:
            top[1, c], top[2, c] = accumulators[word, c], 0


@kernel()
def clock_output_stationary(
    activations: Any,
    weights: Any,
    biases: Any,
    scales: Any,
    accumulators: Any,
    outputs: Any,
    job: Any,
    counts: Any,
    held: Any,
) -> None:
    """Run one job on the output-stationary engine, from the first operand offered to the last output written.

    Parameters
    ----------
    activations, weights
        int64 [words, R] and [words, C], as rtl/sequencer_os.sv reads them.
    biases, scales
        int64 [n_folds + 1, C] and [n_folds + 1, 2, C]: bias; multiplier and shift. The last word is not used. A bias
        matrix has words as `accumulators`.
    accumulators, outputs
        int64 [n_folds * pixels + 1, C], written; a job that continues starts at the accumulators as they are.
    job
        Record of dtype JOB.
    counts
        Record of dtype COUNTS, updated.
    held
        int64 [2, R, C], updated: registers that no job clears, sum and result of each PE; 0 after a reset. A padded row
        adds nothing to its sum, and passes it on with the others.

    """
    rows, cols = activations.shape[1], weights.shape[1]
    control, store = np.zeros(_CONTROL, np.int64), np.zeros((3, STORE), np.int64)
    left, left_skew, right = (
        np.zeros((3, rows), np.int64),
        np.zeros((3, rows, rows), np.int64),
        np.zeros((4, rows, cols + 1), np.int64),
    )
    top, top_skew, down = (
        np.zeros((5, cols), np.int64),
        np.zeros((5, cols, cols), np.int64),
        np.zeros((6, rows + 1, cols), np.int64),
    )
    stored, summing = np.zeros((rows, cols), np.int64), held[0]
    down[5, 1:] = held[1]
    stored_lost = np.zeros((rows, cols), np.int64)
    finish, passes_on = np.zeros(rows, np.int64), np.zeros(rows, np.int64)
    tokens, deskew = np.zeros(rows + cols, np.int64), np.zeros((cols, cols), np.int64)
    results, registers = np.zeros(cols, np.int64), np.zeros(cols, np.int64)
    products, values = np.zeros((3, cols), np.int64), np.zeros((2, cols), np.int64)
    scale = np.zeros((2, cols), np.int64)

    reset(counts)
    control[_STATE] = _FILL if job["continues"] or job["bias_matrix"] else _STREAM
    running, done = False, False
    while not done:
        token_last = shift(tokens, rows + cols - 2, control[_OFFERED_LAST])
        if running:
            counts["cycles"] += 1
            counts["digest"] = digest_edges(counts["digest"], right[0], down[0], down[5], control[_RESULT_VALID])
        done = clock_store_path(store, registers, products, values, scale, outputs, job, counts)
        scale[:] = scales[control[_RESULT_N_FOLD]]
        leave(results, deskew, down[5, rows])
        _clock_results(control, store, token_last, results, accumulators, registers, job, rows)
        enter(right, left_skew, left, down, top_skew, top)
        right[3, :, 0] = passes_on
        _clock_shift(passes_on, finish, control[_OFFERED_LAST])
        counts["accumulator_events"] += _clock_array(right, down, stored, stored_lost, summing, job)
        activation, weight, start, row, begins, last, bias = _clock_sequencer(control, job, rows)
        control[_OFFERED_LAST] = last
        offer(left[0], activation, activations, job["activation_zero_point"])
        offer(top[0], weight, weights, job["weight_zero_point"])
        for r in range(rows):
            left[1, r], left[2, r] = r < begins, last
        _offer_starts(top, start, bias, biases, accumulators, job)
        top[3], top[4] = start >= 0, row
        running = True
    held[1] = down[5, 1:]
