"""Stepping a register that saturates by vpdpwssds, whose rails are the register's own, with its events counted.

The register of n bits is held raised by s = 32 - n bits, and so are the products (activations by s1, weights by s2,
s1 + s2 = s, both within int16). Its rails are then those of int32, and the low s bits are free: they are armed with
c = 2^h, h = floor(s / 2). One product is added a step, the other activation of the pair being 0. Afterwards the low
bits read c if nothing happened, 2^s - 1 after saturation at the upper rail, 0 after saturation at the lower.

Summed over T steps, modulo 2^s, they give low = c * quiet - upper, where `quiet` steps were no event and `upper` ended
at the upper rail. With T < min(c, 2^(s - h)): if quiet > 0, quiet = ceil(low / c), for 0 <= upper < c; if quiet = 0,
low is 2^s - upper or 0, and ceil(low / c) is 2^(s - h) or 0, which is 0 modulo 2^(s - h). So
quiet = ceil(low / c) mod 2^(s - h), and there were T - quiet events.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from simulator.kernels.vector_ir import I32, Lanes


class Tally:
    """Writes the steps of registers that saturate."""

    def __init__(self, lanes: Lanes, raised: Any) -> None:
        builder = lanes.builder
        raised = builder.trunc(raised, I32)
        half = builder.lshr(raised, ir.Constant(I32, 1))
        one = lanes.constant(1)
        self.lanes, self.raised, self.half = lanes, lanes.splat(raised), lanes.splat(half)
        self.armed = builder.shl(one, self.half)
        self.low_bits = builder.sub(builder.shl(one, self.raised), one)
        self.quiet_bits = builder.sub(builder.shl(one, builder.sub(self.raised, self.half)), one)

    def open(self, value: Any) -> list[Any]:
        """Return the state of a register: raised and armed, and the sum of what it was after each step."""
        builder = self.lanes.builder
        state = [self.lanes.variable(self.lanes.constant(0)) for _ in range(2)]
        builder.store(builder.or_(builder.shl(value, self.raised), self.armed), state[0])
        return state

    def begin(self, state: list[Any]) -> None:
        """Begin a period of fewer steps than `tally_shifts` was asked for."""
        self.lanes.builder.store(self.lanes.constant(0), state[1])

    def step(self, state: list[Any], a: Any, b: Any) -> None:
        """Add the products of two vectors, of which at most one in a lane is not 0."""
        builder, (register, total) = self.lanes.builder, state
        saturated = self.lanes.add_pair_products_saturating(builder.load(register), a, b)
        builder.store(builder.add(builder.load(total), saturated), total)
        kept = builder.and_(saturated, builder.not_(self.low_bits))
        builder.store(builder.or_(kept, self.armed), register)

    def events(self, state: list[Any], steps: Any) -> Any:
        """Return the events of the period."""
        return self.lanes.builder.sub(self.lanes.splat(steps), self._quiet(self.lanes.builder.load(state[1])))

    def close(self, state: list[Any]) -> Any:
        """Return the register's value."""
        return self.lanes.builder.ashr(self.lanes.builder.load(state[0]), self.raised)

    def _quiet(self, total: Any) -> Any:
        """Return how many steps were no event, from the sum of the registers."""
        builder, lanes = self.lanes.builder, self.lanes
        low = builder.and_(total, self.low_bits)
        up = builder.add(low, builder.sub(self.armed, lanes.constant(1)))
        return builder.and_(builder.lshr(up, self.half), self.quiet_bits)


def tally_shifts(
    bits: int, steps: int, activations: tuple[int, int], weights: tuple[int, int]
) -> tuple[int, int] | None:
    """Return by how many bits activations and weights are raised for a tally, or None where it does not hold.

    Parameters
    ----------
    bits
        Width of the register.
    steps
        Steps between two readings.
    activations, weights
        Least and greatest of each, zero points subtracted.

    """
    raised = 32 - bits
    half = raised // 2
    if raised < 1 or steps >= min(1 << half, 1 << (raised - half)):
        return None
    return raise_shifts(raised, activations, weights)


def raise_shifts(raised: int, activations: tuple[int, int], weights: tuple[int, int]) -> tuple[int, int] | None:
    """Return how to raise products by `raised` bits, by raising activations and weights within int16, or None."""
    of_activations, of_weights = _most(activations), _most(weights)
    if of_activations + of_weights < raised:
        return None
    shift = min(of_activations, raised)
    return shift, raised - shift


def _most(ends: tuple[int, int]) -> int:
    """Bits by which numbers between two ends can be raised within int16."""
    return max(shift for shift in range(16) if ends[0] << shift >= -(1 << 15) and ends[1] << shift < 1 << 15)
