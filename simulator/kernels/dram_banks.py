"""`simulator/timing/dram_banks.py`, which says what happens here, compiled: the same cycles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulator.kernels._jit import kernel

Ints = NDArray[np.int64]

BANKS, ROW_BYTES, ACCESS_BYTES, RCD, RP, RAS, PACE, WR, RFC, REFI, NUMERATOR, DENOMINATOR, LOOKAHEAD = range(13)
"""Entries of `spec`, int64: geometry, cycles, bytes per cycle as a fraction, pieces that are looked ahead."""

TENSORS = 4
INPUT, WEIGHTS, BIAS, OUTPUT = range(TENSORS)

_NEXT_ACTIVATE, _NEXT_REFRESH, _OPEN = range(3)


@kernel()
def new_state(spec: Ints) -> Ints:
    """Return closed banks: next activate and refresh, open row and free cycle of each bank, ends of pieces."""
    banks = spec[BANKS]
    state = np.zeros(_OPEN + 2 * banks + spec[LOOKAHEAD], np.int64)
    state[_NEXT_REFRESH] = spec[REFI]
    state[_OPEN : _OPEN + banks] = -1
    return state


@kernel(inline=True)
def _refresh(spec: Ints, state: Ints, now: int) -> int:
    banks = spec[BANKS]
    free = _OPEN + banks
    while state[_NEXT_REFRESH] <= now:
        done = state[_NEXT_REFRESH]
        for i in range(banks):
            done = max(done, state[free + i])
        done += spec[RP] + spec[RFC]
        for i in range(banks):
            state[_OPEN + i], state[free + i] = -1, done
        state[_NEXT_REFRESH] += spec[REFI]
        now = max(now, done)
        idle = (now - state[_NEXT_REFRESH]) // spec[REFI]
        if idle > 0 and state[_NEXT_REFRESH] >= done:
            state[_NEXT_REFRESH] += idle * spec[REFI]
    return now


@kernel(inline=True)
def _open_row(spec: Ints, state: Ints, bank: int, row: int, known: int) -> int:
    free = _OPEN + spec[BANKS] + bank
    if state[_OPEN + bank] == row:
        return 0
    activate = max(known, state[free])
    if state[_OPEN + bank] >= 0:
        activate += spec[RP]
    activate = max(activate, state[_NEXT_ACTIVATE])
    state[_OPEN + bank] = row
    state[free] = activate + spec[RAS]
    state[_NEXT_ACTIVATE] = activate + spec[PACE]
    accessible: int = activate + spec[RCD]
    return accessible


@kernel()
def serve(
    spec: Ints, state: Ints, sizes: Ints, regions: Ints, first_tensor: int, last_tensor: int, asked: int, begin: int
) -> int:
    """Move a transfer's bytes; the cycle in which the last has passed.

    Parameters
    ----------
    sizes
        [TENSORS, 2] bytes and stretches of each tensor's region.
    regions
        [TENSORS, 2] first byte and span of each.
    first_tensor, last_tensor
        The transfer moves these and those between them.

    """
    carried = waited = served = 0
    end, banks, row_bytes, access = begin, spec[BANKS], spec[ROW_BYTES], spec[ACCESS_BYTES]
    numerator, denominator, lookahead = spec[NUMERATOR], spec[DENOMINATOR], spec[LOOKAHEAD]
    recovery = spec[WR] if first_tensor == OUTPUT else 0
    ends = _OPEN + 2 * banks
    for tensor in range(first_tensor, last_tensor + 1):
        size, first, span = sizes[tensor, 0], regions[tensor, 0], regions[tensor, 1]
        count = 1 if span <= size else max(1, min(sizes[tensor, 1], size))
        for i in range(count):
            start = first + i * span // count
            stop = start + size * (i + 1) // count - size * i // count
            while start < stop:
                row = start // row_bytes
                until = min(stop, (row + 1) * row_bytes)
                bank = (row + tensor * banks // TENSORS) % banks
                place = begin + waited - (-carried * denominator // numerator)
                known = asked
                if served >= lookahead:
                    known = max(asked, state[ends + served % lookahead])
                usable = _refresh(spec, state, place)
                opened = _open_row(spec, state, bank, row // banks * TENSORS + tensor, known)
                waited += max(usable, opened) - place
                carried += (-(-until // access) - start // access) * access
                end = begin + waited - (-carried * denominator // numerator)
                state[ends + served % lookahead] = end
                served += 1
                state[_OPEN + banks + bank] = max(state[_OPEN + banks + bank], end + recovery)
                start = until
    return end
