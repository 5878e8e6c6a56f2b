"""The commands of a matrix product that the host of an output-stationary device issues one by one.

They are those of `tiled_matmul_outer` and `sp_tiled_matmul_os` in Gemmini's software library (gemmini-rocc-tests,
include/gemmini.h): a loop has both memories to itself, and its program is: a stride and biases (of the first loop of a
sum), a stride and weights (N outside, K inside, up to a burst of blocks side by side), a stride and activations (M
outside), then a preload and a compute for every block (M outside, K inside: sums stay in the array, and go to
accumulator memory after the loop's last k), and last the stores, block by block. Nothing is kept from loop to loop.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.kernels import command_layout as at
from simulator.mapping.command_lists import (
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
from simulator.mapping.commands import Part, Product


def host_lists(product: Product, tile: LoopTile, device: CommandDevice) -> CommandLists:
    """Write the program of `product`, cut into loops of `tile`."""
    extent = Extent.of(product.m, product.n, product.k, device.dim)
    patterns = Patterns(device)
    known: dict[Part, LoopShape] = {}
    loops = []
    for block in loop_blocks(extent, tile):
        part = Part.of(product, block, extent, device.dim)
        if part not in known:
            known[part] = _Program(product, part, device, patterns).shape()
        loops.append(_placed(block, product, device.dim, known[part]))
    return join(loops, patterns, device, at.HOST)


def _placed(block: LoopBlocks, product: Product, dim: int, shape: LoopShape) -> PlacedLoop:
    """Return a loop, and where its operands lie in DRAM; on chip, places are absolute."""
    m, n, k = block.i0 * dim, block.j0 * dim, block.k0 * dim
    row = m if product.bias == "matrix" else 0
    addresses = (
        m * product.k + k,
        k * product.n + n,
        4 * (row * product.n + n),
        0,
        product.out_bytes * (m * product.n + n),
    )
    return PlacedLoop(shape, (block.i, block.j, block.k, 0, 0), addresses, (0, 0))


@dataclass(frozen=True)
class _Program:
    """The commands of a part of a product that lies at the origin of its operands."""

    product: Product
    part: Part
    device: CommandDevice
    patterns: Patterns

    def shape(self) -> LoopShape:
        """Return commands, a table a sequencer, and executes."""
        p, part, dim, device = self.product, self.part, self.device.dim, self.device
        _, j, k = self._blocks
        x = self._section(Matrix(part.m, part.k, 1, p.k, dim), device.load_blocks, False)
        w = self._section(Matrix(part.k, part.n, 1, p.n, dim), device.load_blocks, True)
        x[:, at.PLACE] = (x[:, at.ROW_BLOCK] * k + x[:, at.COLUMN_BLOCK]) * dim
        w[:, at.PLACE] = self._weight_place(w[:, at.ROW_BLOCK], w[:, at.COLUMN_BLOCK])
        bias = y = commands_table(0)
        if self._has_bias:
            stride = 4 * p.n if p.bias == "matrix" else 0
            bias = self._section(Matrix(part.m, part.n, 4, stride, 4 * dim), device.accumulator_blocks, False)
            bias[:, at.PLACE] = (bias[:, at.ROW_BLOCK] * j + bias[:, at.COLUMN_BLOCK]) * dim
            bias = _after_setup(bias)
        if part.ends:
            y = self._section(Matrix(part.m, part.n, p.out_bytes, p.out_bytes * p.n, dim), 1, False)
            block = y[:, at.ROW_BLOCK] * j + y[:, at.COLUMN_BLOCK]
            y[:, at.PLACE], y[:, at.AFTER] = block * dim, block * k + k - 1
        return LoopShape((_after_setup(x), _after_setup(w), bias, commands_table(0), y), self._executes())

    @property
    def _has_bias(self) -> bool:
        return self.product.bias != "none" and self.part.begins

    @property
    def _blocks(self) -> tuple[int, int, int]:
        dim = self.device.dim
        return -(-self.part.m // dim), -(-self.part.n // dim), -(-self.part.k // dim)

    def _weight_place(self, k: Table, j: Table) -> Table:
        """Rows where blocks of weights begin: they lie up to the end of the scratchpad."""
        _, width, depth = self._blocks
        return self.device.scratchpad_rows - (depth * width - k * width - j) * self.device.dim

    def _section(self, matrix: Matrix, step: int, columns_outside: bool) -> Table:
        return block_commands(matrix, step, columns_outside, self.device, self.patterns)

    def _executes(self) -> Table:
        """Return preloads and computes; loads are counted with the command that sets their stride."""
        dim, device, nothing = self.device.dim, self.device, -1
        size_i, size_j, size_k = self._blocks
        i, j, k = (part.ravel() for part in np.indices((size_i, size_j, size_k)))
        last = k == size_k - 1
        table = np.zeros((len(k), at.EXECUTE_COLUMNS), np.int64)
        table[:, at.EXECUTE_ROWS] = np.minimum(dim, self.part.m - i * dim)
        table[:, at.WEIGHT_ROWS] = np.minimum(dim, self.part.k - k * dim)
        table[:, at.NEW_WEIGHTS] = k == 0
        table[:, at.INPUT_PLACE] = (i * size_k + k) * dim
        table[:, at.WEIGHT_PLACE] = self._weight_place(k, j)
        table[:, at.RESULT_PLACE] = np.where(last, (i * size_j + j) * dim, nothing)
        table[:, at.ADDS] = last & (self._has_bias or not self.part.begins)
        per_load, per_bias = device.load_blocks, device.accumulator_blocks
        table[:, at.INPUT_LOAD] = 1 + i * -(-size_k // per_load) + k // per_load
        table[:, at.WEIGHT_LOAD] = 1 + j // per_load * size_k + k
        bias = 1 + i * -(-size_j // per_bias) + j // per_bias
        table[:, at.BIAS_LOAD] = np.where(last & self._has_bias, bias, nothing)
        return table


def _after_setup(table: Table) -> Table:
    """Put the command that sets the stride before some loads."""
    setup = commands_table(1)
    setup[:, at.KIND] = at.SETUP
    return np.concatenate([setup, table])
