"""One bank's row buffer and its refresh, cycle by cycle, from the definitions in a DRAM's data sheet."""

from __future__ import annotations

from dataclasses import dataclass

_LONG_AGO = -(10**9)


@dataclass
class BankTwin:
    """A DRAM of one bank that serves accesses in order, `width` bytes a cycle.

    ACTIVATE opens a row: tRCD later its columns can be accessed, tRAS later it can be precharged. PRECHARGE closes it:
    tRP later another can be activated; after a write it waits for tWR from the last data. REFRESH comes each tREFI,
    when the access in hand is done: the bank is precharged, and tRP + tRFC later it can be activated.
    """

    rcd: int
    rp: int
    ras: int
    wr: int
    rfc: int
    refi: int
    pace: int
    width: int

    def run(self, accesses: list[tuple[int, int, int, bool]]) -> list[tuple[int, int]]:
        """First cycle of data and the one behind the last, of each (asked, row, bytes, write)."""
        row = None
        opened = closed = written = refreshed = _LONG_AGO
        used, due = 0, self.refi
        found = []
        for asked, wanted, size, write in accesses:
            now = max(used, asked)
            while due <= now:
                start = due
                while start < used or start < refreshed or start < opened + self.ras or start < written + self.wr:
                    start += 1
                row, refreshed = None, start + self.rp + self.rfc
                due += self.refi
                now = max(now, refreshed)
            while row != wanted:
                if row is not None and now >= opened + self.ras and now >= written + self.wr:
                    row, closed = None, now
                can_open = now >= closed + self.rp and now >= refreshed and now >= opened + self.pace
                if row is None and can_open:
                    row, opened = wanted, now
                else:
                    now += 1
            while now < opened + self.rcd:
                now += 1
            begin = now
            while size > 0:
                size, now = size - self.width, now + 1
            found.append((begin, now))
            used = now
            written = now if write else written
        return found
