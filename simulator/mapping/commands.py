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
    LoopCommands,
    Patterns,
    Table,
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


@dataclass(frozen=True)
class _Matrix:
    """An operand in DRAM."""

    rows: int
    columns: int
    element_bytes: int
    stride_bytes: int
    """0: one row, read once and repeated on chip (LoadController.scala, `actual_rows_read`)."""
    row_bytes: int
    """Of a row of the memory on chip."""
    whole_blocks: bool = False
    """Rows past the end of a block are moved too."""


def command_lists(product: Product, tile: LoopTile, device: CommandDevice) -> CommandLists:
    """Unroll `product`, cut into loops of `tile`, into commands."""
    extent = Extent.of(product.m, product.n, product.k, device.dim)
    unroller = _Unroller(product, tile, extent, extent.trips(tile), device, Patterns(device))
    loops = [unroller.loop(index, block) for index, block in enumerate(loop_blocks(extent, tile))]
    return join(loops, unroller.patterns, device, at.PRODUCTS)


@dataclass(frozen=True)
class _Unroller:
    product: Product
    tile: LoopTile
    extent: Extent
    trips: LoopTile
    device: CommandDevice
    patterns: Patterns

    def loop(self, index: int, block: LoopBlocks) -> LoopCommands:
        moves = self._moves(block)
        self._place(index, block, moves)
        return LoopCommands(
            (block.i, block.j, block.k, index % 2, 0), tuple(moves), self._executes(index, block, moves)
        )

    def _moves(self, block: LoopBlocks) -> list[Table]:
        """Return commands of one loop, one table a sequencer."""
        p, dim, device = self.product, self.device.dim, self.device
        found = [commands_table(0)] * at.SEQUENCERS
        rows, columns, depth = (block.i0, block.i), (block.j0, block.j), (block.k0, block.k)
        if block.j0 == 0 or not self._inputs_kept:
            x = _Matrix(p.m, p.k, 1, p.k, dim)
            found[at.ACTIVATIONS] = self._section(x, rows, depth, device.load_blocks, True)
        if block.i0 == 0 or not self._weights_kept:
            w = _Matrix(p.k, p.n, 1, p.n, dim, whole_blocks=True)
            found[at.WEIGHTS] = self._section(w, depth, columns, device.load_blocks, False)
        if p.bias != "none" and block.k0 == 0:
            bias = _Matrix(p.m, p.n, 4, 4 * p.n if p.bias == "matrix" else 0, 4 * dim)
            found[at.BIASES] = self._section(bias, rows, columns, device.accumulator_blocks, True)
        if block.k0 + block.k == self.extent.k:
            step = device.load_blocks if p.out_bytes == 1 else 1
            y = _Matrix(p.m, p.n, p.out_bytes, p.out_bytes * p.n, dim)
            found[at.STORES] = self._section(y, rows, columns, step, True)
        return found

    @property
    def _inputs_kept(self) -> bool:
        return self.trips.i * self.trips.k <= KEPT_TRIPS

    @property
    def _weights_kept(self) -> bool:
        return self.trips.j * self.trips.k <= KEPT_TRIPS

    def _halves(self, index: int, block: LoopBlocks) -> tuple[int, int]:
        """Halves of the scratchpad that hold a loop's activations and weights."""
        i, j, k = block.i0 // self.tile.i, block.j0 // self.tile.j, block.k0 // self.tile.k
        inputs = i * self.trips.k + k if self._inputs_kept else index
        weights = j * self.trips.k + k if self._weights_kept else index
        return inputs % 2, weights % 2

    def _input_bank(self, index: int, block: LoopBlocks, i: Table, k: Table) -> Table:
        """Banks of blocks of activations: they lie from the start of a half."""
        row = self._halves(index, block)[0] * self.device.half_rows + (i * block.k + k) * self.device.dim
        return row // self.device.bank_rows

    def _weight_bank(self, index: int, block: LoopBlocks, k: Table, j: Table) -> Table:
        """Banks of blocks of weights: they lie up to the last block of a half."""
        end = (self._halves(index, block)[1] + 1) * self.device.half_rows - self.device.dim
        row = end - block.k * block.j * self.device.dim + (k * block.j + j) * self.device.dim
        return row // self.device.bank_rows

    def _place(self, index: int, block: LoopBlocks, moves: list[Table]) -> None:
        """Note where loads go and what stores wait for."""
        x, w, y = moves[at.ACTIVATIONS], moves[at.WEIGHTS], moves[at.STORES]
        x[:, at.BANK] = self._input_bank(index, block, x[:, at.ROW_BLOCK], x[:, at.COLUMN_BLOCK])
        w[:, at.BANK] = self._weight_bank(index, block, w[:, at.ROW_BLOCK], w[:, at.COLUMN_BLOCK])
        last_j = y[:, at.COLUMN_BLOCK] + y[:, at.BLOCKS] - 1
        y[:, at.AFTER] = ((block.k - 1) * block.j + last_j) * block.i + y[:, at.ROW_BLOCK]

    def _executes(self, index: int, block: LoopBlocks, moves: list[Table]) -> Table:
        dim, device, nothing = self.device.dim, self.device, -1
        k, j, i = (part.ravel() for part in np.indices((block.k, block.j, block.i)))
        table = np.zeros((len(k), at.EXECUTE_COLUMNS), np.int64)
        table[:, at.EXECUTE_ROWS] = np.minimum(dim, self.product.m - (block.i0 + i) * dim)
        table[:, at.NEW_WEIGHTS] = i == 0
        table[:, at.INPUT_BANK] = self._input_bank(index, block, i, k)
        table[:, at.WEIGHT_BANK] = self._weight_bank(index, block, k, j)
        has_bias = len(moves[at.BIASES]) > 0
        table[:, at.ADDS_TO] = np.where((k > 0) | has_bias, index % 2 + 1, 0)
        per_load, per_bias = device.load_blocks, device.accumulator_blocks
        x, w = k // per_load * block.i + i, k * -(-block.j // per_load) + j // per_load
        table[:, at.INPUT_LOAD] = x if len(moves[at.ACTIVATIONS]) else nothing
        table[:, at.WEIGHT_LOAD] = w if len(moves[at.WEIGHTS]) else nothing
        table[:, at.BIAS_LOAD] = np.where((k == 0) & has_bias, j // per_bias * block.i + i, nothing)
        return table

    def _section(
        self,
        matrix: _Matrix,
        row_blocks: tuple[int, int],
        column_blocks: tuple[int, int],
        step: int,
        columns_outside: bool,
    ) -> Table:
        """Return commands for (first, count) blocks of rows and columns, `step` blocks side by side in each."""
        dim, burst = self.device.dim, self.device.burst_bytes
        r, c = np.arange(row_blocks[1]), np.arange(0, column_blocks[1], step)
        row, column = (part.ravel() for part in np.meshgrid(r, c, indexing="xy" if columns_outside else "ij"))
        blocks = np.minimum(step, column_blocks[1] - column)
        first_row, first_column = (row_blocks[0] + row) * dim, (column_blocks[0] + column) * dim
        rows = np.full_like(row, dim) if matrix.whole_blocks else np.minimum(dim, matrix.rows - first_row)
        sizes = (np.minimum(first_column + blocks * dim, matrix.columns) - first_column) * matrix.element_bytes
        address = first_row * matrix.stride_bytes + first_column * matrix.element_bytes
        table = commands_table(len(row))
        table[:, at.ROW_BLOCK], table[:, at.COLUMN_BLOCK], table[:, at.BLOCKS] = row, column, blocks
        repeated = matrix.stride_bytes == 0
        table[:, at.ROWS], table[:, at.REPEATS] = (1, rows) if repeated else (rows, 1)
        table[:, at.LINE_ROWS] = dim
        table[:, at.ADDRESS], table[:, at.STRIDE] = address % burst, matrix.stride_bytes % burst
        table[:, at.PATTERN] = self.patterns.of(sizes, matrix.row_bytes)
        return table
