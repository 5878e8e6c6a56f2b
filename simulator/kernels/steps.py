"""Sums addition by addition, in the order and width of the device's registers, with the overflow ledger.

The plan of a layer's registers is an int64 vector (PLAN_* below). What a task finds goes to one row of a statistics
array (STAT_* below); rows are combined afterwards, so the result does not depend on the number of threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.kernels import geometry as geo
from simulator.kernels._jit import kernel
from simulator.kernels.registers import (
    EVENTS,
    EXACT,
    GREATEST,
    LANES,
    LEAST,
    SIZE,
    VALUE,
    account,
    add_int32,
    add_int64,
    add_modulo,
    clear,
    drain_int32,
    step,
)

PLAN_FOLD = 0
"""k of a fold; 0 = output stationary: no partial sums."""
PLAN_P_BITS = 1
PLAN_P_SATURATES = 2
PLAN_A_BITS = 3
PLAN_A_SATURATES = 4
PLAN_INT32 = 5
"""1 where the inner registers (partial sums, or output stationary accumulators) may run on int32 lanes."""
PLAN_A_INT32 = 6
"""1 where, besides, the accumulators of a weight-stationary array may."""
PLAN_LENGTH = 7

STAT_P_EVENTS = 0
STAT_A_EVENTS = 1
STAT_AFFECTED = 2
STAT_FIRST_P = 3
"""Lowest output with an event in its partial sums; NONE without."""
STAT_FIRST_A = 4
STAT_P_LEAST = 5
STAT_P_GREATEST = 6
STAT_A_LEAST = 7
STAT_A_GREATEST = 8
STAT_A_BEYOND = 9
"""1 where an exact sum needs more than 64 bits."""
STAT_A_WIDTHS = 10
"""Outputs by the width that their accumulator's exact sums need, up to WIDTHS - 1: more than 64 bits."""
WIDTHS = 66
STATS_LENGTH = STAT_A_WIDTHS + WIDTHS
NONE = np.iinfo(np.int64).max

CHANNEL_P_EVENTS = 0
CHANNEL_P_LEAST = 1
CHANNEL_P_GREATEST = 2
CHANNEL_A_EVENTS = 3
CHANNEL_A_LEAST = 4
CHANNEL_A_GREATEST = 5
CHANNEL_A_BEYOND = 6
"""1 where an exact sum of the channel needs more than 64 bits."""
CHANNEL_LENGTH = 7

PIXELS = 16
"""Output pixels for which a panel of weights is read once."""


@kernel(inline=True)
def low_end(bits: Any) -> Any:
    """Least value of a register."""
    return -(1 << (bits - 1)) if bits < 64 else np.int64(-9223372036854775808)


@kernel(inline=True)
def high_end(bits: Any) -> Any:
    """Greatest value of a register."""
    return (1 << (bits - 1)) - 1 if bits < 64 else np.int64(9223372036854775807)


@kernel(inline=True)
def width_of(least: Any, greatest: Any) -> Any:
    """Least width of a two's complement register that holds both; `least` is no more than 0 or `greatest` no less."""
    magnitude = max(greatest, ~least)
    width = 1
    while magnitude > 0:
        magnitude >>= 1
        width += 1
    return width


@kernel(inline=True)
def _start(start: Any, row: Any, first: Any, plan: Any, a_bank: Any, p_events: Any) -> None:
    """Load the start values of a panel into the accumulators."""
    clear(a_bank, 0, SIZE)
    bits = plan[PLAN_A_BITS]
    low, high = low_end(bits), high_end(bits)
    for lane in range(LANES):
        p_events[lane] = 0
        value, event = step(0, start[row, first + lane], low, high, 64 - bits, plan[PLAN_A_SATURATES] != 0)
        a_bank[VALUE + lane] = value
        a_bank[EVENTS + lane] = np.int64(event)


