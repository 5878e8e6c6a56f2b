"""The row buffers of a DRAM: when the bytes of a transfer pass its data bus (`dram.model: banked`).

This is the text that says what happens; the compiled machine (`simulator.kernels.dram_banks`) is held to it.

Addresses. Each of a layer's tensors (input, weights, bias matrix, output) lies by itself from the beginning of a row,
rows of it in successive banks, tensor t from bank t * banks / 4 on. A transfer is one to three regions of them: equal
stretches, evenly spaced over the bytes from its first to its last. A stretch is cut into pieces at rows.

Pieces are served in order. A piece moves whole bursts. Its row is opened, if it is not, as soon as the piece is known:
when its transfer has asked for the bus and the data of the piece LOOKAHEAD (or the DMA's requests in flight, if fewer)
before it have passed. PRECHARGE waits for tRAS since ACTIVATE, for the last data and, written, for tWR; ACTIVATE for
tRP where a row was open and for the pace of activates; the column access for tRCD. Every tREFI, all banks are
precharged (tRP) and refreshed (tRFC), between two pieces. A layer begins with all banks closed and a whole tREFI to go.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from simulator.accelerator.dram import BankSpec

LOOKAHEAD = 32
"""Pieces that the controller looks ahead, at most: entries of its queue."""

TENSORS = 4
"""Input, weights, bias matrix, output."""


@dataclass(frozen=True)
class Region:
    """Bytes of one tensor that one transfer moves."""

    tensor: int
    """0 input, 1 weights, 2 bias matrix, 3 output."""
    first: int
    """First byte, from the beginning of the tensor."""
    span: int
    """Bytes from the first to the last, both included: at least `size`."""
    size: int
    """Bytes moved."""
    segments: int
    """Stretches; one where the region has no gaps."""


@dataclass(frozen=True)
class Piece:
    """Part of one row."""

    bank: int
    row: int
    moved_bytes: int
    """Whole bursts."""


def pieces(region: Region, spec: BankSpec) -> Iterator[Piece]:
    """Cut a region into stretches and those at rows."""
    count = 1 if region.span <= region.size else max(1, min(region.segments, region.size))
    for i in range(count):
        size = region.size * (i + 1) // count - region.size * i // count
        start = region.first + i * region.span // count
        end = start + size
        while start < end:
            row = start // spec.row_bytes
            stop = min(end, (row + 1) * spec.row_bytes)
            bursts = -(-stop // spec.access_bytes) - start // spec.access_bytes
            bank = (row + region.tensor * spec.banks // TENSORS) % spec.banks
            yield Piece(bank, row // spec.banks * TENSORS + region.tensor, bursts * spec.access_bytes)
            start = stop


class DramBanks:
    """State of all banks, from the beginning of a layer."""

    def __init__(self, spec: BankSpec, bytes_per_cycle: Fraction, max_outstanding: int) -> None:
        self._spec = spec
        self._rate = bytes_per_cycle
        self._lookahead = min(LOOKAHEAD, max_outstanding)
        self._open = [-1] * spec.banks
        self._free = [0] * spec.banks
        """Cycle from which a bank may be precharged, or activated where it is closed."""
        self._next_activate = 0
        self._next_refresh = spec.refi_cycles
        self.hits = 0
        self.openings = 0
        self.refreshes = 0

    def serve(self, regions: Sequence[Region], asked: int, begin: int, *, write: bool) -> int:
        """Move a transfer's bytes.

        Parameters
        ----------
        regions
            In the order in which they are moved.
        asked
            Cycle in which the transfer asked for the bus.
        begin
            Cycle from which the bus is its own.
        write
            Whether it stores.

        Returns
        -------
        int
            Cycle in which the last byte has passed.

        """
        carried = waited = 0
        end = begin
        ends: list[int] = []
        for region in regions:
            for piece in pieces(region, self._spec):
                place = begin + waited + self._data_cycles(carried)
                known = asked if len(ends) < self._lookahead else max(asked, ends[-self._lookahead])
                first = max(self._refresh(place), self._open_row(piece, known))
                waited += first - place
                carried += piece.moved_bytes
                end = begin + waited + self._data_cycles(carried)
                ends.append(end)
                recovery = self._spec.wr_cycles if write else 0
                self._free[piece.bank] = max(self._free[piece.bank], end + recovery)
        return end

    def _data_cycles(self, size_bytes: int) -> int:
        return -(-size_bytes * self._rate.denominator // self._rate.numerator)

    def _refresh(self, now: int) -> int:
        """Do the refreshes that are due; return when the bus can be used."""
        spec = self._spec
        while self._next_refresh <= now:
            done = max(self._next_refresh, *self._free) + spec.rp_cycles + spec.rfc_cycles
            self._open = [-1] * spec.banks
            self._free = [done] * spec.banks
            self._next_refresh += spec.refi_cycles
            self.refreshes += 1
            now = max(now, done)
            idle = (now - self._next_refresh) // spec.refi_cycles
            if idle > 0 and self._next_refresh >= done:
                # Nobody waits for these: they pass one after another while all banks are closed.
                self._next_refresh += idle * spec.refi_cycles
                self.refreshes += idle
        return now

    def _open_row(self, piece: Piece, known: int) -> int:
        """Open a piece's row, if need be; return when its columns can be accessed."""
        spec, bank = self._spec, piece.bank
        if self._open[bank] == piece.row:
            self.hits += 1
            return 0
        activate = max(known, self._free[bank])
        if self._open[bank] >= 0:
            activate += spec.rp_cycles
        activate = max(activate, self._next_activate)
        self._open[bank] = piece.row
        self._free[bank] = activate + spec.ras_cycles
        self._next_activate = activate + spec.pace_cycles
        self.openings += 1
        return activate + spec.rcd_cycles
