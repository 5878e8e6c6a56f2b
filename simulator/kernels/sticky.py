"""Stepping a register in one instruction a step, with a flag that says whether it ever had an event.

A register of n bits that saturates is held raised by s = 32 - n bits, and so are the products (activations by s1,
weights by s2, s1 + s2 = s, both within int16). Its rails are then those of int32: vpdpwssds adds one product a step,
the other activation of the pair being 0, and clamps. The low s bits are free. They begin as 1, and products, multiples
of 2^s, leave them as they are; saturation makes them 2^s - 1 at the upper rail and 0 at the lower. With s > 1 neither
is 1, nor does it become 1 again, so they are 1 at the end exactly if there was no event.

What they hold does not move the rails: 2^s v + low, 0 <= low < 2^s, lies within int32 exactly if v lies within n bits.
"""

from __future__ import annotations

from typing import Any

from simulator.kernels.int16_steps import Closed
from simulator.kernels.tally import raise_shifts
from simulator.kernels.vector_ir import I32, Lanes


class _Sticky:
    """Writes the steps of registers that saturate."""

    def __init__(self, lanes: Lanes, raised: Any) -> None:
        builder = lanes.builder
        self.lanes, self.one = lanes, lanes.constant(1)
        self.raised = lanes.splat(builder.trunc(raised, I32))
        self.low_bits = builder.sub(builder.shl(self.one, self.raised), self.one)

    def _armed(self, value: Any) -> list[Any]:
        builder = self.lanes.builder
        return [self.lanes.variable(builder.or_(builder.shl(value, self.raised), self.one))]

    def step(self, state: list[Any], a: Any, b: Any) -> None:
        """Add the products of two vectors, of which at most one in a lane is not 0."""
        builder, (register,) = self.lanes.builder, state
        builder.store(self.lanes.add_pair_products_saturating(builder.load(register), a, b), register)

    def _flag(self, register: Any) -> Any:
        builder = self.lanes.builder
        low = builder.and_(register, self.low_bits)
        return builder.zext(builder.icmp_unsigned("!=", low, self.one), self.lanes.type)


class Sticky(_Sticky):
    """The same for a whole tile (`whole_tile`)."""

    span = 1
    """Vectors of registers that are stepped together."""
    in_pairs = True
    """Weights stand in pairs of k, and each activation in its place of the pair."""

    def open(self, values: list[Any]) -> list[Any]:
        """Return the state of registers: raised and armed."""
        (value,) = values
        return self._armed(value)

    def close(self, state: list[Any], exact: list[Any]) -> Closed:
        """Return the values of the registers, and 1 for each that had an event, else 0."""
        builder, register = self.lanes.builder, self.lanes.builder.load(state[0])
        return [builder.ashr(register, self.raised)], exact, [self._flag(register)]


class StickyCell(_Sticky):
    """The same for a cell of a list (`cell_steps`)."""

    def open(self, value: Any) -> list[Any]:
        """Return the state of a register: raised and armed."""
        return self._armed(value)

    def begin(self, state: list[Any]) -> None:
        """Begin a period: the flag stays as it is."""

    def events(self, state: list[Any], steps: Any) -> Any:
        """Return 1 for a register that has had an event since `open`, else 0."""
        return self._flag(self.lanes.builder.load(state[0]))

    def close(self, state: list[Any]) -> Any:
        """Return the register's value."""
        return self.lanes.builder.ashr(self.lanes.builder.load(state[0]), self.raised)


def sticky_shifts(bits: int, activations: tuple[int, int], weights: tuple[int, int]) -> tuple[int, int] | None:
    """Return by how many bits activations and weights are raised, or None where that does not hold.

    Parameters
    ----------
    bits
        Width of the register.
    activations, weights
        Least and greatest of each, zero points subtracted.

    """
    return raise_shifts(32 - bits, activations, weights) if bits <= 30 else None
