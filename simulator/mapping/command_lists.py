"""Lists of commands as the command machine reads them: what unrolling a product and a convolution have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.accelerator.controller import CommandLoops
from simulator.kernels import command_layout as at
from simulator.mapping.memory_requests import row_requests

Table = NDArray[np.int64]

KEPT_TRIPS = 2
"""Operands whose loops are at most this many stay in the two halves of the scratchpad."""


@dataclass(frozen=True)
class CommandDevice:
    """Sizes that decide commands."""

    dim: int
    beat_bytes: int
    burst_bytes: int
    scratchpad_rows: int
    accumulator_rows: int
    scratchpad_banks: int = 1

    @property
    def load_blocks(self) -> int:
        """Blocks of int8 side by side in one command."""
        return max(1, self.burst_bytes // self.dim)

    @property
    def accumulator_blocks(self) -> int:
        """Blocks of accumulators side by side in one load."""
        return max(1, self.burst_bytes // (4 * self.dim))

    @property
    def half_rows(self) -> int:
        """Rows of half of the scratchpad."""
        return self.scratchpad_rows // 2

    @property
    def bank_rows(self) -> int:
        """Rows of a bank of the scratchpad."""
        return max(1, self.scratchpad_rows // self.scratchpad_banks)


@dataclass(frozen=True, eq=False)
class CommandLists:
    """Loops, commands and requests of one layer, in the layout of `simulator.kernels.command_layout`."""

    loops: Table
    """[loops + 1, LOOP_COLUMNS]; the last row only ends the one before."""
    commands: Table
    """[commands, COMMAND_COLUMNS]; loops alike share them."""
    executes: Table
    """[executes, EXECUTE_COLUMNS]; loops alike share them."""
    pattern_start: Table
    """[patterns + 1]: first request of a row, by its size and its offset in a burst."""
    requests: Table
    """[requests, REQUEST_COLUMNS]."""
    beats: Table
    """[loops, SEQUENCERS]: beats that each loop moves; 0 for executes."""
    rows: Table
    """[loops, SEQUENCERS]: rows of DRAM that these come in."""
    device: CommandDevice
    unroller: int = at.PRODUCTS
    """PRODUCTS, CONVOLUTIONS or HOST."""

    def host_commands(self, controller: CommandLoops) -> int:
        """Commands that the host issues: some a loop, or every load, store, preload and compute."""
        loops = len(self.loops) - 1
        if self.unroller == at.CONVOLUTIONS:
            return controller.convolution_setup_commands + loops * controller.commands_per_convolution_loop
        if self.unroller == at.PRODUCTS:
            return controller.setup_commands + loops * controller.commands_per_loop
        # FIRST_COMMAND counts on through all sections: the stores' end is that of all moves.
        moves = int(self.loops[-1, at.FIRST_COMMAND + at.STORES])
        return controller.setup_commands + moves + 2 * int(self.loops[-1, at.FIRST_BLOCK])


@dataclass(frozen=True, eq=False)
class LoopShape:
    """Commands that loops alike share, counted from the loop's own first command, execute, address and row on chip."""

    moves: tuple[Table, ...]
    """Per sequencer: [commands, COMMAND_COLUMNS]."""
    executes: Table
    """[executes, EXECUTE_COLUMNS]."""


@dataclass(frozen=True)
class PlacedLoop:
    """One loop: a shape, and where it lies."""

    shape: LoopShape
    first: tuple[int, int, int, int, int]
    """BLOCKS_I .. STORES_BEFORE."""
    addresses: tuple[int, ...]
    """Per sequencer: bytes of DRAM before its operand's part."""
    origins: tuple[int, int]
    """Rows of the scratchpad before its activations and weights."""
    loads: tuple[bool, ...] = (True,) * at.SEQUENCERS
    """Per sequencer: whether its commands are issued at all."""


@dataclass(frozen=True)
class Matrix:
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


class Patterns:
    """Rows of bytes by size: every offset in a burst, with its requests."""

    def __init__(self, device: CommandDevice) -> None:
        self._device = device
        self._index: dict[tuple[int, int], int] = {}

    def of(self, sizes_bytes: Table, row_bytes: int) -> Table:
        """Return the first pattern of each size; the offset in a burst is to be added."""
        found = np.zeros_like(sizes_bytes)
        for size in np.unique(sizes_bytes).tolist():
            index = self._index.setdefault((size, row_bytes), len(self._index))
            found[sizes_bytes == size] = index * self._device.burst_bytes
        return found

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


def commands_table(count: int) -> Table:
    """Return a table of `count` commands that move rows, everything else 0."""
    table = np.zeros((count, at.COMMAND_COLUMNS), np.int64)
    table[:, at.REPEATS] = table[:, at.LINE_ROWS] = table[:, at.BLOCKS] = 1
    return table


