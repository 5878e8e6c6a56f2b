"""Loops and commands of a product, unrolled slowly into Python objects for the twin of the command machine."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil

from simulator.accelerator.spec import Accelerator
from simulator.mapping.command_tiles import LoopTile
from simulator.mapping.commands import Product
from simulator.mapping.memory_requests import row_requests


@dataclass(eq=False)
class Move:
    """A load or store command: block coordinates, blocks side by side, and the requests of every row."""

    kind: str
    loop: Loop
    row: int
    col: int
    blocks: int
    rows: list
    bank: int | None = None
    repeats: int = 1
    what: str = "move"
    zeros: int = 0
    issued: int | None = None
    after: object = None
    done: float = float("inf")
    seen: float = float("inf")
    todo: list = field(default_factory=list)


@dataclass(eq=False)
class Pair:
    """A preload and a compute: one block."""

    rows: int
    new_weights: bool
    input_bank: int
    weight_bank: int
    adds_to: int | None
    needs_for_weights: list
    needs_for_inputs: list
    depth: int = 1 << 30
    fed_at: float = float("inf")
    done: float = float("inf")

    @property
    def needs(self) -> list:
        return self.needs_for_inputs + (self.needs_for_weights if self.new_weights else [])


@dataclass(eq=False)
class Loop:
    """One loop: its command streams and when things happened to it."""

    index: int
    streams: dict
    pairs: list
    half: int = 0
    stores_before: list = field(default_factory=list)
    loads_issued: int = -1
    executes_issued: int = -1
    configured: float = float("inf")
    issued: float = float("inf")
    begun: set = field(default_factory=set)
    ended: set = field(default_factory=set)


def _cut(first: int, count: int, step: int):
    return [(at, min(step, count - at)) for at in range(0, count, step)]


class Unrolled:
    """A product on a device: `loops`, each with its streams of moves and its pairs."""

    def __init__(self, product: Product, tile: LoopTile, accelerator: Accelerator) -> None:
        self.product, self.tile = product, tile
        self._read(accelerator)
        self.start, self.configure = self.c.start_cycles, self.c.configure_cycles
        self.loops = self._unroll()

    def _read(self, accelerator: Accelerator) -> None:
        self.acc, self.c = accelerator, accelerator.controller
        self.dim = accelerator.array.rows
        memories = accelerator.memories
        size = memories.input_scratchpad.size + memories.weight_scratchpad.size
        self.half = size // self.dim // 2
        self.bank_rows = max(
            1, size // self.dim // (memories.input_scratchpad.banks + memories.weight_scratchpad.banks)
        )
        self.latency = accelerator.dram_latency_cycles
        self.outstanding = accelerator.dma.max_outstanding

    def _requests(self, address: int, size: int, on_chip_row: int):
        burst = self.acc.dma.burst_bytes
        return list(row_requests(address % burst, size, on_chip_row, self.c.bus_bytes, burst))

    def _unroll(self) -> list[Loop]:
        p, d, t = self.product, self.dim, self.tile
        total_i, total_j, total_k = ceil(p.m / d), ceil(p.n / d), ceil(p.k / d)
        trips_i, trips_j, trips_k = ceil(total_i / t.i), ceil(total_j / t.j), ceil(total_k / t.k)
        loops = []
        for a in range(trips_i):
            for b in range(trips_j):
                for c in range(trips_k):
                    corner = (a * t.i, b * t.j, c * t.k)
                    size = (min(t.i, total_i - a * t.i), min(t.j, total_j - b * t.j), min(t.k, total_k - c * t.k))
                    keep_x, keep_w = trips_i * trips_k <= 2, trips_j * trips_k <= 2
                    halves = [len(loops) % 2, len(loops) % 2]
                    if keep_x:
                        halves[0] = (a * trips_k + c) % 2
                    if keep_w:
                        halves[1] = (b * trips_k + c) % 2
                    wanted = {
                        "x": b == 0 or not keep_x,
                        "w": a == 0 or not keep_w,
                        "bias": p.bias != "none" and c == 0,
                        "y": c == trips_k - 1,
                    }
                    loops.append(self._loop(len(loops), corner, size, halves, wanted, (a * trips_j + b) % 2))
        return loops

    def _loop(self, index, corner, size, halves, wanted, half) -> Loop:
        p, d = self.product, self.dim
        (i0, j0, k0), (ni, nj, nk) = corner, size
        side, wide = max(1, self.acc.dma.burst_bytes // d), max(1, self.acc.dma.burst_bytes // (4 * d))
        loop = Loop(index, {name: [] for name in ("x", "w", "bias", "y")}, [], half=half)

        def bank(is_weight: bool, row: int, col: int) -> int:
            if is_weight:
                line = halves[1] * self.half + self.half - nk * nj * d + (row * nj + col) * d
            else:
                line = halves[0] * self.half + (row * nk + col) * d
            return line // self.bank_rows

        def add(name, row, col, blocks, first_row, first_col, limits, element, stride, whole=False, on_chip=d):
            lines = d if whole else min(d, limits[0] - first_row)
            repeats, lines = (1, lines) if stride else (lines, 1)
            width = (min(first_col + blocks * d, limits[1]) - first_col) * element
            addresses = [(first_row + n) * stride + first_col * element for n in range(lines)]
            move = Move(name, loop, row, col, blocks, [self._requests(at, width, on_chip) for at in addresses])
            move.repeats = repeats
            if name in ("x", "w"):
                move.bank = bank(name == "w", row, col)
            loop.streams[name].append(move)

        if wanted["x"]:
            for k, blocks in _cut(k0, nk, side):
                for i in range(ni):
                    add("x", i, k, blocks, (i0 + i) * d, (k0 + k) * d, (p.m, p.k), 1, p.k)
        if wanted["w"]:
            for k in range(nk):
                for j, blocks in _cut(j0, nj, side):
                    add("w", k, j, blocks, (k0 + k) * d, (j0 + j) * d, (p.k, p.n), 1, p.n, whole=True)
        if wanted["bias"]:
            for j, blocks in _cut(j0, nj, wide):
                for i in range(ni):
                    stride = 4 * p.n if p.bias == "matrix" else 0
                    at = (i0 + i) * d, (j0 + j) * d
                    add("bias", i, j, blocks, *at, (p.m, p.n), 4, stride, on_chip=4 * d)
        if wanted["y"]:
            for j, blocks in _cut(j0, nj, side if p.out_bytes == 1 else 1):
                for i in range(ni):
                    at = (i0 + i) * d, (j0 + j) * d
                    add("y", i, j, blocks, *at, (p.m, p.n), p.out_bytes, p.out_bytes * p.n)
        for k in range(nk):
            for j in range(nj):
                for i in range(ni):
                    covering = {
                        "x": [m for m in loop.streams["x"] if m.row == i and m.col <= k < m.col + m.blocks],
                        "w": [m for m in loop.streams["w"] if m.row == k and m.col <= j < m.col + m.blocks],
                        "bias": [m for m in loop.streams["bias"] if m.row == i and m.col <= j < m.col + m.blocks],
                    }
                    bias = covering["bias"] if k == 0 else []
                    rows = min(d, p.m - (i0 + i) * d)
                    adds_to = half if k > 0 or wanted["bias"] else None
                    banks = bank(False, i, k), bank(True, k, j)
                    needs = covering["w"] + bias, covering["x"] + bias
                    depth = min(d, p.k - (k0 + k) * d)
                    loop.pairs.append(Pair(rows, i == 0, *banks, adds_to, *needs, depth))
        loop.size = size
        return loop
