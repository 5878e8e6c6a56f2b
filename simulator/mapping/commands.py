"""The commands of a matrix product on a command-driven device: loops, load and store commands, executes.

Each loop is unrolled by five sequencers, as in Gemmini's LoopMatmul.scala: activations (K outside, M inside), weights
(K outside, N inside; all rows of a block, beyond K too), biases, executes, stores. A load moves up to a burst of blocks
side by side. Operands that the loops before have left in the scratchpad are not loaded again (gemmini.h,
tiled_matmul_outer).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.kernels import command_layout as at
from simulator.mapping.command_lists import (
    KEPT_TRIPS,
    CommandDevice,
    CommandLists,
    LoopShape,
    Matrix,
    Patterns,
    PlacedLoop,
    Table,
    block_commands,
    commands_table,
    join,
)
from simulator.mapping.command_tiles import Extent, LoopBlocks, LoopTile, loop_blocks


@dataclass(frozen=True)
class Product:
    """A matrix product as the device sees it: y[m, n] = x[m, k] @ w[k, n] + bias, in DRAM row by row."""

    m: int
    n: int
    k: int
    out_bytes: int
    """Of one output: 1, or 4 for accumulators."""
    bias: str = "none"
    """none, vector (one row, read once for a block of rows of outputs) or matrix."""


def command_lists(product: Product, tile: LoopTile, device: CommandDevice) -> CommandLists:
    """Unroll `product`, cut into loops of `tile`, into commands."""
    extent = Extent.of(product.m, product.n, product.k, device.dim)
    trips = extent.trips(tile)
    patterns = Patterns(device)
    known: dict[Part, LoopShape] = {}
    loops = []
    for index, block in enumerate(loop_blocks(extent, tile)):
        part = Part.of(product, block, extent, device.dim)
        if part not in known:
            known[part] = _Unroller(product, part, device, patterns).shape()
        loops.append(_placed(index, block, tile, trips, product, device, known[part]))
    return join(loops, patterns, device, at.PRODUCTS)


def _placed(
    index: int,
    block: LoopBlocks,
    tile: LoopTile,
    trips: LoopTile,
    product: Product,
    device: CommandDevice,
    shape: LoopShape,
) -> PlacedLoop:
    """Return a loop, and where its operands lie in DRAM and on chip; kept ones are loaded once."""
    m, n, k = (first * device.dim for first in (block.i0, block.j0, block.k0))
    row = m if product.bias == "matrix" else 0
    addresses = (
        m * product.k + k,
        k * product.n + n,
        4 * (row * product.n + n),
        0,
        product.out_bytes * (m * product.n + n),
    )
    inputs_kept, weights_kept = trips.i * trips.k <= KEPT_TRIPS, trips.j * trips.k <= KEPT_TRIPS
    i, j, step = block.i0 // tile.i, block.j0 // tile.j, block.k0 // tile.k
    halves = (
        (i * trips.k + step if inputs_kept else index) % 2,
        (j * trips.k + step if weights_kept else index) % 2,
    )
    loads = (block.j0 == 0 or not inputs_kept, block.i0 == 0 or not weights_kept, True, True, True)
    # Accumulators change halves with each tile of outputs (LoopMatmul.scala, `c_dram_addr =/= 0`).
    first = (block.i, block.j, block.k, (i * trips.j + j) % 2, 0)
    return PlacedLoop(shape, first, addresses, (halves[0] * device.half_rows, halves[1] * device.half_rows), loads)


@dataclass(frozen=True)
class Part:
    """What loops that unroll alike have in common: sizes in elements, and whether they begin or end a sum."""

    m: int
    n: int
    k: int
    begins: bool
    ends: bool

    @classmethod
    def of(cls, product: Product, block: LoopBlocks, extent: Extent, dim: int) -> Part:
        """Return what a loop is, its last blocks cut to the product."""
        return cls(
            min(block.i * dim, product.m - block.i0 * dim),
            min(block.j * dim, product.n - block.j0 * dim),
            min(block.k * dim, product.k - block.k0 * dim),
            block.k0 == 0,
            block.k0 + block.k == extent.k,
        )


@dataclass(frozen=True)
class _Unroller:
    """Unrolls a part of a product that lies at the origin of its operands."""

    product: Product
    part: Part
    device: CommandDevice
    patterns: Patterns

    @property
    def _blocks(self) -> tuple[int, int, int]:
        dim = self.device.dim
        return -(-self.part.m // dim), -(-self.part.n // dim), -(-self.part.k // dim)

    def shape(self) -> LoopShape:
        """Return commands, a table a sequencer, and executes."""
        p, part, dim, device = self.product, self.part, self.device.dim, self.device
        x = self._section(Matrix(part.m, part.k, 1, p.k, dim), device.load_blocks, True)
        w = self._section(Matrix(part.k, part.n, 1, p.n, dim, whole_blocks=True), device.load_blocks, False)
        bias = y = commands_table(0)
        if p.bias != "none" and part.begins:
            stride = 4 * p.n if p.bias == "matrix" else 0
            bias = self._section(Matrix(part.m, part.n, 4, stride, 4 * dim), device.accumulator_blocks, True)
        if part.ends:
            step = device.load_blocks if p.out_bytes == 1 else 1
            y = self._section(Matrix(part.m, part.n, p.out_bytes, p.out_bytes * p.n, dim), step, True)
        i, j, k = self._blocks
        x[:, at.PLACE] = (x[:, at.ROW_BLOCK] * k + x[:, at.COLUMN_BLOCK]) * dim
        w[:, at.PLACE] = self._weight_place(w[:, at.ROW_BLOCK], w[:, at.COLUMN_BLOCK])
        last_j = y[:, at.COLUMN_BLOCK] + y[:, at.BLOCKS] - 1
        y[:, at.AFTER] = ((k - 1) * j + last_j) * i + y[:, at.ROW_BLOCK]
        return LoopShape((x, w, bias, commands_table(0), y), self._executes(len(bias) > 0))

    def _weight_place(self, k: Table, j: Table) -> Table:
        """Rows of a half where blocks of weights begin: they lie up to its end (LoopMatmul.scala, `b_addr_end`)."""
        _, width, depth = self._blocks
        return self.device.half_rows - (depth * width - k * width - j) * self.device.dim

    def _executes(self, has_bias: bool) -> Table:
        dim, device, nothing = self.device.dim, self.device, -1
        size_i, size_j, size_k = self._blocks
        k, j, i = (part.ravel() for part in np.indices((size_k, size_j, size_i)))
        table = np.zeros((len(k), at.EXECUTE_COLUMNS), np.int64)
        table[:, at.EXECUTE_ROWS] = np.minimum(dim, self.part.m - i * dim)
        table[:, at.WEIGHT_ROWS] = np.minimum(dim, self.part.k - k * dim)
        table[:, at.NEW_WEIGHTS] = i == 0
        table[:, at.INPUT_PLACE] = (i * size_k + k) * dim
        table[:, at.WEIGHT_PLACE] = self._weight_place(k, j)
        table[:, at.ADDS] = (k > 0) | has_bias
        per_load, per_bias = device.load_blocks, device.accumulator_blocks
        table[:, at.INPUT_LOAD] = k // per_load * size_i + i
        table[:, at.WEIGHT_LOAD] = k * -(-size_j // per_load) + j // per_load
        table[:, at.BIAS_LOAD] = np.where((k == 0) & has_bias, j // per_bias * size_i + i, nothing)
        return table

    def _section(self, matrix: Matrix, step: int, columns_outside: bool) -> Table:
        return block_commands(matrix, step, columns_outside, self.device, self.patterns)
