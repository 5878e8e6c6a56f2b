"""Lists of commands as the command machine reads them: what unrolling a product and a convolution have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

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
    """[commands, COMMAND_COLUMNS]: section by section, loop by loop."""
    executes: Table
    """[executes, EXECUTE_COLUMNS], loop by loop."""
    pattern_start: Table
    """[patterns + 1]: first request of a row, by its size and its offset in a burst."""
    requests: Table
    """[requests, REQUEST_COLUMNS]."""
    beats: Table
    """[loops, SEQUENCERS]: beats that each loop moves; 0 for executes."""
    device: CommandDevice
    unroller: int = at.PRODUCTS
    """PRODUCTS or CONVOLUTIONS."""


@dataclass(frozen=True)
class LoopCommands:
    """Commands of one loop; columns that point at commands or executes count from the loop's own first one."""

    loop: tuple[int, int, int, int, int]
    """BLOCKS_I .. STORES_BEFORE."""
    moves: tuple[Table, ...]
    """Per sequencer: [commands, COMMAND_COLUMNS]."""
    executes: Table
    """[executes, EXECUTE_COLUMNS]."""


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


def join(loops: Sequence[LoopCommands], patterns: Patterns, device: CommandDevice, unroller: int) -> CommandLists:
    """Lay the commands of all loops in one array and their executes in another."""
    rows = np.zeros((len(loops) + 1, at.LOOP_COLUMNS), np.int64)
    rows[:-1, : at.FIRST_BLOCK] = [loop.loop for loop in loops]
    rows[1:, at.FIRST_BLOCK] = np.cumsum([len(loop.executes) for loop in loops])
    sections = [[loop.moves[sequencer] for loop in loops] for sequencer in range(at.SEQUENCERS)]
    offset = 0
    for sequencer, section in enumerate(sections):
        rows[:, at.FIRST_COMMAND + sequencer] = np.cumsum([offset, *(len(table) for table in section)])
        offset = int(rows[-1, at.FIRST_COMMAND + sequencer])
    for index, table in enumerate(sections[at.STORES]):
        table[:, at.AFTER] += rows[index, at.FIRST_BLOCK]
    needs = ((at.INPUT_LOAD, at.ACTIVATIONS), (at.WEIGHT_LOAD, at.WEIGHTS), (at.BIAS_LOAD, at.BIASES))
    for index, loop in enumerate(loops):
        for column, sequencer in needs:
            wanted = loop.executes[:, column]
            wanted[wanted >= 0] += rows[index, at.FIRST_COMMAND + sequencer]
    start, requests, pattern_beats = patterns.tables()
    beats = _beats(sections, pattern_beats, device)
    commands = np.concatenate([table for section in sections for table in section])
    executes = np.concatenate([loop.executes for loop in loops])
    return CommandLists(rows, commands, executes, start, requests, beats, device, unroller)


def _beats(sections: Sequence[Sequence[Table]], pattern_beats: Table, device: CommandDevice) -> Table:
    """Beats that each loop moves, [loops, SEQUENCERS]."""
    beats = np.zeros((len(sections[0]), at.SEQUENCERS), np.int64)
    for sequencer, section in enumerate(sections):
        moved = np.concatenate(section)
        rows = np.where(moved[:, at.KIND] == at.MOVE, moved[:, at.ROWS], 0)
        total = np.zeros(len(moved), np.int64)
        for row in range(int(rows.max(initial=0))):
            line, place = row // moved[:, at.LINE_ROWS], row % moved[:, at.LINE_ROWS]
            offset = moved[:, at.ADDRESS] + line * moved[:, at.LINE_STRIDE] + place * moved[:, at.STRIDE]
            each = pattern_beats[moved[:, at.PATTERN] + offset % device.burst_bytes]
            total += np.where(row < rows, each, 0)
        ends = np.cumsum([0, *(len(table) for table in section)])
        sums = np.concatenate([[0], np.cumsum(total)])
        beats[:, sequencer] = [sums[end] - sums[begin] for begin, end in pairwise(ends.tolist())]
    return beats
