"""The innermost kernel of the narrow path: registers stepped addition by addition, but only where that can matter.

K is cut into blocks, in the device's order. Within a block the running sum moves by at most |a| * |w|, the Euclidean
norms of the block's activations and weights (Cauchy-Schwarz; the norm of a prefix is no greater). Where the register is
further than that from its rails, no addition of the block can be an event: the block is added as one exact sum, two
products an instruction. A row of the tile where that is not so, in any channel, is stepped: each product by itself,
wrapped or saturated, its events counted. Values and counts are those of the device, whatever the bound decides. A block
in which all activations of the tile are 0, as under the border of an image, changes no register and is left out.

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

from simulator.kernels.dot_tile import GROUP_BYTES, UNROLLED
from simulator.kernels.isa import TILE_ROWS, InstructionSet
from simulator.kernels.tally import Tally
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
"""Pairs of k in a block, a multiple of UNROLLED."""
WEIGHTS = 9
"""Address of packed int16 weights [block][group][channels][2]."""
WEIGHT_NORMS = 10
"""Address of int32 norms of the weights [block][channels]."""
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
TALLIES = 22
"""Whether rows are stepped by tally (sets with vpdpwssds), with the two shifts that follow."""
SHIFT_A = 23
"""Bits by which activations are raised; they stay within int16, as do the weights."""
SHIFT_W = 24
"""Bits by which weights are raised; both together are 32 less the width of the inner register."""
FRAME_LENGTH = 25


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
        row_numbers = [constant64(row) for row in range(TILE_ROWS)]
        registers = [[lanes.load(self.cell(INNER, row, v)) for v in range(isa.vectors)] for row in row_numbers]
        near = cgutils.alloca_once(builder, I64, size=TILE_ROWS)
        norms_at = builder.add(self.field[WEIGHT_NORMS], builder.mul(block, constant64(self.row_bytes)))
        weight_norms = [lanes.load(offset(builder, norms_at, v * lanes.bytes)) for v in range(isa.vectors)]
        any_near = None
        for row in range(TILE_ROWS):
            found = self._near_rails(registers[row], lanes.splat(norms[row]), weight_norms)
            builder.store(builder.zext(found, I64), cgutils.gep_inbounds(builder, near, row))
            any_near = found if any_near is None else builder.or_(any_near, found)
        rows = [builder.add(self.row_address(self.field[ACTIVATIONS], ROWS, row), piece) for row in row_numbers]
        with builder.if_else(any_near) as (some, none):
            with none:
                self._add_block(row_numbers, rows, registers, weights)
            with some, cgutils.for_range(builder, constant64(TILE_ROWS)) as loop:
                row_at = builder.add(self.row_address(self.field[ACTIVATIONS], ROWS, loop.index), piece)
                is_near = builder.load(cgutils.gep_inbounds(builder, near, loop.index))
                with builder.if_else(builder.icmp_unsigned("!=", is_near, constant64(0))) as (step, leap):
                    with leap:
                        held = [lanes.load(self.cell(INNER, loop.index, v)) for v in range(isa.vectors)]
                        self._add_block([loop.index], [row_at], [held], weights)
                    with step:
                        self._step_row(loop.index, row_at, weights)

    def _near_rails(self, registers: list[Any], norm: Any, weight_norms: list[Any]) -> Any:
        """Whether any register of a row could reach a rail within the block, as one bit."""
        builder, lanes = self.builder, self.lanes
        beyond, rails = None, _Rails(lanes, self.frame, INNER_LOW)
        for register, weight_norm in zip(registers, weight_norms, strict=True):
            zero = lanes.constant(0)
            magnitude = lanes.maximum(register, builder.sub(zero, register))
            reach = builder.add(magnitude, builder.mul(norm, weight_norm))
            # The sign of high - reach: an or of vectors, and one test, find any of them.
            short = builder.sub(rails.high, reach)
            beyond = short if beyond is None else builder.or_(beyond, short)
        signs = builder.icmp_signed("<", beyond, lanes.constant(0))
        mask = ir.IntType(self.isa.lanes)
        return builder.icmp_unsigned("!=", builder.bitcast(signs, mask), ir.Constant(mask, 0))

    def _add_block(self, rows: list[Any], row_at: list[Any], registers: list[list[Any]], weights: Any) -> None:
        """Add a block to some rows as one exact sum."""
        builder, lanes, isa = self.builder, self.lanes, self.isa
        cells = [(r, v) for r in range(len(rows)) for v in range(isa.vectors)]
        totals = {(r, v): lanes.variable(lanes.constant(0)) for r, v in cells}
        for r, v in cells:
            builder.store(registers[r][v], totals[r, v])
        self._add_products(row_at, weights, totals)
        for r, v in cells:
            lanes.store(builder.load(totals[r, v]), self.cell(INNER, rows[r], v))

    def _add_products(self, row_at: list[Any], weights: Any, totals: dict[tuple[int, int], Any]) -> None:
        """Add the products of a block to exact sums."""
        builder, lanes, isa = self.builder, self.lanes, self.isa
        with cgutils.for_range(builder, builder.sdiv(self.field[BLOCK_GROUPS], constant64(UNROLLED))) as loop:
            at = builder.mul(loop.index, constant64(UNROLLED * GROUP_BYTES))
            b_at = builder.add(weights, builder.mul(loop.index, constant64(UNROLLED * self.row_bytes)))
            for group in range(UNROLLED):
                b = [
                    lanes.load(offset(builder, b_at, group * self.row_bytes + v * lanes.bytes))
                    for v in range(isa.vectors)
                ]
                for r in range(len(row_at)):
                    a_at = offset(builder, builder.add(row_at[r], at), group * GROUP_BYTES)
                    a = lanes.splat(load_scalar(builder, a_at, I32))
                    for v in range(isa.vectors):
                        total = lanes.add_pair_products(builder.load(totals[r, v]), a, b[v])
                        builder.store(total, totals[r, v])

    def _step_row(self, row: Any, row_at: Any, weights: Any) -> None:
        """Add a block to one row product by product."""
        builder = self.builder

        def compared() -> None:
            self._in_mode(
                INNER_SATURATES, lambda saturates: self._step_row_in_mode(row, row_at, weights, saturates=saturates)
            )

        if not self.isa.has_pair_dot:
            compared()
            return
        tallies = builder.icmp_unsigned("!=", self.field[TALLIES], constant64(0))
        with builder.if_else(tallies) as (then, otherwise):
            with then:
                # Loaded here, as rails are.
                shift_a = load_scalar(builder, offset(builder, self.frame, 8 * SHIFT_A), I64)
                shift_w = load_scalar(builder, offset(builder, self.frame, 8 * SHIFT_W), I64)
                tally = Tally(self.lanes, shift_a, shift_w, self.field[BLOCK_GROUPS])
                at = [self.cell(INNER, row, v) for v in range(self.isa.vectors)]
                events_at = [self.cell(INNER_EVENTS, row, v) for v in range(self.isa.vectors)]
                self._in_mode(
                    INNER_SATURATES,
                    lambda saturates: tally.step(row_at, weights, at, events_at, saturates=saturates),
                )
            with otherwise:
                compared()

    def _step_row_in_mode(self, row: Any, row_at: Any, weights: Any, *, saturates: bool) -> None:
        builder, lanes, vectors = self.builder, self.lanes, range(self.isa.vectors)
        rails = _Rails(lanes, self.frame, INNER_LOW)
        registers = [lanes.variable(lanes.constant(0)) for _ in vectors]
        events = [lanes.variable(lanes.constant(0)) for _ in vectors]
        for v in vectors:
            builder.store(lanes.load(self.cell(INNER, row, v)), registers[v])
            builder.store(lanes.load(self.cell(INNER_EVENTS, row, v)), events[v])
        with cgutils.for_range(builder, self.field[BLOCK_GROUPS]) as group:
            a_at = builder.add(row_at, builder.shl(group.index, constant64(2)))
            pair = lanes.splat(load_scalar(builder, a_at, I32))
            b_at = builder.add(weights, builder.mul(group.index, constant64(self.row_bytes)))
            b = [lanes.load(offset(builder, b_at, v * lanes.bytes)) for v in vectors]
            # One product at a time: the other activation of the pair is put to 0.
            for mask in (0xFFFF, -0x10000):
                a = builder.and_(pair, lanes.constant(mask))
                for v in vectors:
                    total = builder.add(builder.load(registers[v]), lanes.pair_products(a, b[v]))
                    held = rails.settle(total, saturates=saturates)
                    builder.store(held, registers[v])
                    builder.store(builder.sub(builder.load(events[v]), lanes.where_different(held, total)), events[v])
        for v in vectors:
            lanes.store(builder.load(registers[v]), self.cell(INNER, row, v))
            lanes.store(builder.load(events[v]), self.cell(INNER_EVENTS, row, v))

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
    high + |product| < 2^31 (inner), outer high + inner high < 2^31, high + greatest product of norms < 2^31.
    """

    @intrinsic
    def guarded_tile(context: Any, frame: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            _Emitter(builder, isa, args[0], two_level=two_level).emit()
            return context.get_dummy_value()

        return types.void(types.int64), codegen

    return guarded_tile
