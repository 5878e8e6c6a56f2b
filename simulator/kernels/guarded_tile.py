"""The innermost kernel of the narrow path: registers stepped addition by addition, but only where that can matter.

K is cut into blocks, in the device's order, and each is added as one exact sum, two products an instruction. How far
the running sum can have been from both its ends is bounded: let a block's activations and weights have the Euclidean
norms A and W, and their first part, up to some step, uA and vW, with u and v in [0, 1]. By Cauchy-Schwarz the sum is
then within uvAW of where it began, and within sqrt(1 - u^2) sqrt(1 - v^2) AW of where it ended. These two factors
together are at most 1 (Cauchy-Schwarz again), so the lesser is at most 1/2: every running sum lies within AW / 2 of
one of the ends. Where that is inside the rails no addition was an event, and the exact sum is what the register
holds. A cell of the tile, one pixel by one vector of channels, where that is not so in any channel, is stepped from
its old value instead (see `cell_steps`). Values and counts are those of the device, whatever the bound decides. A
block in which all activations of the tile are 0, as under the border of an image, changes no register and is left
out.

Weight stationary (`two_level`): blocks form folds; the register is a partial sum that starts at 0 in each fold and is
then added to the accumulator. Where no partial sum of the layer can overflow, each is one exact sum, without guards.
Output stationary: the register is the accumulator itself.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from simulator.kernels.cell_steps import Block, CellList, emit_steps
from simulator.kernels.dot_tile import GROUP_BYTES
from simulator.kernels.isa import TILE_ROWS, InstructionSet
from simulator.kernels.vector_ir import I32, I64, Lanes, cgutils, constant64, load_scalar, offset

ACTIVATIONS = 0
"""Address of int16 activations; addresses and sizes of a frame are int64."""
ROWS = 1
"""Address of a table of TILE_ROWS byte offsets into the activations."""
PIECES = 2
"""Address of a table of byte offsets of the blocks, from a row."""
NORMS = 3
"""Address of int32 norms of activations; rows and blocks have byte offsets of their own into them."""
NORM_ROWS = 4
NORM_PIECES = 5
FOLDS = 6
FOLD_BLOCKS = 7
"""Blocks of a fold."""
BLOCK_GROUPS = 8
"""Pairs of k in a block."""
WEIGHTS = 9
"""Address of packed int16 weights [block][group][channels][2]."""
WEIGHT_NORMS = 10
"""Address of int32 halves of the norms of the weights [block][channels]."""
INNER = 11
"""Address of int32 [TILE_ROWS, channels]: partial sums, 0 (two-level); or accumulators, updated."""
INNER_EVENTS = 12
"""Address of int32 [TILE_ROWS, channels], added to."""
OUTER = 13
"""Address of int32 [TILE_ROWS, channels]: accumulators, updated (two-level)."""
OUTER_EVENTS = 14
INNER_LOW = 15
INNER_HIGH = 16
INNER_SATURATES = 17
OUTER_LOW = 18
OUTER_HIGH = 19
OUTER_SATURATES = 20
INNER_IS_PROVED = 21
"""Whether no inner register can overflow (two-level)."""
TRICKS = 22
"""Whether cells are stepped raised, by toggles or by tally, of which the three that follow speak; else they are 0."""
SHIFT_A = 23
"""Bits by which activations are raised; they stay within int16, as do the weights."""
RAISED = 24
"""Bits by which products are."""
RAISED_WEIGHTS = 25
"""Bytes from the weights to those raised."""
FRAME_LENGTH = 26


class _Rails:
    """Ends of a register, as vectors, and what an addition makes of it.

    Loaded where they are used, not once for all: LLVM would keep them in registers that the loop over products needs.
    """

    def __init__(self, lanes: Lanes, frame: Any, low: int) -> None:
        self.lanes = lanes
        self.low, self.high = (
            lanes.splat(load_scalar(lanes.builder, offset(lanes.builder, frame, 8 * i), I32)) for i in (low, low + 1)
        )

    def settle(self, total: Any, *, saturates: bool) -> Any:
        """Register after an addition whose exact result is `total`: clamped, or wrapped to its 2^n values."""
        lanes, builder = self.lanes, self.lanes.builder
        if saturates:
            return lanes.clamp(total, self.low, self.high)
        mask = builder.sub(self.high, self.low)
        return builder.add(builder.and_(builder.sub(total, self.low), mask), self.low)


class _Emitter:
    """Writes the kernel for one instruction set."""

    def __init__(self, builder: Any, isa: InstructionSet, frame: Any, *, two_level: bool) -> None:
        self.builder, self.isa, self.two_level = builder, isa, two_level
        self.lanes = Lanes(builder, isa)
        self.row_bytes = isa.channels * 4
        self.frame = frame
        self.near = CellList(self.lanes)
        self.field = [load_scalar(builder, offset(builder, frame, 8 * i), I64) for i in range(FRAME_LENGTH)]

    # ---------------------------------------------------------------- addresses

    def row_address(self, base: Any, table: int, row: Any) -> Any:
        """Address of a row of the activations or their norms."""
        builder = self.builder
        entry = builder.add(self.field[table], builder.shl(row, constant64(3)))
        return builder.add(base, load_scalar(builder, entry, I64))

    def cell(self, field: int, row: Any, vector: int) -> Any:
        """Address of a vector of registers or counts."""
        row_at = self.builder.mul(row, constant64(self.row_bytes))
        return offset(self.builder, self.builder.add(self.field[field], row_at), vector * self.lanes.bytes)

    # ---------------------------------------------------------------- blocks

    def emit(self) -> None:
        """Write the kernel."""
        if not self.two_level:
            self._guarded_folds()
            return
        is_proved = self.builder.icmp_unsigned("!=", self.field[INNER_IS_PROVED], constant64(0))
        with self.builder.if_else(is_proved) as (proved, open_):
            with proved:
                self._proved_folds()
            with open_:
                self._guarded_folds()

    def _guarded_folds(self) -> None:
        with cgutils.for_range(self.builder, self.field[FOLDS]) as fold:
            with cgutils.for_range(self.builder, self.field[FOLD_BLOCKS]) as within:
                self._block(self._block_number(fold, within))
            if self.two_level:
                self._add_partial_sums()

    def _proved_folds(self) -> None:
        """Sum each fold exactly, in registers, and add it to the accumulators."""
        builder, lanes, vectors = self.builder, self.lanes, range(self.isa.vectors)
        row_numbers = [constant64(row) for row in range(TILE_ROWS)]
        row_at = [self.row_address(self.field[ACTIVATIONS], ROWS, row) for row in row_numbers]
        totals = {(r, v): lanes.variable(lanes.constant(0)) for r in range(TILE_ROWS) for v in vectors}
        with cgutils.for_range(builder, self.field[FOLDS]) as fold:
            for total in totals.values():
                builder.store(lanes.constant(0), total)
            with cgutils.for_range(builder, self.field[FOLD_BLOCKS]) as within:
                block = self._block_number(fold, within)
                piece = self._entry(PIECES, block)
                with builder.if_then(self._any(self._norms(block))):
                    self._add_products([builder.add(at, piece) for at in row_at], self._weights(block), totals)
            self._in_mode(
                OUTER_SATURATES,
                lambda saturates: self._add_to_outer(lambda row, v: builder.load(totals[row, v]), saturates=saturates),
            )

    def _block_number(self, fold: Any, within: Any) -> Any:
        builder = self.builder
        return builder.add(builder.mul(fold.index, self.field[FOLD_BLOCKS]), within.index)

    def _entry(self, table: int, block: Any) -> Any:
        entry = self.builder.add(self.field[table], self.builder.shl(block, constant64(3)))
        return load_scalar(self.builder, entry, I64)

    def _weights(self, block: Any) -> Any:
        block_bytes = self.builder.mul(self.field[BLOCK_GROUPS], constant64(self.row_bytes))
        return self.builder.add(self.field[WEIGHTS], self.builder.mul(block, block_bytes))

    def _in_mode(self, field: int, emit: Callable[[bool], None]) -> None:
        """Write both modes of a register, and the choice between them."""
        saturates = self.builder.icmp_unsigned("!=", self.field[field], constant64(0))
        with self.builder.if_else(saturates) as (then, otherwise):
            with then:
                emit(True)
            with otherwise:
                emit(False)

    def _norms(self, block: Any) -> list[Any]:
        """Norms of a block's activations, int32, one for each row."""
        norm_piece = self._entry(NORM_PIECES, block)
        rows = [self.row_address(self.field[NORMS], NORM_ROWS, constant64(row)) for row in range(TILE_ROWS)]
        return [load_scalar(self.builder, self.builder.add(row, norm_piece), I32) for row in rows]

    def _any(self, norms: list[Any]) -> Any:
        """Whether any norm is not 0."""
        return self.builder.icmp_unsigned("!=", reduce(self.builder.or_, norms), ir.Constant(I32, 0))

    def _block(self, block: Any) -> None:
        norms = self._norms(block)
        with self.builder.if_then(self._any(norms)):
            self._block_with_norms(block, norms)

    def _block_with_norms(self, block: Any, norms: list[Any]) -> None:
        builder, lanes, isa = self.builder, self.lanes, self.isa
        piece, weights = self._entry(PIECES, block), self._weights(block)
        row_at = [
            builder.add(self.row_address(self.field[ACTIVATIONS], ROWS, constant64(row)), piece)
            for row in range(TILE_ROWS)
        ]
        totals = {(r, v): lanes.variable(lanes.constant(0)) for r in range(TILE_ROWS) for v in range(isa.vectors)}
        for (row, v), total in totals.items():
            builder.store(lanes.load(self.cell(INNER, constant64(row), v)), total)
        self._add_products(row_at, weights, totals)
        self.near.clear()
        self._keep_far(block, norms, totals)
        count = builder.load(self.near.count)
        with builder.if_then(builder.icmp_unsigned("!=", count, constant64(0))):
            self._step_near(row_at, weights)

    def _keep_far(self, block: Any, norms: list[Any], totals: dict[tuple[int, int], Any]) -> None:
        """Store the sums of cells that no step could have brought to a rail, and list the others, which stay."""
        builder, lanes = self.builder, self.lanes
        norms_at = builder.add(self.field[WEIGHT_NORMS], builder.mul(block, constant64(self.row_bytes)))
        weight_norms = [lanes.load(offset(builder, norms_at, v * lanes.bytes)) for v in range(self.isa.vectors)]
        high = _Rails(lanes, self.frame, INNER_LOW).high
        mask = ir.IntType(self.isa.lanes)
        for (row, v), total in totals.items():
            at = self.cell(INNER, constant64(row), v)
            after = builder.load(total)
            farthest = lanes.maximum(lanes.magnitude(lanes.load(at)), lanes.magnitude(after))
            reach = builder.add(farthest, builder.mul(lanes.splat(norms[row]), weight_norms[v]))
            signs = builder.icmp_signed("<", high, reach)
            is_near = builder.icmp_unsigned("!=", builder.bitcast(signs, mask), ir.Constant(mask, 0))
            lanes.store(after, builder.select(is_near, self.near.trash, at))
            self.near.append_if(is_near, row * self.isa.vectors + v)

    def _step_near(self, row_at: list[Any], weights: Any) -> None:
        """Step the listed cells through a block."""
        builder = self.builder
        shift, raised, to_raised = (
            load_scalar(builder, offset(builder, self.frame, 8 * i), I64) for i in (SHIFT_A, RAISED, RAISED_WEIGHTS)
        )
        for row in range(TILE_ROWS):
            self.near.spread(row, row_at[row], self.field[BLOCK_GROUPS], shift)
        block = Block(
            groups=self.field[BLOCK_GROUPS],
            weights=builder.add(weights, to_raised),
            registers=self.field[INNER],
            events=self.field[INNER_EVENTS],
        )
        tricks = [builder.icmp_unsigned("!=", self.field[i], constant64(0)) for i in (INNER_SATURATES, TRICKS)]
        emit_steps(self.near, block, self._settle_inner, tricks, raised)

    def _settle_inner(self, total: Any, saturates: bool) -> Any:
        return _Rails(self.lanes, self.frame, INNER_LOW).settle(total, saturates=saturates)

    def _add_products(self, row_at: list[Any], weights: Any, totals: dict[tuple[int, int], Any]) -> None:
        """Add the products of a block to exact sums."""
        builder, lanes, isa = self.builder, self.lanes, self.isa
        # One group an iteration: LLVM splits a second vpdpwssd in a row into two instructions.
        with cgutils.for_range(builder, self.field[BLOCK_GROUPS]) as group:
            at = builder.mul(group.index, constant64(GROUP_BYTES))
            b_at = builder.add(weights, builder.mul(group.index, constant64(self.row_bytes)))
            b = [lanes.load(offset(builder, b_at, v * lanes.bytes)) for v in range(isa.vectors)]
            for r in range(len(row_at)):
                a = lanes.splat(load_scalar(builder, builder.add(row_at[r], at), I32))
                for v in range(isa.vectors):
                    builder.store(lanes.add_pair_products(builder.load(totals[r, v]), a, b[v]), totals[r, v])

    # ---------------------------------------------------------------- folds

    def _add_partial_sums(self) -> None:
        """Add the partial sums of a fold to the accumulators, and set them to 0."""
        lanes = self.lanes

        def partial_sum(row: int, v: int) -> Any:
            at = self.cell(INNER, constant64(row), v)
            held = lanes.load(at)
            lanes.store(lanes.constant(0), at)
            return held

        self._in_mode(OUTER_SATURATES, lambda saturates: self._add_to_outer(partial_sum, saturates=saturates))

    def _add_to_outer(self, addend: Callable[[int, int], Any], *, saturates: bool) -> None:
        """Add the partial sum of every output of the tile to its accumulator, and count the events."""
        builder, lanes = self.builder, self.lanes
        rails = _Rails(lanes, self.frame, OUTER_LOW)
        for row in range(TILE_ROWS):
            for v in range(self.isa.vectors):
                outer_at = self.cell(OUTER, constant64(row), v)
                events_at = self.cell(OUTER_EVENTS, constant64(row), v)
                total = builder.add(lanes.load(outer_at), addend(row, v))
                held = rails.settle(total, saturates=saturates)
                lanes.store(held, outer_at)
                lanes.store(builder.sub(lanes.load(events_at), lanes.where_different(held, total)), events_at)


def make_guarded_tile(isa: InstructionSet, *, two_level: bool) -> Any:
    """Return the intrinsic ``tile(frame)`` for Numba code; `frame` is the address of int64 [FRAME_LENGTH].

    The registers are of at most 31 bits, and so that no sum that is formed leaves int32:
    high + |product| < 2^31 (inner), outer high + inner high < 2^31, high + 2 * greatest product of norms < 2^31.
    """

    @intrinsic
    def guarded_tile(context: Any, frame: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            _Emitter(builder, isa, args[0], two_level=two_level).emit()
            return context.get_dummy_value()

        return types.void(types.int64), codegen

    return guarded_tile
