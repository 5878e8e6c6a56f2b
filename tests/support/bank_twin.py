"""One bank's row buffer and its refresh, cycle by cycle, from the definitions in a DRAM's data sheet. Slow and plain."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class BankTwin:
    """A DRAM of one bank, in order, one access at a time; a bank accesses `width` bytes a cycle.

    ACTIVATE opens a row: tRCD later its columns can be accessed, tRAS later it can be precharged. PRECHARGE closes it:
    tRP later another can be activated; after a write it waits for tWR from the last data. REFRESH comes each tREFI, once
    the access in hand is done, with the bank precharged, and takes tRFC.
    """

    rcd: int
    rp: int
    ras: int
    wr: int
    rfc: int
    refi: int
    pace: int
    width: int

    def run(self, accesses: list[tuple[int, int, bool]], asked: int) -> list[tuple[int, int]]:
        """First cycle of data and the one behind the last, of each (row, bytes, write): all are known from `asked` on."""
        never = -(10**9)
        row, opened, closed, written, refreshed = None, never, never, never, never
        due, found, now, used = self.refi, [], asked, asked
        for index, (wanted, size, write) in enumerate(accesses):
            # The last data of the access before may still be passing: its row stays open until then.
            now = used if index else asked
            if due <= now:
                while now < max(opened + self.ras, written + self.wr):
                    now += 1
                while due <= now:
                    now += self.rp + self.rfc
                    due += self.refi
                row, refreshed, opened = None, now, never
            while row != wanted:
                if row is not None:
                    if now >= opened + self.ras and now >= written + self.wr:
                        row, closed = None, now
                elif now >= closed + self.rp and now >= opened + self.pace and now >= refreshed:
                    row, opened = wanted, now
                if row != wanted:
                    now += 1
            while now < opened + self.rcd:
                now += 1
            begin = now
            while size > 0:
                size -= self.width
                now += 1
            found.append((begin, now))
            used = now
            if write:
                written = now
        return found
