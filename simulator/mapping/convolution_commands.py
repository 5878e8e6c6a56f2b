"""The commands of a convolution on a command-driven device, as Gemmini's LoopConv.scala unrolls each loop.

Five sequencers: activations (row by row of the image, in pieces of `dim` pixels; padding is written as zeros), weights
(output channels, filter rows, filter columns, input channels), biases and stores (pieces of `dim` pixels of an output
row, output channels inside), executes (output channels, filter rows, filter columns, input channels; inside, the pieces
of all output rows). Loads set a register first. An execute waits for the loads whose rows of the scratchpad overlap
its own, as ReservationStation.scala finds them: a load of several blocks is one range from its first to its last row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simulator.kernels import command_layout as at
from simulator.mapping.command_lists import (
    CommandDevice,
    CommandLists,
    LoopShape,
    Patterns,
    PlacedLoop,
    Table,
    commands_table,
    join,
)
from simulator.mapping.convolution_tiles import (
    Convolution,
    ConvolutionLoop,
    ConvolutionTile,
    keeps,
    shape_of,
)


def convolution_lists(
    conv: Convolution, tile: ConvolutionTile, cut: Sequence[ConvolutionLoop], device: CommandDevice
) -> CommandLists:
    """Unroll `conv`, cut into loops of `tile`, into commands."""
    patterns = Patterns(device)
    inputs_kept, weights_kept = keeps(conv, tile)
    known: dict[tuple[object, ...], LoopShape] = {}
    loops: list[PlacedLoop] = []
    output_tiles = stores = 0
    stored = [0, 0]
    for index, loop in enumerate(cut):
        key = shape_of(loop)
        if key not in known:
            known[key] = _shape(conv, loop, device, patterns)
        first, half = loop.first, output_tiles % 2
        moved_on = any((first.batches, first.rows, first.cols))
        halves = [index % 2, index % 2]
        if inputs_kept:
            halves[0] = 1 if moved_on or not loop.begins else 0
        if weights_kept:
            halves[1] = 1 if first.filters > 0 or not loop.begins else 0
        loads = (not (inputs_kept and first.filters > 0), not (weights_kept and moved_on), True, True, True)
        origins = (halves[0] * device.half_rows, halves[1] * device.half_rows)
        where = (0, 0, 0, half, stored[half])
        loops.append(PlacedLoop(known[key], where, _addresses(conv, loop), origins, loads))
        stores += len(known[key].moves[at.STORES])
        if loop.ends:
            stored[half] = stores
            output_tiles += 1
    return join(loops, patterns, device, at.CONVOLUTIONS)


def _shape(conv: Convolution, loop: ConvolutionLoop, device: CommandDevice, patterns: Patterns) -> LoopShape:
    unroller = _Unroller(conv, loop, device, patterns)
    inputs, input_rows, input_ends = unroller.inputs()
    weights, weight_rows, weight_ends = unroller.weights()
    executes, spans = unroller.executes()
    a, b = executes[:, at.INPUT_PLACE], executes[:, at.WEIGHT_PLACE]
    executes[:, at.INPUT_LOAD] = _last_overlap(input_rows, input_ends, a, a + spans[0])
    executes[:, at.WEIGHT_LOAD] = _last_overlap(weight_rows, weight_ends, b, b + spans[1])
    moves = (inputs, weights, unroller.biases(), commands_table(0), unroller.stores(len(executes)))
    return LoopShape(moves, executes)


def _addresses(c: Convolution, loop: ConvolutionLoop) -> tuple[int, ...]:
    """Bytes from the start of each operand in DRAM to where the loop begins, in the order of the sequencers."""
    first = loop.first
    pixel = (first.batches * c.in_height + loop.in_row) * c.in_width + loop.in_col
    tap = first.kernel_rows * c.kernel + first.kernel_cols
    result = (first.batches * c.pooled_height + first.rows) * c.pooled_width + first.cols
    weights = (tap * c.channels + first.channels) * c.filters + first.filters
    return (
        pixel * c.channels + first.channels,
        weights,
        4 * first.filters,
        0,
        result * c.filters + first.filters,
    )


def _last_overlap(first: Table, end: Table, a: Table, b: Table) -> Table:
    """Index of the last of the ranges [first, end) that [a, b) overlaps, or -1, for each (a, b)."""
    found = np.full(len(a), -1, np.int64)
    keys, inverse = np.unique(np.stack([a, b], axis=1), axis=0, return_inverse=True)
    last = np.full(len(keys), -1, np.int64)
    for index in range(len(first)):
        last[(keys[:, 0] < end[index]) & (keys[:, 1] > first[index])] = index
    found[:] = last[inverse.ravel()]
    return found


@dataclass(frozen=True)
class _Unroller:
    """Unrolls one loop at the origin of its operands."""

    conv: Convolution
    loop: ConvolutionLoop
    device: CommandDevice
    patterns: Patterns

    @property
    def _skip(self) -> int:
        return int(self.conv.halves_input)

    @property
    def _pixels(self) -> int:
        return self.conv.pixels_per_row(self.loop.size.channels, self.loop.size.kernel_cols, self.device.dim)

    @property
    def _image(self) -> tuple[int, int]:
        """Rows and columns of an image in the scratchpad."""
        return self.loop.image[0] >> self._skip, self.loop.image[1] >> self._skip

    @property
    def _plane(self) -> int:
        """Rows of the scratchpad that a block of input channels takes, of all images."""
        return self.loop.size.batches * self._image[0] * self._image[1]

    def _setup(self, table: Table) -> Table:
        first = commands_table(1)
        first[:, at.KIND] = at.SETUP
        return np.concatenate([first, table])

    def _pieces(self) -> list[tuple[int, int, bool]]:
        """First column from the left padding, columns and whether they are padding, of the pieces of an image row."""
        left, right = self.loop.pad[2:]
        width, dim = self.loop.image[1] - left - right, self.device.dim
        found = []
        col = -left
        while col < width + right:
            if col < 0:
                count = min(-col, dim)
            elif col < width:
                count = min(width - col, dim << self._skip)
            else:
                count = min(width + right - col, dim)
            found.append((col, count, col < 0 or col >= width))
            col += count
        return found

    def inputs(self) -> tuple[Table, Table, Table]:
        """Return loads of activations, and the rows of the scratchpad that each covers: first, and end."""
        c, size, (above, below, left, _), dim = self.conv, self.loop.size, self.loop.pad, self.device.dim
        height = self.loop.image[0] - above - below
        image_rows = np.arange(-above, height + below, 1 << self._skip)
        pieces = np.array(self._pieces(), np.int64).reshape(-1, 3)
        groups = np.arange(0, size.channels, self.device.load_blocks * dim)
        b, row, piece, group = (
            part.ravel()
            for part in np.meshgrid(np.arange(size.batches), image_rows, np.arange(len(pieces)), groups, indexing="ij")
        )
        col, count, padding = pieces[piece].T
        channels = np.minimum(size.channels - group, self.device.load_blocks * dim)
        table = commands_table(len(b))
        table[:, at.BLOCKS] = -(-channels // dim)
        table[:, at.ROWS] = table[:, at.LINE_ROWS] = count >> self._skip
        table[:, at.LINE_ROWS] = np.maximum(1, table[:, at.ROWS])
        pixel = (b * c.in_height + row) * c.in_width + col
        zeros = (row < 0) | (row >= height) | (padding == 1)
        table[:, at.KIND] = np.where(zeros, at.ZEROS, at.MOVE)
        table[:, at.ADDRESS] = np.where(zeros, 0, pixel * c.channels + group)
        table[:, at.STRIDE] = c.channels << self._skip
        table[:, at.PATTERN] = self.patterns.of(channels, dim)
        table[:, at.REPEATS] = self._pixels
        rows, cols = self._image
        first = group // dim * self._plane + b * rows * cols
        first += ((row + above) >> self._skip) * cols + ((col + left) >> self._skip)
        table[:, at.PLACE] = first
        end = first + (table[:, at.BLOCKS] - 1) * self._plane + table[:, at.ROWS]
        first = np.maximum(0, first - (self._pixels - 1))
        return self._setup(table), np.r_[-1, first], np.r_[-1, end]

    def weights(self) -> tuple[Table, Table, Table]:
        """Return loads of weights, and the rows of the scratchpad that each covers: first, and end."""
        c, size, dim = self.conv, self.loop.size, self.device.dim
        steps = (
            np.arange(0, size.filters, self.device.load_blocks * dim),
            np.arange(size.kernel_rows),
            np.arange(size.kernel_cols),
            np.arange(0, size.channels, dim),
        )
        out, kernel_row, kernel_col, channel = (part.ravel() for part in np.meshgrid(*steps, indexing="ij"))
        filters = np.minimum(size.filters - out, self.device.load_blocks * dim)
        table = commands_table(len(out))
        table[:, at.BLOCKS] = -(-filters // dim)
        table[:, at.ROWS] = table[:, at.LINE_ROWS] = np.minimum(dim, size.channels - channel)
        tap = kernel_row * c.kernel + kernel_col
        table[:, at.ADDRESS] = (tap * c.channels + channel) * c.filters + out
        table[:, at.STRIDE] = c.filters
        table[:, at.PATTERN] = self.patterns.of(filters, dim)
        first = table[:, at.PLACE] = self._weight_row(out, kernel_row, kernel_col, channel)
        end = first + (table[:, at.BLOCKS] - 1) * self._filter_rows + table[:, at.ROWS]
        return self._setup(table), np.r_[-1, first], np.r_[-1, end]

    @property
    def _filter_rows(self) -> int:
        """Rows of the scratchpad that a block of output channels takes."""
        return self.loop.size.kernel_rows * self.loop.size.kernel_cols * self.loop.size.channels

    def _weight_row(self, out: Table, kernel_row: Table, kernel_col: Table, channel: Table) -> Table:
        """Row in a half of the scratchpad: weights lie up to its end (LoopConv.scala, `b_addr_end`)."""
        size, dim = self.loop.size, self.device.dim
        start = self.device.half_rows - -(-size.filters // dim) * self._filter_rows
        tap = kernel_row * size.kernel_cols + kernel_col
        return start + out // dim * self._filter_rows + tap * size.channels + channel

    def _results(self) -> tuple[Table, Table, Table, Table]:
        """Image, output row, column and channel of every piece of outputs, channels inside."""
        size, loop, dim = self.loop.size, self.loop, self.device.dim
        steps = (
            np.arange(size.batches),
            np.arange(loop.out_rows),
            np.arange(0, loop.out_cols, dim),
            np.arange(0, size.filters, dim),
        )
        b, row, col, out = (part.ravel() for part in np.meshgrid(*steps, indexing="ij"))
        return b, row, col, out

    def biases(self) -> Table:
        """Return loads of biases, each read once for all pixels of its piece; or writes of zeros."""
        if not self.loop.begins:
            return commands_table(0)
        dim = self.device.dim
        _, _, col, out = self._results()
        pixels, filters = np.minimum(dim, self.loop.out_cols - col), np.minimum(dim, self.loop.size.filters - out)
        table = commands_table(len(col))
        table[:, at.PATTERN] = self.patterns.of(4 * filters, 4 * dim)
        if self.conv.bias:
            table[:, at.ROWS], table[:, at.REPEATS], table[:, at.ADDRESS] = 1, pixels, 4 * out
        else:
            table[:, at.ROWS], table[:, at.KIND] = pixels, at.ZEROS
        table[:, at.LINE_ROWS] = table[:, at.ROWS]
        return self._setup(table)

    def stores(self, executes: int) -> Table:
        """Return stores: pieces of output rows, or with a pool the whole image of a block of channels."""
        if not self.loop.ends:
            return commands_table(0)
        c, dim = self.conv, self.device.dim
        if c.pool is not None:
            return self._pooled_stores(c.pool.size**2, executes)
        b, row, col, out = self._results()
        filters = np.minimum(dim, self.loop.size.filters - out)
        table = commands_table(len(b))
        table[:, at.ROWS] = table[:, at.LINE_ROWS] = np.minimum(dim, self.loop.out_cols - col)
        table[:, at.ADDRESS] = ((b * c.out_height + row) * c.out_width + col) * c.filters + out
        table[:, at.STRIDE] = c.filters
        table[:, at.PATTERN] = self.patterns.of(filters, dim)
        pieces = -(-self.loop.out_cols // dim)
        piece = (b * self.loop.out_rows + row) * pieces + col // dim
        blocks, per_tap = -(-self.loop.size.filters // dim), self.loop.size.batches * self.loop.out_rows * pieces
        table[:, at.AFTER] = (out // dim + 1) * (executes // blocks) - per_tap + piece
        return table

    def _pooled_stores(self, reads: int, executes: int) -> Table:
        """Return stores of a block of channels each, `reads` rows of accumulators read for every pixel."""
        c, size, dim = self.conv, self.loop.size, self.device.dim
        steps = np.meshgrid(np.arange(size.batches), np.arange(0, size.filters, dim), indexing="ij")
        b, out = (part.ravel() for part in steps)
        table = commands_table(len(b))
        table[:, at.ROWS], table[:, at.LINE_ROWS] = size.rows * size.cols, size.cols
        table[:, at.BLOCKS] = reads
        table[:, at.ADDRESS] = b * c.pooled_height * c.pooled_width * c.filters + out
        table[:, at.STRIDE], table[:, at.LINE_STRIDE] = c.filters, c.pooled_width * c.filters
        table[:, at.PATTERN] = self.patterns.of(np.minimum(dim, size.filters - out), dim)
        table[:, at.AFTER] = executes - 1
        last = commands_table(1)
        last[:, at.KIND] = at.SETUP
        return np.concatenate([self._setup(table), last])

    def executes(self) -> tuple[Table, tuple[Table, Table]]:
        """Return executes, and how many rows of the scratchpad their operands span."""
        c, size, loop, dim = self.conv, self.loop.size, self.loop, self.device.dim
        steps = (
            np.arange(0, size.filters, dim),
            np.arange(size.kernel_rows),
            np.arange(0, size.kernel_cols, self._pixels),
            np.arange(0, size.channels, dim),
            np.arange(size.batches),
            np.arange(loop.out_rows),
            np.arange(0, loop.out_cols, dim),
        )
        out, kernel_row, kernel_col, channel, b, row, col = (
            part.ravel() for part in np.meshgrid(*steps, indexing="ij")
        )
        table = np.zeros((len(out), at.EXECUTE_COLUMNS), np.int64)
        pixels = table[:, at.EXECUTE_ROWS] = np.minimum(dim, loop.out_cols - col)
        table[:, at.NEW_WEIGHTS] = (b == 0) & (row == 0) & (col == 0)
        table[:, at.BIAS_LOAD] = -1
        table[:, at.ADDS] = 1
        if loop.begins:
            first = (kernel_row == 0) & (kernel_col == 0) & (channel == 0)
            piece = (b * loop.out_rows + row) * -(-loop.out_cols // dim) + col // dim
            table[first, at.BIAS_LOAD] = (1 + piece * -(-size.filters // dim) + out // dim)[first]
        rows, cols = self._image
        in_row, in_col = row * c.stride + kernel_row * c.dilation, col * c.stride + kernel_col * c.dilation
        pixel = (in_row >> self._skip) * cols + (in_col >> self._skip)
        table[:, at.INPUT_PLACE] = channel // dim * self._plane + b * rows * cols + pixel
        table[:, at.WEIGHT_PLACE] = self._weight_row(out, kernel_row, kernel_col, channel)
        taps = np.minimum(self._pixels, size.kernel_cols - kernel_col)
        depth = taps * np.minimum(dim, size.channels - channel)
        table[:, at.WEIGHT_ROWS] = depth
        return table, (pixels * (c.stride >> self._skip), depth)
