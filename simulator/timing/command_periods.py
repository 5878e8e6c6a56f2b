"""A layer on the command machine, without the loops that repeat.

A layer of many loops soon falls into a period: the machine is, between two loops, where it was some loops before, and
the same loops follow. What happens then is known, as far as the loops go on alike, and is left out: the machine is put
where it would be. Nothing is assumed of how long a period is or that there is one; a test holds cycles, busy cycles and
every loop's intervals to those of the machine that runs each loop.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ScheduleError
from simulator.kernels import command_layout as at
from simulator.kernels import command_state as of
from simulator.kernels.command_loops import run_commands
from simulator.kernels.command_period import WINDOW, jump, signature
from simulator.kernels.command_state import Layer, State, new_state
from simulator.mapping.command_lists import CommandLists

Table = NDArray[np.int64]

_FEWEST_LOOPS = 2 * WINDOW
"""A layer of fewer has no room for a period."""
_MOST_NUMBERS = 1 << 18
"""Of a signature; a state that takes more is not compared."""
_REMEMBERED = 4
"""Loops kept with each signature: a period may lie within another."""


def run_machine(lists: CommandLists, constants: Table, every_cycle: bool) -> tuple[Table, Table]:
    """Run a layer from an idle machine.

    Returns
    -------
    results
        int64 [RESULTS], as `command_layout` names them.
    intervals
        int64 [loops, 6]: begin and end of each loop's loads, executes and stores; -1 = none.

    Raises
    ------
    ScheduleError
        Commands that wait for ever.

    """
    loops = len(lists.loops) - 1
    run = _Run(lists, constants, new_state(lists.loops, constants), np.full((loops, 6), -1, np.int64), every_cycle)
    if every_cycle or loops < _FEWEST_LOOPS:
        run.go_on(loops + 1)
    else:
        run.leave_out_periods()
    if run.results[at.CYCLES] < 0:
        raise ScheduleError("a layer's commands wait for each other for ever")
    return run.results, run.intervals


def _alike(loops: Table) -> Table:
    """Give loops that unroll alike, and lie alike in bursts and banks, the same number."""
    rows = loops[:-1].copy()
    firsts = slice(at.FIRST_BLOCK, at.SHAPE_COMMAND)
    rows[:, firsts] = np.diff(loops[:, firsts], axis=0)
    column = at.FIRST_COMMAND + at.STORES
    before = rows[:, at.STORES_BEFORE] - (loops[:-1, column] - loops[0, column])
    rows[:, at.STORES_BEFORE] = np.where(rows[:, at.STORES_BEFORE] > 0, before, of.NEVER)
    return np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1)


@dataclass
class _Run:
    lists: CommandLists
    constants: Table
    state: State
    intervals: Table
    every_cycle: bool
    results: Table = field(default_factory=lambda: np.zeros(at.RESULTS, np.int64))
    cycle: int = 0

    def go_on(self, until_loop: int) -> None:
        """Run until the commands of the loops before `until_loop` are issued, or the device is idle."""
        lists = self.lists
        tables = lists.loops, lists.commands, lists.executes, lists.pattern_start, lists.requests
        layer = Layer(*tables, self.constants)
        self.cycle = run_commands(
            self.cycle, until_loop, self.every_cycle, layer, self.state, self.results, self.intervals
        )

    def leave_out_periods(self) -> None:
        """Run to the end, jumping over what repeats."""
        loops, scalars = len(self.lists.loops) - 1, self.state.scalars
        alike = np.full(loops + 2 * WINDOW, -1, np.int64)
        alike[WINDOW:-WINDOW] = _alike(self.lists.loops)
        met: dict[bytes, list[tuple[int, int, Table]]] = {}
        found = np.zeros(_MOST_NUMBERS, np.int64)
        while self.results[at.CYCLES] == 0:
            self.go_on(int(scalars[of.OLDEST_LOOP]) + 1)
            oldest = int(scalars[of.OLDEST_LOOP])
            if oldest >= loops - WINDOW or self.results[at.CYCLES] != 0:
                self.go_on(loops + 1)
                return
            count = signature(self.cycle, self.lists.loops, self.constants, self.state, self.intervals, found)
            if count > len(found):
                continue
            key = blake2b(found[:count].tobytes())
            key.update(alike[oldest : oldest + 2 * WINDOW].tobytes())
            before = met.setdefault(key.digest(), [])
            before.append((oldest, self.cycle, self.results.copy()))
            if len(before) > _REMEMBERED:
                del before[1]
            self._jump(before[:-1], oldest, alike[WINDOW:])

    def _jump(self, before: list[tuple[int, int, Table]], oldest: int, alike: Table) -> None:
        """Leave out as many periods as there are, counting from one of the loops where the machine was the same."""
        best = (0, 0, 0, self.results)
        for loop, cycle, results in before:
            period = oldest - loop
            differs = np.flatnonzero(alike[oldest:] != alike[loop : len(alike) - period])
            # A period begins only where it and the loops that it may see are alike those before.
            times = (int(differs[0]) - WINDOW) // period if len(differs) else 0
            if times * period > best[0]:
                best = (times * period, period, times * (self.cycle - cycle), times * (self.results - results))
        ahead, period, cycles, more = best
        if ahead == 0:
            return
        jump(ahead, cycles, self.cycle, self.lists.loops, self.constants, self.state)
        self._repeat_intervals(oldest, ahead, period, cycles)
        self.cycle += cycles
        more[at.LAST_COMPUTE] = cycles
        self.results += more

    def _repeat_intervals(self, oldest: int, ahead: int, period: int, cycles: int) -> None:
        """Intervals of the loops left out, and of those at work before the jump and after it."""
        first, end = max(0, oldest - WINDOW), min(len(self.intervals) - ahead, oldest + WINDOW)
        later = cycles * period // ahead
        at_work = self.intervals[first:end].copy()
        source = self.intervals[first - period : first].copy()
        self.intervals[first + ahead : end + ahead] = np.where(at_work >= 0, at_work + cycles, -1)
        for index in range(ahead // period):
            begin = first + index * period
            self.intervals[begin : begin + period] = np.where(source >= 0, source + (index + 1) * later, -1)