@kernel(inline=True)
def _add_partial_sums(plan: Any, p32: Any, p64: Any, a32: Any, a_bank: Any) -> None:
    """Add the partial sums of a panel to its accumulators, A <- add(A, P), and clear them for the next fold."""
    bits = plan[PLAN_A_BITS]
    low, high, saturates = low_end(bits), high_end(bits), plan[PLAN_A_SATURATES] != 0
    if plan[PLAN_A_INT32] != 0:
        drain_int32(p32, a32, low, high, saturates)
        return
    on_int32 = plan[PLAN_INT32] != 0
    for lane in range(LANES):
        addend = np.int64(p32[lane]) if on_int32 else p64[lane]
        exact = np.int64(p32[EXACT + lane]) if on_int32 else p64[EXACT + lane]
        account(a_bank, lane, addend, exact, low, high, 64 - bits, saturates)
    clear(p32, VALUE, LEAST)
    clear(p64, VALUE, LEAST)


@kernel(inline=True)
def _take_events(p32: Any, p64: Any, p_events: Any) -> None:
    """Move the partial sums' events of one output, of all its folds, out of their banks."""
    for lane in range(LANES):
        p_events[lane] = np.int64(p32[EVENTS + lane]) + p64[EVENTS + lane]
    clear(p32, EVENTS, SIZE)
    clear(p64, EVENTS, SIZE)


@kernel(inline=True)
def _finish(
    a_bank: Any,
    p_events: Any,
    start: Any,
    row: Any,
    first: Any,
    lanes: Any,
    index: Any,
    out: Any,
    stats: Any,
    channels: Any,
    channel: Any,
) -> None:
    """Write a panel's outputs from flat index `index` on, and add its account to the task's and its channels'."""
    for lane in range(lanes):
        out[index + lane] = a_bank[VALUE + lane]
        a_events = a_bank[EVENTS + lane]
        stats[STAT_P_EVENTS] += p_events[lane]
        stats[STAT_A_EVENTS] += a_events
        if p_events[lane] + a_events > 0:
            stats[STAT_AFFECTED] += 1
        if p_events[lane] > 0:
            stats[STAT_FIRST_P] = min(stats[STAT_FIRST_P], index + lane)
        if a_events > 0:
            stats[STAT_FIRST_A] = min(stats[STAT_FIRST_A], index + lane)
        begin = start[row, first + lane]
        least = add_modulo(begin, a_bank[LEAST + lane])
        greatest = add_modulo(begin, a_bank[GREATEST + lane])
        beyond = least > begin or greatest < begin
        if beyond:
            stats[STAT_A_BEYOND] = 1
        stats[STAT_A_WIDTHS + (WIDTHS - 1 if beyond else width_of(least, greatest))] += 1
        stats[STAT_A_LEAST] = min(stats[STAT_A_LEAST], least)
        stats[STAT_A_GREATEST] = max(stats[STAT_A_GREATEST], greatest)
        if channels.shape[0] > 0:
            entry = channels[channel + lane]
            entry[CHANNEL_P_EVENTS] += p_events[lane]
            entry[CHANNEL_A_EVENTS] += a_events
            entry[CHANNEL_A_LEAST] = min(entry[CHANNEL_A_LEAST], least)
            entry[CHANNEL_A_GREATEST] = max(entry[CHANNEL_A_GREATEST], greatest)
            if beyond:
                entry[CHANNEL_A_BEYOND] = 1


@kernel(inline=True)
def _open_task(stats: Any, p32: Any, p64: Any) -> None:
    """Set a task's account and its partial-sum banks to zero."""
    clear(p32, 0, SIZE)
    clear(p64, 0, SIZE)
    for i in range(STATS_LENGTH):
        stats[i] = 0
    stats[STAT_FIRST_P] = NONE
    stats[STAT_FIRST_A] = NONE


@kernel(inline=True)
def _close_task(stats: Any, p32: Any, p64: Any) -> None:
    """Note the least and greatest exact partial sum of a task."""
    for lane in range(LANES):
        least = min(np.int64(p32[LEAST + lane]), p64[LEAST + lane])
        greatest = max(np.int64(p32[GREATEST + lane]), p64[GREATEST + lane])
        stats[STAT_P_LEAST] = min(stats[STAT_P_LEAST], least)
        stats[STAT_P_GREATEST] = max(stats[STAT_P_GREATEST], greatest)