def block_commands(
    matrix: Matrix, step: int, columns_outside: bool, device: CommandDevice, patterns: Patterns
) -> Table:
    """Return commands for all blocks of a matrix, `step` side by side in each."""
    dim, burst = device.dim, device.burst_bytes
    r, c = np.arange(-(-matrix.rows // dim)), np.arange(0, -(-matrix.columns // dim), step)
    row, column = (part.ravel() for part in np.meshgrid(r, c, indexing="xy" if columns_outside else "ij"))
    blocks = np.minimum(step, -(-matrix.columns // dim) - column)
    first_row, first_column = row * dim, column * dim
    rows = np.full_like(row, dim) if matrix.whole_blocks else np.minimum(dim, matrix.rows - first_row)
    sizes = (np.minimum(first_column + blocks * dim, matrix.columns) - first_column) * matrix.element_bytes
    address = first_row * matrix.stride_bytes + first_column * matrix.element_bytes
    table = commands_table(len(row))
    table[:, at.ROW_BLOCK], table[:, at.COLUMN_BLOCK], table[:, at.BLOCKS] = row, column, blocks
    repeated = matrix.stride_bytes == 0
    table[:, at.ROWS], table[:, at.REPEATS] = (1, rows) if repeated else (rows, 1)
    table[:, at.LINE_ROWS] = dim
    table[:, at.ADDRESS], table[:, at.STRIDE] = address % burst, matrix.stride_bytes % burst
    table[:, at.PATTERN] = patterns.of(sizes, matrix.row_bytes)
    return table


def join(loops: Sequence[PlacedLoop], patterns: Patterns, device: CommandDevice, unroller: int) -> CommandLists:
    """Lay the commands of all shapes in one array and their executes in another, and note the place of each loop."""
    shapes = list({id(loop.shape): loop.shape for loop in loops}.values())
    tables = [table for shape in shapes for table in shape.moves]
    starts = np.cumsum([0, *(len(table) for table in tables)]).reshape(-1)[:-1].reshape(len(shapes), at.SEQUENCERS)
    starts[:, at.EXECUTES] = np.cumsum([0, *(len(shape.executes) for shape in shapes)])[:-1]
    counts = np.array([[len(table) for table in shape.moves] for shape in shapes], np.int64)
    index = {id(shape): position for position, shape in enumerate(shapes)}
    of_loop = np.array([index[id(loop.shape)] for loop in loops])
    issued = np.array([loop.loads for loop in loops])
    rows = np.zeros((len(loops) + 1, at.LOOP_COLUMNS), np.int64)
    rows[:-1, : at.FIRST_BLOCK] = [loop.first for loop in loops]
    rows[1:, at.FIRST_BLOCK] = np.cumsum(np.array([len(shape.executes) for shape in shapes])[of_loop])
    offset = 0
    for sequencer in range(at.SEQUENCERS):
        ends = np.cumsum(np.where(issued[:, sequencer], counts[of_loop, sequencer], 0))
        rows[:, at.FIRST_COMMAND + sequencer] = offset
        rows[1:, at.FIRST_COMMAND + sequencer] += ends
        offset = int(rows[-1, at.FIRST_COMMAND + sequencer])
    rows[:-1, at.SHAPE_COMMAND : at.ADDRESS_OF] = starts[of_loop]
    rows[:-1, at.ADDRESS_OF : at.INPUT_ORIGIN] = [loop.addresses for loop in loops]
    rows[:, at.ADDRESS_OF : at.INPUT_ORIGIN] %= device.burst_bytes
    rows[:-1, at.INPUT_ORIGIN :] = [loop.origins for loop in loops]
    start, requests, pattern_beats = patterns.tables()
    moved, beats = _traffic(shapes, of_loop, rows[:-1, at.ADDRESS_OF : at.INPUT_ORIGIN], pattern_beats, device)
    commands, executes = np.concatenate(tables), np.concatenate([shape.executes for shape in shapes])
    return CommandLists(rows, commands, executes, start, requests, beats * issued, moved * issued, device, unroller)


def _traffic(
    shapes: Sequence[LoopShape], of_loop: Table, addresses: Table, pattern_beats: Table, device: CommandDevice
) -> tuple[Table, Table]:
    """Rows and beats that each loop would move, [loops, SEQUENCERS] each."""
    rows = np.array([[_moved(table).sum() for table in shape.moves] for shape in shapes], np.int64)[of_loop]
    beats = np.zeros_like(rows)
    for sequencer in range(at.SEQUENCERS):
        keys = of_loop * device.burst_bytes + addresses[:, sequencer]
        for key in np.unique(keys).tolist():
            shape, address = divmod(key, device.burst_bytes)
            table = shapes[shape].moves[sequencer]
            beats[keys == key, sequencer] = _beats(table, address, pattern_beats, device.burst_bytes)
    return rows, beats


def _moved(table: Table) -> Table:
    """Rows of DRAM that each command moves."""
    return np.where(table[:, at.KIND] == at.MOVE, table[:, at.ROWS], 0)


def _beats(table: Table, address: int, pattern_beats: Table, burst_bytes: int) -> int:
    """Beats of some commands, their operand's part at `address`."""
    rows, total = _moved(table), 0
    for row in range(int(rows.max(initial=0))):
        line, place = row // table[:, at.LINE_ROWS], row % table[:, at.LINE_ROWS]
        offset = address + table[:, at.ADDRESS] + line * table[:, at.LINE_STRIDE] + place * table[:, at.STRIDE]
        each = pattern_beats[table[:, at.PATTERN] + offset % burst_bytes]
        total += int(np.where(row < rows, each, 0).sum())
    return total
