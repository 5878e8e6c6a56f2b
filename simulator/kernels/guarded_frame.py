"""The frame of a guarded tile: what its kernel is told, int64 by index, and how it finds its way by that."""

from __future__ import annotations

from typing import Any

from simulator.kernels.vector_ir import I32, I64, Lanes, constant64, load_scalar, offset

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
"""Address of int32 [TILE_ROWS, channels], added to: events, or, with flags, blocks in which there were some."""
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
"""Whether cells are stepped raised, by toggles or by tally; else they are compared. The three that follow speak of how
operands are stepped, by whatever means, or are 0."""
SHIFT_A = 23
"""Bits by which activations are raised; they stay within int16, as do the weights."""
RAISED = 24
"""Bits by which products are."""
STEPPED_WEIGHTS = 25
"""Bytes from the weights to those that are stepped: raised, or one k after another (`int16_steps`)."""
FRAME_LENGTH = 26


class Rails:
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


class Frame:
    """Writes what is read from a frame."""

    def __init__(self, lanes: Lanes, address: Any) -> None:
        self.lanes, self.address = lanes, address
        self.row_bytes = lanes.isa.channels * 4
        self.field = [self.read(i) for i in range(FRAME_LENGTH)]

    def read(self, index: int) -> Any:
        """Read a number where it is used, so that it takes no register before."""
        return load_scalar(self.lanes.builder, offset(self.lanes.builder, self.address, 8 * index), I64)

    def is_true(self, index: int) -> Any:
        """Return whether a number is not 0."""
        return self.lanes.builder.icmp_unsigned("!=", self.field[index], constant64(0))

    def rails(self, low: int) -> Rails:
        """Return the ends of the register whose low end is at an index."""
        return Rails(self.lanes, self.address, low)

    def entry(self, table: int, block: Any) -> Any:
        """Read an entry of a table of int64."""
        builder = self.lanes.builder
        return load_scalar(builder, builder.add(self.field[table], builder.shl(block, constant64(3))), I64)

    def row_address(self, base: int, table: int, row: int) -> Any:
        """Address of a row of the activations or their norms."""
        return self.lanes.builder.add(self.field[base], self.entry(table, constant64(row)))

    def cell(self, field: int, row: int, vector: int) -> Any:
        """Address of a vector of registers or counts."""
        return offset(self.lanes.builder, self.field[field], row * self.row_bytes + vector * self.lanes.bytes)

    def weights(self, block: Any) -> Any:
        """Address of the weights of a block."""
        builder = self.lanes.builder
        block_bytes = builder.mul(self.field[BLOCK_GROUPS], constant64(self.row_bytes))
        return builder.add(self.field[WEIGHTS], builder.mul(block, block_bytes))
