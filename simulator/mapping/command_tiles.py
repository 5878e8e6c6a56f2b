"""The fixed rule by which a command-driven device cuts a matrix product into loops.

It is that of tiled_matmul_auto in Gemmini's software library (gemmini-rocc-tests, include/gemmini.h). Weight
stationary, it buffers twice: a loop has half of the scratchpad and half of accumulator memory. Output stationary, a
loop has all of both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isqrt


@dataclass(frozen=True)
class LoopTile:
    """Blocks of a loop along M, N and K."""

    i: int
    j: int
    k: int


@dataclass(frozen=True)
class Extent:
    """Blocks of a matrix product along M, N and K."""

    i: int
    j: int
    k: int

    @classmethod
    def of(cls, m: int, n: int, k: int, dim: int) -> Extent:
        """Round a product m x n x k up to blocks of `dim`."""
        return cls(-(-m // dim), -(-n // dim), -(-k // dim))

    def trips(self, tile: LoopTile) -> LoopTile:
        """Loops along each dimension."""
        return LoopTile(-(-self.i // tile.i), -(-self.j // tile.j), -(-self.k // tile.k))


@dataclass(frozen=True)
class LoopBlocks:
    """First block and number of blocks of one loop along each dimension."""

    i0: int
    i: int
    j0: int
    j: int
    k0: int
    k: int


def loop_tile(
    extent: Extent, scratchpad_rows: int, accumulator_rows: int, dim: int, buffers: int = 2
) -> LoopTile | None:
    """Blocks of a loop, or None where not one block of each operand fits.

    Start near a cube: as many blocks along M and N as the square root of what a loop's part of accumulator memory
    holds, and as many along K as half of its part of the scratchpad then holds. Then grow J, I and K by one in turn
    while the loop fits.

    Parameters
    ----------
    scratchpad_rows, accumulator_rows
        Rows of `dim` elements in the whole memories.
    buffers
        Parts that the memories are in: 2, or 1 for all of them.

    """
    scratchpad, accumulators = scratchpad_rows // buffers // dim, accumulator_rows // buffers // dim
    side = isqrt(accumulators)
    depth = scratchpad // 2 // side if side else 0
    if depth == 0:
        return None
    i, j, k = min(extent.i, side), min(extent.j, side), min(extent.k, depth)

    def fits(i: int, j: int, k: int) -> bool:
        inside = i <= extent.i and j <= extent.j and k <= extent.k
        return inside and (i + j) * k <= scratchpad and i * j <= accumulators

    grown = True
    while grown:
        grown = False
        if fits(i, j + 1, k):
            j, grown = j + 1, True
        if fits(i + 1, j, k):
            i, grown = i + 1, True
        if fits(i, j, k + 1):
            k, grown = k + 1, True
    return LoopTile(i, j, k)


def loop_blocks(extent: Extent, tile: LoopTile) -> Iterator[LoopBlocks]:
    """Loops in their order: M outside, K inside."""
    for i0 in range(0, extent.i, tile.i):
        for j0 in range(0, extent.j, tile.j):
            for k0 in range(0, extent.k, tile.k):
                i, j, k = min(tile.i, extent.i - i0), min(tile.j, extent.j - j0), min(tile.k, extent.k - k0)
                yield LoopBlocks(i0, i, j0, j, k0, k)
