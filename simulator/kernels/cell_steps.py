"""Stepping the cells of a register tile: each product of a block by itself, wrapped or saturated, its events counted.

A cell is one pixel by one vector of channels. Those to be stepped are gathered in a list over the whole tile and taken
some at a time, so that the steps of one hide how long those of another take; what is missing in the last lot is filled
up with a cell whose results go nowhere. Activations of a row are spread beforehand, raised: one of the pair in each
int32, the other 0, so that a lane adds one product a step.

How a register is stepped depends on its mode and its width: see `toggles` and `tally`, and `Compared` for what both
leave over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from simulator.kernels.dot_tile import GROUP_BYTES
from simulator.kernels.isa import TILE_ROWS
from simulator.kernels.tally import Tally
from simulator.kernels.toggles import Toggles
from simulator.kernels.vector_ir import I16, I32, I64, Lanes, cgutils, constant64, load_scalar, offset

MOST_GROUPS = 128
"""Pairs of k of the longest block that is stepped."""
_LOT, _LAST_LOT = 6, 3
"""Cells taken at once, and of what is left."""
_PERIOD_GROUPS = 16
"""Pairs of k after which events are read."""
MOST_STEPS = 2 * _PERIOD_GROUPS
"""Steps between two readings of events, at most."""


class Compared:
    """Writes the steps of any register: what an addition should give is compared with what the register holds."""

    def __init__(self, lanes: Lanes, settle: Callable[[Any], Any]) -> None:
        self.lanes, self.settle = lanes, settle

    def open(self, value: Any) -> list[Any]:
        """Return the state of a register: its value, and its events."""
        state = [self.lanes.variable(self.lanes.constant(0)) for _ in range(2)]
        self.lanes.builder.store(value, state[0])
        return state

    def begin(self, state: list[Any]) -> None:
        """Begin to count."""
        self.lanes.builder.store(self.lanes.constant(0), state[1])

    def step(self, state: list[Any], a: Any, b: Any) -> None:
        """Add the products of two vectors, of which at most one in a lane is not 0."""
        builder, (register, events) = self.lanes.builder, state
        total = self.lanes.add_pair_products(builder.load(register), a, b)
        held = self.settle(total)
        builder.store(held, register)
        builder.store(builder.sub(builder.load(events), self.lanes.where_different(held, total)), events)

    def events(self, state: list[Any], steps: Any) -> Any:
        """Return the events since `begin`."""
        return self.lanes.builder.load(state[1])

    def close(self, state: list[Any]) -> Any:
        """Return the register's value."""
        return self.lanes.builder.load(state[0])


Stepper = Compared | Tally | Toggles


@dataclass(frozen=True)
class Block:
    """Addresses and sizes of what is stepped, int64."""

    groups: Any
    """Pairs of k."""
    weights: Any
    """Packed int16 weights, raised as the stepper wants them."""
    registers: Any
    """int32 [TILE_ROWS, channels]."""
    events: Any
    """int32 [TILE_ROWS, channels], added to."""


