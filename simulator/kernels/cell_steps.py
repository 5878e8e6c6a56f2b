"""Stepping the cells of a register tile: each product of a block by itself, wrapped or saturated, its events counted.

A cell is one pixel by one vector of channels. Those to be stepped are gathered in a list over the whole tile and taken
some at a time, so that the steps of one hide how long those of another take; what is missing in the last lot is filled
up with a cell whose results go nowhere. Activations of a row are spread beforehand, raised: one of the pair in each
int32, the other 0, so that a lane adds one product a step.

How a register is stepped depends on its mode and its width: see `toggles` and `tally`, `sticky` where a flag will do,
and `Compared` for what all leave over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from simulator.kernels.isa import TILE_ROWS
from simulator.kernels.spread import Spread
from simulator.kernels.sticky import StickyCell
from simulator.kernels.tally import Tally
from simulator.kernels.toggles import Toggles
from simulator.kernels.vector_ir import I32, I64, Lanes, cgutils, constant64, load_scalar

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


Stepper = Compared | Tally | Toggles | StickyCell


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
        self.spread = Spread(lanes)
        self.trash = builder.ptrtoint(cgutils.alloca_once(builder, lanes.type), I64)

    def clear(self) -> None:
        """Make the list empty."""
        self.lanes.builder.store(constant64(0), self.count)

    def append_if(self, is_near: Any, cell: Any) -> None:
        """List a cell, int64, where a bit is set."""
        builder = self.lanes.builder
        count = builder.load(self.count)
        builder.store(cell, builder.gep(self.cells, [count]))
        builder.store(builder.add(count, builder.zext(is_near, I64)), self.count)

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
            a_at.append(self.spread.row(row))
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
