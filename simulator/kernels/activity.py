"""Bits that toggle in the registers of the array, and operands that are zero: see docs/activity.md.

A register holds a two's complement value; a bit toggles where the value it takes differs from the one it held.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.kernels import geometry as geo
from simulator.kernels._jit import kernel, specialized
from simulator.kernels.geometry import gather_row
from simulator.kernels.registers import step
from simulator.kernels.steps import high_end, low_end

LANES = 32
"""Filters of a panel, whose partial sums are formed side by side."""

PLAN_FOLD = 0
"""k of a fold; 0 = output stationary."""
PLAN_BITS = 1
"""Width of the register."""
PLAN_SATURATES = 2
"""1 where sums must be held at the rails: on int64, addition by addition."""
PLAN_LENGTH = 3


@kernel(inline=True)
def ones32(bits: Any) -> Any:
    """How many of the 32 bits of a uint32 are 1."""
    pairs = np.uint32(bits - np.uint32(np.uint32(bits >> np.uint32(1)) & np.uint32(0x55555555)))
    even = np.uint32(pairs & np.uint32(0x33333333))
    odd = np.uint32(np.uint32(pairs >> np.uint32(2)) & np.uint32(0x33333333))
    nibbles = np.uint32(even + odd)
    octets = np.uint32(np.uint32(nibbles + np.uint32(nibbles >> np.uint32(4))) & np.uint32(0x0F0F0F0F))
    halves = np.uint32(octets + np.uint32(octets >> np.uint32(8)))
    return np.uint32(np.uint32(halves + np.uint32(halves >> np.uint32(16))) & np.uint32(63))


@kernel(inline=True)
def ones64(bits: Any) -> Any:
    """How many of the 64 bits of a uint64 are 1."""
    low = ones32(np.uint32(bits & np.uint64(0xFFFFFFFF)))
    return np.int64(low) + np.int64(ones32(np.uint32(bits >> np.uint64(32))))


@kernel()
def operand_task(x: Any, geometry: Any, stationary: Any, mask: Any, begin: Any, end: Any, zeros: Any) -> Any:
    """Count toggles and zeros of the activations of output pixels begin..end.

    Parameters
    ----------
    x
        int32 [batch * height * width, channels of all groups], zero point subtracted.
    geometry
        int64 [geometry.LENGTH].
    stationary
        1 = weight stationary: the register of each k takes one pixel after another, from 0 on; 0 = output stationary:
        the register of a pixel takes one k after another, from 0 on.
    mask
        The bits of the register.
    begin, end
        Which pixels.
    zeros
        int64 [groups, K], raised by the pixels whose operand is zero.

    Returns
    -------
    int
        Toggled bits, of one column of the array.

    """
    length = zeros.shape[1]
    row, before = np.zeros(length, np.int32), np.zeros(length, np.int32)
    mask = np.uint32(mask)
    toggled = np.int64(0)
    for group in range(geometry[geo.GROUPS]):
        for k in range(length):
            before[k] = 0
        if begin > 0:
            gather_row(x, geometry, begin - 1, group, 0, before)
        for pixel in range(begin, end):
            gather_row(x, geometry, pixel, group, 0, row)
            for k in range(length):
                held = before[k] if stationary else (row[k - 1] if k > 0 else np.int32(0))
                toggled += np.int64(ones32(np.uint32(np.uint32(row[k] ^ held) & mask)))
                zeros[group, k] += 1 if row[k] == 0 else 0
                before[k] = row[k]
    return toggled


@kernel(inline=True)
def _add32(operand: Any, weights: Any, sums: Any, held: Any, plan: Any, toggled: Any) -> None:
    """Add a product to the sum of every lane, modulo its width, and count what toggles, all in int32."""
    spare, stationary = np.uint32(32 - plan[PLAN_BITS]), plan[PLAN_FOLD] > 0
    mask = np.uint32(np.uint64(0xFFFFFFFF) >> np.uint64(spare))
    for lane in range(LANES):
        total = np.uint32(np.int64(sums[lane]) + np.int64(operand) * np.int64(weights[lane]))
        value = np.int32(np.int32(np.uint32(total << spare)) >> np.int32(spare))
        before = held[lane] if stationary else sums[lane]
        toggled[lane] += np.int32(ones32(np.uint32(np.uint32(value ^ before) & mask)))
        sums[lane] = value
        held[lane] = value


@kernel(inline=True)
def _add64(operand: Any, weights: Any, sums: Any, held: Any, plan: Any, toggled: Any) -> None:
    """Add a product to the sum of every lane as the register does, and count what toggles, in int64."""
    bits, stationary = plan[PLAN_BITS], plan[PLAN_FOLD] > 0
    low, high, saturates = low_end(bits), high_end(bits), plan[PLAN_SATURATES] != 0
    mask = np.uint64(0xFFFFFFFFFFFFFFFF) >> np.uint64(64 - bits)
    for lane in range(LANES):
        product = np.int64(operand) * np.int64(weights[lane])
        value, _ = step(sums[lane], product, low, high, 64 - bits, saturates)
        before = held[lane] if stationary else sums[lane]
        toggled[lane] += np.int32(ones64(np.uint64(value ^ before) & mask))
        sums[lane] = value
        held[lane] = value


add_product, LANE = _add32, np.int32  # of the template; each kernel below has its own


def _sums_task(x: Any, panels: Any, start: Any, geometry: Any, plan: Any, begin: Any, end: Any) -> Any:
    """Count toggles of the sums of output pixels begin..end.

    sums32_task: registers of at most 32 bits that wrap, or have no event. sums64_task: any register.

    Parameters
    ----------
    x
        int32 [batch * height * width, channels of all groups], zero point subtracted.
    panels
        int32 [groups, blocks, K, LANES], weights, zero point subtracted; 0 in lanes without a filter.
    start
        int64 [1 or pixels, groups * blocks * LANES]: what an output-stationary accumulator begins with, as loaded.
    geometry
        int64 [geometry.LENGTH].
    plan
        int64 [PLAN_LENGTH].
    begin, end
        Which pixels.

    Returns
    -------
    int
        Toggled bits.

    """
    groups, blocks, length, _ = panels.shape
    stationary = plan[PLAN_FOLD] > 0
    fold = plan[PLAN_FOLD] if stationary else length
    known = min(begin, 1)  # the pixel before the first, whose sums the registers still hold
    rows = np.zeros((known + end - begin, length), np.int32)
    held = np.zeros((fold if stationary else 1, LANES), LANE)
    sums, toggled = np.zeros(LANES, LANE), np.zeros(LANES, np.int32)
    total = np.int64(0)
    for group in range(groups):
        for i in range(rows.shape[0]):
            gather_row(x, geometry, begin - known + i, group, 0, rows[i])
        for block in range(blocks):
            panel = panels[group, block]
            column = (group * blocks + block) * LANES
            for first in range(0, length, fold):
                held[:] = 0
                for i in range(rows.shape[0]):
                    pixel = begin - known + i
                    for lane in range(LANES):
                        begins = start[pixel if start.shape[0] > 1 else 0, column + lane]
                        sums[lane] = 0 if stationary else begins
                    for k in range(first, min(first + fold, length)):
                        add_product(rows[i, k], panel[k], sums, held[k - first if stationary else 0], plan, toggled)
                    count = np.int64(0)
                    for lane in range(LANES):
                        count += np.int64(toggled[lane])
                        toggled[lane] = 0
                    total += count if i >= known else 0
    return total


sums32_task = kernel()(specialized(_sums_task, "sums32_task", add_product=_add32, LANE=np.int32))
sums64_task = kernel()(specialized(_sums_task, "sums64_task", add_product=_add64, LANE=np.int64))
