"""The commands of a matrix product on a command-driven device: loops, load and store commands, memory requests.

Each loop is unrolled by five sequencers, as in Gemmini's LoopMatmul.scala: activations (K outside, M inside), weights
(K outside, N inside; all rows of a block, beyond K too), biases, executes, stores. A load moves up to a burst of blocks
side by side. Operands that the loops before have left in the scratchpad are not loaded again (gemmini.h,
tiled_matmul_outer).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from simulator.kernels import command_layout as at
from simulator.mapping.command_tiles import Extent, LoopBlocks, LoopTile, loop_blocks
from simulator.mapping.memory_requests import row_requests

Table = NDArray[np.int64]

_KEPT_TRIPS = 2
"""Operands whose loops are at most this many stay in the two halves of the scratchpad."""


@dataclass(frozen=True)
class Product:
    """A matrix product as the device sees it: y[m, n] = x[m, k] @ w[k, n] + bias, in DRAM row by row."""

    m: int
    n: int
    k: int
    out_bytes: int
    """Of one output: 1, or 4 for accumulators."""
    bias: str = "none"
    """none, vector (one row, read again for every row of outputs) or matrix."""


@dataclass(frozen=True)
class CommandDevice:
    """Sizes that decide commands."""

    dim: int
    beat_bytes: int
    burst_bytes: int
    scratchpad_rows: int
    accumulator_rows: int

    @property
    def load_blocks(self) -> int:
        """Blocks of int8 side by side in one command."""
        return max(1, self.burst_bytes // self.dim)

    @property
    def accumulator_blocks(self) -> int:
        """Blocks of accumulators side by side in one load."""
        return max(1, self.burst_bytes // (4 * self.dim))


@dataclass(frozen=True, eq=False)
class CommandLists:
    """Loops, commands and requests of one layer, in the layout of `simulator.kernels.command_layout`."""

    loops: Table
    """[loops + 1, LOOP_COLUMNS]; the last row only ends the one before."""
    commands: Table
    """[commands, COMMAND_COLUMNS]: section by section, loop by loop."""
    pattern_start: Table
    """[patterns + 1]: first request of a row, by its size and its offset in a burst."""
    requests: Table
    """[requests, REQUEST_COLUMNS]."""
    beats: Table
    """[loops, SEQUENCERS]: beats that each loop moves; 0 for executes."""
    blocks: tuple[LoopBlocks, ...]
    """What each loop covers."""
    device: CommandDevice


@dataclass(frozen=True)
class _Matrix:
    """An operand in DRAM."""

    rows: int
    columns: int
    element_bytes: int
    stride_bytes: int
    row_bytes: int
    """Of a row of the memory on chip."""
    whole_blocks: bool = False
    """Rows past the end of a block are moved too."""


class _Patterns:
    """Rows of bytes by size: every offset in a burst, with its requests."""

    def __init__(self, device: CommandDevice) -> None:
        self._device = device
        self._index: dict[tuple[int, int], int] = {}

    def of(self, size_bytes: int, row_bytes: int) -> int:
        """Return the first pattern of this size; the offset in a burst is to be added."""
        return self._index.setdefault((size_bytes, row_bytes), len(self._index)) * self._device.burst_bytes

    def tables(self) -> tuple[Table, Table, Table]:
        """Return first requests [patterns + 1], requests, and beats [patterns]."""
        burst = self._device.burst_bytes
        rows = [
            row_requests(offset, size, row_bytes, self._device.beat_bytes, burst)
            for size, row_bytes in self._index
            for offset in range(burst)
        ]
        start = np.cumsum([0, *(len(row) for row in rows)], dtype=np.int64)
        flat = [(r.beats, r.period, r.first_write, r.last_write) for row in rows for r in row]
        beats = np.array([sum(r.beats for r in row) for row in rows], np.int64)
        return start, np.array(flat, np.int64).reshape(-1, at.REQUEST_COLUMNS), beats


def command_lists(product: Product, tile: LoopTile, device: CommandDevice) -> CommandLists:
    """Unroll `product`, cut into loops of `tile`, into commands."""
    extent = Extent.of(product.m, product.n, product.k, device.dim)
    trips = extent.trips(tile)
    blocks = tuple(loop_blocks(extent, tile))
    patterns = _Patterns(device)
    loops = np.zeros((len(blocks) + 1, at.LOOP_COLUMNS), np.int64)
    sections: list[list[Table]] = [[] for _ in range(at.SEQUENCERS)]
    for index, block in enumerate(blocks):
        loops[index, : at.FIRST_COMMAND] = _loop_row(index, block, tile, trips, product, device.dim)
        for section, moved in zip(sections, _moves(block, trips, extent, product, device, patterns), strict=True):
            section.append(moved)
    loops[1:, at.FIRST_BLOCK] = np.cumsum([b.i * b.j * b.k for b in blocks])
    commands = _join(sections, loops)
    start, requests, pattern_beats = patterns.tables()
    beats = _beats(sections, pattern_beats, device)
    return CommandLists(loops, commands, start, requests, beats, blocks, device)


def _loop_row(
    index: int, block: LoopBlocks, tile: LoopTile, trips: LoopTile, product: Product, dim: int
) -> tuple[int, ...]:
    last_rows = min(dim, product.m - (block.i0 + block.i - 1) * dim)
    i, j, k = block.i0 // tile.i, block.j0 // tile.j, block.k0 // tile.k
    inputs_kept, weights_kept = trips.i * trips.k <= _KEPT_TRIPS, trips.j * trips.k <= _KEPT_TRIPS
    activation_half = (i * trips.k + k if inputs_kept else index) % 2
    weight_half = (j * trips.k + k if weights_kept else index) % 2
    return (block.i, block.j, block.k, last_rows, activation_half, weight_half, 0)


def _moves(
    block: LoopBlocks, trips: LoopTile, extent: Extent, product: Product, device: CommandDevice, patterns: _Patterns
) -> list[Table]:
    """Return commands of one loop, one table a sequencer."""
    m, n, k, dim, out = product.m, product.n, product.k, device.dim, product.out_bytes
    none = np.zeros((0, at.COMMAND_COLUMNS), np.int64)
    found = [none] * at.SEQUENCERS
    if block.j0 == 0 or trips.i * trips.k > _KEPT_TRIPS:
        x = _Matrix(m, k, 1, k, dim)
        rows, columns = (block.i0, block.i), (block.k0, block.k)
        found[at.ACTIVATIONS] = _section(x, rows, columns, device.load_blocks, True, device, patterns)
    if block.i0 == 0 or trips.j * trips.k > _KEPT_TRIPS:
        w = _Matrix(k, n, 1, n, dim, whole_blocks=True)
        rows, columns = (block.k0, block.k), (block.j0, block.j)
        found[at.WEIGHTS] = _section(w, rows, columns, device.load_blocks, False, device, patterns)
    rows, columns = (block.i0, block.i), (block.j0, block.j)
    if product.bias != "none" and block.k0 == 0:
        bias = _Matrix(m, n, 4, 4 * n if product.bias == "matrix" else 0, 4 * dim)
        found[at.BIASES] = _section(bias, rows, columns, device.accumulator_blocks, True, device, patterns)
    if block.k0 + block.k == extent.k:
        step = device.load_blocks if out == 1 else 1
        found[at.STORES] = _section(_Matrix(m, n, out, out * n, dim), rows, columns, step, True, device, patterns)
    return found


def _section(
    matrix: _Matrix,
    row_blocks: tuple[int, int],
    column_blocks: tuple[int, int],
    step: int,
    columns_outside: bool,
    device: CommandDevice,
    patterns: _Patterns,
) -> Table:
    """Return commands for (first, count) blocks of rows and columns, `step` blocks side by side in each."""
    dim = device.dim
    r = np.arange(row_blocks[1])
    c = np.arange(0, column_blocks[1], step)
    row, column = (part.ravel() for part in np.meshgrid(r, c, indexing="xy" if columns_outside else "ij"))
    blocks = np.minimum(step, column_blocks[1] - column)
    first_row, first_column = (row_blocks[0] + row) * dim, (column_blocks[0] + column) * dim
    rows = np.full_like(row, dim) if matrix.whole_blocks else np.minimum(dim, matrix.rows - first_row)
    sizes = (np.minimum(first_column + blocks * dim, matrix.columns) - first_column) * matrix.element_bytes
    address = first_row * matrix.stride_bytes + first_column * matrix.element_bytes
    pattern = np.zeros_like(row)
    for size in np.unique(sizes).tolist():
        pattern[sizes == size] = patterns.of(size, matrix.row_bytes)
    stride = np.full_like(row, matrix.stride_bytes % device.burst_bytes)
    return np.stack([row, column, blocks, rows, address % device.burst_bytes, stride, pattern], axis=1)


def _join(sections: Sequence[Sequence[Table]], loops: Table) -> Table:
    """Lay all commands in one array, and note in `loops` where each loop's begin."""
    offset = 0
    flat: list[Table] = []
    for sequencer, section in enumerate(sections):
        ends = np.cumsum([len(table) for table in section])
        loops[0, at.FIRST_COMMAND + sequencer] = offset
        loops[1:, at.FIRST_COMMAND + sequencer] = offset + ends
        offset += int(ends[-1])
        flat.extend(section)
    return np.concatenate(flat)


def _beats(sections: Sequence[Sequence[Table]], pattern_beats: Table, device: CommandDevice) -> Table:
    """Beats that each loop moves, [loops, SEQUENCERS]."""
    beats = np.zeros((len(sections[0]), at.SEQUENCERS), np.int64)
    step = np.arange(device.dim)
    for sequencer, section in enumerate(sections):
        moved = np.concatenate(section)
        offsets = (moved[:, at.ADDRESS, None] + moved[:, at.STRIDE, None] * step) % device.burst_bytes
        each = pattern_beats[moved[:, at.PATTERN, None] + offsets] if len(moved) else offsets
        total = np.where(step < moved[:, at.ROWS, None], each, 0).sum(axis=1)
        ends = np.cumsum([0, *(len(table) for table in section)])
        sums = np.concatenate([[0], np.cumsum(total)])
        beats[:, sequencer] = [sums[end] - sums[begin] for begin, end in pairwise(ends.tolist())]
    return beats
