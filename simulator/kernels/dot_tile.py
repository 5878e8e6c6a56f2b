"""The innermost kernel of the wide path: a register tile of exact sums, TILE_ROWS pixels by a panel of channels.

Each int32 lane holds one output. A group of K, 4 bytes of each operand, is one instruction a vector: four products of
uint8 and int8 (`bytes`), or two of int16 (`pairs`). Sums are exact modulo 2^32, whatever the order.

Operands: activations lie anywhere, a row of the tile at `row`, its K cut into `pieces` of `groups` groups, each
contiguous, at row + piece offset: an image convolved in place needs no copy of its patches. Weights are packed
[piece][group][vector][lane][4 bytes]; a piece of zeros may be left out.

Sets without vpdpbusd form two products of bytes as int16, saturating, and then add those. No such sum saturates where
both weights of a pair together are at most 32767 / (greatest activation) in size: weights are split so that it holds,
what is left of the few pairs that are heavier coming as `extras`, groups by themselves (see `heavy_pairs`).
"""

from __future__ import annotations

from functools import cache
from typing import Any

from numba import types
from numba.extending import intrinsic

from simulator.kernels._jit import specialized
from simulator.kernels.by_address import address_of
from simulator.kernels.isa import TILE_ROWS, InstructionSet
from simulator.kernels.vector_ir import I32, I64, Lanes, cgutils, constant64, load_scalar, offset

GROUP_BYTES = 4
"""Bytes of one operand that a lane takes at once."""
UNROLLED = 2
"""Groups of one round of the loop, at most: a piece has a multiple of them, filled up with weights of 0."""
_DOTS_UNDER_WAY = 10
"""Dot products that a CPU works on at once: two a cycle, five cycles each."""
BYTES = "bytes"
PAIRS = "pairs"

# What an instruction set puts in its place: see `dot_tile_at`.
dot_tile: Any = None


def tile_rows(builder: Any, activations: Any, rows: Any) -> list[Any]:
    """Addresses of the tile's rows, from a table of int64 byte offsets."""
    return [
        builder.add(activations, load_scalar(builder, offset(builder, rows, 8 * row), I64)) for row in range(TILE_ROWS)
    ]


