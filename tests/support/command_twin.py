"""The command machine once more, slowly: Python objects and lists, written apart from the kernel.

It unrolls the product by itself; of the simulator it uses only the tile, and the requests of a row (tested apart).
"""

from __future__ import annotations

from collections import deque
from math import ceil

from tests.support.command_twin_stores import Stores
from tests.support.command_unrolled import Loop, Move, Pair, Unrolled


class CommandTwin(Stores, Unrolled):
    """Run it with `cycles()`."""

    def cycles(self) -> int:
        """Run to the end; cycles from the first command offered until the device is idle."""
        c = self.c
        self.at = {name: 0 for name in ("x", "w", "bias", "pair", "y")}  # loop of each sequencer
        self.left: dict = {name: None for name in self.at}
        self.ready = dict.fromkeys(self.at, 0)
        self.load_queue: deque[Move] = deque()
        self.loading: list[Move] = []  # entries, oldest first, until complete
        self.pairs_waiting: list[Pair] = []
        self.pair_entries: list[Pair] = []
        self.all_pairs: list[Pair] = []
        self.preload_sent = False
        self.stores_waiting: deque[Move] = deque()
        self.store_entries: list[Move] = []
        self.all_stores: list[Move] = []
        self.requests_free = self.data_free = 0
        self.reads: list[int] = []
        self.acks: list[int] = []
        self.windows: list[tuple[int, int, int]] = []
        self.step = None
        self.weights_in: Pair | None = None
        self.adding: dict[int, int | None] = {}
        self._begin_stores()
        self.writer_free = self.next_store = self.last_store = 0
        self.passes: list[int] = []
        self.executed = dict.fromkeys(range(len(self.loops)), 0)
        self.next_configured = self.start
        self.load_free = self.bias_free = self.all_loaded = self.all_stored = 0
        self.load_now = self.store_now = None
        cycle = 0
        while not self._tick(cycle):
            cycle += 1
        return cycle + 1 + c.end_cycles

    def _tick(self, t: int) -> bool:
        self._configure(t)
        self._sequence(t)
        self._issue(t)
        for loop in self.loops:
            earlier = self.loops[loop.index - 1].issued if loop.index else -1
            if loop.issued == float("inf") and len(loop.ended) == 5 and earlier <= t:
                loop.issued = t
        self._load(t)
        self._array(t)
        self.pair_entries = self._drop_done(self.pair_entries, t)
        self._store(t)
        self.store_entries = self._drop_done(self.store_entries, t)
        idle = self._all_loaded_by(t) and not self.pair_entries and not self.store_entries and not self.preload_sent
        idle = idle and not self.writing
        return idle and self.loops[-1].issued <= t and t >= self.last_store

    def _all_loaded_by(self, t: int) -> bool:
        return all(move.seen <= t for move in self.loading)

    @staticmethod
    def _drop_done(entries: list, t: int) -> list:
        entries = list(entries)
        while entries and entries[0].done <= t:
            entries.pop(0)
        return entries

    def _configure(self, t: int) -> None:
        waiting = [loop for loop in self.loops if loop.configured == float("inf")]
        if not waiting or t < self.next_configured:
            return
        loop = waiting[0]
        if loop.index >= 2 and t < self.loops[loop.index - 2].issued + self.configure:
            return
        loop.configured = t
        self.next_configured = t + self.configure

    def _sequence(self, t: int) -> None:
        for name in ("x", "w", "bias", "pair", "y"):
            if self.at[name] == len(self.loops) or self.left[name] is not None:
                continue
            loop = self.loops[self.at[name]]
            needed = {"pair": {"x", "w", "bias"}, "y": {"pair"}}.get(name, set())
            if loop.configured < t and needed <= loop.begun:
                loop.begun.add(name)
                self.left[name] = deque(loop.pairs if name == "pair" else loop.streams[name])
                self.ready[name] = t + 1
        for name, left in self.left.items():
            if left is not None and not left and t >= self.ready[name]:
                self._end(name, t)

    def _end(self, name: str, t: int) -> None:
        loop = self.loops[self.at[name]]
        loop.ended.add(name)
        if name in ("x", "w", "bias"):
            loop.loads_issued = t
        if name == "pair":
            loop.executes_issued = t
        self.at[name] += 1
        self.left[name] = None

    def _waits(self, name: str, t: int) -> bool:
        return bool(self.left[name]) and t >= self.ready[name]

    def _take(self, name: str, t: int):
        command = self.left[name].popleft()
        if not self.left[name]:
            self._end(name, t)
        return command

    def _place(self, loop: Loop) -> tuple[int, int, int]:
        number = len(loop.pairs) - len(self.left["pair"])
        ni, nj, _ = loop.size
        return number % ni, number // ni % nj, number // ni // nj

    def _issue(self, t: int) -> None:
        if self._issue_store(t) or self._issue_pair(t):
            return
        if sum(not move.done < t for move in self.loading) >= self.c.load_entries:
            return
        name = "bias" if self._waits("bias", t) else self._turn(t)
        self._issue_load(name, t)

    def _issue_load(self, name: str | None, t: int) -> None:
        if name:
            move = self._take(name, t)
            move.issued = t
            self.loading.append(move)
            self.load_queue.append(move)

    def _issue_store(self, t: int) -> bool:
        if not self._waits("y", t) or len(self.store_entries) >= self.c.store_entries:
            return False
        loop, move = self.loops[self.at["y"]], self.left["y"][0]
        last = move.col + move.blocks - 1
        if "pair" not in loop.ended:
            i, j, k = self._place(loop)
            if k != loop.size[2] - 1 or (j, i) <= (last, move.row):
                return False
        ni, nj, nk = loop.size
        move.after = loop.pairs[((nk - 1) * nj + last) * ni + move.row]
        self._enter_store(t)
        return True

    def _enter_store(self, t: int) -> None:
        move = self._take("y", t)
        self.stores_waiting.append(move)
        self.store_entries.append(move)
        self.all_stores.append(move)

    def _issue_pair(self, t: int) -> bool:
        if not self._waits("pair", t) or self._executes_held(t) >= self.c.execute_entries:
            return False
        loop = self.loops[self.at["pair"]]
        i, j, k = self._place(loop)
        next_x = self.left["x"][0] if self.left["x"] else None
        loaded_k = next_x.col if next_x else 0
        if "x" not in loop.ended and (
            next_x is None or self.at["x"] != loop.index or (next_x.col, next_x.row) <= (k, i)
        ):
            return False
        if "bias" not in loop.ended:
            return False
        if "w" not in loop.ended:
            if not self.left["w"] or self.at["w"] != loop.index:
                return False
            next_w = self.left["w"][0]
            if not (next_w.row > k or (loaded_k == k and next_w.col > j)):
                return False
        self._enter_pair(loop, t)
        return True

    def _enter_pair(self, loop: Loop, t: int) -> None:
        self.preload_sent = not self.preload_sent
        if self.preload_sent:
            return
        pair = self._take("pair", t)
        pair.loop = loop.index
        self.pairs_waiting.append(pair)
        self.pair_entries.append(pair)
        self.all_pairs.append(pair)

    def _executes_held(self, t: int) -> int:
        """Count entries: computes until two cycles after their last row, preloads until their result is written."""
        return self.preload_sent + len(self.pair_entries) + sum(t < pair.fed_at + 2 for pair in self.all_pairs)

    def _turn(self, t: int) -> str | None:
        x, w = self._waits("x", t), self._waits("w", t)
        oldest = min((loop.index for loop in self.loops if loop.issued == float("inf")), default=len(self.loops))
        if self.at["x"] != self.at["w"]:
            for first, second in (("x", "w"), ("w", "x")):
                if self.at[first] == oldest:
                    if self.left[first] is None:
                        return second if self._waits(second, t) else None
                    return first if self._waits(first, t) else None
        if x and w:
            inputs, weights = self.left["x"][0], self.left["w"][0]
            begins = (weights.row, weights.col) == (0, 0)
            return "w" if begins or inputs.col > weights.row else "x"
        return "x" if x else "w" if w else None

    def _data_cycles(self, beats: int) -> int:
        return max(beats, ceil(beats * self.c.bus_bytes / self.acc.dram_bytes_per_cycle))

    def _load(self, t: int) -> None:
        self.reads = [back for back in self.reads if back > t]
        self.loading = [move for move in self.loading if not move.done <= t]
        if self.load_now is None and not self._start_load(t):
            return
        if len(self.reads) >= self.outstanding or self.requests_free > t:
            return
        move = self.load_now
        request, last_of_row = move.todo.pop(0)
        self.requests_free = t + 1
        begin = max(t + self.c.read_cycles + self.latency, self.data_free)
        late = self._data_cycles(request.beats) - request.beats
        self.reads.append(begin + request.beats + late)
        first, last = begin + request.first_write + late, begin + request.last_write + late
        self.data_free = begin + request.period + late
        again = move.repeats - 1 if last_of_row else 0
        if move.kind != "bias":
            self.windows.append((first, last + again, move.bank))
            self.data_free += again
            last += again
        elif move.repeats > 1:
            held_up = max(0, self.bias_free - first)
            self.data_free += held_up
            last += held_up + again
            self.bias_free = last + 1
        if not move.todo:
            self._loaded(move, last + 2, self.c.load_free_cycles)

    def _loaded(self, move: Move, end: int, to_free: int) -> None:
        move.done = end + to_free
        self.all_loaded = move.seen = max(self.all_loaded, end)
        self.load_now = None

    def _start_load(self, t: int) -> bool:
        if not self.load_queue or t < max(self.load_queue[0].issued + self.c.issue_cycles, self.load_free):
            return False
        move = self.load_queue[0]
        if move.what == "setup":
            self.load_queue.popleft()
            self._loaded(move, t, 0)
            self.load_free = t + 1
            return False
        busy = [m for m in self.loading if m.todo or t < m.done < float("inf")]
        if len(busy) >= self.c.load_commands_in_flight or not self._used_up(move, t):
            return False
        self.load_queue.popleft()
        if move.what == "zeros":
            self.load_free = t + move.zeros
            self._loaded(move, t + move.zeros + self.c.zero_cycles, self.c.load_free_cycles)
            return False
        self.load_now = move
        move.todo = [(request, request is row[-1]) for row in move.rows for request in row]
        return True

    def _used_up(self, move: Move, t: int) -> bool:
        over = move.loop.index < 2 or all(
            self.executed[n] == len(self.loops[n].pairs) for n in range(move.loop.index - 1)
        )
        return over and (move.kind != "bias" or all(m.done < t for m in move.loop.stores_before))

    def _half_of(self, move: Move) -> int:
        return move.loop.half

    def _array_is_full(self, t: int) -> bool:
        under_way = self.passes[-self.c.passes_in_flight :]
        return len(under_way) == self.c.passes_in_flight and t < under_way[0] + self.c.pass_cycles

    def _present(self, moves: list, t: int) -> bool:
        return all(move.seen + self.c.load_done_cycles <= t for move in moves)

    def _array(self, t: int) -> None:
        if self.step is None and self.pairs_waiting and not self._array_is_full(t):
            self._begin_step(t)
        if self.step is None:
            return
        written = {bank for first, last, bank in self.windows if first <= t <= last}
        self.windows = [window for window in self.windows if window[1] >= t]
        pair, following, kind, total = self.step
        x_bank = pair.input_bank
        brings = following or pair
        w_bank = brings.weight_bank if brings.new_weights else None
        x, w = self.fed
        shared = kind == "both" and x_bank == w_bank
        feed_x = kind != "preload" and x < total and not (x_bank in written and x < pair.rows)
        zeros = w < self.dim - brings.depth
        feed_w = kind != "compute" and w < total and (zeros or w_bank not in written)
        if kind == "both":
            feed_x = feed_x and x <= w
            feed_w = feed_w and w <= x and not (shared and w == x)
        if feed_x:
            if x < pair.rows:
                self.adding[t + self.c.result_cycles] = pair.adds_to
            x += 1
        self.fed = x, w = x, w + feed_w
        if (kind != "preload" and x < total) or (kind != "compute" and w < total):
            return
        self.step = None
        self.passes.append(t)
        if kind == "preload":
            self.weights_in = pair
            return
        pair.done = t + self.c.result_cycles + 1
        pair.fed_at = t
        self.executed[pair.loop] += 1
        self.pairs_waiting.pop(0)
        if following is not None:
            self.weights_in = following

    def _begin_step(self, t: int) -> None:
        pair = self.pairs_waiting[0]
        self.fed = 0, 0
        if self.weights_in is not pair:
            if self._present(pair.needs, t):
                self.step = (pair, None, "preload", self.dim if pair.new_weights else self.c.minimum_rows)
            return
        rows = max(pair.rows, self.c.minimum_rows)
        following = self.pairs_waiting[1] if len(self.pairs_waiting) > 1 else None
        if following and self._present(following.needs, t):
            self.step = (pair, following, "both", max(rows, self.dim if following.new_weights else 0))
        else:
            self.step = (pair, None, "compute", rows)
