"""Stepping of a tile as a whole where any of its registers may have come to a rail (`sticky`, `int16_steps`).

So cheap are these steps that it is not worth a list of the cells that need them. All outputs of the tile share the
loads of their activations and weights. What has no event comes out as without steps, at the exact sum.
"""

from __future__ import annotations

from functools import reduce
from typing import Any, NamedTuple

from llvmlite import ir

from simulator.kernels import guarded_frame as of
from simulator.kernels.guarded_frame import Frame
from simulator.kernels.int16_steps import BITS, SHORT, CountedWords, FlaggedWords, ShortWords
from simulator.kernels.isa import TILE_ROWS
from simulator.kernels.spread import Spread
from simulator.kernels.sticky import Sticky
from simulator.kernels.vector_ir import I16, I32, I64, cgutils, constant64, load_scalar, offset

Stepper = Sticky | ShortWords | FlaggedWords | CountedWords


class _Closed(NamedTuple):
    """What came of a vector of registers."""

    cell: tuple[int, int]
    saturated: Any
    """What they hold if they saturate."""
    wrapped: Any
    """What they hold if they wrap."""
    found: Any
    """Events, or flags."""


class WholeTile:
    """Writes the steps of a tile."""

    flags: bool
    """Whether outputs have flags, rather than counts of their events."""

    def __init__(self, frame: Frame, farthest: list[Any]) -> None:
        self.frame, self.lanes, self.farthest = frame, frame.lanes, farthest
        lanes = frame.lanes
        self.cells = [(row, v) for row in range(TILE_ROWS) for v in range(lanes.isa.vectors)]
        self.spread = Spread(lanes)
        # An array, by its address: of variables LLVM would keep some in registers that the steps need.
        size = len(self.cells) * lanes.count
        self.exact = lanes.builder.ptrtoint(cgutils.alloca_once(lanes.builder, I32, size=size), I64)

    def where_open(self, row: int, v: int, value: Any) -> Any:
        """Return a vector where outputs may have events to be found, 0 elsewhere."""
        return self._where_open(self.lanes.load(self.frame.cell(of.INNER_EVENTS, row, v)), value)

    def _where_open(self, events: Any, value: Any) -> Any:
        return value

    def needs_no_sum(self, products: list[Any]) -> Any:
        """Whether a block that is known to be near is stepped without its exact sum."""
        return ir.Constant(ir.IntType(1), 1)

    def take(self, block: Any, norms: Any, totals: dict[tuple[int, int], Any]) -> None:
        """Keep the registers from before a block with its exact sums added."""
        for cell, total in totals.items():
            self.lanes.store(self.lanes.builder.load(total), self._exact(*cell))

    def _shift(self) -> Any:
        """Bits by which activations are raised in their place of the pair; None = they stand in both."""
        return None

    def step(self, row_at: list[Any], weights: Any, products: list[Any]) -> bool:
        """Bring the registers from before a block to after it, and `farthest` too: then return True.

        Parameters
        ----------
        row_at
            Addresses of its activations, for each row.
        weights
            Address of its weights.
        products
            Halves of the greatest products of norms, for each vector of channels.

        """
        for row in range(TILE_ROWS):
            self.spread.fill(row, row_at[row], self.frame.field[of.BLOCK_GROUPS], self._shift())
        weights = self.lanes.builder.add(weights, self.frame.read(of.STEPPED_WEIGHTS))
        self._choose(weights, products)
        return True

    def _choose(self, weights: Any, products: list[Any]) -> None:
        raise NotImplementedError

    def _exact(self, row: int, v: int) -> Any:
        """Address of the exact sum of a vector of registers."""
        return offset(self.lanes.builder, self.exact, (row * self.lanes.isa.vectors + v) * self.lanes.bytes)

    def _step(self, stepper: Stepper, weights: Any) -> None:
        builder, lanes, frame = self.lanes.builder, self.lanes, self.frame
        units = range(0, lanes.isa.vectors, stepper.span)
        of_unit = {(row, v): [(row, v + i) for i in range(stepper.span)] for row in range(TILE_ROWS) for v in units}
        states = {
            unit: stepper.open([lanes.load(frame.cell(of.INNER, *cell)) for cell in cells])
            for unit, cells in of_unit.items()
        }
        row_at = [self.spread.row(constant64(row)) for row in range(TILE_ROWS)]
        # One step an iteration: LLVM splits a second vpdpwssd in a row into two instructions.
        with cgutils.for_range(builder, builder.shl(frame.field[of.BLOCK_GROUPS], constant64(1))) as loop:
            b = {v: self._weights(stepper, weights, loop.index, v) for v in units}
            for row in range(TILE_ROWS):
                at = builder.add(row_at[row], builder.shl(loop.index, constant64(2)))
                a = self._activations(stepper, load_scalar(builder, at, I32))
                for v in units:
                    stepper.step(states[row, v], a, b[v])
        self._store([each for unit, cells in of_unit.items() for each in self._closed(stepper, states[unit], cells)])

    def _closed(self, stepper: Stepper, state: list[Any], cells: list[tuple[int, int]]) -> list[_Closed]:
        exact = [self.lanes.load(self._exact(*cell)) for cell in cells]
        return [_Closed(*each) for each in zip(cells, *stepper.close(state, exact), strict=True)]

    def _store(self, closed: list[_Closed]) -> None:
        """Store registers, add up events, or flags, and find the farthest."""
        builder, lanes, frame = self.lanes.builder, self.lanes, self.frame
        saturates = frame.is_true(of.INNER_SATURATES)
        for farthest in self.farthest:
            builder.store(lanes.constant(0), farthest)
        for each in closed:
            value = builder.select(saturates, each.saturated, each.wrapped)
            lanes.store(value, frame.cell(of.INNER, *each.cell))
            at = frame.cell(of.INNER_EVENTS, *each.cell)
            events = builder.add(lanes.load(at), each.found)
            lanes.store(events, at)
            farthest = self.farthest[each.cell[1]]
            seen = self._where_open(events, lanes.magnitude(value))
            builder.store(lanes.maximum(builder.load(farthest), seen), farthest)

    def _weights(self, stepper: Stepper, weights: Any, k: Any, v: int) -> Any:
        """Weights of a step, of as many vectors of channels as are stepped together."""
        builder, lanes, row_bytes = self.lanes.builder, self.lanes, self.frame.row_bytes
        if stepper.in_pairs:
            pair_at = builder.mul(builder.lshr(k, constant64(1)), constant64(row_bytes))
            return lanes.load(offset(builder, builder.add(weights, pair_at), v * lanes.bytes))
        k_at = builder.mul(k, constant64(row_bytes // 2))
        words = ir.VectorType(I16, stepper.span * lanes.count)
        return lanes.load(offset(builder, builder.add(weights, k_at), v * lanes.bytes // 2), words)

    def _activations(self, stepper: Stepper, scalar: Any) -> Any:
        """One activation for all of them."""
        everywhere = self.lanes.splat(scalar)
        if stepper.in_pairs:
            return everywhere
        words = self.lanes.builder.bitcast(everywhere, self.lanes.words)
        return words if stepper.span == 2 else self.lanes.parts_of_words(words)[0]


class StickyTile(WholeTile):
    """Writes the steps of a tile of registers that saturate, whose outputs have flags."""

    flags = True

    def _shift(self) -> Any:
        return self.frame.read(of.SHIFT_A)

    def _choose(self, weights: Any, products: list[Any]) -> None:
        self._step(Sticky(self.lanes, self.frame.read(of.RAISED)), weights)


class FlaggedTile(WholeTile):
    """Writes the steps of a tile whose outputs have flags, on int16."""

    flags = True

    def needs_no_sum(self, products: list[Any]) -> Any:
        """Whether a block is stepped without its exact sum."""
        return self.lanes.builder.or_(self._is_short(products), self.frame.is_true(of.INNER_SATURATES))

    def _where_open(self, events: Any, value: Any) -> Any:
        """Leave out registers that wrap and have their flag."""
        builder, lanes = self.lanes.builder, self.lanes
        wraps = lanes.splat(builder.trunc(builder.sub(self.frame.read(of.INNER_SATURATES), constant64(1)), I32))
        is_open = builder.icmp_unsigned("==", builder.and_(events, wraps), lanes.constant(0))
        return builder.select(is_open, value, lanes.constant(0))

    def _choose(self, weights: Any, products: list[Any]) -> None:
        builder, rails = self.lanes.builder, self.frame.rails(of.INNER_LOW)
        with builder.if_else(self._is_short(products)) as (then, otherwise):
            with then:
                self._step(ShortWords(self.lanes), weights)
            with otherwise:
                self._step(FlaggedWords(self.lanes, rails.low, rails.high), weights)

    def _is_short(self, products: list[Any]) -> Any:
        """Whether registers have 16 bits, and no stretch of a block brings one from rail to rail."""
        builder, lanes = self.lanes.builder, self.lanes
        exceeds = builder.icmp_signed(">", reduce(lanes.maximum, products), lanes.constant(SHORT - 1))
        has_all_bits = builder.icmp_signed("==", self.frame.read(of.INNER_HIGH), constant64((1 << (BITS - 1)) - 1))
        return builder.and_(has_all_bits, builder.not_(lanes.any_true(exceeds)))


class CountedTile(WholeTile):
    """Writes the steps of a tile of registers of 16 bits, with every event counted."""

    flags = False

    def _choose(self, weights: Any, products: list[Any]) -> None:
        with self.lanes.builder.if_else(self.frame.is_true(of.INNER_SATURATES)) as (then, otherwise):
            for branch, mode in ((then, True), (otherwise, False)):
                with branch:
                    self._step(CountedWords(self.lanes, saturates=mode), weights)