def make_dot_tile(isa: InstructionSet, operands: str) -> Any:
    """Return the intrinsic for Numba code that adds the products of a tile.

    ``tile(activations, rows, pieces, count, groups, weights, sums, resume, lows, highs, begins, offsets, extras)``

    Parameters
    ----------
    isa
        Whose instructions.
    operands
        BYTES or PAIRS.

    The intrinsic takes addresses and numbers, all int64: base of the activations; a table of int64 byte offsets of the
    TILE_ROWS rows; one of the offsets of each piece's activations (from a row) and weights; how many pieces, groups in
    each (one at least); packed weights; int32 sums [TILE_ROWS, channels], written, or added to where `resume` is not 0;
    where `lows` is not 0, int32 [channels] each of least and greatest sums so far, brought up to date; extras, where
    their first address is not 0: table of int64 [vectors + 1], where those of each vector begin, their byte offsets
    from a row, their weights.
    """
    splits = operands == BYTES and not isa.has_byte_dot
    fuses = operands == PAIRS and isa.has_pair_dot and not isa.emulated

    def add(lanes: Lanes, total: Any, a: Any, b: Any) -> Any:
        if operands == BYTES:
            return lanes.add_byte_products(total, a, b)
        return lanes.add_pair_products(total, a, b)

    def emit(builder: Any, args: Any) -> None:
        activations, rows, pieces, count, groups, weights, sums, resume, lows, highs, *extras = args
        lanes = Lanes(builder, isa)
        row_at = tile_rows(builder, activations, rows)
        cells = [(row, vector) for row in range(TILE_ROWS) for vector in range(isa.vectors)]
        sum_at = {(r, v): offset(builder, sums, (r * isa.vectors + v) * lanes.bytes) for r, v in cells}
        totals = {cell: lanes.variable(lanes.constant(0)) for cell in cells}
        # A tile of few cells would wait for the last product of each: groups by turns then have totals of their own.
        chains = [totals] * UNROLLED
        if len(cells) < _DOTS_UNDER_WAY:
            chains = [totals, *({cell: lanes.variable(lanes.constant(0)) for cell in cells} for _ in chains[1:])]
        elif fuses:
            chains = [totals]  # LLVM splits a second vpdpwssd on the same sums into two instructions
        for chain in chains:
            for cell in cells:
                builder.store(lanes.constant(0), chain[cell])
        with builder.if_then(builder.icmp_signed("!=", resume, constant64(0))):
            for cell in cells:
                builder.store(lanes.load(sum_at[cell]), totals[cell])
        packed = cgutils.alloca_once_value(builder, weights)
        with cgutils.for_range(builder, count) as piece:
            entry = builder.add(pieces, builder.shl(piece.index, constant64(4)))
            piece_offset = load_scalar(builder, entry, I64)
            builder.store(builder.add(weights, load_scalar(builder, offset(builder, entry, 8), I64)), packed)
            with cgutils.for_range(builder, builder.sdiv(groups, constant64(len(chains)))) as loop:
                at = builder.add(piece_offset, builder.mul(loop.index, constant64(len(chains) * GROUP_BYTES)))
                b_at = builder.load(packed)
                for group, chain in enumerate(chains):
                    b = [
                        lanes.load(offset(builder, b_at, (group * isa.vectors + v) * lanes.bytes))
                        for v in range(isa.vectors)
                    ]
                    for row in range(TILE_ROWS):
                        a_at = offset(builder, builder.add(row_at[row], at), group * GROUP_BYTES)
                        a = lanes.splat(load_scalar(builder, a_at, I32))
                        for vector in range(isa.vectors):
                            total = chain[row, vector]
                            builder.store(add(lanes, builder.load(total), a, b[vector]), total)
                builder.store(offset(builder, b_at, len(chains) * isa.vectors * lanes.bytes), packed)
        for chain in chains[1:]:
            if chain is not totals:
                for cell in cells:
                    builder.store(builder.add(builder.load(totals[cell]), builder.load(chain[cell])), totals[cell])
        if splits:
            with builder.if_then(builder.icmp_unsigned("!=", extras[0], constant64(0))):
                emit_extras(lanes, row_at, totals, *extras)
        for cell in cells:
            lanes.store(builder.load(totals[cell]), sum_at[cell])
        with builder.if_then(builder.icmp_unsigned("!=", lows, constant64(0))):
            emit_extremes(lanes, totals, lows, highs)

    def emit_extremes(lanes: Lanes, totals: Any, lows: Any, highs: Any) -> None:
        for vector in range(isa.vectors):
            for address, extreme in ((lows, lanes.minimum), (highs, lanes.maximum)):
                at = offset(lanes.builder, address, vector * lanes.bytes)
                found = lanes.load(at)
                for row in range(TILE_ROWS):
                    found = extreme(found, lanes.builder.load(totals[row, vector]))
                lanes.store(found, at)

    def emit_extras(lanes: Lanes, row_at: list[Any], totals: Any, begins: Any, offsets: Any, weights: Any) -> None:
        builder = lanes.builder
        for vector in range(isa.vectors):
            begin = load_scalar(builder, offset(builder, begins, 8 * vector), I64)
            end = load_scalar(builder, offset(builder, begins, 8 * (vector + 1)), I64)
            with cgutils.for_range(builder, end, start=begin) as extra:
                at = load_scalar(builder, builder.add(offsets, builder.shl(extra.index, constant64(3))), I64)
                b = lanes.load(builder.add(weights, builder.mul(extra.index, constant64(lanes.bytes))))
                for row in range(TILE_ROWS):
                    a = lanes.splat(load_scalar(builder, builder.add(row_at[row], at), I32))
                    total = totals[row, vector]
                    builder.store(add(lanes, builder.load(total), a, b), total)

    @intrinsic
    def dot_tile(
        context: Any,
        activations: Any,
        rows: Any,
        pieces: Any,
        count: Any,
        groups: Any,
        weights: Any,
        sums: Any,
        resume: Any,
        lows: Any,
        highs: Any,
        extra_begins: Any,
        extra_offsets: Any,
        extra_weights: Any,
    ) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            emit(builder, args)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 13), codegen

    return dot_tile


def _tile(
    activations: Any,
    rows: Any,
    pieces: Any,
    count: Any,
    groups: Any,
    weights: Any,
    sums: Any,
    resume: Any,
    lows: Any,
    highs: Any,
    begins: Any,
    offsets: Any,
    extras: Any,
) -> Any:
    dot_tile(activations, rows, pieces, count, groups, weights, sums, resume, lows, highs, begins, offsets, extras)
    return 0


@cache
def dot_tile_at(isa: InstructionSet, operands: str) -> int:
    """Return the address of the tile of `make_dot_tile`, for `call_at`; what it returns is 0."""
    name = f"dot_tile_{isa.identifier}_{operands}"
    return address_of(specialized(_tile, name, dot_tile=make_dot_tile(isa, operands)))
