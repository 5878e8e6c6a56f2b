"""Closed forms of the array's cycles against arrays that are clocked cycle by cycle, values included.

In a systolic array PE (r, c) sees in cycle t what entered at its edge r + c cycles before. The models below keep the
weight, partial-sum, accumulator and result registers of every PE, so a schedule that is too tight gives wrong values.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.mapping.array_cycles import output_stationary, tile_op_cycles, weight_stationary
from simulator.mapping.mapper import map_layers
from simulator.mapping.work import Device
from support.devices import machine
from support.layers import array_layer, gemm

PIPELINE = 4
"""Scratchpad read, accumulate, multiply, write: registers between the array's edge and the last result."""

sides = st.integers(1, 5)


def clock_weight_stationary(a, w, slot: int, shadow: bool):
    """Values [folds, M, C] and cycles of folds that start `slot` cycles after one another."""
    folds, m, rows = a.shape
    cols = w.shape[2]
    start = [rows + fold * slot for fold in range(folds)]
    load = [0] + [start[f] if shadow else start[f] + m for f in range(folds - 1)]
    end = start[-1] + m + rows + cols - 2
    waiting, active = np.zeros((rows, cols), int), np.zeros((rows, cols), int)
    sums, out = np.zeros((rows + 1, cols), int), np.full((folds, m, cols), -(10**9))
    for t in range(end):
        for c in range(cols):
            for r in reversed(range(rows)):
                pixel = next(((f, t - r - c - s) for f, s in enumerate(start) if 0 <= t - r - c - s < m), None)
                if pixel and shadow and pixel[1] == 0:
                    active[r, c] = waiting[r, c]
                sums[r + 1, c] = sums[r, c] + (a[pixel[0], pixel[1], r] * active[r, c] if pixel else 0)
                if pixel and r == rows - 1:
                    out[pixel[0], pixel[1], c] = sums[rows, c]
                # Row j of the weights enters j cycles after row 0's and needs j more to come down to row j.
                for f, begin in enumerate(load):
                    if t == begin + 2 * r + c:
                        (waiting if shadow else active)[r, c] = w[f, r, c]
    return out, end + PIPELINE


@settings(max_examples=60, deadline=None)
@given(sides, sides, st.integers(1, 7), st.integers(1, 4), st.booleans(), st.integers(0, 2**31))
def test_weight_stationary_equals_the_clocked_array(rows, cols, m, folds, shadow, seed):
    rng = np.random.default_rng(seed)
    a, w = rng.integers(1, 99, (folds, m, rows)), rng.integers(1, 99, (folds, rows, cols))
    device = Device.of(machine(rows, cols, weight_double_buffer=shadow))
    slot = max(m, rows) if shadow else m + rows
    values, cycles = clock_weight_stationary(a, w, slot, shadow)
    np.testing.assert_array_equal(values, a @ w)
    assert weight_stationary(folds, m, device) == cycles


@pytest.mark.parametrize(("m", "shadow"), [(2, True), (5, True), (2, False), (5, False)])
def test_folds_cannot_follow_closer(m, shadow):
    rng = np.random.default_rng(1)
    a, w = rng.integers(1, 99, (3, m, 4)), rng.integers(1, 99, (3, 4, 3))
    slot = max(m, 4) if shadow else m + 4
    values, _ = clock_weight_stationary(a, w, slot - 1, shadow)
    assert (values != a @ w).any()


def clock_output_stationary(a, b, slot: int):
    """Values [blocks, R, C] and cycles of blocks that start `slot` cycles after one another."""
    blocks, rows, depth = a.shape
    cols = b.shape[2]
    end = (blocks - 1) * slot + depth + rows + cols - 2 + rows
    sums, chain = np.zeros((rows, cols), int), np.zeros((rows, cols), int)
    out = np.full((blocks, rows, cols), -(10**9))
    for t in range(end):
        for c in range(cols):
            # Results of a block leave by the bottom of the column, in R cycles, once its last PE has finished.
            for block in range(blocks):
                step = t - (block * slot + depth + rows - 1 + c)
                if 0 <= step < rows:
                    out[block, rows - 1 - step, c] = chain[rows - 1, c]
                    # Row r takes over from above r times; by then the next block's result may be in it.
                    chain[step + 1 :, c] = chain[step:-1, c].copy()
            for r in range(rows):
                for block in range(blocks):
                    k = t - r - c - block * slot
                    if 0 <= k < depth:
                        sums[r, c] = (sums[r, c] if k else 0) + a[block, r, k] * b[block, k, c]
                        if k == depth - 1:
                            chain[r, c] = sums[r, c]
    return out, end + PIPELINE - 1


@settings(max_examples=60, deadline=None)
@given(sides, sides, st.integers(1, 7), st.integers(1, 4), st.integers(0, 2**31))
def test_output_stationary_equals_the_clocked_array(rows, cols, depth, blocks, seed):
    rng = np.random.default_rng(seed)
    a, b = rng.integers(1, 99, (blocks, rows, depth)), rng.integers(1, 99, (blocks, depth, cols))
    values, cycles = clock_output_stationary(a, b, max(depth, rows))
    np.testing.assert_array_equal(values, a @ b)
    device = Device.of(machine(rows, cols, dataflow="output_stationary"))
    assert output_stationary(blocks, depth, 0, device) == cycles


@pytest.mark.parametrize(
    ("dataflow", "cycles"),
    [
        # A cycle to read the first operands. 10 x 20 x 12 GEMM on 8 x 8: 3 row folds x 2 column folds, slot max(10, 8).
        ("weight_stationary", 1 + 8 + 5 * 10 + 10 + 8 + 8 + 2),
        # 2 pixel blocks x 2 channel blocks, slot max(20, 8).
        ("output_stationary", 1 + 3 * 20 + 20 + 16 + 8 + 1),
    ],
)
def test_a_gemm_by_hand(dataflow, cycles):
    accelerator = machine(8, 8, dataflow=dataflow)
    ops = map_layers([array_layer(gemm(10, 20, 12))], accelerator).layers[0].ops
    assert len(ops) == 1
    assert tile_op_cycles(ops, Device.of(accelerator)).tolist() == [cycles]
