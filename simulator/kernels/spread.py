"""The activations of a block, one for each step: what a lane multiplies its weight by."""

from __future__ import annotations

from typing import Any

from simulator.kernels.dot_tile import GROUP_BYTES
from simulator.kernels.isa import TILE_ROWS
from simulator.kernels.vector_ir import I16, I32, I64, Lanes, cgutils, constant64, offset

MOST_GROUPS = 128
"""Pairs of k of the longest block that is stepped."""


class Spread:
    """Activations of the rows of a tile, an int32 for each k."""

    def __init__(self, lanes: Lanes) -> None:
        self.lanes = lanes
        self.memory = cgutils.alloca_once(lanes.builder, I32, size=(TILE_ROWS + 1) * 2 * MOST_GROUPS)

    def row(self, row: Any) -> Any:
        """Address of a row, whose number is an int64."""
        builder = self.lanes.builder
        step = constant64(2 * MOST_GROUPS * GROUP_BYTES)
        return builder.add(builder.ptrtoint(self.memory, I64), builder.mul(row, step))

    def fill(self, row: int, row_at: Any, groups: Any, shift: Any = None) -> None:
        """Spread pairs of int16: each in its place of the pair, raised by a shift; or, without, in both places."""
        builder, lanes = self.lanes.builder, self.lanes
        to = self.row(constant64(row))
        # What is read past the block stands in `to` past it too, or in what comes next and is written afterwards.
        vectors = builder.udiv(builder.add(groups, constant64(lanes.count - 1)), constant64(lanes.count))
        with cgutils.for_range(builder, vectors) as loop:
            at = builder.mul(loop.index, constant64(lanes.bytes))
            pairs = lanes.load(builder.add(row_at, at), lanes.words)
            first, second = self._in_both(pairs) if shift is None else self._in_place(pairs, shift)
            to_at = builder.add(to, builder.shl(at, constant64(1)))
            for half in range(2):
                lanes.store(lanes.interleave(first, second, half), offset(builder, to_at, half * lanes.bytes))

    def _in_place(self, pairs: Any, shift: Any) -> tuple[Any, Any]:
        builder, lanes = self.lanes.builder, self.lanes
        raised = builder.shl(pairs, lanes.splat_words(builder.trunc(shift, I16)))
        raised = builder.bitcast(raised, lanes.type)
        return builder.and_(raised, lanes.constant(0xFFFF)), builder.and_(raised, lanes.constant(-0x10000))

    def _in_both(self, pairs: Any) -> tuple[Any, Any]:
        builder, lanes = self.lanes.builder, self.lanes
        pairs, half = builder.bitcast(pairs, lanes.type), lanes.constant(16)
        lower, upper = builder.and_(pairs, lanes.constant(0xFFFF)), builder.lshr(pairs, half)
        return builder.or_(lower, builder.shl(lower, half)), builder.or_(upper, builder.shl(upper, half))
