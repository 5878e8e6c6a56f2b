"""A bank of registers, one per output channel of a panel, and the account of each, on int32 or int64 lanes.

A bank is one flat array of SIZE numbers in five sections of LANES: the register, the exact sum of what was added
(start value excluded), least and greatest of that sum (0 included), and the number of events. One array with constant
offsets, since LLVM then proves that the sections do not overlap and vectorises over the lanes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.kernels._jit import kernel

LANES = 32
"""Output channels of a panel."""
VALUE = 0
EXACT = LANES
LEAST = 2 * LANES
GREATEST = 3 * LANES
EVENTS = 4 * LANES
SIZE = 5 * LANES
"""Length of a bank."""


@kernel(inline=True)
def clear(bank: Any, begin: Any, end: Any) -> None:
    """Set the sections from `begin` to `end` of a bank to zero."""
    for j in range(begin, end):
        bank[j] = 0


@kernel(inline=True)
def add_modulo(a: Any, b: Any) -> Any:
    """Add two int64 modulo 2^64.

    In uint64: Numba tells LLVM that a signed sum never overflows, and LLVM then drops tests for it.
    """
    return np.int64(np.uint64(np.int64(a)) + np.uint64(np.int64(b)))


@kernel(inline=True)
def step(register: Any, addend: Any, low: Any, high: Any, spare_bits: Any, saturating: Any) -> Any:
    """Add to one register of 64 - spare_bits bits, all in int64; return its new value and whether that was an event.

    The exact sum may need 65 bits: it left int64 iff both operands have the sign that the sum has not.
    """
    total = add_modulo(register, addend)
    lost = ((register ^ total) & (addend ^ total)) < 0
    event = lost or total < low or total > high
    wrapped = np.int64(np.uint64(total) << np.uint64(spare_bits)) >> spare_bits
    rail = high if addend > 0 else low
    return (rail if event and saturating else wrapped), event


@kernel(inline=True)
def add_int32(
    values: Any, indices: Any, begin: Any, end: Any, panel: Any, bank: Any, low: Any, high: Any, saturating: Any
) -> None:
    """Add products begin..end to a bank of int32, one after another.

    Parameters
    ----------
    values, indices
        int32: operand and its k, as `gather_nonzero` lists them; one more entry than are used may be read.
    begin, end
        Which of them.
    panel
        int32 [K, LANES], weights.
    bank
        int32 [SIZE], updated.
    low, high
        Ends of the register; high + |product| and every exact sum are below 2^31.
    saturating
        Saturate rather than wrap.

    """
    low = np.int32(low)
    high = np.int32(high)
    mask = np.int32(high - low)
    for i in range(begin, end, 4):
        # A step past the end adds zero, which changes nothing.
        k0, k1 = indices[i], indices[min(i + 1, end - 1)]
        k2, k3 = indices[min(i + 2, end - 1)], indices[min(i + 3, end - 1)]
        a0 = np.int32(values[i])
        a1 = np.int32(values[i + 1] if i + 1 < end else 0)
        a2 = np.int32(values[i + 2] if i + 2 < end else 0)
        a3 = np.int32(values[i + 3] if i + 3 < end else 0)
        w0, w1, w2, w3 = panel[k0], panel[k1], panel[k2], panel[k3]
        for lane in range(LANES):
            j = np.uint64(lane)
            register = bank[j]
            exact = bank[np.uint64(EXACT) + j]
            least = bank[np.uint64(LEAST) + j]
            greatest = bank[np.uint64(GREATEST) + j]
            events = bank[np.uint64(EVENTS) + j]
            for product in (
                np.int32(a0 * w0[j]),
                np.int32(a1 * w1[j]),
                np.int32(a2 * w2[j]),
                np.int32(a3 * w3[j]),
            ):
                exact = np.int32(exact + product)
                least = min(least, exact)
                greatest = max(greatest, exact)
                total = np.int32(register + product)
                if saturating:
                    register = min(max(total, low), high)
                else:
                    register = np.int32(np.int32(np.int32(total - low) & mask) + low)
                events = np.int32(events + np.int32(register != total))
            bank[j] = register
            bank[np.uint64(EXACT) + j] = exact
            bank[np.uint64(LEAST) + j] = least
            bank[np.uint64(GREATEST) + j] = greatest
            bank[np.uint64(EVENTS) + j] = events


@kernel(inline=True)
def drain_int32(source: Any, bank: Any, low: Any, high: Any, saturating: Any) -> None:
    """Add each register of one bank of int32 to that of another, and clear the first but for its events and extremes.

    Parameters
    ----------
    source
        int32 [SIZE], partial sums.
    bank
        int32 [SIZE], accumulators.
    low, high, saturating
        The accumulators; any sum of the two registers, and every exact sum, is below 2^31.

    """
    low = np.int32(low)
    high = np.int32(high)
    mask = np.int32(high - low)
    for lane in range(LANES):
        j = np.uint64(lane)
        exact = np.int32(bank[np.uint64(EXACT) + j] + source[np.uint64(EXACT) + j])
        bank[np.uint64(EXACT) + j] = exact
        bank[np.uint64(LEAST) + j] = min(bank[np.uint64(LEAST) + j], exact)
        bank[np.uint64(GREATEST) + j] = max(bank[np.uint64(GREATEST) + j], exact)
        total = np.int32(bank[j] + source[j])
        register = min(max(total, low), high) if saturating else np.int32(np.int32(np.int32(total - low) & mask) + low)
        bank[j] = register
        bank[np.uint64(EVENTS) + j] = np.int32(bank[np.uint64(EVENTS) + j] + np.int32(register != total))
        source[j] = 0
        source[np.uint64(EXACT) + j] = 0


@kernel(inline=True)
def account(
    bank: Any, lane: Any, addend: Any, exact_addend: Any, low: Any, high: Any, spare_bits: Any, saturating: Any
) -> None:
    """Add to one register of an int64 bank, and update its account.

    Parameters
    ----------
    bank
        int64 [SIZE], updated.
    lane
        Which register.
    addend, exact_addend
        What the device adds, and what it would add had nothing overflowed before.
    low, high, spare_bits, saturating
        The register; spare_bits = 64 - width.

    """
    j = np.uint64(lane)
    exact = np.int64(bank[np.uint64(EXACT) + j] + exact_addend)
    bank[np.uint64(EXACT) + j] = exact
    bank[np.uint64(LEAST) + j] = min(bank[np.uint64(LEAST) + j], exact)
    bank[np.uint64(GREATEST) + j] = max(bank[np.uint64(GREATEST) + j], exact)
    bank[j], event = step(bank[j], addend, low, high, spare_bits, saturating)
    bank[np.uint64(EVENTS) + j] += np.int64(event)


@kernel(inline=True)
def add_int64(
    values: Any,
    indices: Any,
    begin: Any,
    end: Any,
    panel: Any,
    bank: Any,
    low: Any,
    high: Any,
    spare_bits: Any,
    saturating: Any,
) -> None:
    """Add products begin..end to a bank of int64, one after another; parameters as `add_int32`, any width to 64."""
    for i in range(begin, end):
        a = np.int64(values[i])
        w = panel[indices[i]]
        for lane in range(LANES):
            product = np.int64(a * np.int64(w[np.uint64(lane)]))
            account(bank, lane, product, product, low, high, spare_bits, saturating)
