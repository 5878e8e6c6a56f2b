"""Stepping of a tile where that can matter, cell by cell.

A cell is one pixel by one vector of channels. Cells whose own bound reaches no rail keep the exact sum
(`guarded_tile`); the others are stepped from their old values (`cell_steps`).
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from simulator.kernels import guarded_frame as of
from simulator.kernels.cell_steps import Block, CellList, Compared
from simulator.kernels.guarded_frame import Frame
from simulator.kernels.isa import TILE_ROWS
from simulator.kernels.sticky import StickyCell
from simulator.kernels.tally import Tally
from simulator.kernels.toggles import Toggles
from simulator.kernels.vector_ir import I32, I64, cgutils, constant64, load_scalar, offset, store

Totals = dict[tuple[int, int], Any]


class NearCells:
    """Writes the steps of a tile's near cells, with every event counted."""

    flags = False

    def __init__(self, frame: Frame, farthest: list[Any]) -> None:
        builder = frame.lanes.builder
        self.frame, self.lanes = frame, frame.lanes
        self.near = CellList(frame.lanes)
        self.norms = builder.ptrtoint(cgutils.alloca_once(builder, I32, size=TILE_ROWS), I64)
        size = TILE_ROWS * frame.lanes.isa.channels
        self.apart = builder.ptrtoint(cgutils.alloca_once(builder, I32, size=size), I64)
        self.before, self.after = frame.field[of.INNER], self.apart
        """Addresses of the registers, which are stepped, and of the exact sums, int32 [TILE_ROWS, channels]."""

    def where_open(self, row: int, v: int, value: Any) -> Any:
        """Return a vector where outputs may have events to be found: everywhere."""
        return value

    def _where_open(self, at: Any, value: Any) -> Any:
        return value

    def needs_no_sum(self, products: list[Any]) -> Any:
        """Whether a block that is known to be near is stepped without its exact sum: the far cells keep that."""
        return ir.Constant(ir.IntType(1), 0)

    def take(self, block: Any, norms: list[Any], totals: Totals) -> None:
        """Store the sums of cells that no step could have brought to a rail, and list the others, which stay.

        Parameters
        ----------
        block
            Its number.
        norms
            Norms of its activations, for each row.
        totals
            Registers before, with the exact sums of the block added.

        """
        builder = self.lanes.builder
        self._put(totals)
        for row, norm in enumerate(norms):
            store(builder, norm, offset(builder, self.norms, 4 * row))
        norms_at = builder.mul(block, constant64(self.frame.row_bytes))
        norms_at = builder.add(self.frame.field[of.WEIGHT_NORMS], norms_at)
        self.near.clear()
        # A loop, for which the sums go through memory: else LLVM keeps what it can of them ready for it in every block.
        with cgutils.for_range(builder, constant64(TILE_ROWS)) as loop:
            self._take_row(loop.index, norms_at)

    def _put(self, totals: Totals) -> None:
        """Put the exact sums where they are looked for."""
        for (row, v), total in totals.items():
            at = offset(self.lanes.builder, self.after, row * self.frame.row_bytes + v * self.lanes.bytes)
            self.lanes.store(self.lanes.builder.load(total), at)

    def _keep(self, after: Any, before_at: Any, is_near: Any) -> None:
        """Let a cell that is not near have its exact sums."""
        self.lanes.store(after, self.lanes.builder.select(is_near, self.near.trash, before_at))

    def _take_row(self, row: Any, norms_at: Any) -> None:
        builder, lanes, vectors = self.lanes.builder, self.lanes, self.lanes.isa.vectors
        norm = lanes.splat(load_scalar(builder, builder.add(self.norms, builder.shl(row, constant64(2))), I32))
        high = self.frame.rails(of.INNER_LOW).high
        row_at = builder.mul(row, constant64(self.frame.row_bytes))
        first = builder.mul(row, constant64(vectors))
        for v in range(vectors):
            at = offset(builder, row_at, v * lanes.bytes)
            before_at, after_at = builder.add(self.before, at), builder.add(self.after, at)
            after = lanes.load(after_at)
            farthest = lanes.maximum(lanes.magnitude(lanes.load(before_at)), lanes.magnitude(after))
            half = lanes.load(offset(builder, norms_at, v * lanes.bytes))
            reach = builder.add(self._where_open(at, farthest), builder.mul(norm, half))
            is_near = lanes.any_true(builder.icmp_signed("<", high, reach))
            self._keep(after, before_at, is_near)
            self.near.append_if(is_near, offset(builder, first, v))

    def step(self, row_at: list[Any], weights: Any, products: Any) -> bool:
        """Step the listed cells through a block; return whether `farthest` was brought up to date too: it was not.

        Parameters
        ----------
        row_at
            Addresses of its activations, for each row.
        weights
            Address of its weights.
        products
            Not needed.

        """
        builder = self.lanes.builder
        count = builder.load(self.near.count)
        with builder.if_then(builder.icmp_unsigned("!=", count, constant64(0))):
            shift = self.frame.read(of.SHIFT_A)
            for row in range(TILE_ROWS):
                self.near.spread.fill(row, row_at[row], self.frame.field[of.BLOCK_GROUPS], shift)
            self._step_listed(builder.add(weights, self.frame.read(of.STEPPED_WEIGHTS)))
        return False

    def _step_listed(self, weights: Any) -> None:
        """Write the steps in both modes of the registers, by whatever means they take."""
        builder, frame = self.lanes.builder, self.frame
        block = self._block(weights)
        raised = frame.read(of.RAISED)
        with builder.if_else(frame.is_true(of.INNER_SATURATES)) as (then, otherwise):
            for branch, mode in ((then, True), (otherwise, False)):
                with branch:
                    if mode and not self.lanes.isa.has_pair_dot:
                        self._compare(block, mode)
                        continue
                    with builder.if_else(frame.is_true(of.TRICKS)) as (trick, plain):
                        with trick:
                            self.near.step((Tally if mode else Toggles)(self.lanes, raised), block)
                        with plain:
                            self._compare(block, mode)

    def _compare(self, block: Block, mode: bool) -> None:
        settle = self.frame.rails
        compared = Compared(self.lanes, lambda total: settle(of.INNER_LOW).settle(total, saturates=mode))
        self.near.step(compared, block)

    def _block(self, weights: Any) -> Block:
        groups, events = self.frame.field[of.BLOCK_GROUPS], self.frame.field[of.INNER_EVENTS]
        return Block(groups=groups, weights=weights, registers=self.before, events=events)


