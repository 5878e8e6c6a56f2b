"""The innermost kernel of the narrow path: registers stepped addition by addition, but only where that can matter.

K is cut into blocks, in the device's order, and each is added as one exact sum, two products an instruction. How far
the running sum can have been from both its ends is bounded: let a block's activations and weights have the Euclidean
norms A and W, and their first part, up to some step, uA and vW, with u and v in [0, 1]. By Cauchy-Schwarz the sum is
then within uvAW of where it began, and within sqrt(1 - u^2) sqrt(1 - v^2) AW of where it ended. These two factors
together are at most 1 (Cauchy-Schwarz again), so the lesser is at most 1/2: every running sum lies within AW / 2 of
one of the ends. Where that is inside the rails no addition was an event, and the exact sum is what the register
holds. This is asked of the tile as a whole, with the greatest norm of its activations: of where the block began, which
may tell at once that it must be stepped, and of where it ended. Stepped is, from the old values, what may have had an
event: single cells of the tile (`near_cells`), or all of it (`whole_tile`). Values and counts are those of the device,
whatever the bound decides. A block in which all activations of the tile are 0, as under the border of an image, changes
no register and is left out.

Weight stationary (`two_level`): blocks form folds; the register is a partial sum that starts at 0 in each fold and is
then added to the accumulator. Where no partial sum of the layer can overflow, each is one exact sum, without guards.
Output stationary: the register is the accumulator itself.

Flags instead of counts (`flags`) ask less of a register that wraps. Up to its first event it holds the exact
sum, as one that saturates does, so both have that event at the same step, or none. An output that has its flag needs no
more steps: its register is the exact sum, wrapped when the tile is done, or the fold.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, reduce
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from simulator.kernels import guarded_frame as of
from simulator.kernels._jit import specialized
from simulator.kernels.by_address import address_of
from simulator.kernels.dot_tile import GROUP_BYTES
from simulator.kernels.guarded_frame import Frame
from simulator.kernels.isa import TILE_ROWS, InstructionSet
from simulator.kernels.near_cells import NearCells, StickyCells
from simulator.kernels.vector_ir import I32, Lanes, cgutils, constant64, load_scalar, offset
from simulator.kernels.whole_tile import CountedTile, FlaggedTile, StickyTile, WholeTile

CELLS = "cells"
"""Near cells are stepped, and their events counted: whatever the register and the operands."""
STEPPINGS: dict[str, type[NearCells | WholeTile]] = {
    CELLS: NearCells,
    (STICKY_TILE := "sticky_tile"): StickyTile,
    (STICKY_CELLS := "sticky_cells"): StickyCells,
    (FLAGGED_WORDS := "flagged_words"): FlaggedTile,
    (COUNTED_WORDS := "counted_words"): CountedTile,
}
"""What is stepped, how, and whether events are counted or outputs have flags."""

# What an instruction set and a stepping put in its place: see `guarded_tile_at`.
guarded_tile: Any = None

Totals = dict[tuple[int, int], Any]
"""A variable for each row and vector of the tile."""


class _Emitter:
    """Writes the kernel for one instruction set."""

    def __init__(self, builder: Any, isa: InstructionSet, address: Any, *, two_level: bool, stepping: str) -> None:
        self.builder, self.two_level, self.stepping = builder, two_level, stepping
        self.lanes = Lanes(builder, isa)
        self.vectors = range(isa.vectors)
        self.cells = [(row, v) for row in range(TILE_ROWS) for v in self.vectors]
        self.frame = Frame(self.lanes, address)
        self.farthest = [self.lanes.variable(self.lanes.constant(0)) for _ in self.vectors]
        """Greatest magnitude of the registers of any row, where it matters."""
        self.steps = STEPPINGS[stepping](self.frame, self.farthest)

    # ---------------------------------------------------------------- blocks

    def emit(self) -> None:
        """Write the kernel."""
        if not self.two_level or self.stepping != CELLS:
            self._guarded_folds()
            return
        with self.builder.if_else(self.frame.is_true(of.INNER_IS_PROVED)) as (proved, open_):
            with proved:
                self._proved_folds()
            with open_:
                self._guarded_folds()

    def _guarded_folds(self) -> None:
        if not self.two_level:
            self._update_farthest(self._loaded())
        with cgutils.for_range(self.builder, self.frame.field[of.FOLDS]) as fold:
            if self.two_level:
                for farthest in self.farthest:
                    self.builder.store(self.lanes.constant(0), farthest)
            with cgutils.for_range(self.builder, self.frame.field[of.FOLD_BLOCKS]) as within:
                self._block(self._block_number(fold, within))
            if self.two_level:
                self._add_partial_sums()
        if self.steps.flags and not self.two_level:
            for cell in self.cells:
                self.lanes.store(self._held(*cell), self.frame.cell(of.INNER, *cell))

    def _proved_folds(self) -> None:
        """Sum each fold exactly, in registers, and add it to the accumulators."""
        builder, lanes = self.builder, self.lanes
        row_at = [self.frame.row_address(of.ACTIVATIONS, of.ROWS, row) for row in range(TILE_ROWS)]
        totals = {cell: lanes.variable(lanes.constant(0)) for cell in self.cells}
        with cgutils.for_range(builder, self.frame.field[of.FOLDS]) as fold:
            for total in totals.values():
                builder.store(lanes.constant(0), total)
            with cgutils.for_range(builder, self.frame.field[of.FOLD_BLOCKS]) as within:
                block = self._block_number(fold, within)
                piece = self.frame.entry(of.PIECES, block)
                with builder.if_then(self._any(self._norms(block))):
                    pieces = [builder.add(at, piece) for at in row_at]
                    self._add_products(pieces, self.frame.weights(block), totals)
            self._add_to_outer(lambda row, v: builder.load(totals[row, v]))

    def _block_number(self, fold: Any, within: Any) -> Any:
        builder = self.builder
        return builder.add(builder.mul(fold.index, self.frame.field[of.FOLD_BLOCKS]), within.index)

    def _norms(self, block: Any) -> list[Any]:
        """Norms of a block's activations, int32, one for each row."""
        norm_piece = self.frame.entry(of.NORM_PIECES, block)
        rows = [self.frame.row_address(of.NORMS, of.NORM_ROWS, row) for row in range(TILE_ROWS)]
        return [load_scalar(self.builder, self.builder.add(row, norm_piece), I32) for row in rows]

    def _any(self, norms: list[Any]) -> Any:
        """Whether any norm is not 0."""
        return self.builder.icmp_unsigned("!=", reduce(self.builder.or_, norms), ir.Constant(I32, 0))

    def _block(self, block: Any) -> None:
        norms = self._norms(block)
        with self.builder.if_then(self._any(norms)):
            self._block_with_norms(block, norms)

    def _block_with_norms(self, block: Any, norms: list[Any]) -> None:
        builder, frame = self.builder, self.frame
        piece, weights = frame.entry(of.PIECES, block), frame.weights(block)
        row_at = [builder.add(frame.row_address(of.ACTIVATIONS, of.ROWS, row), piece) for row in range(TILE_ROWS)]
        products = self._greatest_products(block, norms)
        is_near = cgutils.alloca_once_value(builder, self._are_near(products))
        steps_at_once = builder.and_(builder.load(is_near), self.steps.needs_no_sum(products))
        with builder.if_then(builder.not_(steps_at_once)):
            totals = self._loaded()
            self._add_products(row_at, weights, totals)
            with builder.if_then(builder.not_(builder.load(is_near))):
                self._update_farthest(totals)
                builder.store(self._are_near(products), is_near)
            with builder.if_else(builder.load(is_near)) as (then, otherwise):
                with then:
                    self.steps.take(block, norms, totals)
                with otherwise:
                    for cell, total in totals.items():
                        self.lanes.store(builder.load(total), frame.cell(of.INNER, *cell))
        with builder.if_then(builder.load(is_near)):
            if not self.steps.step(row_at, weights, products):
                self._update_farthest(self._loaded())

    def _loaded(self) -> Totals:
        """Load the registers from memory."""
        return {cell: self.lanes.variable(self.lanes.load(self.frame.cell(of.INNER, *cell))) for cell in self.cells}

    # ---------------------------------------------------------------- guards

    def _update_farthest(self, held: Totals) -> None:
        """Find the greatest magnitude of any row, for each vector of channels, of what has no flag that frees it."""
        for v, farthest in zip(self.vectors, self.farthest, strict=True):
            rows = [
                self.steps.where_open(row, v, self.lanes.magnitude(self.builder.load(held[row, v])))
                for row in range(TILE_ROWS)
            ]
            self.builder.store(reduce(self.lanes.maximum, rows), farthest)

    def _greatest_products(self, block: Any, norms: list[Any]) -> list[Any]:
        """Greatest norm of the tile's activations times half of those of the weights, for each vector of channels."""
        builder, lanes = self.builder, self.lanes
        norms_at = builder.mul(block, constant64(self.frame.row_bytes))
        norms_at = builder.add(self.frame.field[of.WEIGHT_NORMS], norms_at)
        greatest = lanes.splat(reduce(lambda a, b: builder.select(builder.icmp_signed("<", a, b), b, a), norms))
        halves = [lanes.load(offset(builder, norms_at, v * lanes.bytes)) for v in self.vectors]
        return [builder.mul(greatest, half) for half in halves]

    def _are_near(self, products: list[Any]) -> Any:
        """Whether any register of the tile may come to a rail in a block that has one of its ends at `farthest`."""
        builder, lanes = self.builder, self.lanes
        high = self.frame.rails(of.INNER_LOW).high
        pairs = zip(self.farthest, products, strict=True)
        reach = [builder.add(builder.load(farthest), product) for farthest, product in pairs]
        return lanes.any_true(builder.icmp_signed("<", high, reduce(lanes.maximum, reach)))

    def _add_products(self, row_at: list[Any], weights: Any, totals: Totals) -> None:
        """Add the products of a block to exact sums."""
        builder, lanes = self.builder, self.lanes
        # One group an iteration: LLVM splits a second vpdpwssd in a row into two instructions.
        with cgutils.for_range(builder, self.frame.field[of.BLOCK_GROUPS]) as group:
            at = builder.mul(group.index, constant64(GROUP_BYTES))
            b_at = builder.add(weights, builder.mul(group.index, constant64(self.frame.row_bytes)))
            b = [lanes.load(offset(builder, b_at, v * lanes.bytes)) for v in self.vectors]
            for r in range(TILE_ROWS):
                a = lanes.splat(load_scalar(builder, builder.add(row_at[r], at), I32))
                for v in self.vectors:
                    builder.store(lanes.add_pair_products(builder.load(totals[r, v]), a, b[v]), totals[r, v])

    # ---------------------------------------------------------------- folds

    def _held(self, row: int, v: int) -> Any:
        """Value of an inner register: with flags, one that wraps holds the exact sum until then."""
        held = self.lanes.load(self.frame.cell(of.INNER, row, v))
        return self.frame.rails(of.INNER_LOW).settle(held, saturates=False) if self.steps.flags else held

    def _add_partial_sums(self) -> None:
        """Add the partial sums of a fold to the accumulators, and set them to 0."""

        def partial_sum(row: int, v: int) -> Any:
            held = self._held(row, v)
            self.lanes.store(self.lanes.constant(0), self.frame.cell(of.INNER, row, v))
            return held

        self._add_to_outer(partial_sum)

    def _add_to_outer(self, addend: Callable[[int, int], Any]) -> None:
        """Add the partial sum of every output of the tile to its accumulator, and count the events."""
        with self.builder.if_else(self.frame.is_true(of.OUTER_SATURATES)) as (then, otherwise):
            with then:
                self._add_to_outer_in_mode(addend, saturates=True)
            with otherwise:
                self._add_to_outer_in_mode(addend, saturates=False)

    def _add_to_outer_in_mode(self, addend: Callable[[int, int], Any], *, saturates: bool) -> None:
        builder, lanes = self.builder, self.lanes
        rails = self.frame.rails(of.OUTER_LOW)
        for cell in self.cells:
            outer_at, events_at = self.frame.cell(of.OUTER, *cell), self.frame.cell(of.OUTER_EVENTS, *cell)
            total = builder.add(lanes.load(outer_at), addend(*cell))
            held = rails.settle(total, saturates=saturates)
            lanes.store(held, outer_at)
            lanes.store(builder.sub(lanes.load(events_at), lanes.where_different(held, total)), events_at)


