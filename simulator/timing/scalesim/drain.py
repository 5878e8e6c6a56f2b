"""When SCALE-Sim's ofmap buffer drains to DRAM: exact, one step a drain instead of one a cycle.

The buffer (memory/write_buffer.py) collects words in lines as wide as the array. As soon as it holds more than half of
its size, and the drain before has ended, it closes the line at hand and drains half a buffer of lines, one a cycle.
A drain subtracts the empty places of its last line only, so words are over-counted where a closed line stands further
inside; that is reproduced.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

from simulator.records.scalesim import Access
from simulator.timing.scalesim.work import Folds, ScaleSimDataflow


@dataclass(frozen=True)
class OfmapWrites:
    """The words that the array hands to the ofmap buffer, by cycle."""

    folds: Folds
    output_stationary: bool

    @classmethod
    def of(cls, folds: Folds, dataflow: ScaleSimDataflow) -> OfmapWrites:
        """Return the writes of a layer."""
        return cls(folds, dataflow is ScaleSimDataflow.OS)

    def shape(self, fold: int) -> tuple[int, int, int]:
        """Return (first cycle within the fold, columns, words a column writes in succession)."""
        folds = self.folds
        cols = len(folds.cols_of(fold))
        if self.output_stationary:
            used = len(folds.rows_of(fold))
            return folds.time - 1 + folds.rows - used, cols, used
        return 2 * folds.rows - 1, cols, folds.time

    @property
    def total(self) -> int:
        """Words of the whole layer."""
        folds = self.folds
        if self.output_stationary:
            return folds.spatial_rows * folds.spatial_cols
        return folds.row_folds * folds.time * folds.spatial_cols

    def _before(self, fold: int) -> int:
        """Words of all folds before `fold`."""
        folds = self.folds
        col_fold, row_fold = divmod(fold, folds.row_folds)
        full = col_fold * folds.cols
        cols = min(folds.cols, folds.spatial_cols - full)
        if self.output_stationary:
            return folds.spatial_rows * full + row_fold * folds.rows * cols
        return folds.time * (folds.row_folds * full + row_fold * cols)

    def written(self, cycle: int) -> int:
        """Words written before `cycle`."""
        fold, within = divmod(cycle, self.folds.fold_cycles)
        if fold >= self.folds.count:
            return self.total
        start, cols, length = self.shape(fold)
        return self._before(fold) + _skewed(within - start, cols, length)

    def cycle_of(self, word: int) -> int:
        """Cycle in which the `word`-th word is written, counted from 1."""
        fold = bisect_left(range(self.folds.count), word, key=lambda one: self._before(one + 1)) if word else 0
        start, cols, length = self.shape(fold)
        wanted = word - self._before(fold)
        late = bisect_left(range(cols + length), wanted, key=lambda cycles: _skewed(cycles, cols, length))
        return fold * self.folds.fold_cycles + start + late - 1


def _skewed(cycles: int, cols: int, length: int) -> int:
    """Words that `cols` columns, each a cycle after its neighbour, have written after `cycles` cycles."""
    return _ramp(cycles, cols) - _ramp(cycles - length, cols)


def _ramp(cycles: int, cols: int) -> int:
    active = min(max(cycles, 0), cols)
    return active * cycles - active * (active - 1) // 2


@dataclass
class OfmapBuffer:
    """State between two drains."""

    half_words: int
    line_words: int
    lines: int = 0
    drained_lines: int = 0
    in_lines: int = 0
    """Words in closed lines."""
    freed: int = 0
    """Words drained, as SCALE-Sim counts them."""
    empty: dict[int, int] = field(default_factory=dict)
    """Empty places of lines that were closed before they were full."""

    def close_lines(self, written: int) -> None:
        """Put all words so far into lines."""
        pending = written - self.in_lines
        self.lines += -(-pending // self.line_words)
        if left := -pending % self.line_words:
            self.empty[self.lines - 1] = left
        self.in_lines = written

    def drain(self, cycle: int) -> int:
        """Drain half a buffer from `cycle` on; return the cycle of its last line."""
        end = min(self.drained_lines + -(-self.half_words // self.line_words), self.lines)
        count = end - self.drained_lines
        self.freed += count * self.line_words - self.empty.get(end - 1, 0)
        self.drained_lines = end
        return cycle + count - 1


def ofmap_drains(writes: OfmapWrites, ofmap_bytes: int) -> Access:
    """Return the DRAM writes of a layer whose buffer never makes the array wait (`ofmap_bytes` > 4 lines)."""
    buffer = OfmapBuffer(ofmap_bytes // 2, writes.folds.cols)
    first: int | None = None
    stop = 0
    while True:
        # The word that overfills the half, or the first after the drain that is still going on.
        word = max(buffer.freed + buffer.half_words + 1, writes.written(stop) + 1)
        if word > writes.total:
            break
        cycle = writes.cycle_of(word)
        first = cycle if first is None else first
        buffer.close_lines(word)
        stop = buffer.drain(cycle)
    buffer.close_lines(writes.total)
    cycle = writes.folds.total_cycles
    first = cycle if first is None else first
    while buffer.drained_lines < buffer.lines:
        end = buffer.drain(cycle)
        cycle = end + 1
        stop = max(stop, end)
    return Access(first, stop, buffer.freed)