class StickyCells(NearCells):
    """Writes the steps of a tile's near cells whose registers wrap, with a flag for each output (`sticky`).

    The registers take the exact sums at once; what is stepped is a copy of what they were, for the sake of its flags.
    """

    flags = True

    def __init__(self, frame: Frame, farthest: list[Any]) -> None:
        super().__init__(frame, farthest)
        self.before, self.after = self.after, self.before

    def where_open(self, row: int, v: int, value: Any) -> Any:
        """Return a vector where outputs may have events to be found, 0 elsewhere: after a flag there are none."""
        return self._where_open(constant64(row * self.frame.row_bytes + v * self.lanes.bytes), value)

    def _where_open(self, at: Any, value: Any) -> Any:
        lanes, builder = self.lanes, self.lanes.builder
        events = lanes.load(builder.add(self.frame.field[of.INNER_EVENTS], at))
        return builder.select(builder.icmp_unsigned("==", events, lanes.constant(0)), value, lanes.constant(0))

    def _put(self, totals: Totals) -> None:
        lanes = self.lanes
        for row, v in totals:
            at = offset(lanes.builder, self.before, row * self.frame.row_bytes + v * lanes.bytes)
            lanes.store(lanes.load(self.frame.cell(of.INNER, row, v)), at)
        super()._put(totals)

    def _keep(self, after: Any, before_at: Any, is_near: Any) -> None:
        """Nothing is to be done: all have their exact sums."""

    def _step_listed(self, weights: Any) -> None:
        self.near.step(StickyCell(self.lanes, self.frame.read(of.RAISED)), self._block(weights))
