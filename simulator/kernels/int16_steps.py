"""Stepping registers of at most 16 bits on lanes of int16, twice as many of them, where int16 holds every product.

Let e = register + product, exactly. vpmullw gives the product, vpaddsw e held to int16, vpaddw e modulo 2^16. A
register of 16 bits is the one where it saturates and the other where it wraps, and e is an event exactly if these
differ.

One of n < 16 bits that saturates is e held to int16 and then to its own rails, which lie within int16. It differs from
e modulo 2^16 exactly if e is an event: beyond int16 these are a rail and e -+ 2^16, and were they the same, the
product, which is e less what the register held, would be 2^16 or more in magnitude.

In a block with AW < 2^16 (`guarded_tile`) a register of 16 bits needs no comparison at each step (`ShortWords`). By
Cauchy-Schwarz no stretch of products in it is as great as that, so none takes the register from one rail to beyond the
other, 2^16 apart: events are all at one rail, and each takes the register further from the exact sum to the same side.
What they take together is how far the exact sum was beyond the rail at most, less than 2^16. So the register ends at
the exact sum modulo 2^16, which is what one that wraps holds, exactly if it had no event.
"""

from __future__ import annotations

from typing import Any

from simulator.kernels.vector_ir import Lanes

BITS = 16
SHORT = 1 << (BITS - 1)
"""AW / 2 below which a block is short."""


Closed = tuple[list[Any], list[Any], list[Any]]
"""Vectors of int32: what registers hold if they saturate, and if they wrap; and what was found of their events."""


class _Words:
    """Registers on lanes of int16, of one vector of int32 or of two side by side."""

    in_pairs = False
    """Weights stand one k after another."""

    def __init__(self, lanes: Lanes) -> None:
        self.lanes, self.span = lanes, min(2, lanes.isa.vectors)

    def _opened(self, values: list[Any]) -> Any:
        return self.lanes.variable(self.lanes.join_words(values))

    def _nothing(self, values: list[Any]) -> Any:
        words = self.lanes.join_words(values).type
        return self.lanes.variable(words(None))

    def _wide(self, words: Any, *, signed: bool) -> list[Any]:
        extend = self.lanes.builder.sext if signed else self.lanes.builder.zext
        return [extend(part, self.lanes.type) for part in self.lanes.parts_of_words(words)]


class ShortWords(_Words):
    """Writes the steps of registers of 16 bits in a block that is short, and whether they had an event."""

    def open(self, values: list[Any]) -> list[Any]:
        """Return the state of registers: as they saturate, and as they wrap."""
        return [self._opened(values), self._opened(values)]

    def step(self, state: list[Any], a: Any, b: Any) -> None:
        """Add the product of two vectors of int16."""
        builder, (saturated, wrapped) = self.lanes.builder, state
        product = builder.mul(a, b)
        builder.store(self.lanes.add_words_saturating(builder.load(saturated), product), saturated)
        builder.store(builder.add(builder.load(wrapped), product), wrapped)

    def close(self, state: list[Any], exact: Any) -> Closed:
        """Return the values of the registers, and 1 for each that had an event, else 0."""
        builder = self.lanes.builder
        saturated, wrapped = (builder.load(part) for part in state)
        differ = builder.icmp_unsigned("!=", saturated, wrapped)
        return (
            self._wide(saturated, signed=True),
            self._wide(wrapped, signed=True),
            self._wide(differ, signed=False),
        )


class FlaggedWords(_Words):
    """Writes the steps of registers that saturate between any rails, and whether they had an event."""

    def __init__(self, lanes: Lanes, low: Any, high: Any) -> None:
        super().__init__(lanes)
        self.rails = tuple(lanes.join_words([rail] * self.span) for rail in (low, high))

    def open(self, values: list[Any]) -> list[Any]:
        """Return the state of registers: their values, and what is not 0 after an event."""
        return [self._opened(values), self._nothing(values)]

    def step(self, state: list[Any], a: Any, b: Any) -> None:
        """Add the product of two vectors of int16."""
        builder, lanes, (register, flags) = self.lanes.builder, self.lanes, state
        before, product = builder.load(register), builder.mul(a, b)
        held = lanes.clamp_words(lanes.add_words_saturating(before, product), *self.rails)
        differing = builder.xor(held, builder.add(before, product))
        builder.store(builder.or_(builder.load(flags), differing), flags)
        builder.store(held, register)

    def close(self, state: list[Any], exact: list[Any]) -> Closed:
        """Return the values of the registers, and 1 for each that had an event, else 0."""
        builder, flags = self.lanes.builder, self.lanes.builder.load(state[1])
        had_event = builder.icmp_unsigned("!=", flags, flags.type(None))
        return self._wide(builder.load(state[0]), signed=True), exact, self._wide(had_event, signed=False)


class CountedWords(_Words):
    """Writes the steps of registers of 16 bits, and how many of them were events."""

    def __init__(self, lanes: Lanes, *, saturates: bool) -> None:
        super().__init__(lanes)
        self.saturates = saturates

    def open(self, values: list[Any]) -> list[Any]:
        """Return the state of registers: their values, and their events."""
        return [self._opened(values), self._nothing(values)]

    def step(self, state: list[Any], a: Any, b: Any) -> None:
        """Add the product of two vectors of int16."""
        builder, lanes, (register, events) = self.lanes.builder, self.lanes, state
        before, product = builder.load(register), builder.mul(a, b)
        saturated, wrapped = lanes.add_words_saturating(before, product), builder.add(before, product)
        differ = builder.sext(builder.icmp_unsigned("!=", saturated, wrapped), product.type)
        builder.store(builder.sub(builder.load(events), differ), events)
        builder.store(saturated if self.saturates else wrapped, register)

    def close(self, state: list[Any], exact: Any) -> Closed:
        """Return the values of the registers, and their events."""
        values, events = (self.lanes.builder.load(part) for part in state)
        return self._wide(values, signed=True), self._wide(values, signed=True), self._wide(events, signed=False)


def words_hold(bits: int, activations: tuple[int, int], weights: tuple[int, int]) -> bool:
    """Whether int16 holds a register, and all products of operands between two ends, zero points subtracted."""
    products = [a * w for a in activations for w in weights]
    return bits <= BITS and min(products) >= -SHORT and max(products) < SHORT
