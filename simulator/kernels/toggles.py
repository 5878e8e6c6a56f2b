"""Stepping a register that wraps in two instructions a step, with the count of its events.

Let S be the exact running sum and T = S + 2^(n - 1). A register of n bits holds T mod 2^n - 2^(n - 1), and an
addition is an event exactly if floor(T / 2^n) changes: if the register and the product together leave the register's
range. Where no product is greater than 2^(n - 1) that floor moves by at most 1, so it changes exactly if its lowest
bit, which is bit n of T, does: events are the toggles of one bit of a sum modulo 2^(n + 1).

T is held raised by 31 - n, so that this is the top bit of a lane, and so are the products (activations by s1, weights
by s2, both within int16: |product| * 2^(31 - n) <= 2^30 is then the condition above). A step is vpdpwssd, whose
addition is modulo 2^32, and vpshldd, which shifts the top bit into a history of 32 steps, H. The top bit is put to 0
when a history begins (T counts modulo 2^n), so the toggles are the ones of H ^ (H >> 1).
"""

from __future__ import annotations

from typing import Any

from simulator.kernels.tally import raise_shifts
from simulator.kernels.vector_ir import I32, Lanes

_TOP = -(1 << 31)


class Toggles:
    """Writes the steps of registers that wrap."""

    def __init__(self, lanes: Lanes, raised: Any) -> None:
        builder = lanes.builder
        self.lanes, self.raised = lanes, lanes.splat(builder.trunc(raised, I32))
        self.bias = lanes.constant(1 << 30)
        self.half = builder.lshr(self.bias, self.raised)

    def open(self, value: Any) -> list[Any]:
        """Return the state of a register: T raised, and the history."""
        builder = self.lanes.builder
        held = builder.add(builder.shl(value, self.raised), self.bias)
        state = [self.lanes.variable(self.lanes.constant(0)) for _ in range(2)]
        builder.store(held, state[0])
        return state

    def begin(self, state: list[Any]) -> None:
        """Begin a period of at most 32 steps."""
        builder, (register, history) = self.lanes.builder, state
        builder.store(builder.and_(builder.load(register), self.lanes.constant(~_TOP)), register)
        builder.store(self.lanes.constant(0), history)

    def step(self, state: list[Any], a: Any, b: Any) -> None:
        """Add the products of two vectors, of which at most one in a lane is not 0."""
        builder, (register, history) = self.lanes.builder, state
        held = self.lanes.add_pair_products(builder.load(register), a, b)
        builder.store(held, register)
        builder.store(self.lanes.shift_in_top_bit(builder.load(history), held), history)

    def events(self, state: list[Any], steps: Any) -> Any:
        """Return the events of the period."""
        builder, lanes = self.lanes.builder, self.lanes
        history = builder.load(state[1])
        return lanes.count_ones(builder.xor(history, builder.lshr(history, lanes.constant(1))))

    def close(self, state: list[Any]) -> Any:
        """Return the register's value."""
        builder = self.lanes.builder
        held = builder.and_(builder.load(state[0]), self.lanes.constant(~_TOP))
        return builder.sub(builder.lshr(held, self.raised), self.half)


def toggle_shifts(bits: int, activations: tuple[int, int], weights: tuple[int, int]) -> tuple[int, int] | None:
    """Return by how many bits activations and weights are raised to count toggles, or None where that does not hold.

    Parameters
    ----------
    bits
        Width of the register.
    activations, weights
        Least and greatest of each, zero points subtracted.

    """
    return raise_shifts(31 - bits, activations, weights) if bits <= 31 else None