def make_guarded_tile(isa: InstructionSet, *, two_level: bool, stepping: str) -> Any:
    """Return the intrinsic ``tile(frame)`` for Numba code; `frame` is the address of int64 [FRAME_LENGTH].

    The registers are of at most 31 bits, and so that no sum that is formed leaves int32:
    high + |product| < 2^31 (inner), outer high + inner high < 2^31, high + 2 * greatest product of norms < 2^31.
    """

    @intrinsic
    def guarded_tile(context: Any, frame: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            _Emitter(builder, isa, args[0], two_level=two_level, stepping=stepping).emit()
            return context.get_dummy_value()

        return types.void(types.int64), codegen

    return guarded_tile


def _tile(frame: Any) -> Any:
    guarded_tile(frame)
    return 0


@cache
def guarded_tile_at(isa: InstructionSet, *, two_level: bool, stepping: str) -> int:
    """Return the address of the tile of `make_guarded_tile`, for `call_at`; what it returns is 0.

    `two_level`: weight stationary.
    """
    name = f"guarded_tile_{isa.identifier}_{'folds' if two_level else 'steps'}_{stepping}"
    tile = make_guarded_tile(isa, two_level=two_level, stepping=stepping)
    return address_of(specialized(_tile, name, guarded_tile=tile))
