"""The store controller of the twin of the command machine: reads of results, some ahead of the writer."""

from __future__ import annotations

from collections import deque

from tests.support.command_unrolled import Move


class Stores:
    """One turn a cycle: `_store`."""

    def _begin_stores(self) -> None:
        self.waits: int | None = None  # when the block was read that has no room on the way to the writer
        self.on_way: list[int] = []
        self.taken: list[int] = []
        self.writing: deque[Move] = deque()
        self.to_read = self.blocks_taken = 0
        self.fresh = True

    def _store(self, t: int) -> None:
        self.acks = [back for back in self.acks if back > t]
        self._pass_on(t)
        if self.store_now is None and self.stores_waiting and t >= self.next_store:
            self._start_store(t)
        if self.store_now and self.adding.get(t) != self._half_of(self.store_now) and self.waits is None:
            self.waits = t
            self.to_read -= 1
            if self.to_read == 0:
                self._stored(self.store_now, t, self.c.store_complete_cycles)
                self.store_now = None
        if self.waits == t:
            self._pass_on(t)
        if self.writing and t >= self.writer_free:
            self._write_row(t, self.writing[0])

    def _start_store(self, t: int) -> None:
        move = self.stores_waiting[0]
        if move.what == "setup":
            self._stored(self.stores_waiting.popleft(), t, 0)
            return
        before = self.all_stores[: self.all_stores.index(move)]
        under_way = [m for m in before if m.done > t]
        if len(under_way) < self.c.store_commands_in_flight and move.after.done <= t:
            self.store_now = self.stores_waiting.popleft()
            self.to_read = len(move.rows) * move.blocks
            move.todo = [list(row) for row in move.rows]
            self.writing.append(move)

    def _stored(self, move: Move, t: int, to_end: int) -> None:
        self.all_stored = move.done = max(self.all_stored, t + to_end)
        self.next_store = t + 1

    def _pass_on(self, t: int) -> None:
        """Let the block that waits go on its way, on which there are at most some, each for a while at least."""
        on_way = self.c.read_results_in_flight
        if self.waits is None or len(self.on_way) - len(self.taken) >= on_way:
            return
        if len(self.on_way) < on_way or t >= self.taken[len(self.on_way) - on_way] + self.c.read_result_cycles:
            self.on_way.append(self.waits)
            self.waits = None

    def _write_row(self, t: int, move: Move) -> None:
        if self.fresh:
            if len(self.on_way) == len(self.taken):
                return
            if self.blocks_taken < move.blocks - 1:
                self.blocks_taken += 1
                self.taken.append(t)
                return
        if len(self.acks) >= self.outstanding:
            return
        if self.fresh:
            self.taken.append(t)
        end = t + self._data_cycles(move.todo[0].pop(0).beats)
        self.writer_free = self.requests_free = end
        ack = max(end + self.latency + self.c.write_cycles, self.data_free) + 1
        self.data_free = ack
        self.acks.append(ack)
        self.last_store = max(self.last_store, ack + self.c.store_done_cycles)
        self.fresh = not move.todo[0]
        if self.fresh:
            move.todo.pop(0)
            self.blocks_taken = 0
        if not move.todo:
            self.writing.popleft()
