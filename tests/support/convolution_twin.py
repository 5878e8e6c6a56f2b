"""The command machine on convolutions, slowly: what differs from products, written apart from the kernel.

It unrolls the convolution by itself, as loops in C would; of the simulator it uses only the tile, and the requests of a
row (both tested apart).
"""

from __future__ import annotations

from simulator.accelerator.spec import Accelerator
from simulator.mapping.convolution_tiles import Convolution, ConvolutionTile
from tests.support.command_twin import CommandTwin
from tests.support.command_unrolled import Loop, Move, Pair


def _overlapping(ranges, first, end):
    return [move for move, (begin, stop) in ranges if begin < end and first < stop]


class ConvolutionTwin(CommandTwin):
    """Run it with `cycles()`."""

    def __init__(self, conv: Convolution, tile: ConvolutionTile, accelerator: Accelerator) -> None:
        self.conv, self.tile = conv, tile
        self._read(accelerator)
        c = self.c
        loop = c.commands_per_convolution_loop - c.commands_per_loop
        self.configure = max(1, c.configure_cycles + loop)
        self.start = max(0, c.start_cycles + loop + c.convolution_setup_commands - c.setup_commands)
        self.loops = self._unroll_convolution()

    def _issue(self, t: int) -> None:
        unroll = self.c.unroll_cycles
        if self._waits("y", t) and len(self.store_entries) < self.c.store_entries:
            loop = self.loops[self.at["y"]]
            if "pair" in loop.ended and t > loop.executes_issued + unroll:
                self._enter_store(t)
                return
        if self._waits("pair", t) and self._executes_held(t) < self.c.execute_entries:
            loop = self.loops[self.at["pair"]]
            if {"x", "w", "bias"} <= loop.ended and t > loop.loads_issued + unroll:
                self._enter_pair(loop, t)
                return
        if sum(not move.done < t for move in self.loading) >= self.c.load_entries:
            return
        behind = min(self.at[name] for name in ("x", "w", "bias"))
        ready = [name for name in ("bias", "w", "x") if self.at[name] == behind and self._waits(name, t)]
        self._issue_load(ready[0] if ready else None, t)

    def _unroll_convolution(self) -> list[Loop]:
        c, t = self.conv, self.tile
        pool = (c.pool.size, c.pool.stride, c.pool.padding) if c.pool else (1, 1, 0)
        p_rows = (c.out_height + 2 * pool[2] - pool[0]) // pool[1] + 1
        p_cols = (c.out_width + 2 * pool[2] - pool[0]) // pool[1] + 1
        trips = lambda n, step: -(-n // step)  # noqa: E731
        inside = trips(c.kernel, t.kernel_rows) * trips(c.kernel, t.kernel_cols) * trips(c.channels, t.channels)
        keep_w = inside * trips(c.filters, t.filters) <= 2
        keep_x = inside * trips(c.batch, t.batches) * trips(p_rows, t.rows) * trips(p_cols, t.cols) <= 2
        self.loops = []
        tiles = 0
        halves = {0: [], 1: []}
        for b in range(0, c.batch, t.batches):
            for pr in range(0, p_rows, t.rows):
                for pc in range(0, p_cols, t.cols):
                    for och in range(0, c.filters, t.filters):
                        for kr in range(0, c.kernel, t.kernel_rows):
                            for kc in range(0, c.kernel, t.kernel_cols):
                                for ich in range(0, c.channels, t.channels):
                                    index = len(self.loops)
                                    x_half = w_half = index % 2
                                    if keep_x:
                                        x_half = 0 if b + pr + pc + kr + kc + ich == 0 else 1
                                    if keep_w:
                                        w_half = 0 if och + kr + kc + ich == 0 else 1
                                    ends = (
                                        kr + t.kernel_rows >= c.kernel
                                        and kc + t.kernel_cols >= c.kernel
                                        and ich + t.channels >= c.channels
                                    )
                                    loop = Loop(index, {}, [], half=tiles % 2)
                                    loop.stores_before = list(halves[tiles % 2])
                                    self._one(
                                        loop,
                                        (b, pr, pc, och, kr, kc, ich),
                                        (p_rows, p_cols, *pool),
                                        (x_half, w_half),
                                        (not (keep_x and och > 0), not (keep_w and b + pr + pc > 0)),
                                        kr + kc + ich == 0,
                                        ends,
                                    )
                                    self.loops.append(loop)
                                    if ends:
                                        # A later loop of this half waits for every store so far, in order.
                                        tiles += 1
                                        halves[loop.half] = [m for one in self.loops for m in one.streams["y"]]
        return self.loops

    def _one(self, loop, corner, pooled, halves, wanted, begins, ends) -> None:
        c, t, d = self.conv, self.tile, self.dim
        b0, pr, pc, o0, kr0, kc0, i0 = corner
        p_rows, p_cols, p_size, p_stride, p_pad = pooled
        nb, npr, npc = min(t.batches, c.batch - b0), min(t.rows, p_rows - pr), min(t.cols, p_cols - pc)
        no, nkr, nkc = (
            min(t.filters, c.filters - o0),
            min(t.kernel_rows, c.kernel - kr0),
            min(t.kernel_cols, c.kernel - kc0),
        )
        ni = min(t.channels, c.channels - i0)
        row0, col0 = pr * p_stride - p_pad, pc * p_stride - p_pad
        nr, nc = npr * p_stride + p_size - 1, npc * p_stride + p_size - 1
        nr -= max(0, -row0) + max(0, row0 + nr - c.out_height)
        nc -= max(0, -col0) + max(0, col0 + nc - c.out_width)
        row0, col0 = max(0, row0), max(0, col0)
        y0 = row0 * c.stride + kr0 * c.dilation - c.pad_top
        x0 = col0 * c.stride + kc0 * c.dilation - c.pad_left
        height, width = nr * c.stride + (nkr - 1) * c.dilation, nc * c.stride + (nkc - 1) * c.dilation
        skip = 1
        square = c.kernel == 1 and c.stride == 2 and c.pool is None and c.pad_top == 0 and c.pad_left == 0
        if square and c.in_height % 2 == 0 and c.in_width % 2 == 0:
            skip = 2
        side = 1 if skip == 2 or c.dilation > 1 or ni > d else min(d // ni, nkc)
        plane = nb * (height // skip) * (width // skip)
        group = max(1, self.acc.dma.burst_bytes // d) * d
        x_ranges, w_ranges = [], []
        setup = lambda kind: Move(kind, loop, 0, 0, 1, [], what="setup")  # noqa: E731

        xs = [setup("x")]
        for b in range(nb):
            for y in range(0, height, skip):
                x = 0
                while x < width:
                    left, right = x0 + x < 0, x0 + x >= c.in_width
                    if left:
                        n = min(-x0 - x, d, width - x)
                    elif right:
                        n = min(width - x, d)
                    else:
                        n = min(c.in_width - x0 - x, d * skip, width - x)
                    for ch in range(0, ni, group):
                        chs = min(group, ni - ch)
                        line = ch // d * plane + b * (height // skip) * (width // skip)
                        line += (y // skip) * (width // skip) + x // skip
                        count, blocks = n // skip, -(-chs // d)
                        move = Move("x", loop, 0, 0, blocks, [], repeats=side)
                        move.bank = (halves[0] * self.half + line) // self.bank_rows
                        if left or right or not 0 <= y0 + y < c.in_height:
                            move.what, move.zeros = "zeros", count * blocks * side
                        else:
                            for q in range(count):
                                pixel = ((b0 + b) * c.in_height + y0 + y) * c.in_width + x0 + x + q * skip
                                move.rows.append(self._requests(pixel * c.channels + i0 + ch, chs, d))
                        xs.append(move)
                        x_ranges.append((move, (line - (side - 1), line + (blocks - 1) * plane + count)))
                    x += n

        per_filter_block = nkr * nkc * ni
        w_start = self.half - -(-no // d) * per_filter_block
        ws = [setup("w")]
        for o in range(0, no, group):
            for kr in range(nkr):
                for kc in range(nkc):
                    for ch in range(0, ni, d):
                        count, chs = min(group, no - o), min(d, ni - ch)
                        line = w_start + o // d * per_filter_block + (kr * nkc + kc) * ni + ch
                        move = Move("w", loop, 0, 0, -(-count // d), [])
                        move.bank = (halves[1] * self.half + line) // self.bank_rows
                        for q in range(chs):
                            at = ((kr0 + kr) * c.kernel + kc0 + kc) * c.channels + i0 + ch + q
                            move.rows.append(self._requests(at * c.filters + o0 + o, count, d))
                        ws.append(move)
                        w_ranges.append((move, (line, line + (move.blocks - 1) * per_filter_block + chs)))

        pieces = [
            (b, r, q, o, min(d, nc - q), min(d, no - o))
            for b in range(nb)
            for r in range(nr)
            for q in range(0, nc, d)
            for o in range(0, no, d)
        ]
        biases, bias_of = [], {}
        if begins:
            biases.append(setup("bias"))
            for b, r, q, o, n, chs in pieces:
                move = Move("bias", loop, 0, 0, 1, [])
                if c.bias:
                    move.rows, move.repeats = [self._requests(4 * (o0 + o), 4 * chs, 4 * d)], n
                else:
                    move.what, move.zeros = "zeros", n
                biases.append(move)
                bias_of[b, r, q, o] = move

        last = {}
        for o in range(0, no, d):
            for kr in range(nkr):
                for kc in range(0, nkc, side):
                    for ch in range(0, ni, d):
                        new = True
                        for b in range(nb):
                            for r in range(nr):
                                for q in range(0, nc, d):
                                    n = min(d, nc - q)
                                    y, x = r * c.stride + kr * c.dilation, q * c.stride + kc * c.dilation
                                    a = ch // d * plane + b * (height // skip) * (width // skip)
                                    a += (y // skip) * (width // skip) + x // skip
                                    w = w_start + o // d * per_filter_block + (kr * nkc + kc) * ni + ch
                                    depth = min(side, nkc - kc) * min(d, ni - ch)
                                    first = begins and kr == kc == ch == 0
                                    bias = [bias_of[b, r, q, o]] if first else []
                                    x_needs = _overlapping(x_ranges, a, a + n * (c.stride // skip)) if wanted[0] else []
                                    w_needs = _overlapping(w_ranges, w, w + depth) if wanted[1] else []
                                    banks = (
                                        (halves[0] * self.half + a) // self.bank_rows,
                                        (halves[1] * self.half + w) // self.bank_rows,
                                    )
                                    pair = Pair(n, new, *banks, loop.half, w_needs + bias, x_needs + bias, depth)
                                    new = False
                                    loop.pairs.append(pair)
                                    last[b, r, q, o] = pair

        ys = []
        if ends and c.pool is None:
            for b, r, q, o, n, chs in pieces:
                move = Move("y", loop, 0, 0, 1, [], after=last[b, r, q, o])
                for s in range(n):
                    pixel = ((b0 + b) * c.out_height + row0 + r) * c.out_width + col0 + q + s
                    move.rows.append(self._requests(pixel * c.filters + o0 + o, chs, d))
                ys.append(move)
        elif ends:
            ys.append(setup("y"))
            for b in range(nb):
                for o in range(0, no, d):
                    move = Move("y", loop, 0, 0, p_size**2, [], after=loop.pairs[-1])
                    for r in range(npr):
                        for q in range(npc):
                            pixel = ((b0 + b) * p_rows + pr + r) * p_cols + pc + q
                            move.rows.append(self._requests(pixel * c.filters + o0 + o, min(d, no - o), d))
                    ys.append(move)
            ys.append(setup("y"))
        loop.streams = {"x": xs if wanted[0] else [], "w": ws if wanted[1] else [], "bias": biases, "y": ys}
