"""Stepping a register by vpdpwssds, whose saturation at int32 is the register's own, with the count of events.

The register of n bits is held raised by s = 32 - n bits, and so are the products (activations by s1, weights by s2,
s1 + s2 = s, both within int16). Its rails are then those of int32, and the low s bits are free: they are armed with
c = 2^h, h = floor(s / 2). One product is added a step, the other activation of the pair being 0. Afterwards the low
bits read c if nothing happened, 2^s - 1 after saturation at the upper rail, 0 after saturation at the lower.

Summed over T steps, modulo 2^s, they give low = c * quiet - upper, where `quiet` steps were no event and `upper` ended
at the upper rail. With T < min(c, 2^(s - h)): if quiet > 0, quiet = ceil(low / c), for 0 <= upper < c; if quiet = 0,
low is 2^s - upper or 0, and ceil(low / c) is 2^(s - h) or 0, which is 0 modulo 2^(s - h). So
quiet = ceil(low / c) mod 2^(s - h), and there were T - quiet events. A wrapping register takes vpdpwssd, which leaves
the low bits armed, and vpdpwssds beside it for the tally alone: both agree on whether the step was an event.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from simulator.kernels.dot_tile import GROUP_BYTES
from simulator.kernels.vector_ir import I16, I32, Lanes, cgutils, constant64, load_scalar, offset


class Tally:
    """Writes the steps of one row of a tile."""

    def __init__(self, lanes: Lanes, shift_a: Any, shift_w: Any, groups: Any) -> None:
        builder = lanes.builder
        self.lanes, self.groups = lanes, groups
        self.shift_a, self.shift_w = builder.trunc(shift_a, I16), builder.trunc(shift_w, I16)
        raised = builder.trunc(builder.add(shift_a, shift_w), I32)
        half = builder.lshr(raised, ir.Constant(I32, 1))
        one = lanes.constant(1)
        self.raised, self.half = lanes.splat(raised), lanes.splat(half)
        self.armed = builder.shl(one, self.half)
        self.low_bits = builder.sub(builder.shl(one, self.raised), one)
        self.quiet_bits = builder.sub(builder.shl(one, builder.sub(self.raised, self.half)), one)

    def step(self, row_at: Any, weights: Any, at: list[Any], events_at: list[Any], *, saturates: bool) -> None:
        """Add a block to the registers and counts at some addresses, one of each for every vector."""
        builder, lanes, vectors = self.lanes.builder, self.lanes, range(len(at))
        row_bytes = len(at) * lanes.bytes
        registers, sums = ([lanes.variable(lanes.constant(0)) for _ in vectors] for _ in range(2))
        for v in vectors:
            raised = builder.shl(lanes.load(at[v]), self.raised)
            builder.store(builder.or_(raised, self.armed), registers[v])
            builder.store(lanes.constant(0), sums[v])
        with cgutils.for_range(builder, self.groups) as group:
            a_at = builder.add(row_at, builder.mul(group.index, constant64(GROUP_BYTES)))
            pair = self._raise(lanes.splat(load_scalar(builder, a_at, I32)), self.shift_a)
            b_at = builder.add(weights, builder.mul(group.index, constant64(row_bytes)))
            b = [self._raise(lanes.load(offset(builder, b_at, v * lanes.bytes)), self.shift_w) for v in vectors]
            for mask in (0xFFFF, -0x10000):
                a = builder.and_(pair, lanes.constant(mask))
                for v in vectors:
                    self._add(registers[v], sums[v], a, b[v], saturates=saturates)
        steps = lanes.splat(builder.trunc(builder.shl(self.groups, constant64(1)), I32))
        for v in vectors:
            lanes.store(builder.ashr(builder.load(registers[v]), self.raised), at[v])
            events = builder.sub(steps, self._quiet(builder.load(sums[v])))
            lanes.store(builder.add(lanes.load(events_at[v]), events), events_at[v])

    def _add(self, register: Any, total: Any, a: Any, b: Any, *, saturates: bool) -> None:
        builder, lanes = self.lanes.builder, self.lanes
        held = builder.load(register)
        saturated = lanes.add_pair_products_saturating(held, a, b)
        builder.store(builder.add(builder.load(total), saturated), total)
        if saturates:
            kept = builder.and_(saturated, builder.not_(self.low_bits))
            builder.store(builder.or_(kept, self.armed), register)
        else:
            builder.store(lanes.add_pair_products(held, a, b), register)

    def _quiet(self, total: Any) -> Any:
        """Return how many steps were no event, from the sum of the registers."""
        builder, lanes = self.lanes.builder, self.lanes
        low = builder.and_(total, self.low_bits)
        up = builder.add(low, builder.sub(self.armed, lanes.constant(1)))
        return builder.and_(builder.lshr(up, self.half), self.quiet_bits)

    def _raise(self, vector: Any, shift: Any) -> Any:
        """Shift each int16 of a vector left."""
        builder = self.lanes.builder
        kind = ir.VectorType(I16, 2 * self.lanes.count)
        first = builder.insert_element(ir.Constant(kind, ir.Undefined), shift, ir.Constant(I32, 0))
        zeros = ir.Constant(ir.VectorType(I32, kind.count), [0] * kind.count)
        amount = builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), zeros)
        return builder.bitcast(builder.shl(builder.bitcast(vector, kind), amount), self.lanes.type)


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
    of_activations, of_weights = _most(activations), _most(weights)
    if of_activations + of_weights < raised:
        return None
    shift = min(of_activations, raised)
    return shift, raised - shift


def _most(ends: tuple[int, int]) -> int:
    """Bits by which numbers between two ends can be raised within int16."""
    return max(shift for shift in range(16) if ends[0] << shift >= -(1 << 15) and ends[1] << shift < 1 << 15)
