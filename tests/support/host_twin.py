"""A product that the host of an output-stationary device issues command by command: once more, slowly.

It writes the program by itself, as nested loops over blocks; memory is the other twin's.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from math import ceil

from tests.support.command_twin import CommandTwin
from tests.support.command_unrolled import Loop, Move


@dataclass(eq=False)
class Block:
    """A preload and its compute: rows of each operand on chip as (first, count), and where results go."""

    activations: tuple[int, int]
    weights: tuple[int, int]
    results: tuple[int, int] | None
    adds: bool
    needs: list
    stores: list = field(default_factory=list)
    fed: bool = False
    fed_at: float = float("inf")
    preloaded_at: float = float("inf")
    done: float = float("inf")


def _meet(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return bool(set(range(one[0], sum(one))) & set(range(other[0], sum(other))))


class HostTwin(CommandTwin):
    """Run it with `cycles()`."""

    def _unroll(self) -> list[Loop]:
        self.program: deque = deque()
        p, d, t = self.product, self.dim, self.tile
        memories = self.acc.memories
        self.lines = (memories.input_scratchpad.size + memories.weight_scratchpad.size) // d
        self.half_accumulators = max(1, memories.accumulator.size // (4 * d) // 2)
        pipeline = self.c.start_cycles - self.c.setup_commands - self.c.commands_per_loop
        self.next_command = max(0, pipeline + self.c.setup_commands * self.c.host_cycles)
        loops = []
        for i0 in range(0, ceil(p.m / d), t.i):
            for j0 in range(0, ceil(p.n / d), t.j):
                for k0 in range(0, ceil(p.k / d), t.k):
                    loop = Loop(len(loops), {}, [])
                    loops.append(loop)
                    self._write_program(loop, i0, j0, k0)
        return loops

    def _write_program(self, loop: Loop, i0: int, j0: int, k0: int) -> None:
        p, d, t = self.product, self.dim, self.tile
        rows, columns, depth = (
            [range(at * d, min((at + 1) * d, limit)) for at in range(first, min(first + count, ceil(limit / d)))]
            for first, count, limit in ((i0, t.i, p.m), (j0, t.j, p.n), (k0, t.k, p.k))
        )
        ni, nj, nk = len(rows), len(columns), len(depth)
        last = depth[-1].stop == p.k
        side, wide = max(1, self.acc.dma.burst_bytes // d), max(1, self.acc.dma.burst_bytes // (4 * d))
        b_first = self.lines - nk * nj * d
        covering: dict = {}

        def move(kind, name, keys, lines, across, element, stride, place, on_chip=d):
            width = (across[-1].stop - across[0].start) * element
            taken = lines if stride else range(1)
            addresses = [line * stride + across[0].start * element for line in taken]
            made = Move(kind, loop, 0, 0, len(across), [self._requests(at, width, on_chip) for at in addresses])
            made.repeats = 1 if stride else len(lines)
            made.place = place, (len(across) - 1) * d + len(lines)
            if name in ("x", "w"):
                made.bank = place // self.bank_rows
            covering.update({(name, *key): made for key in keys})
            self.program.append(("store" if kind == "y" else "load", made))

        def stride_command():
            made = Move("x", loop, 0, 0, 1, [], what="setup")
            made.place = None
            self.program.append(("load", made))

        has_bias = p.bias != "none" and k0 == 0
        if has_bias:
            stride_command()
            for i in range(ni):
                for j in range(0, nj, wide):
                    across = columns[j : j + wide]
                    keys = [(i, j + n) for n in range(len(across))]
                    stride = 4 * p.n if p.bias == "matrix" else 0
                    move("bias", "d", keys, rows[i], across, 4, stride, (i * nj + j) * d, 4 * d)
        stride_command()
        for j in range(0, nj, side):
            for k in range(nk):
                across = columns[j : j + side]
                keys = [(k, j + n) for n in range(len(across))]
                move("w", "w", keys, depth[k], across, 1, p.n, b_first + (k * nj + j) * d)
        stride_command()
        for i in range(ni):
            for k in range(0, nk, side):
                across = depth[k : k + side]
                keys = [(i, k + n) for n in range(len(across))]
                move("x", "x", keys, rows[i], across, 1, p.k, (i * nk + k) * d)
        ends = {}
        for i in range(ni):
            for j in range(nj):
                for k in range(nk):
                    final = k == nk - 1
                    needs = [covering["x", i, k], covering["w", k, j]]
                    needs += [covering["d", i, j]] if final and has_bias else []
                    results = ((i * nj + j) * d, len(rows[i])) if final else None
                    a, b = ((i * nk + k) * d, len(rows[i])), (b_first + (k * nj + j) * d, len(depth[k]))
                    block = Block(a, b, results, has_bias or k0 > 0, needs)
                    ends[i, j] = block
                    loop.pairs.append(block)
                    self.program += [("preload", block), ("compute", block)]
        if last:
            for i in range(ni):
                for j in range(nj):
                    move("y", "y", [], rows[i], columns[j : j + 1], p.out_bytes, p.out_bytes * p.n, (i * nj + j) * d)
                    self.program[-1][1].after = ends[i, j]

    def _tick(self, t: int) -> bool:
        if t == 0:
            self.preloaded = self.leaving = None
            self.array_free = self.last_exit = 0
        self._issue(t)
        self._load(t)
        self._array(t)
        self.pair_entries = self._drop_done(self.pair_entries, t)
        self._store(t)
        self.store_entries = self._drop_done(self.store_entries, t)
        idle = self._all_loaded_by(t) and not self.pair_entries and not self.store_entries and not self.program
        return idle and not self.writing and t >= self.last_store

    def _issue(self, t: int) -> None:
        if not self.program or t < self.next_command:
            return
        kind, what = self.program[0]
        if kind == "load":
            if sum(not move.done < t for move in self.loading) >= self.c.load_entries:
                return
            what.issued = t
            what.waits = [
                (block, name == "results")
                for block in self.pair_entries
                for name in (("results",) if what.kind == "bias" else ("activations", "weights"))
                if what.place and getattr(block, name) and _meet(what.place, getattr(block, name))
            ]
            what.stores = [
                s for s in self.store_entries if what.kind == "bias" and what.place and _meet(what.place, s.place)
            ]
            self.loading.append(what)
            self.load_queue.append(what)
        elif kind == "store":
            if len(self.store_entries) >= self.c.store_entries:
                return
            self.stores_waiting.append(what)
            self.store_entries.append(what)
            self.all_stores.append(what)
        else:
            if self._executes_held(t) + (kind == "compute") >= self.c.execute_entries:
                return
            if kind == "preload":
                what.stores = [s for s in self.store_entries if what.results and _meet(what.results, s.place)]
            else:
                self.pair_entries.append(what)
                self.pairs_waiting.append(what)
                self.all_pairs.append(what)
        self.program.popleft()
        self.next_command = t + self.c.host_cycles

    def _executes_held(self, t: int) -> int:
        computes = sum(t < block.fed_at + 2 for block in self.all_pairs)
        written = sum(block.results is not None for block in self.pair_entries)
        return computes + written + sum(t < block.preloaded_at + 2 for block in self.all_pairs if not block.results)

    def _used_up(self, move: Move, t: int) -> bool:
        used = all(block not in self.pair_entries if written else block.fed for block, written in move.waits)
        return used and not any(store in self.store_entries for store in move.stores)

    def _half_of(self, move: Move) -> int:
        return move.place[0] // self.half_accumulators

    def _is_ready(self, block: Block, t: int) -> bool:
        stored = not any(store in self.store_entries for store in block.stores)
        return stored and self._present(block.needs, t)

    def _array(self, t: int) -> None:
        if self.step is None and t >= self.array_free and not self._array_is_full(t):
            self._begin_step(t)
        if self.step is None:
            return
        written = {bank for first, last, bank in self.windows if first <= t <= last}
        self.windows = [window for window in self.windows if window[1] >= t]
        computed, preloaded, leaving = self.step
        a, b = self.fed
        bank_a, bank_b = (block and getattr(block, name)[0] // self.bank_rows for block, name in
                          ((preloaded, "activations"), (computed, "weights")))  # fmt: skip
        real_a = preloaded is not None and a < preloaded.activations[1]
        real_b = computed is not None and b < computed.weights[1]
        go_a = preloaded is not None and a < self.dim and not (real_a and bank_a in written)
        go_b = computed is not None and b < self.dim and not (real_b and bank_b in written)
        if computed and preloaded:
            go_a, go_b = go_a and a <= b, go_b and b <= a
            go_b = go_b and not (a == b and bank_a == bank_b)
        flushes = computed is None and preloaded is None
        self.fed = a + go_a, b + (go_b or flushes)
        if leaving and (go_b or flushes or (go_a and computed is None)):
            half = leaving.results[0] // self.half_accumulators if leaving.adds else None
            self.adding[t + self.c.result_cycles] = half
        if (preloaded and self.fed[0] < self.dim) or ((computed or flushes) and self.fed[1] < self.dim):
            return
        self._end_step(t)

    def _begin_step(self, t: int) -> None:
        computed = self.preloaded
        waiting = [block for block in self.pairs_waiting if block is not computed]
        following = waiting[0] if waiting and self._is_ready(waiting[0], t) else None
        if computed is None and following is None and not (self.leaving or t < self.last_exit):
            return
        self.step = computed, following, self.leaving
        self.leaving = None
        self.fed = 0, 0

    def _end_step(self, t: int) -> None:
        computed, following, leaving = self.step
        self.step = None
        self.passes.append(t)
        if leaving:
            leaving.done = t + self.c.result_cycles + 1
            self.last_exit = t + self.c.pass_cycles
        if computed is None and following is None:
            self.array_free = t + 1 + self.c.flush_cycles
        if computed:
            computed.fed, computed.fed_at = True, t
            self.pairs_waiting.remove(computed)
            if computed.results:
                self.leaving = computed
            else:
                computed.done = t + 1
        self.preloaded = following
        if following:
            following.preloaded_at = t