@kernel(inline=True)
def _close_panel(stats: Any, p32: Any, p64: Any, lanes: Any, channels: Any, channel: Any) -> None:
    """Where channels are asked for, move the extremes of a panel's partial sums to them before the next panel's."""
    if channels.shape[0] == 0:
        return
    _close_task(stats, p32, p64)
    for lane in range(lanes):
        entry = channels[channel + lane]
        least = min(np.int64(p32[LEAST + lane]), p64[LEAST + lane])
        greatest = max(np.int64(p32[GREATEST + lane]), p64[GREATEST + lane])
        entry[CHANNEL_P_LEAST] = min(entry[CHANNEL_P_LEAST], least)
        entry[CHANNEL_P_GREATEST] = max(entry[CHANNEL_P_GREATEST], greatest)
    clear(p32, LEAST, EVENTS)
    clear(p64, LEAST, EVENTS)


@kernel(inline=True)
def _sum_weight_stationary(
    values: Any, indices: Any, found: Any, panel: Any, plan: Any, p32: Any, p64: Any, a32: Any, a_bank: Any
) -> None:
    """Sum the listed operands of one pixel for one panel, fold by fold."""
    bits = plan[PLAN_P_BITS]
    low, high, saturates = low_end(bits), high_end(bits), plan[PLAN_P_SATURATES] != 0
    if plan[PLAN_A_INT32] != 0:
        for j in range(SIZE):
            a32[j] = a_bank[j]
    begin = 0
    while begin < found:
        # A fold without a nonzero operand adds P = 0 to A: nothing happens.
        fold_end = (indices[begin] // plan[PLAN_FOLD] + 1) * plan[PLAN_FOLD]
        end = begin + 1
        while end < found and indices[end] < fold_end:
            end += 1
        if plan[PLAN_INT32] != 0:
            add_int32(values, indices, begin, end, panel, p32, low, high, saturates)
        else:
            add_int64(values, indices, begin, end, panel, p64, low, high, 64 - bits, saturates)
        _add_partial_sums(plan, p32, p64, a32, a_bank)
        begin = end
    if plan[PLAN_A_INT32] != 0:
        for j in range(SIZE):
            a_bank[j] = a32[j]


@kernel(inline=True)
def _sum_output_stationary(values: Any, indices: Any, found: Any, panel: Any, plan: Any, p32: Any, a_bank: Any) -> None:
    """Sum the listed operands of one pixel for one panel in the accumulators alone."""
    bits = plan[PLAN_A_BITS]
    low, high, saturates = low_end(bits), high_end(bits), plan[PLAN_A_SATURATES] != 0
    if plan[PLAN_INT32] != 0:
        for j in range(SIZE):
            p32[j] = a_bank[j]
        add_int32(values, indices, 0, found, panel, p32, low, high, saturates)
        for j in range(SIZE):
            a_bank[j] = p32[j]
        clear(p32, 0, SIZE)
    else:
        add_int64(values, indices, 0, found, panel, a_bank, low, high, 64 - bits, saturates)


@kernel()
def conv_steps_task(
    x: Any, panels: Any, start: Any, geometry: Any, plan: Any, begin: Any, end: Any, out: Any, stats: Any, channels: Any
) -> None:
    """Sum output pixels begin..end of a convolution (all groups and channels) step by step.

    Parameters
    ----------
    x
        int32 [batch * height * width, channels], zero point subtracted.
    panels
        int32 [groups, panels of a group, K, LANES], zero points subtracted, last panel filled up with zeros.
    start
        int64 [1 or pixels, groups * panels of a group * LANES], start values, filled up likewise.
    geometry, plan
        int64 [geo.LENGTH] and [PLAN_LENGTH].
    begin, end
        Output pixels.
    out
        int64 [pixels * filters], flat NHWC, written.
    stats
        int64 [STATS_LENGTH], written.
    channels
        int64 [channels of all groups, CHANNEL_LENGTH], zeros, written; [0, CHANNEL_LENGTH] = not asked for.

    """
    filters, groups = geometry[geo.FILTERS], geometry[geo.GROUPS]
    length = panels.shape[2]
    values = np.empty((PIXELS, length + 1), np.int32)
    indices = np.empty((PIXELS, length + 1), np.int32)
    found = np.empty(PIXELS, np.int64)
    p32 = np.empty(SIZE, np.int32)
    a32 = np.empty(SIZE, np.int32)
    p64 = np.empty(SIZE, np.int64)
    a_bank = np.empty(SIZE, np.int64)
    p_events = np.empty(LANES, np.int64)
    _open_task(stats, p32, p64)
    for block in range(begin, end, PIXELS):
        block_end = min(block + PIXELS, end)
        for group in range(groups):
            for pixel in range(block, block_end):
                i = pixel - block
                found[i] = geo.gather_nonzero(x, geometry, pixel, group, values[i], indices[i])
            for number in range(panels.shape[1]):
                first = (group * panels.shape[1] + number) * LANES
                lanes = min(LANES, filters - number * LANES)
                channel = group * filters + number * LANES
                for pixel in range(block, block_end):
                    i = pixel - block
                    row = pixel if start.shape[0] > 1 else 0
                    panel = panels[group, number]
                    _start(start, row, first, plan, a_bank, p_events)
                    if plan[PLAN_FOLD] > 0:
                        _sum_weight_stationary(values[i], indices[i], found[i], panel, plan, p32, p64, a32, a_bank)
                        _take_events(p32, p64, p_events)
                    else:
                        _sum_output_stationary(values[i], indices[i], found[i], panel, plan, p32, a_bank)
                    index = pixel * groups * filters + channel
                    _finish(a_bank, p_events, start, row, first, lanes, index, out, stats, channels, channel)
                _close_panel(stats, p32, p64, lanes, channels, channel)
    _close_task(stats, p32, p64)


@kernel()
def depthwise_steps_task(
    x: Any,
    weights: Any,
    start: Any,
    geometry: Any,
    plan: Any,
    begin: Any,
    end: Any,
    out: Any,
    stats: Any,
    channels: Any,
) -> None:
    """Sum output pixels begin..end of a depthwise convolution step by step.

    Parameters
    ----------
    x
        int32 [batch * height * width, padded channels]: channel o is what filter o reads, filled up to whole panels.
    weights
        int32 [taps, padded channels].
    start
        int64 [1, padded channels].
    geometry, plan, begin, end, out, stats, channels
        As in `conv_steps_task`.

    """
    filters = geometry[geo.FILTERS] * geometry[geo.GROUPS]
    p32 = np.empty(SIZE, np.int32)
    p64 = np.empty(SIZE, np.int64)
    a_bank = np.empty(SIZE, np.int64)
    p_events = np.empty(LANES, np.int64)
    taps = geometry[geo.KERNEL_H] * geometry[geo.KERNEL_W]
    _open_task(stats, p32, p64)
    fold = plan[PLAN_FOLD] if plan[PLAN_FOLD] > 0 else taps
    bits = plan[PLAN_P_BITS] if plan[PLAN_FOLD] > 0 else plan[PLAN_A_BITS]
    saturates = (plan[PLAN_P_SATURATES] if plan[PLAN_FOLD] > 0 else plan[PLAN_A_SATURATES]) != 0
    low, high = low_end(bits), high_end(bits)
    for pixel in range(begin, end):
        for first in range(0, x.shape[1], LANES):
            _start(start, 0, first, plan, a_bank, p_events)
            for fold_begin in range(0, taps, fold):
                bank = p64 if plan[PLAN_FOLD] > 0 else a_bank
                for k in range(fold_begin, min(fold_begin + fold, taps)):
                    row = geo.source_row(geometry, pixel, k // geometry[geo.KERNEL_W], k % geometry[geo.KERNEL_W])
                    if row < 0:
                        continue
                    a, w = x[row, first : first + LANES], weights[k, first : first + LANES]
                    for lane in range(LANES):
                        product = np.int64(np.int64(a[lane]) * np.int64(w[lane]))
                        account(bank, lane, product, product, low, high, 64 - bits, saturates)
                if plan[PLAN_FOLD] > 0:
                    _add_partial_sums(plan, p32, p64, p32, a_bank)
            _take_events(p32, p64, p_events)
            lanes = min(LANES, filters - first)
            _finish(a_bank, p_events, start, 0, first, lanes, pixel * filters + first, out, stats, channels, first)
            _close_panel(stats, p32, p64, lanes, channels, first)
    _close_task(stats, p32, p64)