class CellList:
    """The cells of a tile that are to be stepped."""

    def __init__(self, lanes: Lanes) -> None:
        builder = lanes.builder
        self.lanes, self.row_bytes = lanes, lanes.isa.channels * 4
        self.vectors = lanes.isa.vectors
        self.nowhere = TILE_ROWS * self.vectors
        """The cell whose results go nowhere."""
        self.cells = cgutils.alloca_once(builder, I64, size=self.nowhere + _LOT)
        self.count = cgutils.alloca_once(builder, I64)
        self.spread_a = cgutils.alloca_once(builder, I32, size=(TILE_ROWS + 1) * 2 * MOST_GROUPS)
        self.trash = builder.ptrtoint(cgutils.alloca_once(builder, lanes.type), I64)

    def clear(self) -> None:
        """Make the list empty."""
        self.lanes.builder.store(constant64(0), self.count)

    def append_if(self, is_near: Any, cell: int) -> None:
        """List a cell where a bit is set."""
        builder = self.lanes.builder
        count = builder.load(self.count)
        builder.store(constant64(cell), builder.gep(self.cells, [count]))
        builder.store(builder.add(count, builder.zext(is_near, I64)), self.count)

    def spread(self, row: int, row_at: Any, groups: Any, shift: Any) -> None:
        """Put the activations of a block one in each int32, in the place of k: the lower or the upper of the pair."""
        builder, lanes = self.lanes.builder, self.lanes
        amount = lanes.splat_words(builder.trunc(shift, I16))
        to = builder.ptrtoint(cgutils.gep_inbounds(builder, self.spread_a, row * 2 * MOST_GROUPS), I64)
        # What is read past the block stands in `to` past it too, or in what comes next and is written afterwards.
        vectors = builder.udiv(builder.add(groups, constant64(lanes.count - 1)), constant64(lanes.count))
        with cgutils.for_range(builder, vectors) as loop:
            at = builder.mul(loop.index, constant64(lanes.bytes))
            pairs = builder.shl(lanes.load(builder.add(row_at, at), lanes.words), amount)
            pairs = builder.bitcast(pairs, lanes.type)
            lower, upper = (builder.and_(pairs, lanes.constant(mask)) for mask in (0xFFFF, -0x10000))
            to_at = builder.add(to, builder.shl(at, constant64(1)))
            for half in range(2):
                lanes.store(lanes.interleave(lower, upper, half), offset(builder, to_at, half * lanes.bytes))

    def step(self, stepper: Stepper, block: Block) -> None:
        """Step all the cells of the list through a block."""
        builder = self.lanes.builder
        count = builder.load(self.count)
        for i in range(_LOT):
            after = builder.add(count, constant64(i))
            builder.store(constant64(self.nowhere), builder.gep(self.cells, [after]))
        lots = builder.udiv(builder.add(count, constant64(_LOT - _LAST_LOT - 1)), constant64(_LOT))
        with cgutils.for_range(builder, lots) as lot:
            self._step_lot(stepper, block, builder.mul(lot.index, constant64(_LOT)), _LOT)
        done = builder.mul(lots, constant64(_LOT))
        with builder.if_then(builder.icmp_signed("<", done, count)):
            self._step_lot(stepper, block, done, _LAST_LOT)

    def _step_lot(self, stepper: Stepper, block: Block, first: Any, size: int) -> None:
        builder, lanes = self.lanes.builder, self.lanes
        registers_at, events_at, a_at, b_at = [], [], [], []
        for i in range(size):
            cell = builder.load(builder.gep(self.cells, [builder.add(first, constant64(i))]))
            is_real = builder.icmp_signed("<", cell, constant64(self.nowhere))
            at = builder.mul(cell, constant64(lanes.bytes))
            registers_at.append(builder.select(is_real, builder.add(block.registers, at), self.trash))
            events_at.append(builder.select(is_real, builder.add(block.events, at), self.trash))
            row = builder.udiv(cell, constant64(self.vectors))
            spread = builder.ptrtoint(self.spread_a, I64)
            a_at.append(builder.add(spread, builder.mul(row, constant64(2 * MOST_GROUPS * GROUP_BYTES))))
            vector = builder.sub(cell, builder.mul(row, constant64(self.vectors)))
            b_at.append(builder.add(block.weights, builder.mul(vector, constant64(lanes.bytes))))
        states = [stepper.open(lanes.load(at)) for at in registers_at]
        periods = builder.udiv(builder.add(block.groups, constant64(_PERIOD_GROUPS - 1)), constant64(_PERIOD_GROUPS))
        with cgutils.for_range(builder, periods) as period:
            done = builder.mul(period.index, constant64(_PERIOD_GROUPS))
            left = builder.sub(block.groups, done)
            groups = builder.select(
                builder.icmp_signed("<", left, constant64(_PERIOD_GROUPS)), left, constant64(_PERIOD_GROUPS)
            )
            for state in states:
                stepper.begin(state)
            begun = builder.shl(done, constant64(1))
            # One step an iteration: LLVM splits a second vpdpwssd in a row into two instructions.
            with cgutils.for_range(builder, builder.shl(groups, constant64(1))) as loop:
                k = builder.add(begun, loop.index)
                a_offset = builder.shl(k, constant64(2))
                b_offset = builder.mul(builder.lshr(k, constant64(1)), constant64(self.row_bytes))
                for state, a_row, b_column in zip(states, a_at, b_at, strict=True):
                    a = lanes.splat(load_scalar(builder, builder.add(a_row, a_offset), I32))
                    stepper.step(state, a, lanes.load(builder.add(b_column, b_offset)))
            steps = builder.trunc(builder.shl(groups, constant64(1)), I32)
            for i, state in enumerate(states):
                found = builder.add(lanes.load(events_at[i]), stepper.events(state, steps))
                lanes.store(found, events_at[i])
        for i, state in enumerate(states):
            lanes.store(stepper.close(state), registers_at[i])


def emit_steps(cells: CellList, block: Block, settle: Callable[[Any, bool], Any], tricks: Any, raised: Any) -> None:
    """Write the steps of the listed cells in both modes of their registers, and the choice between them.

    Parameters
    ----------
    cells, block
        What is stepped.
    settle
        Gives the register after an addition, from the exact result and whether it saturates.
    tricks
        int1 pair: whether registers saturate; whether the bits they are raised by are given.
    raised
        int64: by how many bits.

    """
    lanes = cells.lanes
    saturates, is_raised = tricks

    def compared(mode: bool) -> None:
        cells.step(Compared(lanes, lambda total: settle(total, mode)), block)

    with lanes.builder.if_else(saturates) as (then, otherwise):
        for branch, mode in ((then, True), (otherwise, False)):
            with branch:
                if mode and not lanes.isa.has_pair_dot:
                    compared(mode)
                    continue
                with lanes.builder.if_else(is_raised) as (trick, plain):
                    with trick:
                        cells.step((Tally if mode else Toggles)(lanes, raised), block)
                    with plain:
                        compared(mode)
